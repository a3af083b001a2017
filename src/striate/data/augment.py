"""Augmentation: each time an image is seen it is shifted a little and, where that is harmless, mirrored.

What happens to a sample is a function of (seed, epoch, sample): neither the order of the samples nor
their grouping into batches changes it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from striate.data.randomness import generator

Augment = Literal["none", "shift", "shift+flip"]

_MAX_SHIFT = 1 / 8  # of a side, as in He et al. 2015, section 4.2: 4 of 32 pixels


def draw_moves(samples: int, seed: int, epoch: int) -> Float64[np.ndarray, "samples 3"]:
    """Draw an epoch's moves, three numbers in [0, 1) a sample: shift down, shift right, mirror."""
    return generator(seed, epoch, "augmentation").random((samples, 3))


def gather_moved(
    images: UInt8[np.ndarray, "samples height width channels"],
    rows: Int64[np.ndarray, " batch"],
    moves: Float64[np.ndarray, "samples 3"],
    *,
    flip: bool,
) -> UInt8[np.ndarray, "batch height width channels"]:
    """Return the images at `rows`, each shifted along both axes and, with `flip`, half of them mirrored.

    A shift is a whole number of pixels, at most an eighth of the side either way; pixels that come into
    view repeat the border. One look-up, without a copy in between.
    """
    height, width = images.shape[1:3]
    drawn = moves[rows]
    y = (np.arange(height) + _shift(drawn[:, 0], height)).clip(0, height - 1)
    x = (np.arange(width) + _shift(drawn[:, 1], width)).clip(0, width - 1)
    if flip:
        x = np.where(drawn[:, 2:] < 0.5, x[:, ::-1], x)
    moved: UInt8[np.ndarray, "batch height width channels"] = images[rows[:, None, None], y[:, :, None], x[:, None, :]]
    return moved


def _shift(drawn: Float64[np.ndarray, " batch"], side_px: int) -> Int64[np.ndarray, "batch 1"]:
    """Turn numbers in [0, 1) into whole pixels, either way alike."""
    farthest = int(side_px * _MAX_SHIFT)
    shift: Int64[np.ndarray, " batch"] = np.floor(drawn * (2 * farthest + 1)).astype(np.int64) - farthest
    return shift[:, None]
