"""ResizeTransform pictures, masks and joints into a form: one geometry for all three."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Fit = Literal["crop", "pad", "stretch"]
FITS: tuple[Fit, ...] = get_args(Fit)

Interpolation = Literal["bilinear", "bicubic"]
# Pillow widens its filters when it shrinks, which is antialiasing
FILTERS: dict[Interpolation, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """What every image becomes.

    Attributes:
        height_px, width_px: its size.
        channels: 1 for grey, 3 for RGB.
        fit: how another shape gets there. `crop`: the aspect is kept, the form is filled, and what sticks out
            is cut off on both sides alike. `pad`: the aspect is kept, and the whole picture is in the middle of
            the form; its outermost pixels are repeated outwards. `stretch`: the aspect is not kept.
        interpolation: the filter that pixels go through.
    """

    height_px: int
    width_px: int
    channels: int
    fit: Fit = "crop"
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        known = self.fit in FITS and self.interpolation in FILTERS
        if min(self.height_px, self.width_px) < 1 or self.channels not in (1, 3) or not known:
            raise ValueError(f"no image has the form {self}")


@dataclass(frozen=True, kw_only=True)
class ResizeTransform:
    """Where the points of a picture come to lie: fitted_x = scale_x * source_x + offset_x, and so for y.

    Coordinates are in pixels and continuous: the centre of the top left pixel is at (0.5, 0.5).
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


_UNCHANGED = ResizeTransform(scale_x=1.0, scale_y=1.0, offset_x=0.0, offset_y=0.0)


def resize_transform(height: int, width: int, form: ImageSpec) -> ResizeTransform:
    """Work out how a picture of `height` by `width` pixels, upright, is fitted into a form.

    Images, masks and joints all go through this one geometry. The centre always comes to lie on the centre.

    >>> resize_transform(50, 100, ImageSpec(height_px=10, width_px=10, channels=3, fit="pad"))
    ResizeTransform(scale_x=0.1, scale_y=0.1, offset_x=0.0, offset_y=2.5)
    """
    ratio_x, ratio_y = form.width_px / width, form.height_px / height
    scale_x, scale_y = ratio_x, ratio_y
    if form.fit != "stretch":
        scale_x = scale_y = max(ratio_x, ratio_y) if form.fit == "crop" else min(ratio_x, ratio_y)
    # where the form is filled exactly, the offset is 0 exactly
    offset_x = 0.0 if scale_x == ratio_x else (form.width_px - scale_x * width) / 2
    offset_y = 0.0 if scale_y == ratio_y else (form.height_px - scale_y * height) / 2
    return ResizeTransform(scale_x=scale_x, scale_y=scale_y, offset_x=offset_x, offset_y=offset_y)


def to_indices(
    values: UInt8[np.ndarray, "source_height source_width"], form: ImageSpec, outside: int
) -> UInt8[np.ndarray, "height width"]:
    """Fit a mask of labels as the image of the same size is fitted: the label at the centre of each pixel.

    `outside`, 0 to 255, is the label of what `pad` leaves around the mask. The form's channels do not matter.
    """
    height, width = values.shape
    fitting = resize_transform(height, width, form)
    rows = np.floor((np.arange(form.height_px) + 0.5 - fitting.offset_y) / fitting.scale_y).astype(np.int64)
    columns = np.floor((np.arange(form.width_px) + 0.5 - fitting.offset_x) / fitting.scale_x).astype(np.int64)
    fitted = values[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    fitted[(rows < 0) | (rows >= height)] = outside
    fitted[:, (columns < 0) | (columns >= width)] = outside
    return fitted


def resample(image: Image.Image, form: ImageSpec, fitting: ResizeTransform) -> Image.Image:
    """Resize an image of 8-bit channels so that its points come to lie exactly where `fitting` says."""
    if fitting == _UNCHANGED and image.size == (form.width_px, form.height_px):
        return image
    left, top = max(0, -fitting.offset_x / fitting.scale_x), max(0, -fitting.offset_y / fitting.scale_y)
    right = min(image.width, (form.width_px - fitting.offset_x) / fitting.scale_x)
    bottom = min(image.height, (form.height_px - fitting.offset_y) / fitting.scale_y)
    taken = FILTERS[form.interpolation]
    # padding: first along the side that the picture fills, which leaves little to repeat along the other
    if fitting.offset_x > 0:
        filled = image.resize((image.width, form.height_px), taken, box=(0, top, image.width, bottom))
        return _widen(filled, form.width_px, fitting.scale_x, fitting.offset_x, taken)
    if fitting.offset_y > 0:
        filled = image.resize((form.width_px, image.height), taken, box=(left, 0, right, image.height))
        turned = filled.transpose(Image.Transpose.TRANSPOSE)
        return _widen(turned, form.height_px, fitting.scale_y, fitting.offset_y, taken).transpose(
            Image.Transpose.TRANSPOSE
        )
    return image.resize((form.width_px, form.height_px), taken, box=(left, top, right, bottom))


def _widen(image: Image.Image, width: int, scale: float, offset: float, taken: Image.Resampling) -> Image.Image:
    """Resize an image to the middle of `width` columns, and repeat its outermost columns outwards."""
    # The filter reaches a column to either side (bicubic: two), so that the next one beyond the picture sees nothing
    # but the edge; up to there, Pillow, which resizes what lies within an image, needs the edge repeated at the source.
    margin = 3 if taken == Image.Resampling.BICUBIC else 2
    first, last = max(0, math.floor(offset) - margin), min(width, math.ceil(width - offset) + margin)
    left, right = (first - offset) / scale, (last - offset) / scale
    before, after = max(0, math.ceil(-left)), max(0, math.ceil(right - image.width))
    pixels = np.asarray(image)
    extended = Image.fromarray(np.pad(pixels, [(0, 0), (before, after), (0, 0)][: pixels.ndim], mode="edge"))
    box = (max(0, left + before), 0, min(extended.width, right + before), extended.height)
    pixels = np.asarray(extended.resize((last - first, image.height), taken, box=box))
    return Image.fromarray(np.pad(pixels, [(0, 0), (first, width - last), (0, 0)][: pixels.ndim], mode="edge"))
