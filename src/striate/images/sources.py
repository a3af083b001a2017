"""SourceImages before they are decoded: files, pairs of image and mask, arrays. None of it needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from striate.errors import ImageError
from striate.images import decode
from striate.images.decode import MAX_PIXELS
from striate.images.resize import ImageSpec

NO_LABEL = 255  # in every mask of ours: a pixel whose class is not known, or not asked for


@dataclass(frozen=True, kw_only=True)
class DecodedImage:
    """A decoded picture.

    Attributes:
        image: 0 to 255, of the form that was asked for.
        mask: indices of classes, `NO_LABEL` where there is none; None where the data have no masks.
        source_size_px: height and width of the upright picture in its file.
        warnings: what Pillow had to say.
    """

    image: UInt8[np.ndarray, "height width channels"]
    mask: UInt8[np.ndarray, "height width"] | None = None
    source_size_px: tuple[int, int]
    warnings: tuple[str, ...] = ()


@runtime_checkable
class SourceImages(Protocol):
    """SourceImages that are read and decoded one at a time, on demand; they travel to worker processes."""

    @property
    def masked(self) -> bool:
        """Whether each has a mask."""

    @property
    def kept(self) -> bool:
        """Whether decoded ones are worth keeping on disk."""

    @property
    def reading(self) -> str:
        """All, besides their content, that decides what they decode to; part of a store's key."""

    def __len__(self) -> int:
        """Count the pictures."""

    def where(self, index: int) -> str:
        """Say where a picture is, for messages."""

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> SourceImages:
        """Return some of the pictures, as pictures."""

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the files that a picture is made of: its image, then its mask; none where it is not in files."""

    def content(self, index: int) -> tuple[bytes, ...]:
        """Return the bytes that decide what it shows: of its image, then of its mask; raises OSError."""

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Return its image, opened and not decoded; raises ImageError."""

    def decode(self, index: int, form: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Return it decoded, in a form; raises ImageError, which names the file."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files on disk."""

    paths: Sequence[Path]
    masked = False
    kept = True
    reading = "images"

    def __len__(self) -> int:
        """Count the files."""
        return len(self.paths)

    def where(self, index: int) -> str:
        """Return a file's path."""
        return str(self.paths[index])

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> ImageFiles:
        """Return some of the files."""
        return ImageFiles([self.paths[index] for index in indices])

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the file."""
        return (self.paths[index],)

    def content(self, index: int) -> tuple[bytes, ...]:
        """Return a file's bytes."""
        return (self.paths[index].read_bytes(),)

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Open a file."""
        with naming(self.paths[index]):
            return decode.open_image(self.paths[index].read_bytes(), max_pixels=max_pixels)

    def decode(self, index: int, form: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Read and decode a file."""
        with naming(self.paths[index]):
            found = decode.decode(self.paths[index].read_bytes(), form, max_pixels=max_pixels)
        return DecodedImage(
            image=found.pixels,
            source_size_px=(found.source_height_px, found.source_width_px),
            warnings=found.warnings,
        )


@dataclass(frozen=True)
class ImageArray:
    """Grey images that are in memory already: uint8, 0 black to 255 white."""

    pixels: UInt8[np.ndarray, "samples height width"]
    masked = False
    kept = False
    reading = "array"

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    def where(self, index: int) -> str:
        """Return an image's place in the array."""
        return f"image {index}"

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> ImageArray:
        """Return some of the images."""
        return ImageArray(self.pixels[indices])

    def files(self, index: int) -> tuple[Path, ...]:
        """Return no files."""
        return ()

    def content(self, index: int) -> tuple[bytes, ...]:
        """Return one image's pixels as bytes."""
        return (bytes(self.pixels[index].tobytes()),)

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Return an image of Pillow's mode L."""
        return Image.fromarray(self.pixels[index])

    def decode(self, index: int, form: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Bring an image into a form."""
        height, width = self.pixels.shape[1:]
        return DecodedImage(image=decode.to_pixels(self.header(index), form), source_size_px=(height, width))


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Put a file's path in front of what goes wrong with it in a block, as an ImageError."""
    try:
        yield
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}).") from None
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
