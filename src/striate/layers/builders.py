"""How each kind of linear layer becomes a matrix, in index arithmetic: the table `BUILDERS`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import nn

from striate.errors import GeometryError, ModelError
from striate.geometry import same_padding, transposed_windows
from striate.layers.axes import (
    Matrix,
    adaptive_pooling,
    average_pooling,
    bilinear_upsampling,
    check_reach,
    gather_matrix,
    nearest_upsampling,
    padded_sources,
    window_matrix,
)
from striate.layers.padding import Pad2d
from striate.layers.upward import ConvTranspose2d

Shape = tuple[int, ...]
Builder = Callable[[Any, Shape], tuple[Matrix, Shape]]


def matrix_of(layer: nn.Module, shape: Shape) -> tuple[Matrix, Shape]:
    """Return a layer's matrix, rows first, and the shape of its output."""
    build = builder_of(layer)
    axes = next((axes for kind, axes in _AXES.items() if isinstance(layer, kind)), None)
    try:
        if axes and len(shape) != 1 + axes:
            raise GeometryError(f"[channels, {', '.join(('height', 'width')[-axes:])}] is wanted")
        matrix, output_shape = build(layer, shape)
    except GeometryError as error:
        raise ModelError(f"{layer} does not take an input of {'x'.join(map(str, shape))}: {error}") from None
    return matrix.tocsr(), output_shape


def builder_of(layer: nn.Module) -> Builder:
    """Return what builds a layer's matrix; raises ModelError where it has none."""
    fill = getattr(layer, "value", 0) or getattr(layer, "fill", 0)
    if fill != 0 and isinstance(layer, nn.ConstantPad1d | nn.ConstantPad2d | Pad2d):
        raise ModelError(f"{layer} is not linear: it pads with a number other than 0.")
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.running_var is None:
        raise ModelError(f"{layer} keeps no running statistics: it is linear in no mode.")
    for kind, build in BUILDERS.items():
        if isinstance(layer, kind):
            return build
    raise ModelError(f"{type(layer).__name__} is not linear; there is no matrix for it.")


def _per_axis(value: Any, axes: int) -> tuple[Any, ...]:
    """Give every axis its own number."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * axes


def _numbers(values: torch.Tensor) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a layer's numbers to numpy, which knows no bfloat16, and no GPU."""
    values = values.detach().cpu()
    numbers: np.ndarray[Any, np.dtype[Any]] = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return numbers


def _check_channels(channels: int, wanted: int) -> None:
    if channels != wanted:
        raise GeometryError(f"{wanted} channels are wanted, not {channels}")


def _convolution(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    channels, *sizes = shape
    _check_channels(channels, layer.in_channels)
    sources = []
    for axis, size in enumerate(sizes):
        if layer.padding == "same":
            padding = same_padding(size, layer.kernel_size[axis], dilation=layer.dilation[axis])
        else:
            padding = (0, 0) if layer.padding == "valid" else (layer.padding[axis],) * 2
        check_reach(size, padding, layer.padding_mode)
        sources.append(padded_sources(size, padding, layer.padding_mode))
    matrix, outputs = window_matrix(_numbers(layer.weight), sources, sizes, layer.stride, layer.dilation, layer.groups)
    return matrix, (layer.out_channels, *outputs)


def _transposed_convolution(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    """Build the transpose of the convolution that maps the output's space to the input's."""
    channels, *sizes = shape
    _check_channels(channels, layer.in_channels)
    if isinstance(layer, ConvTranspose2d):
        windows, mode = layer.windows(), layer.mode
    else:
        paddings = [(padding, padding) for padding in layer.padding]
        windows, mode = (
            transposed_windows(layer.kernel_size, layer.stride, paddings, layer.output_padding, layer.dilation),
            "zeros",
        )
    outputs = [window.output_size(size) for window, size in zip(windows, sizes, strict=True)]
    extensions = [
        window.reaches_beyond(size) if mode != "zeros" else (0, 0) for window, size in zip(windows, sizes, strict=True)
    ]
    extended, sources = [], []
    for window, size, output, (before, after) in zip(windows, sizes, outputs, extensions, strict=True):
        extended.append(before + size + after)
        ahead = window.padding[0] + window.stride * before
        behind = window.stride * (extended[-1] - 1) + window.extent - ahead - output
        sources.append(padded_sources(output, (ahead, max(0, behind)), "zeros"))
    matrix, _ = window_matrix(
        _numbers(layer.weight), sources, outputs, layer.stride, layer.dilation, layer.groups, places=extended
    )
    matrix = matrix.T.tocsr()
    if extended != sizes:
        matrix = matrix @ _pad((channels, *sizes), extensions, mode)[0].astype(matrix.dtype)
    return matrix, (layer.out_channels, *outputs)


def _pad(shape: Shape, pairs: Sequence[tuple[int, int]], mode: str) -> tuple[Matrix, Shape]:
    """Build padding by a pair of numbers for every axis."""
    return _axis_by_axis(
        shape,
        [gather_matrix(padded_sources(size, pair, mode), size) for size, pair in zip(shape[1:], pairs, strict=True)],
    )


def _axis_by_axis(shape: Shape, matrices: Sequence[Matrix]) -> tuple[Matrix, Shape]:
    """Build what treats every channel alike and its axes one by one: a Kronecker product of theirs."""
    whole = functools.reduce(scipy.sparse.kron, matrices)
    channels = scipy.sparse.eye_array(shape[0])
    return scipy.sparse.kron(channels, whole, format="csr"), (shape[0], *(m.shape[0] for m in matrices))


def _average_pooling(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    axes = len(shape) - 1
    options = zip(
        *(_per_axis(getattr(layer, name), axes) for name in ("kernel_size", "stride", "padding")), strict=True
    )
    include, override = layer.count_include_pad, getattr(layer, "divisor_override", None)
    matrices = [
        average_pooling(size, *option, ceil=layer.ceil_mode, count_padding=include, divide=override is None)
        for size, option in zip(shape[1:], options, strict=True)
    ]
    matrix, output_shape = _axis_by_axis(shape, matrices)
    return (matrix / override if override else matrix), output_shape


def _adaptive_pooling(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    wanted = _per_axis(layer.output_size, len(shape) - 1)
    return _axis_by_axis(
        shape,
        [
            adaptive_pooling(size, size if units is None else units)
            for size, units in zip(shape[1:], wanted, strict=True)
        ],
    )


def _padding(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    mode = next(mode for kind, mode in _PADDINGS.items() if isinstance(layer, kind))
    sides = layer.padding  # last axis first, as torch.nn.functional.pad has it
    pairs = [(sides[place], sides[place + 1]) for place in range(0, len(sides), 2)][::-1]
    for size, pair in zip(shape[1:], pairs, strict=True):
        check_reach(size, pair, mode)
    return _pad(shape, pairs, mode)


def _far_padding(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    return _pad(shape, layer.sides_for(shape[1:]), layer.mode)


def _upsampling(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    axes = len(shape) - 1
    scales = _per_axis(layer.scale_factor, axes)
    steps: tuple[float | None, ...] = (None,) * axes
    if layer.size is None:
        wanted = [math.floor(size * scale) for size, scale in zip(shape[1:], scales, strict=True)]
        if not layer.recompute_scale_factor:  # torch steps by the factor that was given, whatever size comes out
            steps = tuple(1 / scale for scale in scales)
    else:
        wanted = list(_per_axis(layer.size, axes))
    sizes = list(zip(shape[1:], wanted, steps, strict=True))
    if layer.mode == "nearest":
        return _axis_by_axis(shape, [nearest_upsampling(size, units, step) for size, units, step in sizes])
    if layer.mode in ("linear", "bilinear"):
        corners = bool(layer.align_corners)
        return _axis_by_axis(shape, [bilinear_upsampling(size, units, corners, step) for size, units, step in sizes])
    raise ModelError(f"{layer}: there is a matrix for nearest and bilinear upsampling alone.")


def _linear(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    _check_channels(shape[-1], layer.in_features)
    weight = scipy.sparse.csr_array(_numbers(layer.weight))
    rest = scipy.sparse.eye_array(math.prod(shape[:-1]))
    return scipy.sparse.kron(rest, weight, format="csr").astype(weight.dtype), (*shape[:-1], layer.out_features)


def _batch_norm(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    _check_channels(shape[0], layer.num_features)
    scale = torch.rsqrt(layer.running_var + layer.eps) * (1 if layer.weight is None else layer.weight.detach())
    return scipy.sparse.diags_array(np.repeat(_numbers(scale), math.prod(shape[1:]))).tocsr(), shape


def _identity(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    return scipy.sparse.eye_array(math.prod(shape)).tocsr(), shape


def _flatten(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    axes = len(shape) + 1  # with that of the batch, which torch counts
    first, last = layer.start_dim % axes - 1, layer.end_dim % axes - 1
    if first < 0:
        raise GeometryError("its first axis is that of the batch, which stays")
    return _identity(layer, shape)[0], (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


def _sequential(layer: Any, shape: Shape) -> tuple[Matrix, Shape]:
    matrix, output_shape = None, shape
    for part in layer:
        following, output_shape = matrix_of(part, output_shape)
        matrix = following if matrix is None else following @ matrix
    return (_identity(layer, shape)[0] if matrix is None else matrix), output_shape


_PADDINGS: dict[Any, str] = {
    (nn.ConstantPad1d, nn.ConstantPad2d): "zeros",
    (nn.ReflectionPad1d, nn.ReflectionPad2d): "reflect",
    (nn.ReplicationPad1d, nn.ReplicationPad2d): "replicate",
    (nn.CircularPad1d, nn.CircularPad2d): "circular",
}

BUILDERS: dict[type[nn.Module], Builder] = {
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.ConvTranspose1d: _transposed_convolution,
    nn.ConvTranspose2d: _transposed_convolution,
    Pad2d: _far_padding,
    nn.AvgPool1d: _average_pooling,
    nn.AvgPool2d: _average_pooling,
    nn.AdaptiveAvgPool1d: _adaptive_pooling,
    nn.AdaptiveAvgPool2d: _adaptive_pooling,
    **{kind: _padding for kinds in _PADDINGS for kind in kinds},
    nn.Upsample: _upsampling,
    nn.Linear: _linear,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Flatten: _flatten,
    nn.Identity: _identity,
    nn.Dropout: _identity,
    nn.Sequential: _sequential,
}

# Along how many axes layers slide, where their kind says it.
_AXES: dict[Any, int] = {
    (nn.Conv1d, nn.ConvTranspose1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d): 1,
    (nn.Conv2d, nn.ConvTranspose2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.BatchNorm2d, Pad2d): 2,
}
