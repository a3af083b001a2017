"""Source images before they are decoded: files, and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from striate.errors import ImageError
from striate.images import decode
from striate.images.decode import MAX_PIXELS, DecodedImage
from striate.images.resize import ImageSpec

__all__ = ["Content", "DecodedImage", "ImageArray", "ImageFiles", "SourceImages", "file_errors"]


class Content(NamedTuple):
    """What decides how an image, or a label plane, decodes: the bytes of a file, if it is in one, then some more.

    Many can be parts of one file; it is then read once for all of them.
    """

    file: Path | None
    more: bytes = b""


@runtime_checkable
class SourceImages(Protocol):
    """Images that are read and decoded one at a time, on demand; they travel to worker processes."""

    @property
    def cacheable(self) -> bool:
        """Whether decoded images are worth keeping on disk."""

    @property
    def reading(self) -> str:
        """All, besides their content, that decides what they decode to; part of the key of the cache."""

    def __len__(self) -> int:
        """Count the images."""

    def where(self, index: int) -> str:
        """Name an image for messages."""

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> SourceImages:
        """Return a selection of the images."""

    def content(self, index: int) -> Content:
        """Return what decides how an image looks."""

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Open an image without decoding it; raises ImageError."""

    def decode(self, index: int, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Decode an image to a size and number of channels; raises ImageError, which names the file."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files on disk."""

    paths: Sequence[Path]
    cacheable = True
    reading = "images"

    def __len__(self) -> int:
        """Count the files."""
        return len(self.paths)

    def where(self, index: int) -> str:
        """Return a file's path."""
        return str(self.paths[index])

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> ImageFiles:
        """Return a selection of the files."""
        return ImageFiles([self.paths[index] for index in indices])

    def content(self, index: int) -> Content:
        """Return the file."""
        return Content(self.paths[index])

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Open a file."""
        with file_errors(self.paths[index]):
            return decode.open_image(self.paths[index].read_bytes(), max_pixels=max_pixels)

    def decode(self, index: int, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Read and decode a file."""
        with file_errors(self.paths[index]):
            return decode.decode(self.paths[index].read_bytes(), spec, max_pixels=max_pixels)


@dataclass(frozen=True)
class ImageArray:
    """Grey images that are in memory already: uint8, 0 black to 255 white."""

    pixels: UInt8[np.ndarray, "samples height width"]
    cacheable = False
    reading = "array"

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    def where(self, index: int) -> str:
        """Return an image's index in the array."""
        return f"image {index}"

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> ImageArray:
        """Return a selection of the images."""
        return ImageArray(self.pixels[indices])

    def content(self, index: int) -> Content:
        """Return an image's pixels as bytes."""
        return Content(None, bytes(self.pixels[index].tobytes()))

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Return an image of Pillow's mode L."""
        return Image.fromarray(self.pixels[index])

    def decode(self, index: int, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Resize an image."""
        height, width = self.pixels.shape[1:]
        return DecodedImage(pixels=decode.to_pixels(self.header(index), spec), source_size_px=(height, width))


@contextmanager
def file_errors(path: Path | str) -> Iterator[None]:
    """Name a file in the errors of a block; an OSError becomes an ImageError."""
    try:
        yield
    except OSError as error:
        raise ImageError(str(path), f"cannot be read ({error.strerror})") from None
    except ImageError as error:
        raise error.at(str(path)) from None
