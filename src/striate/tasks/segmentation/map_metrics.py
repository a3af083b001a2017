"""Figures of class maps: how far the classes of pixels are those of the masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from striate.batching.targets import NO_LABEL, Targets, one_tensor
from striate.tasks.segmentation.boundaries import border_counts


class SegmentationMetrics:
    """A confusion matrix, true classes down and predicted ones across, border pixels, and the summed cross-entropy."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.confusion = torch.zeros(len(classes), len(classes), dtype=torch.int64)
        self.borders = torch.zeros(4, len(classes), dtype=torch.int64)
        self.loss_sum = torch.zeros((), dtype=torch.float64)

    @property
    def targets(self) -> int:
        """How many labelled pixels have been counted."""
        return int(self.confusion.sum())

    def sums(self) -> list[Tensor]:
        """Return all counts, and the summed loss."""
        return [self.confusion, self.borders, self.loss_sum]

    def update(self, outputs: Float[Tensor, "batch classes height width"], targets: Targets) -> None:
        """Count a batch of scores against the classes of its pixels."""
        masks, count = one_tensor(targets), len(self.classes)
        called, labelled = outputs.argmax(1), masks != NO_LABEL
        pairs = masks[labelled] * count + called[labelled]
        self.confusion += torch.bincount(pairs, minlength=count * count).view(count, count).cpu()
        self.borders += border_counts(called, masks, count).cpu()
        loss = F.cross_entropy(outputs, masks, ignore_index=NO_LABEL, reduction="none")
        self.loss_sum += loss.sum(dtype=torch.float64).cpu()

    def compute(self) -> dict[str, Any]:
        """Return mean IoU, pixel accuracy, the classes' mean accuracy, mean boundary F1, and mean cross-entropy.

        Means are over the classes that are in the masks.
        """
        rows = [row for row in self.rows() if row["pixels"]]
        return {
            "mean_iou": _mean(row["iou"] for row in rows),
            "pixel_accuracy": int(self.confusion.diagonal().sum()) / max(self.targets, 1),
            "class_accuracy": _mean(row["accuracy"] for row in rows),
            "boundary_f1": _mean(row["boundary_f1"] for row in rows),
            "loss": float(self.loss_sum) / max(self.targets, 1),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return each class's pixels, IoU, accuracy (recall), precision and boundary F1; None where there is nothing.

        IoU: hits / (pixels of the class + pixels called so - hits).
        """
        hits, true, called = self.confusion.diagonal(), self.confusion.sum(1), self.confusion.sum(0)
        called_border, called_near, true_border, true_near = self.borders
        return [
            {
                "class": name,
                "pixels": int(true[index]),
                "iou": _share(hits[index], true[index] + called[index] - hits[index]),
                "accuracy": _share(hits[index], true[index]),
                "precision": _share(hits[index], called[index]),
                "boundary_f1": _f1(
                    _share(called_near[index], called_border[index]), _share(true_near[index], true_border[index])
                ),
            }
            for index, name in enumerate(self.classes)
        ]


def _share(part: Tensor, whole: Tensor) -> float | None:
    return int(part) / int(whole) if int(whole) else None


def _f1(precision: float | None, recall: float | None) -> float | None:
    """Return their harmonic mean: 0 where one of the borders is missing, None where both are."""
    if precision is None and recall is None:
        return None
    if not precision or not recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _mean(shares: Iterable[float | None]) -> float:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else 0.0
