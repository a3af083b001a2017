"""A data set before anything is decoded: names, where each image comes from, and its class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from striate.data.decode import open_image, to_pixels
from striate.errors import DataError, ImageError

SplitName = Literal["train", "val", "test"]


@runtime_checkable
class Images(Protocol):
    """Images that are read and decoded one at a time, on demand."""

    def __len__(self) -> int:
        """Count the images."""

    def where(self, index: int) -> str:
        """Say where an image is, for messages."""

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> Images:
        """Return some of the images, as images."""

    def read(self, index: int) -> bytes:
        """Return the bytes that are an image's content; raises OSError."""

    def open(self, content: bytes) -> Image.Image:
        """Turn content into an image of which no more than the header need be decoded; raises ImageError."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files on disk."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        """Count the files."""
        return len(self.paths)

    def where(self, index: int) -> str:
        """Return a file's path."""
        return str(self.paths[index])

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> ImageFiles:
        """Return some of the files."""
        return ImageFiles([self.paths[index] for index in indices])

    def read(self, index: int) -> bytes:
        """Return a file's bytes."""
        return self.paths[index].read_bytes()

    def open(self, content: bytes) -> Image.Image:
        """Open a file's bytes."""
        return open_image(content)


@dataclass(frozen=True)
class ImageArray:
    """Grey images that are in memory already: uint8, 0 black to 255 white."""

    pixels: UInt8[np.ndarray, "samples height width"]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    def where(self, index: int) -> str:
        """Return an image's place in the array."""
        return f"image {index}"

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> ImageArray:
        """Return some of the images."""
        return ImageArray(self.pixels[indices])

    def read(self, index: int) -> bytes:
        """Return one image's pixels as bytes."""
        return bytes(self.pixels[index].tobytes())

    def open(self, content: bytes) -> Image.Image:
        """Return pixels as an image of Pillow's mode L."""
        height, width = self.pixels.shape[1:]
        return Image.frombytes("L", (width, height), content)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Labelled images: a name, an image and the index of a class each."""

    names: tuple[str, ...]
    images: Images
    targets: Int64[np.ndarray, " samples"]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.names)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> Samples:
        """Return some of the samples."""
        return Samples(
            names=tuple(self.names[index] for index in indices),
            images=self.images.take(indices),
            targets=self.targets[indices],
        )

    def header(self, index: int) -> Image.Image:
        """Return an image that is opened and not decoded; raises ImageError."""
        with self._place_in_errors(index):
            return self.images.open(self.images.read(index))

    def decode(
        self, index: int, *, size_px: int, channels: int
    ) -> tuple[UInt8[np.ndarray, "height width channels"], str]:
        """Return an image's pixels, as `to_pixels` makes them, and a 64-bit hash of its content; raises ImageError."""
        with self._place_in_errors(index):
            content = self.images.read(index)
            pixels = to_pixels(self.images.open(content), size_px=size_px, channels=channels)
            return pixels, hashlib.blake2b(content, digest_size=8).hexdigest()

    @contextmanager
    def _place_in_errors(self, index: int) -> Iterator[None]:
        try:
            yield
        except ImageError as error:
            raise ImageError(f"{self.images.where(index)}: {error}") from None
        except OSError as error:
            raise ImageError(f"{self.images.where(index)}: cannot be read ({error.strerror}).") from None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled images and their parting into splits, as `open_data` finds them.

    Attributes:
        name: what a run of it is called.
        location: the folder or the sample's name, as it was given.
        task: the task that its labels are for.
        classes: class names; a target is an index into them.
        samples: all of them.
        splits: indices into `samples`: always `train` and `val` (what the best weights are chosen by), and
            `test` where the layout has one.
        published: the split that the layout itself sets aside, or None where the parting is ours.
        mirror_safe: whether an image's mirror image is of the same class; it is not for digits.
    """

    name: str
    location: str
    task: str
    classes: tuple[str, ...]
    samples: Samples = field(repr=False)
    splits: Mapping[SplitName, Int64[np.ndarray, " chosen"]] = field(repr=False)
    published: SplitName | None
    mirror_safe: bool = True

    def split(self, name: SplitName) -> Samples:
        """Return a split by its name; raises DataError where the data have none of that name, or an empty one."""
        if name not in self.splits or len(self.splits[name]) == 0:
            filled = ", ".join(split for split, indices in self.splits.items() if len(indices))
            raise DataError(f"{self.location}: there is no {name} split; there are: {filled}.")
        return self.samples.take(self.splits[name])

    def check_trainable(self) -> None:
        """Refuse what would silently teach nonsense.

        Raises:
            DataError: there is one class only, or a split holds no image.
        """
        if len(self.classes) < 2:
            raise DataError(
                f"{self.location}: there is one class only ({self.classes[0]!r}); "
                "a classifier needs two or more, one folder each."
            )
        for name, indices in self.splits.items():
            if len(indices) == 0:
                raise DataError(
                    f"{self.location}: {len(self.samples)} images are too few to set some aside for {name}; "
                    "add images, two or more a class."
                )


def hold_out(
    names: Sequence[str], targets: Int64[np.ndarray, " samples"], fraction: float
) -> Bool[np.ndarray, " samples"]:
    """Choose which samples to set aside, by the hash of each one's name.

    A sample is held out where that hash, read as a number in [0, 1), is below `fraction`: files that are
    added later move none of the others. What chance does to small classes is bounded: of every class at
    least half of its due share is held out, and at most one and a half times that, the lowest hashes first;
    of two images or more at least one, and never all.

    Args:
        names: unique.
        targets: the class of each.
        fraction: 0 to 1: the share to hold out.

    Returns: True for the samples that are held out, one per name.
    """
    position = np.array([_unit_hash(name) for name in names])
    held = np.zeros(len(names), dtype=bool)
    for target in np.unique(targets):
        members = np.flatnonzero(targets == target)
        members = members[np.argsort(position[members])]
        due, size = fraction * len(members), len(members)
        least, most = max(round(due / 2), min(1, size - 1)), min(round(due * 1.5), size - 1)
        count = int(np.sum(position[members] < fraction))
        held[members[: max(least, min(count, most))]] = True
    return held


def _unit_hash(text: str) -> float:
    """Hash a text to a number in [0, 1)."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()) / 2**64
