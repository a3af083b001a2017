"""From scores of classes to the class of every pixel of the source image: bilinear, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int, UInt8

_BAND = 64  # rows of the source image that are worked out at a time


def likeliest_classes(
    strips: Iterable[Float[np.ndarray, "classes _ width"]], height: int, source_px: tuple[int, int]
) -> UInt8[np.ndarray, "_ _"]:
    """Return the likeliest class of every pixel of a source image.

    Args:
        strips: scores of classes, some rows at a time; no more of them is kept than the rows of a band need.
        height: number of rows in all.
        source_px: height and width of the source image, which scores are brought to bilinearly.
    """
    above, below, share = _neighbours(source_px[0], height)
    classes = np.empty(source_px, dtype=np.uint8)
    held = np.empty((0, 0, 0), dtype=np.float32)  # scores, from the row `first` on
    first, row = 0, 0  # and the next row of the source image
    for strip in strips:
        held = np.concatenate([held, strip], 1) if held.size else strip
        ready = int((below < first + held.shape[1]).sum())
        for top in range(row, ready, _BAND):
            rows = slice(top, min(top + _BAND, ready))
            begin, end = int(above[rows][0]) - first, int(below[rows][-1]) + 1 - first
            wide = _widened(held[:, begin:end], source_px[1])
            upper, lower = (wide[:, index[rows] - first - begin] for index in (above, below))
            classes[rows] = (upper + share[rows, None] * (lower - upper)).argmax(0)
        row = ready
        if row < source_px[0]:
            kept = min(int(above[row]) - first, held.shape[1])
            held, first = held[:, kept:], first + kept
    return classes


def _neighbours(
    size: int, source: int
) -> tuple[Int[np.ndarray, " size"], Int[np.ndarray, " size"], Float[np.ndarray, " size"]]:
    """Return between which two of `source` positions each of `size` lies, and the share of the second one."""
    scale = np.float32(source / size)
    position = np.clip((np.arange(size, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5), 0, source - 1)
    before = position.astype(np.int64)
    return before, np.minimum(before + 1, source - 1), position - before.astype(np.float32)


def _widened(scores: Float[np.ndarray, "classes rows _"], width: int) -> Float[np.ndarray, "classes rows width"]:
    """Bring rows to a width."""
    if scores.shape[2] == width:
        return scores
    before, after, share = _neighbours(width, scores.shape[2])
    left = scores[:, :, before]
    widened: Float[np.ndarray, "classes rows width"] = left + share * (scores[:, :, after] - left)
    return widened
