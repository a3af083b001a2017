"""The built-in sample `figures`: rendered people with known joints and body-part masks.

A figure is a function of (seed, number), drawn when it is first needed; see `striate.figures`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from PIL import Image

from striate import figures
from striate.datasets.dataset import Dataset, Samples
from striate.datasets.labels import JointLabels, MaskLabels
from striate.errors import DataError
from striate.images import decode
from striate.images.decode import MAX_PIXELS
from striate.images.planes import NO_LABEL, DecodedPlane, PlaneScan
from striate.images.resize import ImageSpec, to_indices
from striate.images.sources import Content, DecodedImage
from striate.tasks.skeleton import Skeleton

TASKS = ("pose", "segment")

_SIZE_PX = 128
_TRAIN = 4000
_VAL_SHARE = 1 / 8  # as many more
_LAST = 2**32


@functools.lru_cache(maxsize=1)  # its image is decoded, then its mask
def _render(seed: int, number: int) -> figures.Figure:
    return figures.render(seed, number, size_px=_SIZE_PX)


@dataclass(frozen=True)
class FigureImages:
    """Images of figures by number."""

    seed: int
    numbers: Sequence[int]
    cacheable = True
    reading = f"figures {figures.VERSION}"

    def __len__(self) -> int:
        """Count the figures."""
        return len(self.numbers)

    def where(self, index: int) -> str:
        """Return a figure's number."""
        return f"figure {self.numbers[index]}"

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> FigureImages:
        """Return a selection of the figures."""
        return FigureImages(self.seed, [self.numbers[index] for index in indices])

    def content(self, index: int) -> Content:
        """Return what decides a figure."""
        return Content(None, f"figure {figures.VERSION} {self.seed} {self.numbers[index]}".encode())

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Return an image of the size and colours of figures."""
        return Image.new("RGB", (_SIZE_PX, _SIZE_PX))

    def decode(self, index: int, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Draw a figure, and resize it."""
        image = Image.fromarray(_render(self.seed, int(self.numbers[index])).image)
        return DecodedImage(pixels=decode.to_pixels(image, spec), source_size_px=(_SIZE_PX, _SIZE_PX))


@dataclass(frozen=True)
class FigureMasks:
    """Body-part masks of figures by number."""

    seed: int
    numbers: Sequence[int]
    reading = f"figure masks {figures.VERSION}"

    def __len__(self) -> int:
        """Count the figures."""
        return len(self.numbers)

    def where(self, index: int) -> str:
        """Return a figure's number."""
        return f"figure {self.numbers[index]}"

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> FigureMasks:
        """Return a selection of the figures."""
        return FigureMasks(self.seed, [self.numbers[index] for index in indices])

    def content(self, index: int) -> Content:
        """Return what decides a figure."""
        return Content(None, f"figure {figures.VERSION} {self.seed} {self.numbers[index]}".encode())

    def decode(self, index: int, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedPlane:
        """Draw a figure's mask, and resize it."""
        mask = _render(self.seed, int(self.numbers[index])).mask
        return DecodedPlane(indices=to_indices(mask, spec, outside=NO_LABEL), source_size_px=(_SIZE_PX, _SIZE_PX))

    def scan(self, index: int, *, max_pixels: int = MAX_PIXELS) -> PlaneScan:
        """Count the pixels of every body part."""
        mask = _render(self.seed, int(self.numbers[index])).mask
        counts = dict(zip(*(column.tolist() for column in np.unique(mask, return_counts=True)), strict=True))
        no_label = counts.pop(NO_LABEL, 0)
        return PlaneScan(classes=counts, no_label=no_label, unknown={}, source_size_px=(_SIZE_PX, _SIZE_PX))


def read(location: str, task: str) -> Dataset:
    """List figures: 4,000 to train on and 500 more, or as many as `figures:NUMBER` says, of `figures:NUMBER:SEED`.

    Raises:
        DataError: number or seed make no sense.
    """
    _, *words = location.split(":")
    numbers = [int(word) if word.isdecimal() else -1 for word in words]
    count, seed = [*numbers, *(_TRAIN, 0)[len(numbers) :]][:2]
    if len(words) > 2 or not (2 <= count < _LAST and 0 <= seed < _LAST):
        what = "wanted: figures, figures:NUMBER (2 or more) or figures:NUMBER:SEED"
        raise DataError(location, what)
    total = count + max(1, round(count * _VAL_SHARE))
    masked = task == "segment"
    pairs = tuple((figures.JOINTS.index(left), figures.JOINTS.index(right)) for left, right in figures.MIRROR)
    skeleton = Skeleton(joints=figures.JOINTS, parents=figures.PARENTS, mirror=pairs)
    return Dataset(
        name="figures",
        location=location,
        task=task,
        samples=Samples(
            names=tuple(f"figures/{seed}/{number:06d}" for number in range(total)),
            images=FigureImages(seed, range(total)),
            labels=MaskLabels(FigureMasks(seed, range(total))) if masked else _joints(seed, total, skeleton),
        ),
        splits={"train": np.arange(count), "val": np.arange(count, total)},
        classes=figures.PARTS if masked else (),
        colours=figures.COLOURS if masked else (),
        skeleton=None if masked else skeleton,
    )


def _joints(seed: int, total: int, skeleton: Skeleton) -> JointLabels:
    """Pose figures without drawing them; coordinates are relative to the pelvis."""
    located = [figures.locate_joints(seed, number, size_px=_SIZE_PX) for number in range(total)]
    xyz = np.array([figure.xyz_mm for figure in located])
    return JointLabels(
        xyz_mm=(xyz - xyz[:, skeleton.root, None]).astype(np.float32),
        uv_px=np.array([figure.uv_px for figure in located], dtype=np.float32),
        visible=np.array([figure.visible for figure in located]),
        skeleton=skeleton,
    )
