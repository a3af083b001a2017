"""Classes: how many samples each has, and which splits lack some."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan
from striate.datasets.labels import ClassLabels
from striate.errors import DataError, listing

_UNLIKE = 10  # a class has so many times the images of another


def trainable(scan: DatasetScan) -> Iterator[Problem]:
    """Find data that teach nothing: one class only, or a split without samples."""
    try:
        scan.dataset.check_trainable()
    except DataError as error:
        yield Problem.of(error, "layout", where=scan.dataset.location, fix="")


def imbalance(scan: DatasetScan, labels: ClassLabels) -> Iterator[Problem]:
    """Find classes of very different size."""
    dataset = scan.dataset
    counts = labels.take(dataset.splits["train"]).counts(len(dataset.classes))
    most, least = int(np.argmax(counts)), int(np.argmin(np.where(counts > 0, counts, counts.max())))
    if counts[most] > _UNLIKE * counts[least]:
        ratio = counts[most] / counts[least]
        yield Problem(
            kind="imbalance",
            where=f"train: {dataset.classes[least]}",
            what=f"{counts[least]:,} images; {counts[most]:,} of {dataset.classes[most]}, {ratio:,.0f} times as many",
            fix="add images of the small classes, and look at each class's own figures, not at accuracy alone",
            severity="note",
        )


def missing(scan: DatasetScan) -> Iterator[Problem]:
    """Find classes that a split has no image of, or that no mask of it shows; in masks one class is too few."""
    dataset = scan.dataset
    if not dataset.classes:
        return
    masks = dataset.samples.labels.planes is not None
    for split in dataset.splits:
        counts = scan.counts(split)
        lacking = [name for name, count in zip(dataset.classes, counts, strict=True) if count == 0]
        if not lacking or (masks and not counts.any()):
            continue  # masks without any class are unreadable or unlabelled, which is reported for each
        if masks and split == "train" and len(lacking) == len(dataset.classes) - 1 > 0 and _all_read(scan):
            yield Problem(
                kind="class-missing",
                where=split,
                what=f"masks show {dataset.classes[int(np.argmax(counts))]} alone, and no {listing(lacking, 10)}",
                fix="label pixels of two classes or more; a network needs two to tell apart",
            )
            continue
        effect = "it is not learned" if split == "train" else "how well it is known is not measured"
        yield Problem(
            kind="class-missing",
            where=split,
            what=f"no {'mask shows' if masks else 'images of'} {listing(lacking, 10)}",
            fix=f"add {'images with' if masks else 'images of'} it; else {effect}",
            severity="note",
        )


def _all_read(scan: DatasetScan) -> bool:
    """Tell whether every training mask was read, and every value in them has a class."""
    planes = [scan.scans[row].plane for row in scan.dataset.splits["train"]]
    return all(plane is not None and not plane.unknown for plane in planes)
