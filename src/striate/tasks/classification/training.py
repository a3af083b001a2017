"""How classification is learned: the network, its loss and its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate import models
from striate.batching.targets import Targets, one_tensor
from striate.errors import ModelError
from striate.geometry import Shape
from striate.models.plan import Plan
from striate.tasks.baselines import log_shares
from striate.tasks.classification.metrics import ClassificationMetrics
from striate.tasks.classification.spec import ClassificationSpec
from striate.tasks.linear import as_layer, logistic_regression
from striate.tasks.spec import PredictOptions, Rows, TargetStatistics
from striate.tasks.training import ChosenImages, Features, Metrics, outputs_at_once, plan_with_outputs


class ClassificationTraining:
    """Logits, one per class; cross-entropy; accuracy."""

    def __init__(self, spec: ClassificationSpec) -> None:
        self.spec = spec

    def plan_network(self, model: str, shape: Shape, *, stem: models.Stem = "auto", line: str = "") -> Plan:
        """Work out the network of the line itself; raises ModelError where it does not end in a number per class."""
        plan = plan_with_outputs(model, shape, self.spec.outputs, stem, line)
        if plan.output != (self.spec.outputs,):
            given = "x".join(map(str, plan.output))
            raise ModelError(model, f"gives {given}, not one number per class", "end it with: gap | fc classes")
        return plan

    def build(self, plan: Plan, model: str, seed: int) -> nn.Module:
        """Build the network of the line itself."""
        return models.build_network(plan, model, seed=seed)

    def fit_target_statistics(self, targets: Iterable[Targets], images: ChosenImages) -> TargetStatistics:
        """Count the images of each class."""
        counts = torch.zeros(self.spec.outputs, dtype=torch.int64)
        for batch in targets:
            counts += torch.bincount(one_tensor(batch).cpu(), minlength=self.spec.outputs)
        return TargetStatistics({"images": counts.tolist()})

    def loss(self, outputs: Float[Tensor, "batch classes"], targets: Targets) -> tuple[Float[Tensor, ""], int]:
        """Return the cross-entropy (natural logarithm), summed over the batch, and the batch's size."""
        true, smoothing = one_tensor(targets), self.spec.options.label_smoothing
        return F.cross_entropy(outputs, true, reduction="sum", label_smoothing=smoothing), len(true)

    def metrics(self) -> Metrics:
        """Return metrics that have counted nothing yet."""
        return ClassificationMetrics(self.spec.classes)

    def baselines(self, images: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch _"]]:
        """Return the logarithms of the classes' shares of the training images: the commonest class for every image."""
        if not self.spec.statistics.values:
            return {}
        logits = log_shares(self.spec.statistics.values["images"]).to(images.device)
        return {"most frequent class": logits.expand(len(images), -1)}

    def fit_linear(self, features: Features) -> nn.Linear:
        """Fit logistic regression."""
        classes = torch.cat([one_tensor(targets) for targets in features.targets]).cpu().numpy()
        return as_layer(logistic_regression(features.matrix(), classes, self.spec.outputs, features.groups))

    def forward(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels height width"],
        options: PredictOptions,
        advance: Callable[[float], None],
    ) -> Iterable[np.ndarray | Rows]:
        """Return the logits of all images."""
        return outputs_at_once(model, images, advance)
