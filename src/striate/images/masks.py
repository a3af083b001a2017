"""Pictures with masks: how the values or colours in a mask file become classes. None of it needs torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int16, Int64, Integer, UInt8
from PIL import Image

from striate.errors import ImageError, listing
from striate.images.decode import MAX_PIXELS
from striate.images.mask_files import (
    Colour,
    MaskImage,
    Raw,
    codes_of,
    hex_code,
    hex_colour,
    is_grey,
    most_frequent,
    open_mask,
)
from striate.images.resize import ImageSpec, to_indices
from striate.images.sources import NO_LABEL, DecodedImage, ImageFiles, naming

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


@dataclass(frozen=True, kw_only=True)
class MaskCounts:
    """How many pixels of one mask have which class.

    Attributes:
        classes: pixels for each index of a class; classes that the mask does not show are not in it.
        no_label: pixels without a label.
        unknown: pixels for each value (`12`), index of a palette (`12 = #804080`) or colour (`#804080`) that has no
            class, the most frequent first.
    """

    classes: Mapping[int, int]
    no_label: int
    unknown: Mapping[str, int]


@dataclass(frozen=True)
class MaskedFiles:
    """Image files on disk, and for each a file with the classes of its pixels."""

    images: Sequence[Path]
    masks: Sequence[Path]
    mask_reading: MaskReading = field(repr=False)
    masked = True
    kept = True

    def __post_init__(self) -> None:
        assert len(self.images) == len(self.masks)

    @property
    def reading(self) -> str:
        """How the masks are read."""
        return self.mask_reading.text

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)

    def where(self, index: int) -> str:
        """Return an image's path."""
        return str(self.images[index])

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> MaskedFiles:
        """Return some of the images, with their masks."""
        images, masks = ([paths[index] for index in indices] for paths in (self.images, self.masks))
        return MaskedFiles(images, masks, self.mask_reading)

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the image and the mask."""
        return (self.images[index], self.masks[index])

    def content(self, index: int) -> tuple[bytes, ...]:
        """Return the bytes of the image and of the mask."""
        return tuple(path.read_bytes() for path in self.files(index))

    def header(self, index: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Open an image."""
        return ImageFiles(self.images).header(index, max_pixels=max_pixels)

    def decode(self, index: int, form: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """Read and decode an image and its mask, fitted alike; what the form adds around a picture has no label."""
        picture = ImageFiles(self.images).decode(index, form, max_pixels=max_pixels)
        image, mask = self.files(index)
        with naming(mask), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            classes = read_mask(mask.read_bytes(), self.mask_reading, max_pixels=max_pixels)
            if classes.shape != picture.source_size_px:
                raise ImageError(_sizes_differ(classes.shape, picture.source_size_px, image))
        return replace(
            picture,
            mask=to_indices(classes, form, NO_LABEL),
            warnings=(*picture.warnings, *(f"mask {mask.name}: {warning.message}" for warning in caught)),
        )


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
        raise ImageError(f"{what}; {fix}.")
    return indices.astype(np.uint8)


def mask_counts(path: Path, reading: MaskReading, *, max_pixels: int = MAX_PIXELS) -> MaskCounts:
    """Count the pixels of every class in a mask file, and of what has none; raises ImageError where it is damaged."""
    with naming(path), warnings.catch_warnings(action="ignore"):  # decoding says them
        indices, raw, name = _look_up(path.read_bytes(), reading, max_pixels)
    found, pixels = np.unique(indices, return_counts=True)
    counts = {int(index): int(count) for index, count in zip(found, pixels, strict=True)}
    return MaskCounts(
        no_label=counts.pop(NO_LABEL, 0),
        unknown=most_frequent(raw[indices == UNKNOWN], name) if counts.pop(UNKNOWN, 0) else {},
        classes=counts,
    )


def _look_up(content: bytes, reading: MaskReading, max_pixels: int) -> tuple[Indices, Raw, Callable[[int], str]]:
    """Find the class of every pixel; also return the pixels as they are in the file, and what names one of these."""
    mask = open_mask(content, lossy=reading.threshold is not None, max_pixels=max_pixels)
    if reading.threshold is not None:
        greys = _greys_for_threshold(mask)
        return (greys >= reading.threshold).astype(np.int16), greys, str
    mode = mask.image.mode
    if mode == "RGB":
        codes = mask.codes()
        if reading.colours or not is_grey(codes):
            return _classes_of(codes, reading), codes, hex_code
        values = (codes & 255).astype(np.uint8)
    else:
        values = mask.values()
    shades = np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 3)
    codes = codes_of((np.array(mask.palette(), dtype=np.uint8) if mode == "P" else shades)[None])
    if not (reading.colours if mode == "P" else reading.greys_are_colours):
        named = (lambda value: f"{value} = {hex_code(int(codes[0, value]))}") if mode == "P" else str
        return _tabled(values, np.array(reading.values)), values, named
    table = _classes_of(codes, reading)[0]
    if table[NO_LABEL] == UNKNOWN:
        table[NO_LABEL] = NO_LABEL
    values = values if mode == "RGB" else mask.shown()
    return _tabled(values, table), values, lambda value: hex_code(int(codes[0, value])) if value < 256 else str(value)


def _greys_for_threshold(mask: MaskImage) -> Raw:
    """Return the greys that a threshold parts; raises ImageError where there are colours, or values beyond 255."""
    greys = mask.greys()
    if greys is None:
        raise ImageError(coloured_for_threshold(tuple(most_frequent(mask.codes().ravel(), hex_code))))
    lowest, highest = int(greys.min()), int(greys.max())
    if lowest < 0 or highest > 255:
        stray = highest if highest > 255 else lowest
        raise ImageError(f"the value {stray}, and --threshold parts values from 0 to 255; save masks with 8 bits.")
    return greys


def coloured_for_threshold(colours: Sequence[str]) -> str:
    """Say that a mask is coloured where a threshold wants greys."""
    return (
        f"a mask in colours ({listing(colours)}), and --threshold is for grey ones; "
        "leave it out, and name the colours in classes.json."
    )


def _tabled(values: Raw, table: Integer[np.ndarray, " values"]) -> Indices:
    """Look values up in a table; those beyond it are `UNKNOWN`."""
    found: Indices = table.astype(np.int16)[np.clip(values, 0, 255)]
    if values.dtype != np.uint8:
        found[(values < 0) | (values > 255)] = UNKNOWN
    return found


def _classes_of(codes: Raw, reading: MaskReading) -> Indices:
    """Find the classes of colours, given as numbers."""
    if not reading.colours:
        return np.full(codes.shape, UNKNOWN, dtype=np.int16)
    known = codes_of(np.array([[colour for colour, _ in reading.colours]], dtype=np.uint8))[0]
    order = np.argsort(known)
    place = order[np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)]
    indices = np.array([index for _, index in reading.colours], dtype=np.int16)
    return np.where(known[place] == codes, indices[place], np.int16(UNKNOWN))


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
        return what, f"so many come of resizing or of JPEG: {ways}make the masks anew without"
    home = "classes.json" if kind == "colour" else f"classes.txt, whose first line is {kind.split()[-1]} 0"
    return what, f"add {them} to {home}, or give {them} to --ignore as no label"


def _sizes_differ(mask: tuple[int, ...], image: tuple[int, int], path: Path) -> str:
    """Say that a mask has another size than its image."""
    fix = "save the mask in the same size"
    if mask == image[::-1]:
        fix = "the image is turned, as its EXIF data say: turn the mask too"
    return f"the mask is {mask[1]}x{mask[0]}, but its image {path} is {image[1]}x{image[0]}; {fix}."
