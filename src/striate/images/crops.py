"""Parts of image files as images of their own."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL import Image

from striate.errors import ImageError
from striate.images import decode
from striate.images.decode import MAX_PIXELS, DecodedImage
from striate.images.resize import ImageSpec
from striate.images.sources import Content, file_errors


@dataclass(frozen=True)
class CroppedFiles:
    """Parts of image files.

    Attributes:
        paths: the file of each part; a file can be there several times.
        boxes_px: left, top, right and bottom (the last two beyond the part) in the upright image.
    """

    paths: Sequence[Path]
    boxes_px: Int64[np.ndarray, "parts 4"]
    cacheable = True
    reading = "crops"

    def __len__(self) -> int:
        """Count the parts."""
        return len(self.paths)

    def where(self, index: int) -> str:
        """Return a file's path, and the part."""
        left, top, right, bottom = self.boxes_px[index]
        return f"{self.paths[index]} ({left},{top} to {right},{bottom})"

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> CroppedFiles:
        """Return a selection of the parts."""
        return CroppedFiles([self.paths[index] for index in indices], self.boxes_px[indices])

    def content(self, index: int) -> Content:
        """Return the file, and the bytes of the box."""
        return Content(self.paths[index], self.boxes_px[index].astype("<i8").tobytes())

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Open a file; return a black image of its mode, its format and the size of the part."""
        with file_errors(self.paths[index]):
            image = decode.open_image(self.paths[index].read_bytes(), max_pixels=max_pixels)
            left, top, right, bottom = self._box(index, *decode.upright_size(image))
        part = Image.new(image.mode, (right - left, bottom - top))
        part.format = image.format
        return part

    def decode(self, index: int, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Read and decode a file, and resize the part."""
        path = self.paths[index]
        with file_errors(path):
            state = path.stat()
            stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
            source = _decode_file(path, stamp, spec.channels, max_pixels)
            left, top, right, bottom = self._box(index, *source.source_size_px)
            part = source.pixels[top:bottom, left:right]
            image = Image.fromarray(part[..., 0] if spec.channels == 1 else part)
            pixels = decode.to_pixels(image, spec)
        return replace(source, pixels=pixels, source_size_px=(bottom - top, right - left))

    def _box(self, index: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return a part's edges; raises ImageError where the image does not hold it, as another version would not."""
        left, top, right, bottom = (int(edge) for edge in self.boxes_px[index])
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise ImageError(
                "",
                f"its {width}x{height} pixels do not hold the part {left},{top} to {right},{bottom}",
                "give the image in the size that the annotations are for",
            )
        return left, top, right, bottom


@functools.lru_cache(maxsize=1)  # the parts of a file come one after the other
def _decode_file(path: Path, stamp: tuple[int, int, int], channels: int, max_pixels: int) -> DecodedImage:
    """Decode all of a file in its own size; `stamp` tells one state of the file from another."""
    content = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoding, below, collects the same ones
        height, width = decode.upright_size(decode.open_image(content, max_pixels=max_pixels))
    spec = ImageSpec(height_px=height, width_px=width, channels=channels)
    return decode.decode(content, spec, max_pixels=max_pixels)
