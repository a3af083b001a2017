"""`maxpool`, `avgpool`, `fitpool`, `gap`: pooling."""

from __future__ import annotations

from typing import Any

from striate.errors import GeometryError
from striate.geometry import AdaptivePooling, Cost, Shape, sees
from striate.models.elements.sliding_windows import SlidingWindows, window_outputs
from striate.models.elements.spec import Effect, Element, float32_bytes


def pool(element: Element, shape: Shape) -> Effect:
    """Return the effect of pooling."""
    sliding = SlidingWindows(element, pools=True)
    axes = sliding.windows(shape)
    output = (shape[0], *window_outputs(axes, shape, "window"))
    cost = Cost(activation_bytes=float32_bytes(output) + sliding.padded_bytes(shape))
    return Effect(output=output, axes=axes, cost=cost)


def max_pool(element: Element, shape: Shape) -> Effect:
    """Return the effect of max pooling; raises GeometryError if a window would lie in padding with zeros alone."""
    effect = pool(element, shape)
    if element.option("mode", "zeros") == "zeros":
        windows = SlidingWindows(element, pools=True).windows(shape)
        for layers, size, count in zip(windows, shape[1:], effect.output[1:], strict=True):
            wide = max(max(layer.padding) for layer in layers) >= layers[-1].kernel
            if wide or sees(layers, count - 1, count - 1)[0] >= size:
                raise GeometryError(
                    "", "a window would lie in the padding alone, where there is no maximum", "pad less"
                )
    return effect


def pooling_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return the arguments of `builders.build_max_pooling` and `build_average_pooling`."""
    sliding = SlidingWindows(element, pools=True)
    return {
        "kernel_size": element.kernel,
        "stride": sliding.stride,
        "ceil_mode": element.option("ceil", "no") == "yes",
        **sliding.padding_arguments(),
    }


def pool_to_size(element: Element, shape: Shape) -> Effect:
    """Return the effect of average pooling to a given size."""
    down, across = (
        AdaptivePooling(size=size, outputs=outputs) for size, outputs in zip(shape[1:], element.kernel, strict=True)
    )
    output = (shape[0], *element.kernel)
    return Effect(output=output, axes=((down,), (across,)), cost=Cost(activation_bytes=float32_bytes(output)))


def size_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return the arguments of `torch.nn.AdaptiveAvgPool2d`."""
    return {"output_size": element.kernel}


def pool_globally(element: Element, shape: Shape) -> Effect:
    """Return the effect of global average pooling."""
    return Effect(output=shape[:1], axes=None, cost=Cost(activation_bytes=float32_bytes(shape[:1])))
