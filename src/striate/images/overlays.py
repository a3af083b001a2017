"""Arrays as images: maps as colours, maps over images, images in a grid, images as HTML holds them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

RGBArray = UInt8[np.ndarray, "_ _ 3"]

# viridis (van der Walt and Smith 2015), which grows evenly in lightness
COLOUR_RAMP = ("440154", "472c7a", "3b518b", "2c718e", "21908d", "27ad81", "5cc863", "aadc32", "fde725")
_STOPS = np.array([list(bytes.fromhex(colour)) for colour in COLOUR_RAMP], dtype=np.float64)
_MAP_OPACITY = 0.55
_BACKGROUND = (246, 246, 243)


def colour_map(values: Float[np.ndarray, "rows columns"]) -> RGBArray:
    """Colour a map: its least value is dark violet, its greatest yellow; a map of equal values is dark."""
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    stops = np.arange(len(_STOPS)) / (len(_STOPS) - 1)
    channels = np.stack([np.interp(share, stops, _STOPS[:, channel]) for channel in range(3)], -1)
    colours: RGBArray = np.round(channels).astype(np.uint8)
    return colours


def enlarge_map(values: Float[np.ndarray, "rows columns"], height: int, width: int) -> Float[np.ndarray, "_ _"]:
    """Enlarge a map smoothly (bicubic) to a height and width in pixels; values below zero become zero."""
    resized = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    larger: Float[np.ndarray, "_ _"] = np.maximum(np.asarray(resized, dtype=np.float64), 0.0)
    return larger


def overlay(image: RGBArray, values: Float[np.ndarray, "rows columns"]) -> RGBArray:
    """Lay a coloured map over the grey version of an image."""
    height, width = image.shape[:2]
    grey = image.mean(2, keepdims=True)
    colours = colour_map(enlarge_map(values, height, width))
    mixed: RGBArray = np.round((1 - _MAP_OPACITY) * grey + _MAP_OPACITY * colours).astype(np.uint8)
    return mixed


def scale_to(image: RGBArray, side_px: int) -> RGBArray:
    """Scale an image so that its longer side is `side_px`; small images are enlarged by a whole factor."""
    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    if scale > 1:
        factor = max(1, int(scale))
        larger: RGBArray = image.repeat(factor, 0).repeat(factor, 1)
        return larger
    size = max(1, round(width * scale)), max(1, round(height * scale))
    smaller: RGBArray = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    return smaller


def image_grid(images: Sequence[RGBArray], *, columns: int, gap_px: int = 3) -> RGBArray:
    """Put images side by side, `columns` in a row, on a light background."""
    height = max(len(image) for image in images)
    width = max(image.shape[1] for image in images)
    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    shape = (rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px, 3)
    grid = np.full(shape, _BACKGROUND, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap_px), index % columns * (width + gap_px)
        grid[top : top + image.shape[0], left : left + image.shape[1]] = image
    return grid


def draw_box(image: RGBArray, box: tuple[int, int, int, int] | None) -> RGBArray:
    """Draw a box (left, top, right, bottom, in pixels) on an image; None: around all of it."""
    drawn = Image.fromarray(image)
    left, top, right, bottom = box or (0, 0, drawn.width, drawn.height)
    line_px = max(1, max(drawn.size) // 80)
    ImageDraw.Draw(drawn).rectangle((left, top, right - 1, bottom - 1), outline=(255, 60, 0), width=line_px)
    return np.asarray(drawn)


def data_uri(image: RGBArray, *, lossless: bool = False, quality: int = 82) -> str:
    """Return an image as a data URI: JPEG of a quality, or PNG where every pixel counts."""
    content = io.BytesIO()
    if lossless:
        Image.fromarray(image).save(content, "PNG", optimize=True)
    else:
        Image.fromarray(image).save(content, "JPEG", quality=quality, optimize=True)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"


def html_figure(image: RGBArray, caption: str) -> str:
    """Return an image with its caption as an HTML figure, for a notebook.

    >>> html_figure(np.zeros((1, 1, 3), np.uint8), "a < b")[-42:]
    '<figcaption>a &lt; b</figcaption></figure>'
    """
    text = escape(caption)
    return f'<figure><img alt="{text}" src="{data_uri(image)}"><figcaption>{text}</figcaption></figure>'
