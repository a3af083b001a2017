"""Figures of classification, and the interval of a proportion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import binomtest
from torch import Tensor

from striate.batching.targets import Targets, one_tensor
from striate.tasks.classification.spec import TOP


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
        logits, true = outputs.double().cpu(), one_tensor(targets).cpu()
        classes, called = len(self.classes), logits.argmax(1)
        pairs = torch.bincount(true * classes + called, minlength=classes**2)
        self.confusion += pairs.view(classes, classes)
        top5 = logits.topk(min(TOP, classes)).indices
        self.top5_hits += (top5 == true[:, None]).sum()
        self.loss_sum += F.cross_entropy(logits, true, reduction="sum")

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

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. It stays within 0 and
    1, and keeps its promise near both ends, where the textbook's p ± z √(p(1-p)/n) does not.

    >>> low, high = wilson_interval(81, 263)
    >>> f"{low:.4f} {high:.4f}"
    '0.2553 0.3662'
    """
    interval = binomtest(hits, trials).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
