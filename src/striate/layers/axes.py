"""What layers do along one axis, as index arithmetic and small sparse matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int64

from striate.errors import GeometryError, ModelError
from striate.geometry import PADDING_MODES, Window

Matrix: TypeAlias = scipy.sparse.csr_array


def padded_sources(size: int, padding: tuple[int, int], mode: str) -> Int64[np.ndarray, " padded"]:
    """Return for every place of a padded axis the input unit that stands there; -1 where it is a zero.

    Args:
        size: of the input.
        padding: places added before and after; negative ones cut off.
        mode: `zeros`, `reflect` (mirrored, the border itself once), `replicate` or `circular`. Mirror images
            are mirrored again, and circles gone round again, as far as the padding reaches.

    >>> padded_sources(4, (2, 1), "reflect")
    array([2, 1, 0, 1, 2, 3, 2])
    """
    before, after = padding
    places = np.arange(-before, size + after)
    if mode == "zeros":
        return np.where((places >= 0) & (places < size), places, -1)
    if mode == "replicate":
        return places.clip(0, size - 1)
    if mode == "circular":
        return places % size
    if mode == "reflect":
        period = max(1, 2 * (size - 1))  # there and back again
        there = places % period
        return np.minimum(there, period - there) if size > 1 else np.zeros_like(places)
    raise ModelError(f"unknown padding mode {mode!r}; there are: {', '.join(PADDING_MODES)}.")


def check_reach(size: int, padding: tuple[int, int], mode: str) -> None:
    """Raise GeometryError where padding reaches farther than torch's own goes: one reflection, one turn."""
    most = reach(size, mode)
    if max(padding) > most:
        raise GeometryError(
            f"torch's padding in mode {mode} reaches {most} beyond an input of {size}, not {max(padding)}; "
            "striate.layers.Pad2d goes on mirroring"
        )


def reach(size: int, mode: str) -> int | float:
    """Return how far torch's own padding reaches beyond an input: one reflection, one turn, or any number."""
    return {"reflect": size - 1, "circular": size}.get(mode, math.inf)


def gather_matrix(sources: Int64[np.ndarray, " outputs"], size: int) -> Matrix:
    """Return the matrix that picks an input unit for every output unit, or none (-1)."""
    outputs = np.flatnonzero(sources >= 0)
    return scipy.sparse.csr_array((np.ones(len(outputs)), (outputs, sources[outputs])), shape=(len(sources), size))


def average_pooling(
    size: int, kernel: int, stride: int, padding: int, *, ceil: bool, count_padding: bool, divide: bool
) -> Matrix:
    """Return the matrix of average pooling along one axis.

    Args:
        size: of the input.
        kernel: of the window.
        stride: of the window.
        padding: zeros on either side.
        ceil: whether what is left over gets a window.
        count_padding: whether padding counts as places to average over. What lies beyond it never does.
        divide: whether to divide at all; else the windows are summed.
    """
    outputs = Window(kernel=kernel, stride=stride, padding=(padding, padding), ceil=ceil).output_size(size)
    places = np.arange(outputs)[:, None] * stride - padding + np.arange(kernel)
    inside = (places >= 0) & (places < size)
    counted = places < size + padding if count_padding else inside
    rows, taps = np.nonzero(inside)
    weights = 1 / counted.sum(1)[rows] if divide else np.ones(len(rows))
    return scipy.sparse.csr_array((weights, (rows, places[rows, taps])), shape=(outputs, size))


def adaptive_pooling(size: int, outputs: int) -> Matrix:
    """Return the matrix of average pooling to a given size: unit u over floor(u i / o) to ceil((u + 1) i / o)."""
    matrix = scipy.sparse.lil_array((outputs, size))
    for unit in range(outputs):
        first, behind = unit * size // outputs, -(-(unit + 1) * size // outputs)
        matrix[unit, first:behind] = 1 / (behind - first)
    return matrix.tocsr()


def nearest_upsampling(size: int, outputs: int, step: float | None = None) -> Matrix:
    """Return the matrix of nearest upsampling: unit u takes floor(u · step), by default of i / o."""
    units = np.arange(outputs)
    sources = units * size // outputs if step is None else np.floor(units * np.float32(step)).astype(np.int64)
    return gather_matrix(sources.clip(0, size - 1), size)


def bilinear_upsampling(size: int, outputs: int, align_corners: bool, step: float | None = None) -> Matrix:
    """Return the matrix of linear upsampling along one axis.

    Unit u lies at (u + 1/2) · step - 1/2 of the input, not below 0, with a step of i / o unless another is
    given; or with `align_corners` at u (i - 1) / (o - 1). It takes its two neighbours by their nearness.
    """
    units = np.arange(outputs)
    if align_corners:
        places = units * ((size - 1) / (outputs - 1) if outputs > 1 else 0.0)
    else:
        places = ((units + 0.5) * (step or size / outputs) - 0.5).clip(0, size - 1)
    low = np.floor(places).astype(np.int64).clip(0, size - 1)
    high = (low + 1).clip(0, size - 1)
    share = places - low
    values = np.concatenate([1 - share, share])
    return scipy.sparse.csr_array((values, (np.tile(units, 2), np.concatenate([low, high]))), shape=(outputs, size))


def window_matrix(
    weight: Float[np.ndarray, "outputs inputs_a_group *kernel"],
    sources: Sequence[Int64[np.ndarray, " _"]],
    sizes: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    places: Sequence[int] | None = None,
) -> tuple[Matrix, tuple[int, ...]]:
    """Return the matrix of a convolution, and how many places of the window there are along each axis.

    Every output channel has its weights at the same places; so the places are worked out once, for one
    channel, and only the weights are looked up for each.

    Args:
        weight: of the convolution.
        sources: for every axis, which input unit stands at each place of the padded axis.
        sizes: of the input, unpadded.
        strides: for every axis.
        dilations: for every axis.
        groups: into how many the channels are parted.
        places: for every axis, how many places of the window to take; as many as fit where it is left out.
    """
    channels, group_channels, *kernel = weight.shape
    if places is None:
        places = [
            Window(kernel=k, stride=s, dilation=d).output_size(len(source))
            for k, s, d, source in zip(kernel, strides, dilations, sources, strict=True)
        ]
    units = np.zeros((1, 1), dtype=np.int64)  # [window place, tap]: the input unit that stands there
    inside = np.ones((1, 1), dtype=bool)
    for k, s, d, source, size, count in zip(kernel, strides, dilations, sources, sizes, places, strict=True):
        along = source[np.arange(count)[:, None] * s + np.arange(k) * d]
        shape = (len(units) * count, units.shape[1] * k)
        units = (units[:, None, :, None] * size + along[None, :, None, :].clip(0)).reshape(shape)
        inside = (inside[:, None, :, None] & (along >= 0)[None, :, None, :]).reshape(shape)

    pixels, taps = math.prod(sizes), units.shape[1]
    used = np.broadcast_to(inside[:, None, :], (len(units), group_channels, taps))
    in_group = np.arange(group_channels)[None, :, None]
    columns = (units[:, None, :] + in_group * pixels)[used]  # of one output channel, place after place
    lookup = np.broadcast_to(in_group * taps + np.arange(taps), used.shape)[used]
    counts = np.tile(inside.sum(1) * group_channels, channels)

    matrix_shape = (channels * len(units), groups * group_channels * pixels)
    index = np.int32 if max(*matrix_shape, len(columns) * channels) < 2**31 else np.int64
    first_columns = (np.arange(channels) // (channels // groups) * group_channels * pixels).astype(index)
    matrix = scipy.sparse.csr_array(
        (
            weight.reshape(channels, -1)[:, lookup].ravel(),
            (columns.astype(index) + first_columns[:, None]).ravel(),
            np.concatenate([[0], np.cumsum(counts)]).astype(index),
        ),
        shape=matrix_shape,
    )
    matrix.sum_duplicates()  # reflected and repeated units; finds nothing to do in order where there are none
    return matrix, tuple(places)
