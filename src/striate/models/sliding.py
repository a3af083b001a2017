"""A network that gives scores for every pixel, over pictures too large to be looked at as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

OVERLAP = 4  # windows overlap by a quarter of their side


def strips_by_windows(
    model: nn.Module,
    image: Float[Tensor, "1 channels height width"],
    window_px: tuple[int, int],
    unit: tuple[int, int],
    advance: Callable[[float], None] = lambda share: None,
) -> Iterator[Float[Tensor, "classes _ width"]]:
    """Yield the probabilities of classes, some rows of a picture at a time, from windows that overlap by a quarter.

    Where windows overlap, their probabilities are blended: the outer quarter of the overlap does not count at all, as
    the network sees a window's border there and not the picture, and over the inner half one window fades into the
    next. No more is kept than one row of windows.

    Args:
        model: from images to scores.
        image: normalised.
        window_px: height and width of a window; a picture that is smaller is one window.
        unit: height and width of the grid on which windows begin (`EncoderDecoder.unit`).
        advance: told, after each window, what share of the picture that was.
    """
    height, width = image.shape[2:]
    rows = tile_windows(height, window_px[0], unit[0])
    columns = tile_windows(width, window_px[1], unit[1])
    open_rows: Tensor | None = None  # to which later windows add
    for place, (top, bottom) in enumerate(rows):
        strip: Tensor | None = None
        down = _fade(rows, place).to(image.device)
        for column, (left, right) in enumerate(columns):
            scores = model(image[:, :, top:bottom, left:right])[0].float().softmax(0)
            if strip is None:
                strip = scores.new_zeros(scores.shape[0], bottom - top, width)
                if open_rows is not None:
                    strip[:, : open_rows.shape[1]] = open_rows
            strip[:, :, left:right] += scores * (down[:, None] * _fade(columns, column).to(image.device))
            advance(1 / (len(rows) * len(columns)))
        assert strip is not None
        done = rows[place + 1][0] - top if place + 1 < len(rows) else bottom - top
        open_rows = strip[:, done:].clone()
        yield strip[:, :done]


def tile_windows(size: int, window: int, unit: int) -> list[tuple[int, int]]:
    """Return where windows begin and end along a side: on the grid, overlapping by a quarter or more, all covered.

    One is two units of the grid at least; the last one is larger by what the grid leaves.

    >>> tile_windows(100, 32, 8)
    [(0, 32), (24, 56), (48, 80), (64, 100)]
    """
    window = max(window, 2 * unit)
    if size <= window:
        return [(0, size)]
    step = max(unit, (window - window // OVERLAP) // unit * unit)
    last = (size - window) // unit * unit
    starts = [*range(0, last, step), last]
    return [(start, start + window) for start in starts[:-1]] + [(last, size)]


def _fade(along: list[tuple[int, int]], place: int) -> Float[Tensor, " window"]:
    """Return how much a window counts along a side: 1, but for what it shares with the one before and the one after."""
    begin, end = along[place]
    weight = torch.ones(end - begin)
    if place > 0:
        shared = along[place - 1][1] - begin
        weight[:shared] *= _ramp(shared)
    if place + 1 < len(along):
        shared = end - along[place + 1][0]
        weight[end - begin - shared :] *= _ramp(shared).flip(0)
    return weight


def _ramp(length: int) -> Float[Tensor, " length"]:
    """Rise from 0 to 1 over the middle half; what this and its mirror image give together is 1."""
    place = (torch.arange(length) + 0.5) / length
    return ((place - 0.25) * 2).clamp(0, 1)
