"""Pictures with masks: how the values or colours in a mask file become classes. None of it needs torch.

Only lossless files are masks, and their raw values count: of a palette PNG the indices, of a PNG with 1, 2 or 4 bits
a pixel what is written in it, not the 0 to 255 that Pillow makes of it.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int16, Int64, Integer, UInt8
from PIL import Image, ImageOps

from striate.data import decode
from striate.data.decode import MAX_PIXELS
from striate.data.fitting import Form, to_indices
from striate.data.pictures import NO_LABEL, ImageFiles, Picture, naming
from striate.errors import ImageError, listing

UNKNOWN = -1  # beside classes and NO_LABEL: a value or colour that has no class
MOST_CLASSES = NO_LABEL
# TIFF can be lossy, and libtiff goes on after damage; Pillow scales PPM, and gets BMP of 4 bits wrong
_FORMATS = ("PNG", "GIF")
_LOSSY = ("JPEG", "WEBP")
_PNG_BITS, _PNG_KIND = 24, 25  # where a PNG's first chunk says how many bits a sample has, and 0 for grey
_GREY = 0
_SCALE = {2: 85, 4: 17}  # what Pillow multiplies greys of few bits by

Colour = tuple[int, int, int]
Raw = Integer[np.ndarray, "height width"]
Indices = Int16[np.ndarray, "height width"]


@dataclass(frozen=True, kw_only=True)
class MaskReading:
    """How the pixels of mask files become classes.

    Coloured masks are read by colour, palette masks too where there are colours, else by index. Grey masks are read
    by value, unless `greys_are_colours`. The value 255 is no label wherever its colour is not that of a class.

    Attributes:
        values: for each value from 0 to 255 the index of a class, `NO_LABEL` or `UNKNOWN`.
        colours: the same by colour; none where nothing is read by colour.
        greys_are_colours: whether a grey mask's values are colours too: black, white and what is between.
    """

    values: tuple[int, ...]
    colours: tuple[tuple[Colour, int], ...] = ()
    greys_are_colours: bool = False

    @property
    def text(self) -> str:
        """All of it as a line of text: two that differ have different ones."""
        values = ",".join(f"{value}:{index}" for value, index in enumerate(self.values) if index != UNKNOWN)
        colours = ",".join(f"{hex_colour(colour)}:{index}" for colour, index in self.colours)
        return f"masks {values} {colours} {'greys are colours' if self.greys_are_colours else ''}".strip()


@dataclass(frozen=True, kw_only=True)
class MaskCounts:
    """How many pixels of one mask have which class.

    Attributes:
        classes: pixels for each index of a class; classes that the mask does not show are not in it.
        no_label: pixels without a label.
        unknown: pixels for each value (`12`) or colour (`#804080`) that has no class, the most frequent first.
    """

    classes: Mapping[int, int]
    no_label: int
    unknown: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class MaskSeen:
    """What a mask file holds, before it is known what it means.

    Attributes:
        values: those in it, of greys or indices, in order; none where it is coloured.
        colours: those in it where it is coloured, the most frequent first.
        palette: the colours of a palette mask's indices.
    """

    values: tuple[int, ...] = ()
    colours: tuple[str, ...] = ()
    palette: tuple[Colour, ...] = ()


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

    def decode(self, index: int, form: Form, *, max_pixels: int = MAX_PIXELS) -> Picture:
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
    indices, raw, name = _look_up(_open(content, max_pixels), content, reading)
    if indices.min() == UNKNOWN:
        raise ImageError(_without_class(_most_frequent(raw[indices == UNKNOWN], name)))
    return indices.astype(np.uint8)


def mask_counts(path: Path, reading: MaskReading, *, max_pixels: int = MAX_PIXELS) -> MaskCounts:
    """Count the pixels of every class in a mask file, and of what has none; raises ImageError where it is damaged."""
    with naming(path), warnings.catch_warnings(action="ignore"):  # decoding says them
        content = path.read_bytes()
        indices, raw, name = _look_up(_open(content, max_pixels), content, reading)
    found, pixels = np.unique(indices, return_counts=True)
    counts = {int(index): int(count) for index, count in zip(found, pixels, strict=True)}
    return MaskCounts(
        no_label=counts.pop(NO_LABEL, 0),
        unknown=_most_frequent(raw[indices == UNKNOWN], name) if counts.pop(UNKNOWN, 0) else {},
        classes=counts,
    )


def look_at_mask(path: Path, *, max_pixels: int = MAX_PIXELS) -> MaskSeen:
    """See which values or colours a mask file holds; raises ImageError where it cannot be a mask."""
    with naming(path), warnings.catch_warnings(action="ignore"):  # decoding says them
        content = path.read_bytes()
        image = _open(content, max_pixels)
        if image.mode == "RGB":
            codes = _codes(np.asarray(image))
            if not _is_grey(codes):
                return MaskSeen(colours=tuple(_most_frequent(codes.ravel(), _hex)))
            image = image.getchannel("R")
        values = tuple(np.unique(_values(image, content)).tolist())
        return MaskSeen(values=values, palette=_palette(image) if image.mode == "P" else ())


def hex_colour(colour: Colour) -> str:
    """Write a colour as JSON and messages have it.

    >>> hex_colour((128, 64, 128))
    '#804080'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _open(content: bytes, max_pixels: int) -> Image.Image:
    """Decode a mask file, upright, to one of the modes 1, L, I, I;16, P and RGB; refuse what changed its values."""
    image = decode.open_image(content, max_pixels=max_pixels)
    if image.format in _LOSSY:
        raise ImageError(f"{image.format} changes values; save masks as PNG.")
    if image.format not in _FORMATS:
        raise ImageError(f"a mask in a {image.format} file is not read; save masks as PNG.")
    if image.format == "PNG" and content[_PNG_BITS] == 16 and content[_PNG_KIND] != _GREY:
        raise ImageError("16 bits a channel of a colour are not read; save masks as PNG with 8 bits.")
    try:
        image.load()
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them stumble over
        raise ImageError(f"damaged image ({' '.join(str(error).split())[:100] or type(error).__name__}).") from None
    upright: Image.Image = image
    with suppress(Exception):  # a mask is none the worse for damaged EXIF data
        upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "RGBX"):
        upright = Image.merge("RGB", upright.split()[:3])  # what transparent pixels hide counts: they have a value
    elif upright.mode == "LA":
        upright = upright.getchannel("L")
    if upright.mode not in ("1", "L", "I", "P", "RGB") and not upright.mode.startswith("I;16"):
        raise ImageError(f"pixels of the kind {upright.mode} are not read; save masks as PNG, grey, palette or RGB.")
    return upright


def _look_up(image: Image.Image, content: bytes, reading: MaskReading) -> tuple[Indices, Raw, Callable[[int], str]]:
    """Find the class of every pixel; also return the pixels as they are in the file, and what names one of these."""
    if image.mode == "RGB":
        codes = _codes(np.asarray(image))
        if reading.colours or not _is_grey(codes):
            return _classes_of(codes, reading), codes, _hex
        image = image.getchannel("R")
    values = _values(image, content)
    by_colour = bool(reading.colours) if image.mode == "P" else reading.greys_are_colours
    if not by_colour:
        return _tabled(values, np.array(reading.values)), values, str
    if image.mode == "P":
        colours = np.array(_palette(image), dtype=np.uint8)
    else:
        values = _shown(values, image, content)
        colours = np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 3)
    codes = _codes(colours[None])
    table = _classes_of(codes, reading)[0]
    if table[NO_LABEL] == UNKNOWN:
        table[NO_LABEL] = NO_LABEL
    return _tabled(values, table), values, lambda value: _hex(int(codes[0, value])) if value < 256 else str(value)


def _values(image: Image.Image, content: bytes) -> Raw:
    """Return greys or indices as they are in the file: 0 and 1 where a pixel has one bit."""
    values = np.asarray(image)
    if image.mode == "1":
        return values.astype(np.uint8)
    return values // _scale(image, content)


def _shown(values: Raw, image: Image.Image, content: bytes) -> Raw:
    """Bring grey values of less than 8 bits to the range that they are shown in: 0 black to 255 white."""
    return values * np.uint8(255 if image.mode == "1" else _scale(image, content))


def _scale(image: Image.Image, content: bytes) -> np.uint8:
    """Return what Pillow has multiplied a PNG's greys by."""
    few = image.mode == "L" and content.startswith(b"\x89PNG") and content[_PNG_KIND] == _GREY
    return np.uint8(_SCALE.get(content[_PNG_BITS], 1) if few else 1)


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
    known = _codes(np.array([[colour for colour, _ in reading.colours]], dtype=np.uint8))[0]
    order = np.argsort(known)
    place = order[np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)]
    indices = np.array([index for _, index in reading.colours], dtype=np.int16)
    return np.where(known[place] == codes, indices[place], np.int16(UNKNOWN))


def _codes(colours: UInt8[np.ndarray, "height width 3"]) -> Raw:
    """Write each colour as one number: red, green and blue, 8 bits each."""
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return (red << 16) | (green << 8) | blue


def _hex(code: int) -> str:
    return f"#{code:06x}"


def _is_grey(codes: Raw) -> bool:
    """Tell whether red, green and blue are the same everywhere: greys that were saved as RGB."""
    return bool(np.all(codes == (codes & 255) * 0x010101))


def _palette(image: Image.Image) -> tuple[Colour, ...]:
    """Return the colours of 256 indices, black where the palette says nothing."""
    flat = (image.getpalette("RGB") or [])[: 3 * 256]
    flat += [0] * (3 * 256 - len(flat))
    return tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))


def _most_frequent(raw: Integer[np.ndarray, " pixels"], name: Callable[[int], str]) -> dict[str, int]:
    """Count raw values by name, the most frequent first."""
    found: Counter[str] = Counter()
    for value, count in zip(*np.unique(raw, return_counts=True), strict=True):
        found[name(int(value))] += int(count)  # two of a palette's indices can have one colour
    return dict(found.most_common())


def _without_class(unknown: Mapping[str, int]) -> str:
    """Say which values or colours have no class, and what to do."""
    coloured = next(iter(unknown)).startswith("#")
    kind = "colour" if coloured else "value"
    kind, has, them = (f"{kind}s", "have", "them") if len(unknown) > 1 else (kind, "has", "it")
    home = "classes.json" if coloured else "classes.txt, whose first line is value 0"
    pixels = sum(unknown.values())
    return (
        f"{kind} {listing(unknown)} ({pixels:,} pixel{'s' if pixels > 1 else ''}) {has} no class; "
        f"add {them} to {home}, or give {them} to --ignore as no label."
    )


def _sizes_differ(mask: tuple[int, ...], image: tuple[int, int], path: Path) -> str:
    """Say that a mask has another size than its image."""
    turned = "; the image is turned, as its EXIF data say: turn the mask too" if mask == image[::-1] else ""
    return (
        f"the mask is {mask[1]}x{mask[0]}, but its image {path} is {image[1]}x{image[0]}{turned}. "
        "Wanted: a mask of the same size."
    )
