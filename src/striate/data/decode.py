"""From image bytes to uint8 pixels, defensively.

Formats are allow-listed and recognised by content, never by extension; sizes are checked before
anything is decoded; EXIF orientation is applied; 16-bit images are scaled to 8 bits, not clipped;
transparency is laid over white; of an animation the first frame counts. Errors say what is wrong;
which file it is, their callers know.
"""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from striate.errors import ImageError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a gigabyte as RGB

_SIGNATURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\x00",  # TIFF, little-endian
    b"MM\x00*",  # TIFF, big-endian
    b"II+\x00",  # BigTIFF
    b"MM\x00+",
    *(f"P{kind}".encode() + space for kind in range(1, 7) for space in (b"\n", b" ", b"\r", b"\t")),
)
SIGNATURE_BYTES = 12


def looks_like_image(head: bytes) -> bool:
    """Tell from a file's first `SIGNATURE_BYTES` bytes whether it claims to be an allowed image format."""
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def open_image(content: bytes) -> Image.Image:
    """Open a file's content as an image and check its size; its pixels are not decoded yet.

    Raises:
        ImageError: no allowed format, a damaged header, or more than `MAX_PIXELS` pixels.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(f"no image that striate reads ({', '.join(FORMATS)}).") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"more than {MAX_PIXELS:,} pixels.") from None
    except Exception as error:  # Pillow's readers raise whatever a damaged header makes them stumble over
        raise ImageError(f"damaged image ({_reason(error)}).") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{width}x{height} is more than {MAX_PIXELS:,} pixels.")
    return image


def to_pixels(image: Image.Image, *, size_px: int, channels: int) -> UInt8[np.ndarray, "height width channels"]:
    """Decode an opened image to a square of `size_px`: upright, 8-bit, grey (1 channel) or RGB (3).

    The largest central square is kept and resized with antialiasing (bilinear). Values are 0 to 255.

    Raises:
        ImageError: the image is truncated or damaged.
    """
    try:
        image.draft("RGB" if channels == 3 else "L", (2 * size_px, 2 * size_px))  # JPEG: decode at reduced scale
        upright = ImageOps.exif_transpose(image)
        flat = _flatten(upright).convert("RGB" if channels == 3 else "L")
        square = ImageOps.fit(flat, (size_px, size_px), method=Image.Resampling.BILINEAR)
    except Exception as error:  # as above: any reader, any exception
        raise ImageError(f"damaged image ({_reason(error)}).") from None
    return np.asarray(square).reshape(size_px, size_px, channels)


def is_grey(image: Image.Image) -> bool:
    """Tell whether an image has one channel of brightness and no colour."""
    return image.mode in {"1", "L", "LA", "La", "F"} or image.mode.startswith("I")


def _flatten(image: Image.Image) -> Image.Image:
    """Bring any mode to one that converts to 8 bits without loss of range, with transparency over white."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scale_to_8_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba)
    return image


def _scale_to_8_bit(image: Image.Image) -> Image.Image:
    """Scale numbers of more than 8 bits to 0 … 255.

    16-bit integers by 255/65535. Wider integers as 16- or 8-bit ones where their values fit, since that is
    what they most often hold; other integers, and floats, by their own lowest and highest value, as they
    have no fixed range.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = values.min(), values.max()
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0, 65535
    elif image.mode == "I" and low >= 0 and high <= 255:
        low, high = 0, 255
    values = (values - low) * (255 / (high - low) if high > low else 0)
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _reason(error: Exception) -> str:
    """Say in a few words why decoding failed."""
    return " ".join(str(error).split())[:100] or type(error).__name__
