"""A number for each image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from striate.datasets.labels import Labels, LabelTargets, Motion


@dataclass(frozen=True)
class CountLabels(Labels):
    """The number of dots in each image."""

    dots: Float32[np.ndarray, " samples"]

    def __len__(self) -> int:
        return len(self.dots)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> CountLabels:
        return CountLabels(self.dots[indices])

    def content(self) -> bytes:
        return self.dots.tobytes()

    def same(self, first: int, second: int) -> bool:
        return bool(self.dots[first] == self.dots[second])

    def make_targets(self, motion: Motion | None, image_px: tuple[int, int]) -> LabelTargets:
        return self.dots
