"""A check as anyone would add it: one file; `test_additions.py` adds the line."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan
from striate.datasets.dataset import Dataset
from striate.datasets.labels import Labels


def dark_images(scan: DatasetScan) -> Iterator[Problem]:
    """Find images that are nearly black."""
    for where, image in zip(scan.where, scan.scans, strict=True):
        if image.thumbnail and np.frombuffer(image.thumbnail, dtype=np.uint8).mean() < 8:
            yield Problem(kind="dark-image", where=where, what="nearly black", fix="use a brighter one")


def odd_numbers(dataset: Dataset, labels: Labels) -> Iterator[Problem]:
    """Find labels that are odd numbers."""
    for index in range(len(labels)):
        if labels.numbers[index] % 2:
            where = dataset.samples.names[index]
            yield Problem(kind="odd-number", where=where, what="an odd number", fix="double it", severity="note")
