"""How counting is learned: Huber's loss of the standardised number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tests.tasks.toy.spec import DotsSpec
from torch import Tensor, nn

from striate import models
from striate.batching.targets import Targets, one_tensor
from striate.geometry import Shape
from striate.models.plan import Plan
from striate.tasks.linear import as_layer, ridge_regression
from striate.tasks.spec import PredictOptions, TargetStatistics
from striate.tasks.training import ChosenImages, Features, Metrics, outputs_at_once, plan_with_outputs

_MOST = 9  # dots, that figures tell apart


class DotsTraining:
    def __init__(self, spec: DotsSpec) -> None:
        self.spec = spec

    def plan_network(self, model: str, shape: Shape, *, stem: models.Stem = "auto", line: str = "") -> Plan:
        return plan_with_outputs(model, shape, 1, stem, line)

    def build(self, plan: Plan, model: str, seed: int) -> nn.Module:
        return models.build_network(plan, model, seed=seed)

    def fit_target_statistics(self, targets: Iterable[Targets], images: ChosenImages) -> TargetStatistics:
        dots = torch.cat([one_tensor(batch) for batch in targets]).double()
        return TargetStatistics({"mean": dots.mean().item(), "deviation": dots.std().item() or 1.0})

    def loss(self, outputs: Tensor, targets: Targets) -> tuple[Tensor, int]:
        deviation = self.spec.statistics.values["deviation"]
        off = (self.spec.number(outputs) - one_tensor(targets)) / deviation
        return F.huber_loss(off, torch.zeros_like(off), reduction="sum", delta=self.spec.options.outlier), len(off)

    def metrics(self) -> Metrics:
        return DotsMetrics(self)

    def baselines(self, images: Tensor) -> dict[str, Tensor]:
        return {"mean number": torch.zeros(len(images), 1)} if self.spec.statistics.values else {}

    def fit_linear(self, features: Features) -> nn.Module:
        values = self.spec.statistics.values
        dots = torch.cat([one_tensor(targets) for targets in features.targets]).double().numpy()[:, None]
        standard = (dots - values["mean"]) / values["deviation"]
        return as_layer(ridge_regression(features.matrix(), standard, np.ones(dots.shape, dtype=bool), features.groups))

    def forward(
        self, model: nn.Module, images: Tensor, options: PredictOptions, advance: Callable[[float], None]
    ) -> np.ndarray:
        return outputs_at_once(model, images, advance)


class DotsMetrics:
    """Sums of differences, for each true number of dots."""

    confusion = None

    def __init__(self, training: DotsTraining) -> None:
        self.training = training
        self.counted = torch.zeros(3, _MOST + 1, dtype=torch.float64)  # images, differences, right ones
        self.loss = torch.zeros((), dtype=torch.float64)

    @property
    def targets(self) -> int:
        return int(self.counted[0].sum())

    def update(self, outputs: Tensor, targets: Targets) -> None:
        number, dots = self.training.spec.number(outputs).double().cpu(), one_tensor(targets).double().cpu()
        off = (number - dots).abs()
        parts = torch.stack([torch.ones_like(off), off, (off < 0.5).double()])
        self.counted.index_add_(1, dots.long(), parts)
        self.loss += self.training.loss(outputs, targets)[0].detach().cpu()

    def sums(self) -> list[Tensor]:
        return [self.counted, self.loss]

    def compute(self) -> dict[str, Any]:
        samples, off, right = self.counted.sum(1).tolist()
        return {"mean_error": off / samples, "right": right / samples, "loss": float(self.loss) / samples}

    def rows(self) -> list[dict[str, Any]]:
        return [
            {"dots": str(dots), "samples": int(samples), "mean_error": off / samples, "right": right / samples}
            for dots, (samples, off, right) in enumerate(self.counted.T.tolist())
            if samples
        ]
