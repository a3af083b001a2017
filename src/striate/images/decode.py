"""From image bytes to uint8 pixels, defensively.

Formats are allow-listed and recognised by content, never by extension; sizes are checked before anything is
decoded; EXIF orientation is applied; 16-bit images are scaled to 8 bits, not clipped; transparency is laid over
white; of an animation the first frame counts. Errors say what is wrong; callers add the file's path.

Whatever Pillow and libtiff have to say becomes the reason of an `ImageError` or a Python warning. To hear it, a
call switches Pillow's size limit and, for TIFF, the process's stderr: decode in single-threaded processes.
"""

from __future__ import annotations

import io
import logging
import math
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from striate.errors import ImageError
from striate.images.resize import ImageSpec, resample, resize_transform

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a gigabyte as RGB

_SIGNATURES = (  # JPEG, PNG, GIF, BMP, TIFF and BigTIFF in either byte order, PNM
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM"),
    *(b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    *(f"P{kind}".encode() + space for kind in range(1, 7) for space in (b"\n", b" ", b"\r", b"\t")),
)
SIGNATURE_BYTES = 12

_WIDTH, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 256, 258, 262, 274, 339  # tags of EXIF and TIFF
# how EXIF orientations 2 to 8 are brought upright: flipped, turned by half, flipped vertically, transposed, …
_TURNS = dict(zip(range(2, 9), map(Image.Transpose, (0, 3, 1, 5, 4, 6, 2)), strict=True))
_HARMLESS = re.compile(r"TIFF(Fetch|Read)\w*(Tag|Directory):|\w+: Warning, ")  # libtiff, of tags instead of pixels
# what libtiff and Pillow's wrapper of it write to stderr; a progress bar may be drawn there at the same time
_LIBTIFF = re.compile(r"^(?:\w+: |More samples per pixel)[^\x1b\r\n]+$", re.MULTILINE)
_LOGGER = logging.getLogger("PIL")


@dataclass(frozen=True, kw_only=True)
class DecodedImage:
    """A decoded image.

    Attributes:
        pixels: 0 to 255, of the size and channels that were asked for.
        source_size_px: height and width of the upright image in its file.
        warnings: what was odd about the file, a line each.
        file_format: as Pillow calls it; empty where the image is not in a file.
    """

    pixels: UInt8[np.ndarray, "height width channels"]
    source_size_px: tuple[int, int]
    warnings: tuple[str, ...] = ()
    file_format: str = ""


def looks_like_image(head: bytes) -> bool:
    """Tell from a file's first `SIGNATURE_BYTES` bytes whether it claims to be an allowed image format."""
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def decode(content: bytes, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode a file's content to a size and number of channels, and collect what was odd about it.

    Raises:
        ImageError: the file cannot be used; its `notes` are the warnings that came before. It does not name the file.
    """
    logged: list[str] = []
    with warnings.catch_warnings(record=True) as caught, _pillow(max_pixels, logged):
        for category in (UserWarning, RuntimeWarning):  # Pillow's and numpy's, not those of Python's own housekeeping
            warnings.simplefilter("always", category)
        try:
            image = _open(content, max_pixels, logged)
            size_px = upright_size(image)
            pixels = _to_pixels(image, spec, logged)
        except ImageError as error:
            raise ImageError(error.where, error.what, error.fix, _texts(caught)) from None
    return DecodedImage(pixels=pixels, source_size_px=size_px, warnings=_texts(caught), file_format=image.format or "")


def open_image(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open a file's content as an image and check its size; its pixels are not decoded yet.

    Raises:
        ImageError: no allowed format, a damaged header, or more than `max_pixels` pixels.
    """
    logged: list[str] = []
    with _pillow(max_pixels, logged), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit decides
        return _open(content, max_pixels, logged)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return an opened image's (height, width) as it will be seen, its EXIF orientation applied.

    Nothing is decoded, except where a PNG file tells its orientation after its pixels.
    """
    width, height = image.size
    # Pillow's newer TIFF reader gives the upright size from the start
    turned = _orientation(image) >= 5 and getattr(image, "tag_v2", {}).get(_WIDTH, width) == width
    return (width, height) if turned else (height, width)


def to_pixels(image: Image.Image, spec: ImageSpec) -> UInt8[np.ndarray, "height width channels"]:
    """Decode an opened image to a spec: upright, 0 to 255, resized with antialiasing (bilinear).

    An image can be decoded once: JPEG's reduced decoding leaves it smaller than it was.

    Raises:
        ImageError: the image is truncated or damaged, or memory does not suffice.
    """
    logged: list[str] = []
    with _pillow(None, logged):  # the size was checked on opening, against a limit that may be above Pillow's
        return _to_pixels(image, spec, logged)


def is_grey(image: Image.Image) -> bool:
    """Tell whether an image has one channel of brightness and no colour."""
    return image.mode in {"1", "L", "LA", "La", "F"} or image.mode.startswith("I")


def _open(content: bytes, max_pixels: int, logged: list[str]) -> Image.Image:
    """Open a file's content, as `open_image` does, while `_pillow` logs."""
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        pixels = math.prod(image.size)
    except Image.DecompressionBombError as error:
        pixels = int(re.findall(r"\d+", str(error))[0])  # "Image size (3600000000 pixels) exceeds limit …"
    except UnidentifiedImageError:
        if not looks_like_image(content[:SIGNATURE_BYTES]):
            raise ImageError("", f"no image that striate reads ({', '.join(FORMATS)})") from None
        raise _failure(ValueError("its header makes no sense"), logged) from None
    except Exception as error:  # Pillow's readers raise whatever a damaged header makes them stumble over
        raise _failure(error, logged) from None
    if pixels > max_pixels:
        what = f"its {pixels:,} pixels are more than {max_pixels:,}"
        raise ImageError("", what, "shrink it, or allow more with --max-pixels")
    for text in logged:
        warnings.warn(text, stacklevel=2)
    logged.clear()
    return image


def _to_pixels(image: Image.Image, spec: ImageSpec, logged: list[str]) -> np.ndarray:
    """Decode an opened image, as `to_pixels` does, while `_pillow` logs."""
    failure = None
    try:
        with _stderr_heard(logged) if image.format == "TIFF" else nullcontext():
            pixels = _decode(image, spec)
    except MemoryError:
        raise ImageError("", f"memory does not suffice to decode {image.width}x{image.height} pixels") from None
    except Exception as error:  # as above: any reader, any exception
        failure = error
    for text in filter(_HARMLESS.match, logged):
        warnings.warn(text, stacklevel=2)
    damages = [text for text in logged if not _HARMLESS.match(text)]
    if failure or damages:  # libtiff tells of damaged pixels and goes on
        raise _failure(failure or ValueError(), damages)
    return pixels


def _decode(image: Image.Image, spec: ImageSpec) -> np.ndarray:
    """Decode, flatten, fit and turn, in this order: turning is cheap last, and the geometry is symmetric."""
    if image.format == "TIFF":
        image.load()  # Pillow turns a TIFF file itself, and forgets its orientation
    orientation = _orientation(image)
    stored = replace(spec, height_px=spec.width_px, width_px=spec.height_px) if orientation >= 5 else spec
    width, height = image.size
    transform = resize_transform(height, width, stored)
    mode = "RGB" if spec.channels == 3 else "L"
    # JPEG: decode at 1/2, 1/4 or 1/8 of the size, as long as resizing has a factor of 2 left to antialias
    wanted = math.ceil(2 * transform.scale_x * width), math.ceil(2 * transform.scale_y * height)
    if 2 * wanted[0] <= width and (drafted := image.draft(mode, wanted)):
        reduced = drafted[1][2] / width  # not image.width / width, which is rounded up
        transform = replace(transform, scale_x=transform.scale_x / reduced, scale_y=transform.scale_y / reduced)
    flat = _flatten(image)
    fitted = resample(flat if flat.mode == mode else flat.convert(mode), stored, transform)
    fitted = fitted.transpose(_TURNS[orientation]) if orientation in _TURNS else fitted
    return np.asarray(fitted).reshape(spec.height_px, spec.width_px, spec.channels)


def _orientation(image: Image.Image) -> int:
    """Return an image's EXIF orientation, 1 (upright) to 8; 1 where EXIF data make no sense."""
    if image.format == "JPEG" and not image.info.keys() & {"exif", "xmp"}:
        return 1  # Pillow would look for long
    try:
        if isinstance(image, PngImageFile) and image.tile:
            content: bytes = image.fp.getvalue()  # type: ignore[union-attr]
            tail = content[content.rfind(b"IDAT") :]
            if any(key in tail for key in (b"eXIf", b"XML:com.adobe.xmp", b"Raw profile type exif")):
                image.load()  # its orientation may come after its pixels
        orientation = Image.Image.getexif(image).get(_ORIENTATION, 1)  # PNG's own method would decode the image
    except Exception as error:  # an image is none the worse for damaged EXIF data
        warnings.warn(f"orientation unknown, taken as upright ({_line(str(error))})", stacklevel=2)
        return 1
    return orientation if orientation in _TURNS else 1


def _flatten(image: Image.Image) -> Image.Image:
    """Bring any mode to one that converts to 8 bits without loss of range, with transparency over white."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scale_to_8_bit(image)
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > 255:  # of a 16-bit PNG, whose pixels Pillow has scaled already
        image.info["transparency"] = tuple(value >> 8 for value in key)
    if image.mode == "La":
        image = image.convert("LA")  # to RGBA there is no direct way
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")  # many programs leave the fourth byte unused
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB") if image.mode in {"CMYK", "HSV", "LAB", "YCbCr"} else image


def _scale_to_8_bit(image: Image.Image) -> Image.Image:
    """Scale numbers of more than 8 bits to 0 … 255; what is no number becomes the lowest."""
    values = np.asarray(image)
    low, high = _range(image, values)
    factor = 255 / (high - low) if high > low else 0
    grey = np.empty(values.shape, np.uint8)
    source, target = values.reshape(-1), grey.reshape(-1)
    for start in range(0, values.size, 1 << 16):  # in pieces: float64 needs eight times the memory
        piece = np.nan_to_num(source[start : start + (1 << 16)].astype(np.float64), nan=low, posinf=high, neginf=low)
        target[start : start + (1 << 16)] = np.rint(((piece - low) * factor).clip(0, 255))
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:  # of TIFF: 0 is white; Pillow minds it for 8 bits only
        np.subtract(255, grey, out=grey)
    if isinstance(key := image.info.get("transparency"), int):
        grey[values == key] = 255
    return Image.fromarray(grey)


def _range(image: Image.Image, values: np.ndarray) -> tuple[float, float]:
    """Return the numbers that mean black and white in an image of more than 8 bits.

    0 to 65535 for 16 bits, 0 to 4095 for 12 bits, 0 (or -32768 if there are negative ones) to 32767 for signed 16
    bits. Wider integers count as 16- or 8-bit ones where their values fit, since that is what they most often
    hold; for other integers, and floats, their own lowest and highest value, as they have no fixed range.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    tags = getattr(image, "tag_v2", {})
    bits, signed = tags.get(_BITS, (0,))[0], tags.get(_SAMPLE_FORMAT, (1,))[0] == 2
    if bits == 12:
        return 0.0, 4095.0
    if bits == 16 and signed:
        return (-32768.0 if low < 0 else 0.0), 32767.0
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return 0.0, 65535.0
    if image.mode == "I" and low >= 0 and high <= 65535:
        return 0.0, 255.0 if high <= 255 else 65535.0
    return low, high


class _Listener(logging.Handler):
    """Collects what is logged, line by line."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a message."""
        self.heard += record.getMessage().splitlines()


@contextmanager
def _pillow(max_pixels: int | None, heard: list[str]) -> Iterator[None]:
    """For a while, set Pillow's own size limit, and collect what Pillow logs, which would go to stderr."""
    before, listener = Image.MAX_IMAGE_PIXELS, _Listener(heard)
    _LOGGER.addHandler(listener)
    # Pillow warns above its limit and refuses above twice its limit, which guards what it allocates for a header
    Image.MAX_IMAGE_PIXELS = None if max_pixels is None else math.ceil(max_pixels / 2)
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
        _LOGGER.removeHandler(listener)


@contextmanager
def _stderr_heard(heard: list[str]) -> Iterator[None]:
    """Collect what libtiff writes to the process's stderr, the only place where it says what is wrong."""
    import tempfile  # here, as it is needed for TIFF alone

    with tempfile.TemporaryFile() as file:
        if sys.stderr:  # None in a process without a console
            sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            heard += _LIBTIFF.findall(file.read(1 << 16).decode(errors="replace"))


def _texts(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Return the texts of warnings, a line each, without repetitions."""
    meant = (each for each in caught if each.category is not Image.DecompressionBombWarning)  # our own limit decides
    return tuple(dict.fromkeys(_line(str(warning.message)) for warning in meant))


def _failure(error: Exception, heard: list[str]) -> ImageError:
    """Say why an image cannot be decoded: what its reader said of it, or else the exception's text."""
    reason = _line(heard[0] if heard else str(error)) or type(error).__name__
    kind = "unsupported" if "unsupported" in reason.lower() else "damaged"
    return ImageError("", f"{kind} image ({reason})")


def _line(text: str) -> str:
    """Bring a text into a short line."""
    return " ".join(text.split())[:150].rstrip(".")
