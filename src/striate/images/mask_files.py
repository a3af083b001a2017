"""Mask files before their values have a meaning: values, indices of a palette, or colours.

Raw values count: of a palette PNG the indices, of a PNG with 1, 2 or 4 bits per pixel what is written in it, not the
0 to 255 that Pillow makes of it. Lossy files do not keep them: such masks are useful only where a threshold splits
greys.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt8
from PIL import Image, ImageOps

from striate.errors import ImageError
from striate.images import decode
from striate.images.decode import MAX_PIXELS
from striate.images.sources import file_errors

# TIFF can be lossy, and libtiff goes on after damage; Pillow scales PPM, and gets BMP of 4 bits wrong
_FORMATS = ("PNG", "GIF")
_LOSSY = ("JPEG", "WEBP")
_PNG_BITS, _PNG_KIND = 24, 25  # where a PNG's first chunk says how many bits a sample has, and 0 for grey
_GREY = 0
_SCALE = {2: 85, 4: 17}  # what Pillow multiplies greys of few bits by
_NEARLY_GREY = 16  # by so much red, green and blue may differ in greys that were saved with loss; WebP: 1
_MOST_MEANT = 5  # values or colours of a lossy mask that are taken for those that were meant
_LEAST_SHARE = 0.01  # of the pixels, that such a one has
_APART = 1 / 16  # of the range of all, that such ones differ by

Colour = tuple[int, int, int]
Raw = Integer[np.ndarray, "height width"]


@dataclass(frozen=True, kw_only=True)
class MaskContent:
    """What a mask file holds, before it is known what it means.

    Attributes:
        values: those in it, of greys or indices, in order; none where it is coloured.
        colours: those in it where it is coloured, the most frequent first.
        palette: the colours of a palette mask's indices.
    """

    values: tuple[int, ...] = ()
    colours: tuple[str, ...] = ()
    palette: tuple[Colour, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MaskImage:
    """A decoded mask.

    Attributes:
        image: upright, of one of the modes 1, L, I, I;16, P and RGB.
        scale: what Pillow has multiplied its greys by.
        lossy: whether its format does not keep values.
    """

    image: Image.Image
    scale: int = 1
    lossy: bool = False

    def values(self) -> Raw:
        """Return greys or indices as they are in the file: 0 and 1 where a pixel has one bit."""
        values = np.asarray(self.image)
        return values.astype(np.uint8) if self.image.mode == "1" else values // np.uint8(self.scale)

    def shown(self) -> Raw:
        """Return greys in the range that they are shown in: 0 black to 255 white."""
        values = np.asarray(self.image)
        return values * np.uint8(255) if self.image.mode == "1" else values

    def codes(self) -> Raw:
        """Return colours as numbers, see `codes_of`."""
        if self.image.mode == "P":
            codes: Raw = codes_of(np.array([self.palette()], dtype=np.uint8))[0][np.asarray(self.image)]
            return codes
        return codes_of(np.asarray(self.image.convert("RGB")))

    def greys(self) -> Raw | None:
        """Return greys as they are shown, also those in a palette and those saved as RGB; None where it is coloured."""
        if self.image.mode not in ("P", "RGB"):
            return self.shown()
        codes = self.codes()
        if are_grey(codes):
            return codes & 255
        if not self.lossy or np.ptp(np.asarray(self.image), axis=2).max() > _NEARLY_GREY:
            return None
        return np.asarray(self.image.convert("L"))

    def palette(self) -> tuple[Colour, ...]:
        """Return the colours of 256 indices, black where the palette says nothing."""
        flat = (self.image.getpalette("RGB") or [])[: 3 * 256]
        flat += [0] * (3 * 256 - len(flat))
        return tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))


def open_mask(content: bytes, *, lossy: bool = False, max_pixels: int = MAX_PIXELS) -> MaskImage:
    """Decode a mask file's content.

    Args:
        content: of the file.
        lossy: whether formats that do not keep values will do.
        max_pixels: more are refused.

    Raises:
        ImageError: it is damaged, or in a format that does not keep values.
    """
    image = decode.open_image(content, max_pixels=max_pixels)
    file_format = image.format or ""
    if file_format not in _FORMATS + _LOSSY:
        raise ImageError("", f"a mask in a {file_format} file is not read", "save masks as PNG")
    if file_format == "PNG" and content[_PNG_BITS] == 16 and content[_PNG_KIND] != _GREY:
        raise ImageError("", "colours of 16 bits per channel are not read", "save masks as PNG with 8 bits")
    try:
        image.load()
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them stumble over
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise ImageError("", f"damaged image ({reason})") from None
    upright: Image.Image = image
    with suppress(Exception):  # a mask is none the worse for damaged EXIF data
        upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "RGBX"):
        upright = Image.merge("RGB", upright.split()[:3])  # what transparent pixels hide counts: they have a value
    elif upright.mode == "LA":
        upright = upright.getchannel("L")
    if upright.mode not in ("1", "L", "I", "P", "RGB") and not upright.mode.startswith("I;16"):
        what = f"pixels of the kind {upright.mode} are not read"
        raise ImageError("", what, "save masks as PNG, grey, palette or RGB")
    few_bits = upright.mode == "L" and file_format == "PNG" and content[_PNG_KIND] == _GREY
    scale = _SCALE.get(content[_PNG_BITS], 1) if few_bits else 1
    mask = MaskImage(image=upright, scale=scale, lossy=file_format in _LOSSY)
    if mask.lossy and not lossy:
        raise _values_not_kept(mask, file_format)
    return mask


def scan_mask(path: Path, *, max_pixels: int = MAX_PIXELS) -> MaskContent:
    """Read which values or colours a mask file holds; raises ImageError where it cannot be a mask."""
    mask = _open_file(path, lossy=False, max_pixels=max_pixels)
    if mask.image.mode == "RGB":
        codes = mask.codes()
        if not are_grey(codes):
            return MaskContent(colours=tuple(most_frequent(codes.ravel(), hex_code)))
        return MaskContent(values=tuple(np.unique(codes & 255).tolist()))
    palette = mask.palette() if mask.image.mode == "P" else ()
    return MaskContent(values=tuple(np.unique(mask.values()).tolist()), palette=palette)


def scan_greys(path: Path, *, max_pixels: int = MAX_PIXELS) -> MaskContent:
    """Read which greys a mask file shows, lossy ones included; raises ImageError where it cannot be a mask."""
    mask = _open_file(path, lossy=True, max_pixels=max_pixels)
    greys = mask.greys()
    if greys is None:
        return MaskContent(colours=tuple(most_frequent(mask.codes().ravel(), hex_code)))
    return MaskContent(values=tuple(np.unique(greys).tolist()))


def check_mask_file(path: Path, *, lossy: bool) -> None:
    """Open a file as a mask; raises ImageError where it cannot be one."""
    _open_file(path, lossy=lossy, max_pixels=MAX_PIXELS)


def codes_of(colours: UInt8[np.ndarray, "height width 3"]) -> Raw:
    """Write each colour as one number: red, green and blue, 8 bits each."""
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return (red << 16) | (green << 8) | blue


def are_grey(codes: Raw) -> bool:
    """Tell whether red, green and blue are the same everywhere: greys that were saved as RGB."""
    return bool(np.all(codes == (codes & 255) * 0x010101))


def hex_code(code: int) -> str:
    """Write a colour that is a number, as JSON and messages have it.

    >>> hex_code(0x804080)
    '#804080'
    """
    return f"#{code:06x}"


def hex_colour(colour: Colour) -> str:
    """Write a colour as JSON and messages have it.

    >>> hex_colour((128, 64, 128))
    '#804080'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def most_frequent(raw: Integer[np.ndarray, " pixels"], name: Callable[[int], str]) -> dict[str, int]:
    """Count raw values by name, the most frequent first."""
    counts: Counter[str] = Counter()
    for value, count in zip(*np.unique(raw, return_counts=True), strict=True):
        counts[name(int(value))] += int(count)  # two of a palette's indices can have one colour
    return dict(counts.most_common())


def _open_file(path: Path, *, lossy: bool, max_pixels: int) -> MaskImage:
    with file_errors(path), warnings.catch_warnings(action="ignore"):  # decoding says them
        return open_mask(path.read_bytes(), lossy=lossy, max_pixels=max_pixels)


def _values_not_kept(mask: MaskImage, file_format: str) -> ImageError:
    """Return the error that a mask's format does not keep values, with those that seem to be meant."""
    greys = mask.greys()
    raw, pixels = np.unique(mask.codes() if greys is None else greys, return_counts=True)
    shifts = (16, 8, 0) if greys is None else (0,)
    points = np.stack([(raw >> shift & 255).astype(np.int64) for shift in shifts], axis=1)
    meant = _meant(points, pixels)
    name = hex_code if greys is None else str
    named = [f"{name(int(value))} ({count:,} px)" for value, count in zip(raw[meant], pixels[meant], strict=True)]
    others, their_pixels = len(raw) - len(meant), int(pixels.sum() - pixels[meant].sum())
    more = f" and {others:,} other{'s' if others > 1 else ''} ({their_pixels:,} px)" if others else ""
    fix = "save masks as PNG, and name their colours in classes.json"
    if greys is not None:
        middle = str((int(raw[meant].sum()) + 1) // 2) if len(meant) == 2 else "N"
        fix = f"give --threshold {middle} for two classes, or save masks as PNG"
    kind = "colours" if greys is None else "values"
    return ImageError("", f"{file_format} does not keep {kind}: there are {', '.join(named)}{more}", fix)


def _meant(points: Int64[np.ndarray, "values channels"], pixels: Int64[np.ndarray, " values"]) -> list[int]:
    """Return the indices of the values that were meant, the most frequent first; the others are smears of them."""
    order = np.argsort(-pixels, kind="stable")
    frequent: Bool[np.ndarray, " values"] = pixels[order] >= _LEAST_SHARE * pixels.sum()
    apart = _APART * np.ptp(points, axis=0).max()
    chosen = [int(order[0])]
    for index in order[frequent].tolist():
        if np.abs(points[chosen] - points[index]).max(axis=1).min() > apart and len(chosen) < _MOST_MEANT:
            chosen.append(index)
    return chosen
