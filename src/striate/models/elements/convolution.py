"""`conv`, `deconv`: convolution and transposed convolution."""

from __future__ import annotations

from typing import Any

from striate.errors import GeometryError
from striate.geometry import Cost, Shape, convolution_cost, transposed_windows
from striate.models.elements.sliding_windows import SlidingWindows, window_outputs
from striate.models.elements.spec import Effect, Element, float32_bytes

UNEVEN_OVERLAP = (
    "its kernel is no multiple of its stride: outputs overlap unevenly, which draws checkerboards "
    "(Odena et al. 2016); take such a kernel, or up and conv"
)


def convolve(element: Element, shape: Shape) -> Effect:
    """Return the effect of a convolution."""
    sliding = SlidingWindows(element)
    axes = sliding.windows(shape)
    output = window_outputs(axes, shape, "kernel")
    cost = _weights_cost(element, shape[0], output) + Cost(activation_bytes=sliding.padded_bytes(shape))
    return Effect(output=(element.channels, *output), axes=axes, cost=cost)


def convolution_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return the arguments of `builders.build_convolution`."""
    return {
        "in_channels": shape[0],
        "out_channels": element.channels,
        "kernel_size": element.kernel,
        "stride": element.stride,
        "dilation": element.pair("dilation", 1),
        "groups": element.groups,
        "bias": element.bias,
        **SlidingWindows(element).padding_arguments(),
    }


def convolve_transposed(element: Element, shape: Shape) -> Effect:
    """Return the effect of a transposed convolution."""
    down, across = transposed_windows(
        element.kernel, element.stride, element.sides, element.pair("outpad", 0), element.pair("dilation", 1)
    )
    for window in (down, across):
        if window.output_padding >= max(window.stride, window.dilation):
            raise GeometryError("", "outpad must be smaller than stride or dilation")
    output = (element.channels, down.output_size(shape[1]), across.output_size(shape[2]))
    weights = _weights_cost(element, shape[0], (shape[1], shape[2]))  # each weight is used at each input position
    cost = Cost(weights.parameters, weights.macs, float32_bytes(output))
    uneven = down.overlaps_unevenly or across.overlaps_unevenly
    return Effect(output=output, axes=((down,), (across,)), cost=cost, notes=(UNEVEN_OVERLAP,) * uneven)


def transposed_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return the arguments of `layers.ConvTranspose2d`."""
    return {
        "channels_in": shape[0],
        "channels": element.channels,
        "kernel": element.kernel,
        "stride": element.stride,
        "sides": element.sides,
        "mode": element.option("mode", "zeros"),
        "output_padding": element.pair("outpad", 0),
        "dilation": element.pair("dilation", 1),
        "groups": element.groups,
        "bias": element.bias,
    }


def _weights_cost(element: Element, channels_in: int, positions: tuple[int, int]) -> Cost:
    """Return the cost of a convolution's weights at so many positions; raises GeometryError if groups do not divide."""
    groups, channels = element.groups, element.channels
    if channels_in % groups or channels % groups:
        raise GeometryError("", f"groups (={groups}) must divide {channels_in} channels in and {channels} out")
    return convolution_cost(channels_in, channels, element.kernel, positions, groups=groups, bias=element.bias)
