"""What layouts that list their pictures in a file share: reading it, finding the pictures; and parts of pictures."""

from __future__ import annotations

import json
import mmap
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from PIL import Image

from striate.errors import DataError, ImageError
from striate.images import decode
from striate.images.decode import MAX_PIXELS
from striate.images.resize import ImageSpec
from striate.images.sources import DecodedImage, naming

_LARGEST = 1e9  # no coordinate is: a thousand kilometres in mm


@dataclass(frozen=True)
class CroppedFiles:
    """Parts of image files.

    Attributes:
        paths: the file of each; one file can be there several times.
        boxes_px: the part: left, top, right and bottom (the last two beyond it) in the upright image.
    """

    paths: Sequence[Path]
    boxes_px: Int64[np.ndarray, "pictures 4"]
    masked = False
    kept = True
    reading = "crops"

    def __len__(self) -> int:
        """Count the parts."""
        return len(self.paths)

    def where(self, index: int) -> str:
        """Return a file's path, and the part."""
        left, top, right, bottom = self.boxes_px[index]
        return f"{self.paths[index]} ({left},{top} to {right},{bottom})"

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> CroppedFiles:
        """Return some of the parts."""
        return CroppedFiles([self.paths[index] for index in indices], self.boxes_px[indices])

    def files(self, index: int) -> tuple[Path, ...]:
        """Return no files: a store that knew a part by its file alone would take two parts of it for one picture."""
        return ()

    def content(self, index: int) -> tuple[bytes, ...]:
        """Return a file's bytes, and the box's."""
        return (self.paths[index].read_bytes() + self.boxes_px[index].astype("<i8").tobytes(),)

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Open a file; what is returned has its mode and the size of the part, and nothing on it."""
        with naming(self.paths[index]):
            image = decode.open_image(self.paths[index].read_bytes(), max_pixels=max_pixels)
            self._check(index, *decode.upright_size(image))
        left, top, right, bottom = (int(edge) for edge in self.boxes_px[index])
        return Image.new(image.mode, (right - left, bottom - top))

    def decode(self, index: int, form: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Read and decode a file, and bring the part into the form."""
        left, top, right, bottom = (int(edge) for edge in self.boxes_px[index])
        with naming(self.paths[index]):
            content = self.paths[index].read_bytes()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # decoding, below, collects the same ones
                height, width = decode.upright_size(decode.open_image(content, max_pixels=max_pixels))
            self._check(index, height, width)
            whole = ImageSpec(height_px=height, width_px=width, channels=form.channels)
            found = decode.decode(content, whole, max_pixels=max_pixels)
            part = found.pixels[top:bottom, left:right]
            image = Image.fromarray(part[..., 0] if form.channels == 1 else part)
            pixels = decode.to_pixels(image, form)
        return DecodedImage(image=pixels, source_size_px=(bottom - top, right - left), warnings=found.warnings)

    def _check(self, index: int, height: int, width: int) -> None:
        """Raise ImageError where the part is not in the image, of which there must be another version then."""
        left, top, right, bottom = self.boxes_px[index]
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise ImageError(
                f"its {width}x{height} pixels do not hold the part {left},{top} to {right},{bottom}; "
                "wanted: the image of the size that the annotations are for."
            )


@contextmanager
def prefixed(file: Path) -> Iterator[None]:
    """Put a file's path in front of what is wrong with it, in the DataErrors of a block."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; raises DataError, which does not name the file."""
    try:
        document = json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise DataError("is not UTF-8 text; save it as UTF-8.") from None
    except json.JSONDecodeError as error:
        raise DataError(f"damaged JSON in line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; brackets in thousands of brackets
        raise DataError(f"damaged JSON ({str(error).split(';')[0]}).") from None
    if not isinstance(document, dict):
        raise DataError("wanted: a JSON object, {…}, with names and values.")
    return document


def count_keys(file: Path, keys: Iterable[str]) -> int:
    """Count which of some keys a JSON file has, at any depth; the file is searched as text and not parsed."""
    with file.open("rb") as opened:
        if os.fstat(opened.fileno()).st_size == 0:
            return 0
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return sum(re.search(rb'"%s"\s*:' % key.encode(), content) is not None for key in keys)


def number_rows(rows: Sequence[Any], width: int, fault: Callable[[int], str]) -> Float64[np.ndarray, "rows width"]:
    """Bring rows of numbers from a JSON file into one array.

    Raises:
        DataError: a row is no list of `width` finite numbers; `fault` says so of the first such row.
    """
    try:
        flat: list[Any] = list(chain.from_iterable(rows))
        if set(map(type, flat)) <= {int, float} and set(map(len, rows)) <= {width}:
            values = np.array(flat, dtype=np.float64)
            if np.all(np.abs(values) <= _LARGEST):  # which no NaN is
                return values.reshape(len(rows), width)
    except (TypeError, OverflowError):
        pass
    raise DataError(fault(next(place for place, row in enumerate(rows) if not _is_numbers(row, width))))


def _is_numbers(row: object, width: int) -> bool:
    """Tell whether a row is a list of so many finite numbers; true and false are none."""
    if not isinstance(row, list) or len(row) != width:
        return False
    return all(type(value) in (int, float) and abs(value) <= _LARGEST for value in row)
