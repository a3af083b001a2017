"""Classification: one class an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from striate import models
from striate.errors import ConfigError, ModelError
from striate.images.resize import Fit
from striate.models.effects import Shape
from striate.models.plan import Plan
from striate.tasks.base import (
    Chosen,
    ExplainTarget,
    Features,
    FineTuning,
    Metrics,
    Origin,
    Prediction,
    PredictOptions,
    SampleResult,
    Targets,
)
from striate.tasks.baselines import log_shares
from striate.tasks.linear import as_layer, logistic_regression
from striate.tasks.vocabulary import Vocabulary

_TOP = 5
_Z_95 = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


class Classification:
    """Logits, a channel a class; cross-entropy; accuracy.

    Args:
        vocabulary: the classes.
        learned: `images`, how many of each class were trained on, from `study`.
        label_smoothing: share of every target that the loss spreads over all classes (Szegedy et al. 2016).
    """

    batch_size = 64
    optimiser: Literal["sgd", "adamw"] = "sgd"
    fine_tuning = FineTuning("adamw", 0.1, "batchnorm")  # 0.0004 was best of flowers, 0.00003 of ants and bees
    keeps_aspect = False
    fits: tuple[Fit, ...] = ("crop", "pad", "stretch")
    crop_px = None
    draws = False
    table = "classes.csv"
    headline = "accuracy"
    per = "per_class"

    def __init__(
        self, vocabulary: Vocabulary, *, target_statistics: dict[str, Any] | None = None, label_smoothing: float = 0.0
    ) -> None:
        self.classes = vocabulary.classes
        self.outputs = len(self.classes)
        self.target_statistics = target_statistics or {}
        self.tensors: dict[str, Tensor] = {}
        self.label_smoothing = label_smoothing

    def backbone_input(self, shape: Shape) -> Shape:
        """Return the images' own shape."""
        return shape

    def trim_plan(self, plan: Plan, model: str) -> Plan:
        """Take all of it; raises ModelError where it does not end in a number for each class."""
        if plan.output != (self.outputs,):
            given = "x".join(map(str, plan.output))
            raise ModelError(f"{model} gives {given}, not a number for each class; end it with: gap | fc classes.")
        return plan

    def build(self, plan: Plan, model: str, seed: int) -> nn.Module:
        """Build the network of the line itself."""
        return models.build(plan, model, seed=seed)

    def fit_target_statistics(self, targets: Iterable[Targets], images: Chosen) -> None:
        """Count the images of each class."""
        counts = torch.zeros(self.outputs, dtype=torch.int64)
        for batch in targets:
            assert isinstance(batch, Tensor)
            counts += torch.bincount(batch.cpu(), minlength=self.outputs)
        self.target_statistics = {"images": counts.tolist()}

    def loss(self, outputs: Float[Tensor, "batch classes"], targets: Targets) -> tuple[Float[Tensor, ""], int]:
        """Return the cross-entropy (natural logarithm), summed over the batch, and the batch's size."""
        assert isinstance(targets, Tensor)
        loss = F.cross_entropy(outputs, targets, reduction="sum", label_smoothing=self.label_smoothing)
        return loss, len(targets)

    def read(self, found: Float[Tensor, "batch channels ..."], targets: Targets) -> tuple[Tensor, Targets]:
        """Return the mean over all places of each image."""
        return found.flatten(2).mean(2) if found.ndim > 2 else found, targets

    def fit_linear(self, features: Features) -> nn.Linear:
        """Fit logistic regression."""
        classes = torch.cat([targets for targets in features.targets if isinstance(targets, Tensor)])
        return as_layer(logistic_regression(features.matrix(), classes.cpu().numpy(), self.outputs, features.groups))

    def explain_targets(self, outputs: Float[Tensor, "1 classes"]) -> list[ExplainTarget]:
        """Ask for the logit of each class, the likeliest first."""

        probabilities = outputs[0].double().softmax(0).tolist()

        def ask(index: int) -> ExplainTarget:
            name = self.classes[index]
            return ExplainTarget(
                name=name,
                words=f"what speaks for {name}",
                value=lambda logits: logits[0, index],
                probability=probabilities[index],
            )

        return [ask(int(index)) for index in outputs[0].argsort(descending=True)]

    def sample_results(self, outputs: Float[Tensor, "batch classes"], targets: Targets) -> list[SampleResult]:
        """Say what each image was called, how surely, and what it is; the error is its cross-entropy."""
        assert isinstance(targets, Tensor)
        losses = F.cross_entropy(outputs.double(), targets, reduction="none")
        confidence, called = outputs.double().softmax(1).max(1)
        return [
            SampleResult(
                error=loss,
                wrong=taken != true,
                confidence=probability,
                words=f"called {self.classes[taken]} ({probability:.0%} sure), is {self.classes[true]}",
                about=self.classes[taken],
            )
            for loss, probability, taken, true in zip(
                losses.tolist(), confidence.tolist(), called.tolist(), targets.tolist(), strict=True
            )
        ]

    def ground_truth(self, targets: Targets, times: int = 1) -> list[Prediction]:
        """Return the classes."""
        assert isinstance(targets, Tensor)
        return [ClassPrediction([(self.classes[int(index)], 1.0)]) for index in targets]

    def answers(self, outputs: Float[Tensor, "batch classes"], targets: Targets) -> tuple[Tensor, Tensor]:
        """Return logits and classes as they are."""
        assert isinstance(targets, Tensor)
        return outputs, targets

    def baselines(self, images: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch _"]]:
        """Return the logarithms of the classes' shares of the training images: their commonest class for every one."""
        if not self.target_statistics:
            return {}
        logits = log_shares(self.target_statistics["images"]).to(images.device)
        return {"most frequent class": logits.expand(len(images), -1)}

    def metrics(self) -> Metrics:
        """Return fresh sums."""
        return ClassificationMetrics(self.classes)

    def score(self, figures: dict[str, Any]) -> tuple[float, ...]:
        """Rank by accuracy; of two that are equal, by loss."""
        return figures["accuracy"], -figures["loss"]

    def brief(self, figures: dict[str, Any]) -> str:
        """Say the accuracy."""
        return f"accuracy {figures['accuracy']:.1%}"

    def describe(self, figures: dict[str, Any]) -> str:
        """Say the accuracy with its interval, and the top-5 accuracy where there are more than five classes."""
        low, high = figures["accuracy_interval"]
        top5 = f", top-5 {figures['top5_accuracy']:.1%}" if len(self.classes) > 5 else ""
        return (
            f"accuracy {figures['accuracy']:.1%} (95% interval {low:.1%} to {high:.1%}){top5}, "
            f"loss {figures['loss']:.3f}"
        )

    def check(self, options: PredictOptions) -> None:
        """Raise ConfigError where there is to be no alternative, or windows."""
        if options.top is not None and options.top < 1:
            raise ConfigError(f"top (={options.top}) must be 1 or more.")
        if options.tile:
            raise ConfigError("tile: a network for classify looks at whole pictures; leave it out.")

    def input_px(
        self, trained_px: tuple[int, int], scale: float, picture_px: tuple[int, int], options: PredictOptions
    ) -> tuple[int, int]:
        """Return what it was trained on."""
        return trained_px

    def predict(
        self,
        model: nn.Module,
        images: Tensor,
        origins: Iterable[Origin],
        options: PredictOptions,
        advance: Callable[[float], None],
    ) -> list[Prediction]:
        """Return for each image the `top` likeliest classes, by default 5, and their probabilities."""
        probabilities, indices = model(images).double().softmax(1).topk(min(options.top or _TOP, self.outputs))
        advance(len(images))
        return [
            ClassPrediction([(self.classes[index], probability) for index, probability in zip(*one, strict=True)])
            for one in zip(indices.tolist(), probabilities.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class ClassPrediction:
    """The likeliest classes of a picture and their probabilities, the first one first."""

    ranked: list[tuple[str, float]]

    def document(self) -> dict[str, Any]:
        """Return the class, its probability, and the likeliest ones."""
        return {**self.rows()[0], "top": [list(one) for one in self.ranked]}

    def rows(self) -> list[dict[str, Any]]:
        """Return the class and its probability."""
        name, probability = self.ranked[0]
        return [{"class": name, "probability": probability}]

    def files(self) -> Mapping[str, Image.Image]:
        """Return none."""
        return {}

    def overlay(self, picture: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Return the picture as it is: a class has no place in it."""
        return Image.fromarray(picture)


class ClassificationMetrics:
    """A confusion matrix, true classes down and predicted ones across, top-5 hits, and the summed loss."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.confusion = torch.zeros(len(classes), len(classes), dtype=torch.int64)
        self.top5_hits = torch.zeros((), dtype=torch.int64)
        self.loss_sum = torch.zeros((), dtype=torch.float64)

    @property
    def targets(self) -> int:
        """How many images have been counted."""
        return int(self.confusion.sum())

    def sums(self) -> list[Tensor]:
        """Return all counts, and the summed loss."""
        return [self.confusion, self.top5_hits, self.loss_sum]

    def update(self, outputs: Float[Tensor, "batch classes"], targets: Targets) -> None:
        """Count a batch of logits against the indices of its classes."""
        assert isinstance(targets, Tensor)
        logits, targets = outputs.double().cpu(), targets.cpu()
        classes, called = len(self.classes), logits.argmax(1)
        pairs = torch.bincount(targets * classes + called, minlength=classes**2)
        self.confusion += pairs.view(classes, classes)
        top5 = logits.topk(min(5, classes)).indices
        self.top5_hits += (top5 == targets[:, None]).sum()
        self.loss_sum += F.cross_entropy(logits, targets, reduction="sum")

    def compute(self) -> dict[str, Any]:
        """Return accuracy with its 95 % interval, top-5 accuracy, and the mean cross-entropy.

        With five classes or fewer every image's class is among the first five: top-5 accuracy is 1.
        """
        samples, hits = self.targets, int(self.confusion.diagonal().sum())
        return {
            "accuracy": hits / samples,
            "accuracy_interval": list(wilson_interval(hits, samples)),
            "top5_accuracy": int(self.top5_hits) / samples,
            "loss": float(self.loss_sum) / samples,
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return each class's number of images, recall with its 95 % interval, and precision.

        Recall: of the images of this class, the share that was found. Precision: of the images that
        were called this class, the share that is. None where there are no such images.
        """
        rows = []
        sums = (self.confusion.sum(1), self.confusion.sum(0), self.confusion.diagonal())
        counts = zip(self.classes, *(part.tolist() for part in sums), strict=True)
        for name, samples, called, hits in counts:
            rows.append(
                {
                    "class": name,
                    "samples": samples,
                    "recall": hits / samples if samples else None,
                    "recall_interval": list(wilson_interval(hits, samples)) if samples else None,
                    "precision": hits / called if called else None,
                }
            )
        return rows


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion, `hits` of `trials` (1 or more).

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), with z the normal distribution's 97.5 % quantile:
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. It stays
    within 0 and 1, and keeps its promise near both ends, where the textbook's p ± z √(p(1-p)/n) does not.

    >>> low, high = wilson_interval(81, 263)
    >>> f"{low:.4f} {high:.4f}"
    '0.2553 0.3662'
    """
    share, z_squared = hits / trials, _Z_95**2
    centre = share + z_squared / (2 * trials)
    margin = _Z_95 * math.sqrt(share * (1 - share) / trials + z_squared / (4 * trials**2))
    scale = 1 + z_squared / trials
    # the ends are exact where every trial hit or none did; rounding may not move them
    low = 0.0 if hits == 0 else (centre - margin) / scale
    high = 1.0 if hits == trials else (centre + margin) / scale
    return low, high
