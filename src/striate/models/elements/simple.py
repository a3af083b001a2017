"""`bn`, `flatten`, `fc`, `dropout` and the activations: elements without windows."""

from __future__ import annotations

import math
from typing import Any

from striate.geometry import Cost, Shape, linear_cost
from striate.models.elements.spec import Effect, Element, float32_bytes


def keep_shape(element: Element, shape: Shape) -> Effect:
    """Return the effect of what acts on each number by itself, without weights."""
    return Effect(output=shape, cost=Cost(activation_bytes=float32_bytes(shape)))


def normalise_batch(element: Element, shape: Shape) -> Effect:
    """Return the effect of batch norm: a scale and a shift for each channel."""
    return Effect(output=shape, cost=Cost(parameters=2 * shape[0], activation_bytes=float32_bytes(shape)))


def norm_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return the arguments of `builders.build_batch_norm`."""
    return {"features": shape[0], "axes": len(shape), "eps": float(element.option("eps", "0.00001"))}


def flatten(element: Element, shape: Shape) -> Effect:
    """Return the effect of flattening: a view, which takes no memory."""
    return Effect(output=(math.prod(shape),), cost=Cost())


def connect_fully(element: Element, shape: Shape) -> Effect:
    """Return the effect of a fully connected layer."""
    return Effect(output=(element.channels,), axes=None, cost=linear_cost(shape[0], element.channels))


def linear_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return the arguments of `torch.nn.Linear`."""
    return {"in_features": shape[0], "out_features": element.channels}


def dropout_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return the arguments of `torch.nn.Dropout`."""
    return {"p": float(element.argument)}
