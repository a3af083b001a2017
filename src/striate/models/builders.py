"""Modules of elements: `build_element`, and what builds the elements that are no single class of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from torch import nn

from striate.geometry import Shape
from striate.layers.padding import Pad2d, SamePad2d
from striate.layers.residual import ResidualBlock
from striate.models.effects import effect_of
from striate.models.elements import spec_of
from striate.models.elements.spec import Block, Element
from striate.models.notation import parse_block_chain
from striate.models.plan import number_kinds

Pair = tuple[int, int]


def build_element(element: Element | str, shape: Shape) -> nn.Module:
    """Build the module of an element, with torch's own initialisation.

    Args:
        element: An element of the notation, such as `res 128 stride=2`.
        shape: Shape of its input: [channels, height, width], or [features].

    Raises:
        ModelError: it is not in the notation, or the input does not fit.

    >>> build_element("fc 5", (3,))
    Linear(in_features=3, out_features=5, bias=True)
    """
    if isinstance(element, str):
        (element,) = parse_block_chain(element)
        effect_of(element, shape)  # says what does not fit
    spec = spec_of(element)
    if spec.block:
        return _build_block(spec.block(element, shape), shape)
    module: nn.Module = resolve_name(spec.builder)(**spec.arguments(element, shape))
    return module


def _build_block(block: Block, shape: Shape) -> ResidualBlock:
    """Build a block of its chain, its shortcut and its activation."""
    elements = parse_block_chain(block.chain)
    names, input_shape = iter(block.names), shape
    layers: dict[str, nn.Module] = {}
    for element, kind in zip(elements, number_kinds([element.kind for element in elements]), strict=True):
        effect = effect_of(element, shape)
        *padding, layer = _split_padding(build_element(element, shape))
        name = next(names) if effect.cost.parameters else kind
        layers |= {f"{name}_pad": layer for layer in padding}
        layers[name], shape = layer, effect.output
    shortcut = None if block.shortcut is None else _build_chain(block.shortcut, input_shape)
    return ResidualBlock(layers, shortcut, _build_chain(block.activation, shape) if block.activation else None)


def _split_padding(module: nn.Module) -> tuple[nn.Module, ...]:
    """Return a layer by itself, as published weights have the layers of a block, after its padding if it has any.

    Padding `same` is always a layer: gradients of torch's own differ from it in the last bit.
    """
    if isinstance(module, nn.Sequential) and isinstance(module[0], Pad2d):
        return module[0], module[1]
    if isinstance(module, nn.Conv2d) and module.padding == "same":
        kernel, stride, dilation = (_two(sizes) for sizes in (module.kernel_size, module.stride, module.dilation))
        module.padding = (0, 0)
        return SamePad2d(kernel, stride, dilation), module
    return (module,)


def _two(sizes: tuple[int, ...]) -> Pair:
    height, width = sizes
    return height, width


def _build_chain(line: str, shape: Shape) -> nn.Module:
    """Build elements one after the other; of none the identity."""
    modules = []
    for element in parse_block_chain(line):
        modules.append(build_element(element, shape))
        shape = effect_of(element, shape).output
    if len(modules) == 1:
        return modules[0]
    return nn.Sequential(*modules) if modules else nn.Identity()


def build_convolution(*, padding: Pair | str | int, pad_layer: Mapping[str, Any] | None, **options: Any) -> nn.Module:
    """Build a convolution, with a layer before it for padding that torch's lacks.

    Args:
        padding: As for `torch.nn.Conv2d`.
        pad_layer: `sides` (None for `same`) and `mode` of the layer before it, if there must be one.
        options: Other options of `torch.nn.Conv2d`.
    """
    layer = nn.Conv2d(padding=padding, **options)
    if pad_layer is None:
        return layer
    return nn.Sequential(
        _build_padding(pad_layer, options["kernel_size"], options["stride"], options["dilation"]), layer
    )


def build_max_pooling(*, padding: Pair | str | int, pad_layer: Mapping[str, Any] | None, **options: Any) -> nn.Module:
    """Build max pooling, with a layer before it for padding that torch's lacks; zeros of the padding never win."""
    layer = nn.MaxPool2d(padding=padding, **options)  # type: ignore[arg-type]  # `same` is always a layer of its own
    return nn.Sequential(_pooling_padding(pad_layer, options, fill=-math.inf), layer) if pad_layer else layer


def build_average_pooling(
    *, padding: Pair | str | int, pad_layer: Mapping[str, Any] | None, **options: Any
) -> nn.Module:
    """Build average pooling, with a layer before it for padding that torch's lacks; the padding counts."""
    layer = nn.AvgPool2d(padding=padding, **options)  # type: ignore[arg-type]
    return nn.Sequential(_pooling_padding(pad_layer, options), layer) if pad_layer else layer


def build_global_pooling() -> nn.Module:
    """Build the mean of each feature map, as a vector."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def build_batch_norm(features: int, axes: int, eps: float) -> nn.Module:
    """Build batch norm for feature maps, or for vectors."""
    return (nn.BatchNorm2d if axes == 3 else nn.BatchNorm1d)(features, eps=eps)


def _pooling_padding(pad_layer: Mapping[str, Any], options: Mapping[str, Any], fill: float = 0.0) -> Pad2d:
    return _build_padding(pad_layer, options["kernel_size"], options["stride"], (1, 1), fill)


def _build_padding(
    pad_layer: Mapping[str, Any], kernel: Pair, stride: Pair, dilation: Pair, fill: float = 0.0
) -> Pad2d:
    sides, mode = pad_layer["sides"], pad_layer["mode"]
    if sides is None:
        return SamePad2d(kernel, stride, dilation, mode, fill=fill)
    return Pad2d(sides, mode, fill=fill)
