"""Classes: how many samples each has, and which splits lack some."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan
from striate.datasets.labels import ClassLabels
from striate.errors import DataError, listing

_UNLIKE = 10  # a class has so many times the images of another


def balance(evidence: DatasetScan) -> Iterator[Problem]:
    """Find data with one class, and those whose classes are of very different size."""
    dataset = evidence.dataset
    try:
        dataset.check_trainable()
    except DataError as error:
        what, _, fix = str(error).removeprefix(f"{dataset.location}: ").rstrip(".").partition("; ")
        yield Problem(kind="layout", where=dataset.location, what=what, fix=fix)
    if not isinstance(dataset.samples.labels, ClassLabels):
        return  # pixels of classes differ by nature
    counts = evidence.counts("train")
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


def missing(evidence: DatasetScan) -> Iterator[Problem]:
    """Find classes that a split has no image of, or that no mask of it shows; of masks one class is too few."""
    dataset = evidence.dataset
    if not dataset.classes:
        return
    masked = dataset.samples.pictures.masked
    for split in dataset.splits:
        counts = evidence.counts(split)
        lacking = [name for name, count in zip(dataset.classes, counts, strict=True) if count == 0]
        if not lacking or (masked and not counts.any()):
            continue  # masks without any class are unreadable or unlabelled, which is said of each
        if masked and split == "train" and len(lacking) == len(dataset.classes) - 1 > 0 and _all_read(evidence):
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
            what=f"no {'mask shows' if masked else 'images of'} {listing(lacking, 10)}",
            fix=f"add {'images with' if masked else 'images of'} it; else {effect}",
            severity="note",
        )


def _all_read(evidence: DatasetScan) -> bool:
    """Tell whether every training mask was read, and every value in them has a class."""
    counts = [evidence.looks[row].counts for row in evidence.dataset.splits["train"]]
    return all(found is not None and not found.unknown for found in counts)
