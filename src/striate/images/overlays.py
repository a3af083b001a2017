"""Arrays as pictures: maps as colours, maps upon pictures, pictures side by side, pictures as a page holds them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

RGBArray = UInt8[np.ndarray, "_ _ 3"]

# of viridis (van der Walt and Smith 2015), which grows evenly in lightness
RAMP = ("440154", "472c7a", "3b518b", "2c718e", "21908d", "27ad81", "5cc863", "aadc32", "fde725")
_STOPS = np.array([list(bytes.fromhex(colour)) for colour in RAMP], dtype=np.float64)
_COVER = 0.55  # of the picture, by the colours of a map
PAPER = (246, 246, 243)


def colours_of(values: Float[np.ndarray, "rows columns"]) -> RGBArray:
    """Colour a map: its least value dark violet, its greatest yellow; one that is the same everywhere is dark."""
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    place = np.arange(len(_STOPS)) / (len(_STOPS) - 1)
    found = np.stack([np.interp(share, place, _STOPS[:, channel]) for channel in range(3)], -1)
    colours: RGBArray = np.round(found).astype(np.uint8)
    return colours


def enlarged(values: Float[np.ndarray, "rows columns"], height: int, width: int) -> Float[np.ndarray, "_ _"]:
    """Enlarge a map smoothly to a picture's size."""
    found = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    larger: Float[np.ndarray, "_ _"] = np.maximum(np.asarray(found, dtype=np.float64), 0.0)
    return larger


def overlay(picture: RGBArray, values: Float[np.ndarray, "rows columns"]) -> RGBArray:
    """Lay a map over a picture, whose colours give way to it."""
    height, width = picture.shape[:2]
    grey = picture.mean(2, keepdims=True)
    colours = colours_of(enlarged(values, height, width))
    mixed: RGBArray = np.round((1 - _COVER) * grey + _COVER * colours).astype(np.uint8)
    return mixed


def fitted(picture: RGBArray, side_px: int) -> RGBArray:
    """Bring a picture's longer side to a number of pixels; small ones are enlarged by whole pixels."""
    height, width = picture.shape[:2]
    scale = side_px / max(height, width)
    if scale > 1:
        times = max(1, int(scale))
        larger: RGBArray = picture.repeat(times, 0).repeat(times, 1)
        return larger
    size = max(1, round(width * scale)), max(1, round(height * scale))
    smaller: RGBArray = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    return smaller


def sheet(pictures: Sequence[RGBArray], *, columns: int, gap_px: int = 3) -> RGBArray:
    """Put pictures side by side, and under each other, on paper."""
    height = max(len(picture) for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    whole = np.full((rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px, 3), PAPER, dtype=np.uint8)
    for place, picture in enumerate(pictures):
        top, left = place // columns * (height + gap_px), place % columns * (width + gap_px)
        whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return whole


def framed(picture: RGBArray, box: tuple[int, int, int, int] | None) -> RGBArray:
    """Draw a frame around a part of a picture: left, top, right, bottom; None: around all of it."""
    image = Image.fromarray(picture)
    left, top, right, bottom = box or (0, 0, image.width, image.height)
    pen = ImageDraw.Draw(image)
    wide = max(1, max(image.size) // 80)
    pen.rectangle((left, top, right - 1, bottom - 1), outline=(255, 60, 0), width=wide)
    return np.asarray(image)


def as_uri(picture: RGBArray, *, exact: bool = False, quality: int = 82) -> str:
    """Return a picture as the source of an `img`: JPEG, or PNG where every pixel counts."""
    content = io.BytesIO()
    if exact:
        Image.fromarray(picture).save(content, "PNG", optimize=True)
    else:
        Image.fromarray(picture).save(content, "JPEG", quality=quality, optimize=True)
    kind = "png" if exact else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
