"""A plan in numbers and words: what `striate inspect` shows."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from striate.geometry import AdaptivePooling, ReceptiveField, TransposedWindow, Upsampling, Window
from striate.models.elements import spec_of
from striate.models.elements.spec import pair_text
from striate.models.plan import Plan, PlannedLayer, unbranched


def summarise_plan(plan: Plan) -> dict[str, Any]:
    """Return what `striate inspect --json` prints: a JSON object.

    Its `layers` are one an element, in order. `receptive_field` and `jump` are in pixels of the input: a
    number, or [down, across] where the two differ, or null where every unit sees all of the image.

    >>> from striate.models import plan_network
    >>> summarise_plan(plan_network("vgg16"))["layers"][30]["receptive_field"]
    212
    """
    cost = plan.cost
    return {
        "line": plan.line,
        "input": list(plan.input),
        "layers": [
            {
                "name": layer.name,
                "kind": layer.element.kind,
                "element": str(layer.element),
                "output_shape": list(layer.output),
                "parameters": layer.effect.cost.parameters,
                "macs": layer.effect.cost.macs,
                "receptive_field": field and _both(field[0].size, field[1].size),
                "jump": field and _both(_number(field[0].jump), _number(field[1].jump)),
            }
            for layer, field in zip(plan.layers, plan.receptive_fields(), strict=True)
        ],
        "parameters": cost.parameters,
        "macs": cost.macs,
        "activation_bytes": cost.activation_bytes,
        "notes": plan.notes(),
    }


def layer_table(plan: Plan) -> tuple[list[str], list[list[str | int | None]]]:
    """Return a header and a row for each element."""
    header = ["layer", "element", "kernel / stride / padding", "output", "parameters", "MACs", "sees"]
    rows = [
        [
            layer.name,
            _plainly(layer),
            window_text(layer),
            "x".join(map(str, layer.output)),
            layer.effect.cost.parameters or None,
            layer.effect.cost.macs or None,
            _sees(field),
        ]
        for layer, field in zip(plan.layers, plan.receptive_fields(), strict=True)
    ]
    return header, rows


def _plainly(layer: PlannedLayer) -> str:
    """Write an element without what its window says."""
    options = [f"{name}={value}" for name, value in layer.element.options if name not in ("stride", "pad")]
    return " ".join([layer.element.kind, layer.element.argument.partition("@")[0], *options]).replace("  ", " ").strip()


def window_text(layer: PlannedLayer) -> str:
    """Write an element's window: kernel / stride / padding.

    Of a residual block: the kernels of its convolutions, the stride of all together, and the padding of
    the largest.
    """
    down, across = (unbranched(layers) for layers in layer.effect.axes or ((), ()))
    if not down:
        return ""
    if isinstance(down[0], Upsampling) and isinstance(across[0], Upsampling):
        return f"times {pair_text(down[0].factor, across[0].factor)}"
    if isinstance(down[0], AdaptivePooling):
        return f"to {layer.element.argument}"
    slides = [
        (one, other)
        for one, other in zip(down, across, strict=True)
        if isinstance(one, Window | TransposedWindow) and isinstance(other, Window | TransposedWindow)
    ]
    if spec_of(layer.element).role == "pooling":
        padding = [tuple(map(sum, zip(*(w.padding for w in axis), strict=True))) for axis in zip(*slides, strict=True)]
        slides = slides[-1:]  # what comes before it is its padding
    else:
        padding = [window.padding for window in max(slides, key=lambda pair: pair[0].kernel * pair[1].kernel)]
    kernels = " ".join(f"{one.kernel}x{other.kernel}" for one, other in slides)
    strides = [math.prod(pair[axis].stride for pair in slides) for axis in (0, 1)]
    return f"{kernels} / {pair_text(*strides)} / {_sides(padding[0], padding[1])}"


def _sides(rows: tuple[int, ...], columns: tuple[int, ...]) -> str:
    """Write padding as the notation does: `1`, `2x1`, or `before:after`."""
    before, after = pair_text(rows[0], columns[0]), pair_text(rows[1], columns[1])
    return before if before == after else f"{before}:{after}"


def _sees(field: tuple[ReceptiveField, ReceptiveField] | None) -> str:
    return pair_text(field[0].size, field[1].size) if field else "all"


def _both(down: int | float, across: int | float) -> int | float | list[int | float]:
    return down if down == across else [down, across]


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
