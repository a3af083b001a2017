"""What convolution and pooling share: windows that slide over a padded input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from striate.errors import GeometryError
from striate.geometry import Shape, Window, output_size, same_padding
from striate.models.elements.spec import Element, float32_bytes

Windows = tuple[tuple[Window, ...], tuple[Window, ...]]


@dataclass(frozen=True)
class SlidingWindows:
    """The windows of an element and their padding.

    Attributes:
        element: The element.
        pools: Whether it pools. The stride of pooling is its kernel, if none is written.
    """

    element: Element
    pools: bool = False

    @property
    def stride(self) -> tuple[int, int]:
        """Stride, height first."""
        return self.element.pair("stride", self.element.argument if self.pools else 1)

    @property
    def sides(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Padding above and below, left and right; None for `same`."""
        return None if self.element.option("pad", "0") == "same" else self.element.sides

    @property
    def pads_separately(self) -> bool:
        """Whether the padding needs a layer of its own.

        torch's convolutions and pooling add zeros, the same number on both sides; pooling at most half a window.
        """
        element, other_mode = self.element, self.element.option("mode", "zeros") != "zeros"
        if self.sides is None:
            dilations = element.pair("dilation", 1)
            odd = any((kernel - 1) * d % 2 for kernel, d in zip(element.kernel, dilations, strict=True))
            return self.pools or odd or other_mode or self.stride != (1, 1)
        uneven = any(before != after for before, after in self.sides)
        wide = any(2 * max(pair) > kernel for pair, kernel in zip(self.sides, element.kernel, strict=True))
        return any(map(any, self.sides)) and (other_mode or uneven or (self.pools and wide))

    def windows(self, shape: Shape) -> Windows:
        """Return the windows over an input along height and width."""
        element, ceil = self.element, self.element.option("ceil", "no") == "yes"
        windows: list[tuple[Window, ...]] = []
        for axis, (size, kernel, stride) in enumerate(zip(shape[1:], element.kernel, self.stride, strict=True)):
            dilation = element.pair("dilation", 1)[axis]
            padding = self.sides[axis] if self.sides else same_padding(size, kernel, stride=stride, dilation=dilation)
            if ceil and self.pads_separately:  # pooling counts such padding as input
                ahead = Window(kernel=1, padding=padding)
                windows.append((ahead, Window(kernel=kernel, stride=stride, dilation=dilation, ceil=True)))
            else:
                windows.append((Window(kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil=ceil),))
        return windows[0], windows[1]

    def padded_bytes(self, shape: Shape) -> int:
        """Return the size of the padded input in float32, if the padding is a layer of its own, else 0."""
        if not self.pads_separately:
            return 0
        sides = [size + sum(layers[0].padding) for size, layers in zip(shape[1:], self.windows(shape), strict=True)]
        return float32_bytes((shape[0], *sides))

    def padding_arguments(self) -> dict[str, Any]:
        """Return a builder's arguments: `padding` of the layer itself, `pad_layer` of the one before it or None."""
        if self.pads_separately:
            return {"padding": 0, "pad_layer": {"sides": self.sides, "mode": self.element.option("mode", "zeros")}}
        return {"padding": "same" if self.sides is None else tuple(s[0] for s in self.sides), "pad_layer": None}


def window_outputs(windows: Windows, shape: Shape, noun: str) -> tuple[int, int]:
    """Return the output's height and width; raises GeometryError that says what would fit."""
    try:
        return output_size(windows[0], shape[1]), output_size(windows[1], shape[2])
    except GeometryError:
        padded = [sum(sum(window.padding) for window in layers) for layers in windows]
        least = [layers[-1].extent - pad for layers, pad in zip(windows, padded, strict=True)]
        padding = max(-(-(need - size + pad) // 2) for need, size, pad in zip(least, shape[1:], padded, strict=True))
        kernel = "x".join(str(layers[-1].kernel) for layers in windows)
        needs = "x".join(str(max(1, need)) for need in least)
        raise GeometryError(
            "", f"a {kernel} {noun} does not fit", f"it needs {needs} or padding of {padding}"
        ) from None
