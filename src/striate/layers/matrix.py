"""A layer is a matrix: convolution and its kin as sparse matrices, and as operators that never build one.

A layer maps an image, [channels, height, width], to another one. Written as vectors, a linear layer is a
matrix A (and, with a bias, an offset b): vec(layer(x)) = A · vec(x) + b.

The lecture's example, a kernel of three weights on six values: the convolution is 4 x 6, and the
transposed convolution is its transpose.

>>> import torch
>>> conv = torch.nn.Conv1d(1, 1, kernel_size=3, bias=False)
>>> conv.weight.data = torch.tensor([[[1.0, 2.0, 3.0]]])
>>> as_matrix(conv, (1, 6)).toarray().astype(int)
array([[1, 2, 3, 0, 0, 0],
       [0, 1, 2, 3, 0, 0],
       [0, 0, 1, 2, 3, 0],
       [0, 0, 0, 1, 2, 3]])
>>> back = torch.nn.ConvTranspose1d(1, 1, kernel_size=3, bias=False)
>>> back.weight.data = conv.weight.data
>>> as_matrix(back, (1, 4)).toarray().astype(int)
array([[1, 0, 0, 0],
       [2, 1, 0, 0],
       [3, 2, 1, 0],
       [0, 3, 2, 1],
       [0, 0, 3, 2],
       [0, 0, 0, 3]])
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError
from striate.layers.axes import Matrix
from striate.layers.builders import Shape, builder_of, matrix_of

Order = Literal["rows", "columns"]
Vector = Float[np.ndarray, " units"]


def as_matrix(layer: nn.Module, input_shape: Sequence[int], order: Order = "rows") -> Matrix:
    """Return the matrix A of a linear layer: vec(layer(x)) = A · vec(x) + b, with b from `offset`.

    Built from index arithmetic, in the precision of its weights; takes the memory that its non-zeros need.

    Args:
        layer: convolution (one or two axes; any padding mode, stride, dilation, groups), transposed
            convolution, average pooling, padding, nearest or bilinear upsampling, Linear, Flatten, batch norm
            (in evaluation mode, whatever mode the layer is in), or an `nn.Sequential` of those.
        input_shape: [channels, height, width], [channels, length] or [features]; no batch.
        order: how an image becomes a vector: channel by channel, and in each one row after the other, as
            torch's `flatten` has it, or one column after the other, as the lecture has it.

    Raises:
        ModelError: the layer is not linear, or the shape does not fit it.
    """
    shape = tuple(input_shape)
    _check_order(order)
    matrix, output_shape = matrix_of(layer, shape)
    if order == "columns":
        rows, columns = column_order(output_shape), column_order(shape)
        place = np.argsort(columns).astype(matrix.indices.dtype)
        matrix = matrix[rows]
        matrix = scipy.sparse.csr_array((matrix.data, place[matrix.indices], matrix.indptr), shape=matrix.shape)
        matrix.sort_indices()
    return matrix


def offset(layer: nn.Module, input_shape: Sequence[int], order: Order = "rows") -> Vector:
    """Return the offset b of a linear layer, its answer to an image of zeros, as a vector.

    >>> offset(nn.Linear(2, 3, bias=False), (2,))
    array([0., 0., 0.], dtype=float32)
    """
    shape = tuple(input_shape)
    output_shape = _matrix_shape(layer, shape)
    still = copy.deepcopy(layer).eval()
    with torch.no_grad():
        values: Vector = still(torch.zeros(1, *shape, dtype=_dtype(layer))).flatten().numpy()
    return values[column_order(output_shape)] if order == "columns" else values


def _check_order(order: str) -> None:
    if order not in get_args(Order):
        raise ModelError(f"order (={order}) must be one of {', '.join(get_args(Order))}.")


def column_order(shape: Shape) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return where each entry of the column-by-column vector stands in the row-by-row one.

    >>> column_order((1, 2, 3))
    array([0, 3, 1, 4, 2, 5])
    """
    places = np.arange(math.prod(shape)).reshape(shape)
    return (places.swapaxes(-1, -2) if len(shape) == 3 else places).ravel()


class LinearMap(scipy.sparse.linalg.LinearOperator):  # type: ignore[misc]  # scipy leaves it untyped
    """The matrix of a linear layer as an operator that never builds it: `@`, `.T`, `.H`, all that scipy offers.

    A product runs the layer itself; a product with the transpose runs its back-propagation. In float64.

    Args:
        layer: as for `as_matrix`.
        input_shape: likewise.
        order: likewise.

    Raises:
        ModelError: the layer is not linear, or the shape does not fit it.

    >>> conv = nn.Conv2d(3, 8, 3)
    >>> LinearMap(conv, (3, 16, 16)).shape
    (1568, 768)
    """

    def __init__(self, layer: nn.Module, input_shape: Sequence[int], order: Order = "rows") -> None:
        _check_order(order)
        self.input_shape = tuple(input_shape)
        self.output_shape = _matrix_shape(layer, self.input_shape)
        self.layer = copy.deepcopy(layer).double().eval().requires_grad_(False)
        self.order = order
        with torch.no_grad():
            self._zero = self.layer(torch.zeros(1, *self.input_shape, dtype=torch.float64))  # what a bias adds
        super().__init__(np.dtype(np.float64), (math.prod(self.output_shape), math.prod(self.input_shape)))

    def largest_singular_value(self) -> float:
        """Return the operator norm: by how much the layer can stretch an image (Lanczos, scipy's `svds`)."""
        start = np.random.default_rng(0).standard_normal(min(self.shape))
        if min(self.shape) == 1:  # one row, or one column: its length
            return float(np.linalg.norm(self @ start if self.shape[1] == 1 else self.T @ start) / abs(start[0]))
        if not (self @ (self.T @ start) if self.shape[0] <= self.shape[1] else self.T @ (self @ start)).any():
            return 0.0  # Lanczos finds no direction in a matrix of zeros
        values = scipy.sparse.linalg.svds(self, k=1, v0=start, return_singular_vectors=False)
        return float(values[0])

    def _matmat(self, columns: Float[np.ndarray, "inputs vectors"]) -> Float[np.ndarray, "outputs vectors"]:
        images = self._images(columns, self.input_shape)
        with torch.no_grad():
            return self._columns(self.layer(images) - self._zero)

    def _rmatmat(self, columns: Float[np.ndarray, "outputs vectors"]) -> Float[np.ndarray, "inputs vectors"]:
        gradients = self._images(columns, self.output_shape)
        images = torch.zeros(len(gradients), *self.input_shape, dtype=torch.float64, requires_grad=True)
        (back,) = torch.autograd.grad(self.layer(images), images, gradients)
        return self._columns(back)

    def _images(self, columns: Float[np.ndarray, "units vectors"], shape: Shape) -> Tensor:
        vectors = np.asarray(columns, dtype=np.float64).T
        if self.order == "columns":
            vectors = vectors[:, np.argsort(column_order(shape))]
        return torch.from_numpy(np.ascontiguousarray(vectors)).view(-1, *shape)

    def _columns(self, images: Tensor) -> Float[np.ndarray, "units vectors"]:
        vectors: Float[np.ndarray, "vectors units"] = images.flatten(1).numpy()
        if self.order == "columns":
            vectors = vectors[:, column_order(tuple(images.shape[1:]))]
        return vectors.T


def _matrix_shape(layer: nn.Module, shape: Shape) -> Shape:
    """Return the shape of a linear layer's output without building its matrix."""
    for part in layer.modules():
        builder_of(part)
    try:
        with torch.no_grad():
            output = copy.deepcopy(layer).eval()(torch.zeros(1, *shape, dtype=_dtype(layer)))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{layer} does not take an input of {'x'.join(map(str, shape))}: {reason}") from None
    return tuple(output.shape[1:])


def _dtype(layer: nn.Module) -> torch.dtype:
    """Return the precision of a layer's numbers; float32 where it has none."""
    return next((value.dtype for value in layer.state_dict().values() if value.is_floating_point()), torch.float32)
