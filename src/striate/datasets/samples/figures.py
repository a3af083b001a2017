"""The built-in sample `figures`: rendered people with known joints and body-part masks.

A figure is a function of (seed, number), drawn when it is first needed; see `striate.figures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL import Image

from striate import figures
from striate.datasets.dataset import Dataset, Samples
from striate.datasets.labels import JointLabels, MaskLabels
from striate.errors import DataError
from striate.images import decode
from striate.images.decode import MAX_PIXELS
from striate.images.resize import ImageSpec, to_indices
from striate.images.sources import NO_LABEL, DecodedImage
from striate.tasks.skeleton import Skeleton

TASKS = ("pose", "segment")

_SIZE_PX = 128
_TRAIN = 4000
_VAL_SHARE = 1 / 8  # as many more
_LAST = 2**32


@dataclass(frozen=True)
class FigurePictures:
    """Pictures of figures by number, with their masks where these are wanted."""

    seed: int
    numbers: Sequence[int]
    masked: bool
    kept = True

    @property
    def reading(self) -> str:
        """Tell figures of another making, or without masks, from these."""
        return f"figures {figures.VERSION} {self.masked}"

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.numbers)

    def where(self, index: int) -> str:
        """Return a figure's number."""
        return f"figure {self.numbers[index]}"

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> FigurePictures:
        """Return some of the pictures."""
        return FigurePictures(self.seed, [self.numbers[index] for index in indices], self.masked)

    def files(self, index: int) -> tuple[Path, ...]:
        """Return no files."""
        return ()

    def content(self, index: int) -> tuple[bytes, ...]:
        """Return what decides a figure."""
        return (f"figure {figures.VERSION} {self.seed} {self.numbers[index]}".encode(),)

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Return an image of the size and colours of figures."""
        return Image.new("RGB", (_SIZE_PX, _SIZE_PX))

    def decode(self, index: int, form: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Draw a figure, and bring it into a form."""
        figure = figures.render(self.seed, int(self.numbers[index]), size_px=_SIZE_PX)
        return DecodedImage(
            image=decode.to_pixels(Image.fromarray(figure.image), form),
            mask=to_indices(figure.mask, form, outside=NO_LABEL) if self.masked else None,
            source_size_px=(_SIZE_PX, _SIZE_PX),
        )


def read(location: str, task: str) -> Dataset:
    """List figures: 4,000 to train on and 500 more, or as many as `figures:NUMBER` says, of `figures:NUMBER:SEED`.

    Raises:
        DataError: number or seed make no sense.
    """
    _, *given = location.split(":")
    numbers = [int(text) if text.isdecimal() else -1 for text in given]
    count, seed = [*numbers, *(_TRAIN, 0)[len(numbers) :]][:2]
    if len(given) > 2 or not (2 <= count < _LAST and 0 <= seed < _LAST):
        raise DataError(f"{location}: write figures, figures:NUMBER (2 or more) or figures:NUMBER:SEED.")
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
            pictures=FigurePictures(seed, range(total), masked),
            labels=MaskLabels(total) if masked else _joints(seed, total, skeleton),
        ),
        splits={"train": np.arange(count), "val": np.arange(count, total)},
        classes=figures.PARTS if masked else (),
        colours=figures.COLOURS if masked else (),
        skeleton=None if masked else skeleton,
    )


def _joints(seed: int, total: int, skeleton: Skeleton) -> JointLabels:
    """Pose figures without drawing them; coordinates are relative to the pelvis."""
    located = [figures.locate(seed, number, size_px=_SIZE_PX) for number in range(total)]
    xyz = np.array([found.xyz_mm for found in located])
    return JointLabels(
        xyz_mm=(xyz - xyz[:, skeleton.root, None]).astype(np.float32),
        uv_px=np.array([found.uv_px for found in located], dtype=np.float32),
        visible=np.array([found.visible for found in located]),
        skeleton=skeleton,
    )
