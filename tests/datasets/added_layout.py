"""A layout as anyone would add it: one file, `FOLDER/*.number.png`; `test_additions.py` adds the line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from striate.datasets.dataset import Dataset, Samples
from striate.datasets.labels import Labels, LabelTargets, Motion
from striate.images.sources import ImageFiles

TASKS = ("number",)
DESCRIPTION = "FOLDER/<name>.<number>.png"


@dataclass(frozen=True)
class NumberLabels(Labels):
    """A number for each image: a kind of label that striate does not have."""

    numbers: Int64[np.ndarray, " samples"]
    label_checks = ("tests.datasets.added_checks:odd_numbers",)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.numbers)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> NumberLabels:
        """Return the labels of a selection of the samples."""
        return NumberLabels(self.numbers[indices])

    def content(self) -> bytes:
        """Return the numbers."""
        return self.numbers.tobytes()

    def make_targets(self, motion: Motion | None, image_px: tuple[int, int]) -> LabelTargets:
        """Return the numbers."""
        return self.numbers

    def same(self, first: int, second: int) -> bool:
        """Tell whether two samples have the same number."""
        return bool(self.numbers[first] == self.numbers[second])


def matches(location: str) -> bool:
    """Tell whether this is a folder with such a name in it."""
    return Path(location).is_dir() and any(Path(location).glob("*.*.png"))


def read(location: str, task: str) -> Dataset:
    """List the images."""
    paths = sorted(Path(location).glob("*.*.png"))
    numbers = np.array([int(path.suffixes[-2][1:]) for path in paths])
    return Dataset(
        name=Path(location).name,
        location=location,
        task=task,
        samples=Samples(
            names=tuple(path.name for path in paths), images=ImageFiles(paths), labels=NumberLabels(numbers)
        ),
        splits={"train": np.arange(len(paths))},
    )
