"""Masks: how the values or colours in a mask file become classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int16, Int64, Integer, UInt8

from striate.errors import ImageError, listing
from striate.images.decode import MAX_PIXELS
from striate.images.mask_files import (
    Colour,
    MaskImage,
    Raw,
    are_grey,
    codes_of,
    hex_code,
    hex_colour,
    most_frequent,
    open_mask,
)
from striate.images.planes import NO_LABEL, DecodedPlane, PlaneScan
from striate.images.resize import ImageSpec, to_indices
from striate.images.sources import Content, file_errors

UNKNOWN = -1  # beside classes and NO_LABEL: a value or colour that has no class
MOST_CLASSES = NO_LABEL
_PLURAL = {"colour": "colours", "value": "values", "palette index": "palette indices"}
_MANY = 16  # so many values without a class are no oversight: a mask was resized, or was a JPEG once

Indices = Int16[np.ndarray, "height width"]


@dataclass(frozen=True, kw_only=True)
class MaskReading:
    """How the pixels of mask files become classes.

    Coloured masks are read by colour, palette masks too where there are colours, else by index. Grey masks are read
    by value, unless `greys_are_colours`. The value 255 is no label wherever its colour is not that of a class.

    With a threshold masks are grey, in whatever format, and the greys that they show, 0 to 255, are of two classes.

    Attributes:
        values: for each value from 0 to 255 the index of a class, `NO_LABEL` or `UNKNOWN`.
        colours: the same by colour; none where nothing is read by colour.
        greys_are_colours: whether a grey mask's values are colours too: black, white and what is between.
        threshold: the lowest grey of the second of two classes; None where there is no threshold.
    """

    values: tuple[int, ...] = ()
    colours: tuple[tuple[Colour, int], ...] = ()
    greys_are_colours: bool = False
    threshold: int | None = None

    @property
    def text(self) -> str:
        """All of it as a line of text: two that differ have different ones."""
        if self.threshold is not None:
            return f"masks, threshold {self.threshold}"
        values = ",".join(f"{value}:{index}" for value, index in enumerate(self.values) if index != UNKNOWN)
        colours = ",".join(f"{hex_colour(colour)}:{index}" for colour, index in self.colours)
        return f"masks {values} {colours} {'greys are colours' if self.greys_are_colours else ''}".strip()


@dataclass(frozen=True)
class MaskFiles:
    """Mask files on disk: label planes whose values or colours mean classes."""

    paths: Sequence[Path]
    mask_reading: MaskReading = field(repr=False)

    @property
    def reading(self) -> str:
        """How the masks are read."""
        return self.mask_reading.text

    def __len__(self) -> int:
        """Count the masks."""
        return len(self.paths)

    def where(self, index: int) -> str:
        """Return a mask's path."""
        return str(self.paths[index])

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> MaskFiles:
        """Return a selection of the masks."""
        return MaskFiles([self.paths[index] for index in indices], self.mask_reading)

    def content(self, index: int) -> Content:
        """Return the file."""
        return Content(self.paths[index])

    def decode(self, index: int, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedPlane:
        """Read and decode a mask; what `pad` adds around it has no label."""
        path = self.paths[index]
        with file_errors(path), _collected_warnings(path) as texts:
            classes = read_mask(path.read_bytes(), self.mask_reading, max_pixels=max_pixels)
        height, width = classes.shape
        indices = to_indices(classes, spec, NO_LABEL)
        return DecodedPlane(indices=indices, source_size_px=(height, width), warnings=tuple(texts))

    def scan(self, index: int, *, max_pixels: int = MAX_PIXELS) -> PlaneScan:
        """Count the pixels of every class in a mask file, and of what has none."""
        path = self.paths[index]
        with file_errors(path), _collected_warnings(path) as texts:
            indices, raw, name = _look_up(path.read_bytes(), self.mask_reading, max_pixels)
        counts = {int(index): int(count) for index, count in zip(*np.unique(indices, return_counts=True), strict=True)}
        height, width = indices.shape
        return PlaneScan(
            no_label=counts.pop(NO_LABEL, 0),
            unknown=most_frequent(raw[indices == UNKNOWN], name) if counts.pop(UNKNOWN, 0) else {},
            classes=counts,
            source_size_px=(height, width),
            warnings=tuple(texts),
        )


@contextmanager
def _collected_warnings(path: Path) -> Iterator[list[str]]:
    """Collect the warnings of a block about a mask file; the list is filled when the block ends."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield texts
    texts += dict.fromkeys(f"mask {path.name}: {warning.message}" for warning in caught)


def read_mask(
    content: bytes, reading: MaskReading, *, max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, "height width"]:
    """Decode a mask file's content, upright: indices of classes, or `NO_LABEL`.

    Raises:
        ImageError: it is damaged or lossy, or a value or colour in it has no class.
    """
    indices, raw, name = _look_up(content, reading, max_pixels)
    if indices.min() == UNKNOWN:
        what, fix = without_class(most_frequent(raw[indices == UNKNOWN], name))
        raise ImageError("", what, fix)
    return indices.astype(np.uint8)


def _look_up(content: bytes, reading: MaskReading, max_pixels: int) -> tuple[Indices, Raw, Callable[[int], str]]:
    """Find the class of every pixel; also return the pixels as they are in the file, and what names one of these."""
    mask = open_mask(content, lossy=reading.threshold is not None, max_pixels=max_pixels)
    if reading.threshold is not None:
        greys = _greys_for_threshold(mask)
        return (greys >= reading.threshold).astype(np.int16), greys, str
    mode = mask.image.mode
    if mode == "RGB":
        codes = mask.codes()
        if reading.colours or not are_grey(codes):
            return _look_up_colours(codes, reading), codes, hex_code
        values = (codes & 255).astype(np.uint8)
    else:
        values = mask.values()
    shades = np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 3)
    codes = codes_of((np.array(mask.palette(), dtype=np.uint8) if mode == "P" else shades)[None])
    if not (reading.colours if mode == "P" else reading.greys_are_colours):
        named = (lambda value: f"{value} = {hex_code(int(codes[0, value]))}") if mode == "P" else str
        return _look_up_values(values, np.array(reading.values)), values, named
    table = _look_up_colours(codes, reading)[0]
    if table[NO_LABEL] == UNKNOWN:
        table[NO_LABEL] = NO_LABEL
    values = values if mode == "RGB" else mask.shown()
    return (
        _look_up_values(values, table),
        values,
        lambda value: hex_code(int(codes[0, value])) if value < 256 else str(value),
    )


def _greys_for_threshold(mask: MaskImage) -> Raw:
    """Return the greys that a threshold splits; raises ImageError where there are colours, or values beyond 255."""
    greys = mask.greys()
    if greys is None:
        raise ImageError("", *coloured_for_threshold(tuple(most_frequent(mask.codes().ravel(), hex_code))))
    lowest, highest = int(greys.min()), int(greys.max())
    if lowest < 0 or highest > 255:
        stray = highest if highest > 255 else lowest
        what = f"the value {stray}, and --threshold splits values from 0 to 255"
        raise ImageError("", what, "save masks with 8 bits")
    return greys


def coloured_for_threshold(colours: Sequence[str]) -> tuple[str, str]:
    """Say that a mask is coloured where a threshold needs greys, and what to do."""
    what = f"a mask in colours ({listing(colours)}), and --threshold is for grey ones"
    return what, "leave it out, and name the colours in classes.json"


def _look_up_values(values: Raw, table: Integer[np.ndarray, " values"]) -> Indices:
    """Look values up in a table; those beyond it are `UNKNOWN`."""
    indices: Indices = table.astype(np.int16)[np.clip(values, 0, 255)]
    if values.dtype != np.uint8:
        indices[(values < 0) | (values > 255)] = UNKNOWN
    return indices


def _look_up_colours(codes: Raw, reading: MaskReading) -> Indices:
    """Find the classes of colours, which are numbers (see `codes_of`)."""
    if not reading.colours:
        return np.full(codes.shape, UNKNOWN, dtype=np.int16)
    known = codes_of(np.array([[colour for colour, _ in reading.colours]], dtype=np.uint8))[0]
    order = np.argsort(known)
    nearest = order[np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)]
    indices = np.array([index for _, index in reading.colours], dtype=np.int16)
    return np.where(known[nearest] == codes, indices[nearest], np.int16(UNKNOWN))


def without_class(unknown: Mapping[str, int], most: int = 3) -> tuple[str, str]:
    """Say which values or colours have no class, and what to do; `most` of them are named."""
    first, pixels = next(iter(unknown)), sum(unknown.values())
    kind = "colour" if first.startswith("#") else "palette index" if "=" in first else "value"
    kinds, has, them = (_PLURAL[kind], "have", "them") if len(unknown) > 1 else (kind, "has", "it")
    what = f"{kinds} {listing(unknown, most)} ({pixels:,} pixel{'s' if pixels > 1 else ''}) {has} no class"
    if kind == "value" and not all(value.isdecimal() and int(value) < 256 for value in unknown):
        return what, "save masks with 8 bits: 0 to 254 for classes, 255 for no label"
    if len(unknown) >= _MANY and kind != "palette index":
        grey = kind == "value" or all(name[1:3] == name[3:5] == name[5:] for name in unknown)
        ways = "give --threshold N for two classes, or " if grey else ""
        return what, f"so many come from resizing or from JPEG: {ways}make the masks again without it"
    home = "classes.json" if kind == "colour" else f"classes.txt, whose first line is {kind.split()[-1]} 0"
    return what, f"add {them} to {home}, or give {them} to --ignore as no label"
