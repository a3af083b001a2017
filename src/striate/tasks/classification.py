"""Classification: one class an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from striate.tasks.base import Metrics, Targets

_Z_95 = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


class Classification:
    """Logits, a channel a class; cross-entropy; accuracy.

    Args:
        classes: their names.
        label_smoothing: share of every target that the loss spreads over all classes (Szegedy et al. 2016).
    """

    def __init__(self, classes: Sequence[str], *, label_smoothing: float = 0.0) -> None:
        self.classes = tuple(classes)
        self.outputs = len(self.classes)
        self.label_smoothing = label_smoothing

    def loss(self, outputs: Float[Tensor, "batch classes"], targets: Targets) -> tuple[Float[Tensor, ""], int]:
        """Return the cross-entropy (natural logarithm), summed over the batch, and the batch's size."""
        assert isinstance(targets, Tensor)
        loss = F.cross_entropy(outputs, targets, reduction="sum", label_smoothing=self.label_smoothing)
        return loss, len(targets)

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

    def decode(self, outputs: Float[Tensor, "batch classes"], top: int) -> list[dict[str, Any]]:
        """Return for each image its class, the probability of that, and the `top` likeliest classes."""
        probabilities, indices = outputs.double().softmax(1).topk(min(top, self.outputs))
        predictions = []
        for image_probabilities, image_indices in zip(probabilities.tolist(), indices.tolist(), strict=True):
            ranked = [
                [self.classes[index], probability]
                for index, probability in zip(image_indices, image_probabilities, strict=True)
            ]
            predictions.append({"class": ranked[0][0], "probability": ranked[0][1], "top": ranked})
        return predictions


class ClassificationMetrics:
    """Counts for each class, top-5 hits and the summed loss: all that the figures are computed from."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        counts = torch.zeros(3, len(classes), dtype=torch.int64)
        self.samples, self.called, self.hits = counts  # of the class; called the class; both
        self.top5_hits = torch.zeros((), dtype=torch.int64)
        self.loss_sum = torch.zeros((), dtype=torch.float64)

    def sums(self) -> list[Tensor]:
        """Return all counts, and the summed loss."""
        return [self.samples, self.called, self.hits, self.top5_hits, self.loss_sum]

    def update(self, outputs: Float[Tensor, "batch classes"], targets: Targets) -> None:
        """Count a batch of logits against the indices of its classes."""
        assert isinstance(targets, Tensor)
        logits, targets = outputs.double().cpu(), targets.cpu()
        classes, called = len(self.classes), logits.argmax(1)
        self.samples += torch.bincount(targets, minlength=classes)
        self.called += torch.bincount(called, minlength=classes)
        self.hits += torch.bincount(targets[targets == called], minlength=classes)
        top5 = logits.topk(min(5, classes)).indices
        self.top5_hits += (top5 == targets[:, None]).sum()
        self.loss_sum += F.cross_entropy(logits, targets, reduction="sum")

    def compute(self) -> dict[str, Any]:
        """Return accuracy with its 95 % interval, top-5 accuracy, and the mean cross-entropy.

        With five classes or fewer every image's class is among the first five: top-5 accuracy is 1.
        """
        samples, hits = int(self.samples.sum()), int(self.hits.sum())
        return {
            "accuracy": hits / samples,
            "accuracy_interval": list(wilson_interval(hits, samples)),
            "top5_accuracy": int(self.top5_hits) / samples,
            "loss": float(self.loss_sum) / samples,
        }

    def per_class(self) -> list[dict[str, Any]]:
        """Return each class's number of images, recall with its 95 % interval, and precision.

        Recall: of the images of this class, the share that was found. Precision: of the images that
        were called this class, the share that is. None where there are no such images.
        """
        rows = []
        counts = zip(self.classes, self.samples.tolist(), self.called.tolist(), self.hits.tolist(), strict=True)
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
