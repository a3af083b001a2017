"""A layer as a matrix: which entries are not zero, and by how much it can stretch an image."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Float, UInt8
from torch import nn

from striate.errors import ModelError
from striate.layers.matrix import LinearMap, as_matrix

_MOST_ENTRIES = 30_000_000  # rows times columns
_MOST_FOR_ALL = 1_200  # rows or columns: of larger matrices only the largest singular values are computed
_LARGEST = 40
_SIDE_PX, _THIN_PX = 420, 40  # of a drawing: its longer side, and its shorter one at least


@dataclass(frozen=True)
class LayerMatrix:
    """A layer as a matrix, for inputs of one shape.

    Attributes:
        input: shape of the input, [channels, height, width], or [features].
        shape: number of rows (outputs) and columns (inputs).
        entries: number of entries that are not zero.
        weights: number of weights that all entries are made of.
        pattern: RGB image of the matrix: blue below zero, red above, light where there is nothing.
        transposed: RGB image of its transpose, which back-propagation and transposed convolution multiply by.
        singular: singular values, the largest first; of large matrices the 40 largest ones.
    """

    input: tuple[int, ...]
    shape: tuple[int, int]
    entries: int
    weights: int
    pattern: UInt8[np.ndarray, "height width 3"]
    transposed: UInt8[np.ndarray, "_ _ 3"]
    singular: Float[np.ndarray, " values"]


def layer_matrix(layer: nn.Module, channels: int, side: int = 8) -> LayerMatrix:
    """Write a layer as a matrix, for an input small enough that one can see it.

    Args:
        layer: a linear layer: convolution, transposed convolution, average pooling, padding, upsampling, fully
            connected.
        channels: number of input channels.
        side: height and width of the input at most; less where the matrix would be too large.

    Raises:
        ModelError: the layer is not linear, or too large to be drawn.
    """
    layer = copy.deepcopy(layer).cpu()
    shape = _input_shape(layer, channels, side)
    matrix, operator = as_matrix(layer, shape), LinearMap(layer, shape)
    rows, columns = matrix.shape
    if min(rows, columns) <= _MOST_FOR_ALL:
        thin = operator if columns <= rows else operator.T  # both have the same singular values
        singular = np.linalg.svd(thin @ np.eye(min(rows, columns)), compute_uv=False)
    else:
        largest = scipy.sparse.linalg.svds(operator, k=_LARGEST, return_singular_vectors=False, random_state=0)
        singular = np.sort(largest)[::-1]
    pattern = _draw(matrix)
    return LayerMatrix(
        input=shape,
        shape=(rows, columns),
        entries=int(matrix.nnz),
        weights=sum(parameter.numel() for parameter in layer.parameters() if parameter.ndim > 1),
        pattern=pattern,
        transposed=np.ascontiguousarray(pattern.transpose(1, 0, 2)),
        singular=singular.astype(np.float64),
    )


def _input_shape(layer: nn.Module, channels: int, side: int) -> tuple[int, ...]:
    """Return the shape of the largest input, up to a side, whose matrix is not too large."""
    shapes = [(layer.in_features,)] if isinstance(layer, nn.Linear) else [(channels, n, n) for n in range(1, side + 1)]
    best: tuple[int, ...] | None = None
    reason = f"it is larger than {_MOST_ENTRIES:,} entries, however small the image"
    for shape in shapes:
        try:
            rows, columns = LinearMap(layer, shape).shape
        except ModelError as error:  # not linear, or smaller than its kernel
            reason = error.what
            continue
        if rows * columns > _MOST_ENTRIES:
            break
        best = shape
    if best is None:
        raise ModelError(type(layer).__name__, "cannot be drawn as a matrix", notes=[reason])
    return best


def _draw(matrix: scipy.sparse.csr_array) -> UInt8[np.ndarray, "height width 3"]:
    """Draw entries as points, or as larger squares; where several fall on one point, the strongest shows."""
    rows, columns = matrix.shape
    scale = max(rows, columns) / _SIDE_PX
    height, width = (max(1, round(side / max(scale, 1))) for side in (rows, columns))
    entries = matrix.tocoo()
    strength = np.zeros((height, width))
    row = np.minimum(height - 1, entries.row * height // rows)
    column = np.minimum(width - 1, entries.col * width // columns)
    order = np.argsort(np.abs(entries.data))  # of several on one point the last one stays
    strength[row[order], column[order]] = entries.data[order]
    share = np.clip(np.abs(strength) / max(float(np.abs(entries.data).max(initial=0.0)), 1e-12), 0, 1) ** 0.5
    share = np.where(strength == 0, 0, 0.25 + 0.75 * share)[..., None]
    full = np.where(strength[..., None] > 0, np.array([196, 48, 43]), np.array([31, 95, 168]))
    drawn = np.round((1 - share) * np.array([246, 246, 243]) + share * full).astype(np.uint8)
    enlarge = max(1, int(1 / scale))
    down, across = (max(enlarge, -(-_THIN_PX // side)) for side in (height, width))
    larger: UInt8[np.ndarray, "height width 3"] = drawn.repeat(down, 0).repeat(across, 1)
    return larger
