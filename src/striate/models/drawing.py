"""A network drawn as papers draw them: feature maps as stacked sheets, to scale, from left to right."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from itertools import groupby

from striate.geometry import AdaptivePooling, Axis, Shape, TransposedWindow, Window
from striate.models.elements import spec_of
from striate.models.elements.spec import pair_text
from striate.models.plan import Plan, PlannedLayer, unbranched

_TALLEST = 150.0  # the tallest sheet
_GAP = 34.0  # between stacks
_MARGIN = 20.0
_CHARACTER = 6.3  # width of one, about
_COLOURS = {
    "input": "#d9d9d9",
    "convolution": "#a6cee3",
    "upsampling": "#b2df8a",
    "pooling": "#fdd0a2",
    "block": "#c7b9e2",
    "linear": "#f4b6c2",
}


@dataclass(frozen=True)
class _Stack:
    """A stack of feature maps, or a vector."""

    role: str  # of its element, or "input"
    shape: Shape
    label: str
    kernel: tuple[int, int] | None = None  # of the window that looks at the stack before it


def draw_network(plan: Plan) -> str:
    """Draw a network as a page of SVG.

    Heights and widths of the sheets are to scale. Up to eight channels, each is a sheet; beyond that their
    number grows slower than that of the channels. The length of a vector's bar is logarithmic.
    """
    stacks = [_Stack("input", plan.input, "input"), *_stacks(plan)]
    scale = _TALLEST / max(max(stack.shape[1:]) for stack in stacks if len(stack.shape) == 3)
    tops = [_extent(stack.shape, scale) for stack in stacks]
    highest = max(height for _, height in tops)
    middle = _MARGIN + 24 + highest / 2
    parts: list[str] = []
    x, before = _MARGIN, None
    for stack, (width, _) in zip(stacks, tops, strict=True):
        texts = (_size_text(stack.shape), *stack.label.split("\n"))
        column = max(width, *(len(text) * _CHARACTER for text in texts))
        left = x + (column - width) / 2
        if before:
            parts += _lines(before, stack, left, middle, scale)
        parts += _sheets(stack, left, middle, scale) if len(stack.shape) == 3 else [_bar(stack, left, middle)]
        centre = x + column / 2
        parts.append(_text(centre, _MARGIN + 10, texts[0], bold=True))
        parts += [_text(centre, middle + highest / 2 + 22 + 14 * line, text) for line, text in enumerate(texts[1:])]
        before = (stack, left)
        x += column + _GAP
    cost = plan.cost
    bottom = middle + highest / 2 + 22 + 14 * max(stack.label.count("\n") for stack in stacks) + 30
    summary = f"{cost.parameters:,} parameters, {cost.macs:,} multiply-accumulates an image"
    parts.append(f'<text stroke="none" x="{_MARGIN}" y="{bottom:.0f}" fill="#666">{summary}</text>')
    wide = max(x - _GAP + _MARGIN, len(summary) * _CHARACTER + 2 * _MARGIN)
    return _page(wide, bottom + _MARGIN, parts)


def _stacks(plan: Plan) -> Iterable[_Stack]:
    """Yield what is drawn: elements that make feature maps, equal ones next to each other together."""
    drawn = [
        layer
        for layer in plan.layers
        if spec_of(layer.element).role and not (_fits_size(layer) and layer.output == layer.input)
    ]
    for (kind, shape), layers in groupby(drawn, key=lambda layer: (layer.element.kind, layer.output)):
        group = list(layers)
        kernel, role = _window(group[0]), spec_of(group[0].element).role
        words = [kind, *([f"{kernel[0]}x{kernel[1]}"] if kernel and role != "block" else [])]
        more = [*_stride(group[0]), *([f"×{len(group)}"] if len(group) > 1 else [])]
        yield _Stack(role, shape, f"{' '.join(words)}\n{' '.join(more)}".rstrip(), kernel)


def _fits_size(layer: PlannedLayer) -> bool:
    """Tell whether a layer pools to a given size, whatever arrives."""
    return any(isinstance(axis, AdaptivePooling) for axes in layer.effect.axes or () for axis in axes)


def _window(layer: PlannedLayer) -> tuple[int, int] | None:
    """Return the height and width of the largest window that an element looks through, if it has one."""
    down, across = ([_kernel(axis) for axis in unbranched(layers)] for layers in layer.effect.axes or ((), ()))
    return max(zip(down, across, strict=True), default=None) if all([*down, *across]) else None


def _kernel(axis: Axis) -> int:
    return axis.kernel if isinstance(axis, Window | TransposedWindow) else 0


def _stride(layer: PlannedLayer) -> list[str]:
    """Write by how much an element changes the resolution: `/2`, or `times 2`."""
    axes = layer.effect.axes
    if not axes or _fits_size(layer):
        return []
    down, across = (math.prod((layer.step for layer in layers), start=Fraction(1)) for layers in axes)
    if down == across == 1:
        return []
    if down < 1 or across < 1:
        return [f"times {pair_text(1 / down, 1 / across)}"]
    return [f"/{pair_text(down, across)}"]


def _sheet_count(channels: int) -> int:
    return channels if channels <= 8 else round(8 * (channels / 8) ** 0.3)


def _extent(shape: Shape, scale: float) -> tuple[float, float]:
    """Return width and height of a stack on the page."""
    if len(shape) == 1:
        return 12.0, _bar_length(shape[0])
    depth = 3.0 * (_sheet_count(shape[0]) - 1)
    width, height = _sheet(shape, scale)
    return width + depth, height + depth / 2


def _sheet(shape: Shape, scale: float) -> tuple[float, float]:
    """Return width and height of one sheet: to scale, as long as it can be seen."""
    return max(2.0, shape[2] * scale), max(2.0, shape[1] * scale)


def _sheets(stack: _Stack, left: float, middle: float, scale: float) -> list[str]:
    """Draw sheets from the hindmost, above and to the right, to the foremost."""
    width, height = _sheet(stack.shape, scale)
    count = _sheet_count(stack.shape[0])
    top = middle - _extent(stack.shape, scale)[1] / 2
    return [
        f'<rect x="{left + 3 * place:.1f}" y="{top + 1.5 * (count - 1 - place):.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" fill="{_COLOURS[stack.role]}"/>'
        for place in reversed(range(count))
    ]


def _front(stack: _Stack, left: float, middle: float, scale: float) -> tuple[float, float, float, float]:
    """Return left, top, width and height of the foremost sheet."""
    width, height = _sheet(stack.shape, scale)
    bottom = middle + _extent(stack.shape, scale)[1] / 2
    return left, bottom - height, width, height


def _lines(before: tuple[_Stack, float], stack: _Stack, left: float, middle: float, scale: float) -> list[str]:
    """Draw the window on the foremost sheet before, and lines from it to the unit that it makes."""
    source, source_left = before
    if not stack.kernel or len(source.shape) == 1:
        return []
    x, y, width, height = _front(source, source_left, middle, scale)
    window = min(height, stack.kernel[0] * scale), min(width, stack.kernel[1] * scale)
    box_x, box_y = x + 0.62 * (width - window[1]), y + 0.62 * (height - window[0])
    to_x, to_y, to_width, to_height = _front(stack, left, middle, scale)
    target = to_x + 0.3 * to_width, to_y + 0.4 * to_height
    return [
        f'<rect x="{box_x:.1f}" y="{box_y:.1f}" width="{window[1]:.1f}" height="{window[0]:.1f}" fill="none" '
        'stroke="#c0392b"/>',
        *(
            f'<line x1="{box_x + window[1]:.1f}" y1="{corner:.1f}" x2="{target[0]:.1f}" y2="{target[1]:.1f}" '
            'stroke="#c0392b" stroke-dasharray="3 2"/>'
            for corner in (box_y, box_y + window[0])
        ),
    ]


def _bar_length(numbers: int) -> float:
    return 10 + 24 * math.log10(numbers)


def _bar(stack: _Stack, left: float, middle: float) -> str:
    length = _bar_length(stack.shape[0])
    return (
        f'<rect x="{left:.1f}" y="{middle - length / 2:.1f}" width="12" height="{length:.1f}" '
        f'fill="{_COLOURS[stack.role]}"/>'
    )


def _size_text(shape: Shape) -> str:
    """Write a shape as LeCun does: maps@height x width."""
    return f"{shape[0]}@{shape[1]}x{shape[2]}" if len(shape) == 3 else str(shape[0])


def _text(x: float, y: float, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text stroke="none" x="{x:.1f}" y="{y:.1f}" text-anchor="middle"{weight}>{escape(text)}</text>'


def _page(width: float, height: float, parts: list[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n<g stroke="#444" stroke-width="0.6">\n'
        f"{body}\n</g>\n</svg>\n"
    )
