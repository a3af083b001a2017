"""Resizing images, masks and joints: one geometry for all three."""

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
    """The size and channels that every image is brought to.

    Attributes:
        height_px, width_px: size in pixels.
        channels: 1 for grey, 3 for RGB.
        fit: how images of another aspect ratio get there. `crop`: the aspect ratio is kept, the size is filled, and
            what sticks out is cut off on both sides alike. `pad`: the aspect ratio is kept, and all of the image is in
            the middle; its outermost pixels are repeated outwards. `stretch`: the aspect ratio is not kept.
        interpolation: the filter that pixels are resampled with.
    """

    height_px: int
    width_px: int
    channels: int
    fit: Fit = "crop"
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        known = self.fit in FITS and self.interpolation in FILTERS
        if min(self.height_px, self.width_px) < 1 or self.channels not in (1, 3) or not known:
            raise ValueError(f"no image is like this: {self}")


@dataclass(frozen=True, kw_only=True)
class ResizeTransform:
    """A map from points of a source image to the resized one: x = scale_x * source_x + offset_x, and so for y.

    Coordinates are in pixels and continuous: the centre of the top left pixel is at (0.5, 0.5).
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


_UNCHANGED = ResizeTransform(scale_x=1.0, scale_y=1.0, offset_x=0.0, offset_y=0.0)


def resize_transform(height: int, width: int, spec: ImageSpec) -> ResizeTransform:
    """Return how an upright image of `height` by `width` pixels is resized.

    Images, masks and joints all go through this geometry. The centre always comes to lie on the centre.

    >>> resize_transform(50, 100, ImageSpec(height_px=10, width_px=10, channels=3, fit="pad"))
    ResizeTransform(scale_x=0.1, scale_y=0.1, offset_x=0.0, offset_y=2.5)
    """
    ratio_x, ratio_y = spec.width_px / width, spec.height_px / height
    scale_x, scale_y = ratio_x, ratio_y
    if spec.fit != "stretch":
        scale_x = scale_y = max(ratio_x, ratio_y) if spec.fit == "crop" else min(ratio_x, ratio_y)
    # where the size is filled exactly, the offset is 0 exactly
    offset_x = 0.0 if scale_x == ratio_x else (spec.width_px - scale_x * width) / 2
    offset_y = 0.0 if scale_y == ratio_y else (spec.height_px - scale_y * height) / 2
    return ResizeTransform(scale_x=scale_x, scale_y=scale_y, offset_x=offset_x, offset_y=offset_y)


def to_indices(
    values: UInt8[np.ndarray, "source_height source_width"], spec: ImageSpec, outside: int
) -> UInt8[np.ndarray, "height width"]:
    """Resize a label plane as the image of the same size is resized: the label at the centre of each pixel.

    `outside`, 0 to 255, is the label of what `pad` leaves around the plane. The channels of `spec` do not matter.
    """
    height, width = values.shape
    transform = resize_transform(height, width, spec)
    rows = np.floor((np.arange(spec.height_px) + 0.5 - transform.offset_y) / transform.scale_y).astype(np.int64)
    columns = np.floor((np.arange(spec.width_px) + 0.5 - transform.offset_x) / transform.scale_x).astype(np.int64)
    fitted = values[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    fitted[(rows < 0) | (rows >= height)] = outside
    fitted[:, (columns < 0) | (columns >= width)] = outside
    return fitted


def resample(image: Image.Image, spec: ImageSpec, transform: ResizeTransform) -> Image.Image:
    """Resize an image of 8-bit channels so that its points come to lie exactly where `transform` says."""
    if transform == _UNCHANGED and image.size == (spec.width_px, spec.height_px):
        return image
    left, top = max(0, -transform.offset_x / transform.scale_x), max(0, -transform.offset_y / transform.scale_y)
    right = min(image.width, (spec.width_px - transform.offset_x) / transform.scale_x)
    bottom = min(image.height, (spec.height_px - transform.offset_y) / transform.scale_y)
    filter_ = FILTERS[spec.interpolation]
    # padding: first along the side that the image fills, which leaves little to repeat along the other
    if transform.offset_x > 0:
        filled = image.resize((image.width, spec.height_px), filter_, box=(0, top, image.width, bottom))
        return _widen(filled, spec.width_px, transform.scale_x, transform.offset_x, filter_)
    if transform.offset_y > 0:
        filled = image.resize((spec.width_px, image.height), filter_, box=(left, 0, right, image.height))
        turned = filled.transpose(Image.Transpose.TRANSPOSE)
        return _widen(turned, spec.height_px, transform.scale_y, transform.offset_y, filter_).transpose(
            Image.Transpose.TRANSPOSE
        )
    return image.resize((spec.width_px, spec.height_px), filter_, box=(left, top, right, bottom))


def _widen(image: Image.Image, width: int, scale: float, offset: float, filter_: Image.Resampling) -> Image.Image:
    """Resize an image to the middle of `width` columns, and repeat its outermost columns outwards."""
    # The filter reaches a column to either side (bicubic: two), so that the next one beyond the image sees nothing
    # but the edge; up to there, Pillow, which resizes what lies within an image, needs the edge repeated at the source.
    margin = 3 if filter_ == Image.Resampling.BICUBIC else 2
    first, last = max(0, math.floor(offset) - margin), min(width, math.ceil(width - offset) + margin)
    left, right = (first - offset) / scale, (last - offset) / scale
    before, after = max(0, math.ceil(-left)), max(0, math.ceil(right - image.width))
    pixels = np.asarray(image)
    extended = Image.fromarray(np.pad(pixels, [(0, 0), (before, after), (0, 0)][: pixels.ndim], mode="edge"))
    box = (max(0, left + before), 0, min(extended.width, right + before), extended.height)
    pixels = np.asarray(extended.resize((last - first, image.height), filter_, box=box))
    return Image.fromarray(np.pad(pixels, [(0, 0), (first, width - last), (0, 0)][: pixels.ndim], mode="edge"))
