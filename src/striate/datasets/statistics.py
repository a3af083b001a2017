"""Statistics of a data set's images: their median size, and the mean and deviation of their channels."""

from __future__ import annotations

from statistics import median_low

import numpy as np
from jaxtyping import Int64

from striate.datasets.dataset import Samples
from striate.datasets.store import Store
from striate.images.decode import MAX_PIXELS, is_grey, upright_size

_HEADERS = 64  # image headers that are read
_AT_ONCE = 64  # images


def evenly_spread(count: int, most: int) -> Int64[np.ndarray, " chosen"]:
    """Return at most so many of the indices 0 to count - 1, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def typical_shape(samples: Samples, max_pixels: int = MAX_PIXELS) -> tuple[int, int, int]:
    """Return the median height and width of the images, in pixels, and 3 channels if any has colour, else 1.

    Reads the headers of at most 64 images, evenly spread; decodes none.

    Raises:
        ImageError: a file is no image.
    """
    heights: list[int] = []
    widths: list[int] = []
    grey = True
    for index in evenly_spread(len(samples), _HEADERS).tolist():
        image = samples.images.header(index, max_pixels=max_pixels)
        height, width = upright_size(image)
        heights.append(height)
        widths.append(width)
        grey = grey and is_grey(image)
    return median_low(heights), median_low(widths), 1 if grey else 3


def channel_statistics(store: Store, *, most: int = 4096) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return each channel's mean and standard deviation over the images, on a scale of 0 to 1.

    Exact, from a count of each of the 256 values, for up to `most` images; of more, as many are read, evenly spread.
    A constant channel gets a standard deviation of 1.
    """
    chosen = evenly_spread(len(store), most)
    counts: Int64[np.ndarray, "channels 256"] | int = 0
    for begin in range(0, len(chosen), _AT_ONCE):
        images = store.gather(chosen[begin : begin + _AT_ONCE]).images
        counts = counts + np.stack([np.bincount(plane.ravel(), minlength=256) for plane in np.moveaxis(images, -1, 0)])
    values = np.arange(256) / 255
    share = counts / np.sum(counts, axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())
