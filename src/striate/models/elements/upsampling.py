"""`up`: upsampling by a whole factor."""

from __future__ import annotations

from typing import Any

from striate.geometry import Cost, Shape, Upsampling
from striate.models.elements.spec import Effect, Element, float32_bytes


def upsample(element: Element, shape: Shape) -> Effect:
    """Return the effect of upsampling."""
    bilinear = element.option("mode", "nearest") == "bilinear"
    down, across = (Upsampling(factor=factor, bilinear=bilinear) for factor in element.kernel)
    output = (shape[0], down.output_size(shape[1]), across.output_size(shape[2]))
    return Effect(output=output, axes=((down,), (across,)), cost=Cost(activation_bytes=float32_bytes(output)))


def upsampling_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return the arguments of `torch.nn.Upsample`."""
    return {"scale_factor": element.kernel, "mode": element.option("mode", "nearest")}
