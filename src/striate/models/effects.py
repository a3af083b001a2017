"""What each kind of element does to an input: the shape that it gives, its geometry, its cost. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from striate.errors import GeometryError
from striate.geometry import (
    AdaptivePooling,
    Axis,
    Branches,
    Cost,
    Upsampling,
    Window,
    convolution_cost,
    linear_cost,
    output_size,
    same_padding,
    sees,
    transposed_windows,
)
from striate.models.notation import BLOCKS, Element, elements, pair_text, parse_line

Shape = tuple[int, ...]
Axes = tuple[tuple[Axis, ...], tuple[Axis, ...]]
Windows = tuple[tuple[Window, ...], tuple[Window, ...]]

NEITHER: Axes = ((), ())
_POINTWISE = ("relu", "relu6", "leakyrelu", "tanh", "sigmoid", "gelu", "silu", "dropout")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What an element does to an input of one shape.

    Attributes:
        output: the shape that it gives.
        axes: its geometry along the height and along the width; None where every unit sees the whole input.
        cost: for one image.
        notes: what a person should know of it.
    """

    output: Shape
    cost: Cost
    axes: Axes | None = NEITHER
    notes: tuple[str, ...] = ()


def effect_of(element: Element, shape: Shape) -> Effect:
    """Return what an element, `fc classes` excepted, does to an input; raises GeometryError where it does not fit."""
    wanted = _TAKES.get(element.kind, (1, 3))
    if len(shape) not in wanted:
        advice = "numbers: put flatten or gap before it" if wanted == (1,) else "feature maps: put it before flatten"
        raise GeometryError(f"{element.kind} takes {advice}")
    return EFFECTS[element.kind](element, shape)


def border(element: Element) -> tuple[bool, tuple[tuple[int, int], tuple[int, int]] | None]:
    """Return whether an element's padding needs a layer of its own, and how much it is; None stands for `same`.

    torch's convolutions and pooling add zeros of one number on both sides, pooling at most half a window.
    """
    mode, pools = element.option("mode", "zeros"), element.kind.endswith("pool")
    if element.option("pad", "0") == "same":
        dilations = element.pair("dilation", 1)
        uneven = any((kernel - 1) * d % 2 for kernel, d in zip(element.kernel, dilations, strict=True))
        return pools or uneven or mode != "zeros" or element.stride != (1, 1), None
    sides = element.sides
    uneven = any(before != after for before, after in sides)
    wide = pools and any(2 * max(pair) > kernel for pair, kernel in zip(sides, element.kernel, strict=True))
    return any(map(any, sides)) and (mode != "zeros" or uneven or wide), sides


def _bytes(shape: Shape) -> int:
    return 4 * math.prod(shape)


def _pointwise(element: Element, shape: Shape) -> Effect:
    return Effect(output=shape, cost=Cost(activation_bytes=_bytes(shape)))


def _windows(element: Element, shape: Shape) -> Windows:
    """Return the window of a convolution or pooling along height and width."""
    own_layer, sides = border(element)
    ceil = element.option("ceil", "no") == "yes"
    windows: list[tuple[Window, ...]] = []
    for axis, (size, kernel, stride) in enumerate(zip(shape[1:], element.kernel, element.stride, strict=True)):
        dilation = element.pair("dilation", 1)[axis]
        padding = sides[axis] if sides else same_padding(size, kernel, stride=stride, dilation=dilation)
        if ceil and own_layer:  # pooling counts such padding as input
            ahead = Window(kernel=1, padding=padding)
            windows.append((ahead, Window(kernel=kernel, stride=stride, dilation=dilation, ceil=True)))
        else:
            windows.append((Window(kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil=ceil),))
    return windows[0], windows[1]


def _sizes(windows: Windows, shape: Shape, what: str) -> tuple[int, int]:
    """Return the sizes behind windows; raises GeometryError with what would fit."""
    try:
        return output_size(windows[0], shape[1]), output_size(windows[1], shape[2])
    except GeometryError:
        padded = [sum(sum(window.padding) for window in layers) for layers in windows]
        least = [layers[-1].extent - pad for layers, pad in zip(windows, padded, strict=True)]
        padding = max(-(-(need - size + pad) // 2) for need, size, pad in zip(least, shape[1:], padded, strict=True))
        kernel = "x".join(str(layers[-1].kernel) for layers in windows)
        needs = "x".join(str(max(1, need)) for need in least)
        raise GeometryError(f"a {kernel} {what} needs {needs} or padding of {padding}") from None


def _weights_cost(element: Element, channels_in: int, places: tuple[int, ...]) -> Cost:
    """Return what a convolution's weights cost at so many places; raises GeometryError where groups do not divide."""
    groups, channels = element.groups, element.channels
    if channels_in % groups or channels % groups:
        raise GeometryError(f"groups (={groups}) must divide {channels_in} channels in and {channels} out")
    down, across = places
    return convolution_cost(channels_in, channels, element.kernel, (down, across), groups=groups, bias=element.bias)


def _convolution(element: Element, shape: Shape) -> Effect:
    axes = _windows(element, shape)
    output = _sizes(axes, shape, "kernel")
    cost = _weights_cost(element, shape[0], output) + Cost(activation_bytes=_padded_bytes(element, axes, shape))
    return Effect(output=(element.channels, *output), axes=axes, cost=cost)


def _padded_bytes(element: Element, windows: Windows, shape: Shape) -> int:
    """Return the size of the padded input where padding is a layer of its own."""
    if not border(element)[0]:
        return 0
    sides = [size + sum(layers[0].padding) for size, layers in zip(shape[1:], windows, strict=True)]
    return _bytes((shape[0], *sides))


def _pooling(element: Element, shape: Shape) -> Effect:
    axes = _windows(element, shape)
    output = _sizes(axes, shape, "window")
    if element.kind == "maxpool" and element.option("mode", "zeros") == "zeros":
        for layers, size, count in zip(axes, shape[1:], output, strict=True):
            wide = max(max(layer.padding) for layer in layers) >= layers[-1].kernel
            if wide or sees(layers, count - 1, count - 1)[0] >= size:
                raise GeometryError("a window would lie in the padding alone, where there is no maximum: pad less")
    cost = Cost(activation_bytes=_bytes((shape[0], *output)) + _padded_bytes(element, axes, shape))
    return Effect(output=(shape[0], *output), axes=axes, cost=cost)


def _transposed_convolution(element: Element, shape: Shape) -> Effect:
    down, across = transposed_windows(
        element.kernel, element.stride, element.sides, element.pair("outpad", 0), element.pair("dilation", 1)
    )
    for window in (down, across):
        if window.output_padding >= max(window.stride, window.dilation):
            raise GeometryError("outpad must be smaller than stride or dilation")
    output = (down.output_size(shape[1]), across.output_size(shape[2]))
    places = _weights_cost(element, shape[0], shape[1:])
    cost = Cost(places.parameters, places.macs, _bytes((element.channels, *output)))
    uneven = down.overlaps_unevenly or across.overlaps_unevenly
    return Effect(
        output=(element.channels, *output), axes=((down,), (across,)), cost=cost, notes=(CHECKERBOARD,) * uneven
    )


CHECKERBOARD = (
    "its kernel is no multiple of its stride: outputs overlap unevenly, which draws checkerboards "
    "(Odena et al. 2016); take such a kernel, or up and conv"
)


def _upsampling(element: Element, shape: Shape) -> Effect:
    bilinear = element.option("mode", "nearest") == "bilinear"
    down, across = (Upsampling(factor=factor, bilinear=bilinear) for factor in element.kernel)
    output = (shape[0], down.output_size(shape[1]), across.output_size(shape[2]))
    return Effect(output=output, axes=((down,), (across,)), cost=Cost(activation_bytes=_bytes(output)))


def _fitted_pooling(element: Element, shape: Shape) -> Effect:
    down, across = (
        AdaptivePooling(size=size, outputs=wanted) for size, wanted in zip(shape[1:], element.kernel, strict=True)
    )
    output = (shape[0], *element.kernel)
    return Effect(output=output, axes=((down,), (across,)), cost=Cost(activation_bytes=_bytes(output)))


def _global_pooling(element: Element, shape: Shape) -> Effect:
    return Effect(output=shape[:1], axes=None, cost=Cost(activation_bytes=_bytes(shape[:1])))


def _batch_norm(element: Element, shape: Shape) -> Effect:
    return Effect(output=shape, cost=Cost(parameters=2 * shape[0], activation_bytes=_bytes(shape)))


def _flatten(element: Element, shape: Shape) -> Effect:
    return Effect(output=(math.prod(shape),), cost=Cost())  # a view: it takes no memory


def _fully_connected(element: Element, shape: Shape) -> Effect:
    return Effect(output=(element.channels,), axes=None, cost=linear_cost(shape[0], element.channels))


def _chain(line: Iterable[Element], shape: Shape) -> Effect:
    """Return the effect of elements one after the other."""
    down: tuple[Axis, ...] = ()
    across: tuple[Axis, ...] = ()
    cost = Cost()
    for element in line:
        effect = effect_of(element, shape)
        assert effect.axes is not None
        down, across = down + effect.axes[0], across + effect.axes[1]
        cost, shape = cost + effect.cost, effect.output
    return Effect(output=shape, axes=(down, across), cost=cost)


def _join(long: Effect, short: Effect) -> Effect:
    """Return the effect of two ways that are added up."""
    assert long.axes is not None
    assert short.axes is not None
    assert long.output == short.output
    down, across = (Branches((one, other)) for one, other in zip(long.axes, short.axes, strict=True))
    return Effect(
        output=long.output,
        axes=((down,), (across,)),
        cost=long.cost + short.cost + Cost(activation_bytes=_bytes(long.output)),
    )


def _block(element: Element, shape: Shape, way: str, channels: int) -> Effect:
    """Return the effect of a residual block: a way, a shortcut where the shape changes, their sum, an activation."""
    stride = element.option("stride", "1")
    long = _chain((inner for _, inner in elements(parse_line(way.format(stride=stride)))), shape)
    if shape[0] == channels and element.stride == (1, 1):
        short = _chain((), shape)
    elif element.option("shortcut", "conv") == "conv":
        projection = f"conv {channels}@1x1 stride={stride} bias=no | bn"
        short = _chain((inner for _, inner in elements(parse_line(projection))), shape)
    elif channels < shape[0]:
        raise GeometryError(f"shortcut=pad adds channels and takes none away: at least {shape[0]} must come out")
    else:
        down, across = (Window(kernel=1, stride=step) for step in element.stride)
        short = Effect(output=long.output, axes=((down,), (across,)), cost=Cost(activation_bytes=_bytes(long.output)))
    joined = _join(long, short)
    return replace(joined, cost=joined.cost + Cost(activation_bytes=_bytes(joined.output)))  # the activation


def _basic_block(element: Element, shape: Shape) -> Effect:
    c = element.channels
    way = f"conv {c}@3x3 stride={{stride}} pad=1 bias=no | bn | relu | conv {c}@3x3 pad=1 bias=no | bn"
    return _block(element, shape, way, c)


def _bottleneck(element: Element, shape: Shape) -> Effect:
    c = element.channels
    way = (
        f"conv {c}@1x1 bias=no | bn | relu | conv {c}@3x3 stride={{stride}} pad=1 bias=no | bn | relu | "
        f"conv {4 * c}@1x1 bias=no | bn"
    )
    return _block(element, shape, way, 4 * c)


def _inverted_residual(element: Element, shape: Shape) -> Effect:
    c, kernel, stride = element.channels, pair_text(*element.kernel), element.option("stride", "1")
    expand = int(element.option("expand", "6"))
    inside = expand * shape[0]
    widen = f"conv {inside}@1x1 bias=no | bn | relu6 | " if expand > 1 else ""
    way = (
        f"{widen}conv {inside}@{kernel} stride={stride} pad=same groups={inside} bias=no | bn | relu6 | "
        f"conv {c}@1x1 bias=no | bn"
    )
    long = _chain((inner for _, inner in elements(parse_line(way))), shape)
    same_shape = shape[0] == c and element.stride == (1, 1)
    return _join(long, _chain((), shape)) if same_shape else long


EFFECTS: dict[str, Callable[[Element, Shape], Effect]] = {
    "conv": _convolution,
    "deconv": _transposed_convolution,
    "up": _upsampling,
    "maxpool": _pooling,
    "avgpool": _pooling,
    "fitpool": _fitted_pooling,
    "gap": _global_pooling,
    "res": _basic_block,
    "bottleneck": _bottleneck,
    "mbconv": _inverted_residual,
    "bn": _batch_norm,
    "flatten": _flatten,
    "fc": _fully_connected,
    **dict.fromkeys(_POINTWISE, _pointwise),
}

# How many axes an input has: of those not listed, either.
_TAKES = {
    **dict.fromkeys(("conv", "deconv", "up", "maxpool", "avgpool", "fitpool", "gap", *BLOCKS), (3,)),
    "fc": (1,),
}
