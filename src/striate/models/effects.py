"""What an element does to an input: of a layer as its row says, of a block as its chain of elements does. No torch."""

from __future__ import annotations

from dataclasses import replace

from striate.errors import GeometryError
from striate.geometry import Axis, Branches, Cost, Shape
from striate.models.elements import spec_of
from striate.models.elements.spec import Block, Effect, Element, float32_bytes
from striate.models.notation import parse_block_chain


def effect_of(element: Element, shape: Shape) -> Effect:
    """Return what an element, `fc classes` excepted, does to an input; raises GeometryError if it does not fit."""
    spec = spec_of(element)
    if len(shape) not in spec.axes:
        advice = (
            ("numbers", "put flatten or gap before it")
            if spec.axes == (1,)
            else ("feature maps", "put it before flatten")
        )
        raise GeometryError("", f"{element.kind} takes {advice[0]}", advice[1])
    if spec.block:
        return block_effect(spec.block(element, shape), shape)
    assert spec.effect
    return spec.effect(element, shape)


def block_effect(block: Block, shape: Shape) -> Effect:
    """Return the effect of a block: of its chain, of the sum with its shortcut, and of the activation after it."""
    effect = _chain_effect(block.chain, shape)
    if block.shortcut is not None:
        effect = _sum_effect(effect, _chain_effect(block.shortcut, shape))
    if block.activation:
        effect = replace(effect, cost=effect.cost + _chain_effect(block.activation, effect.output).cost)
    return effect


def _chain_effect(line: str, shape: Shape) -> Effect:
    """Return the effect of elements, one after the other."""
    down: tuple[Axis, ...] = ()
    across: tuple[Axis, ...] = ()
    cost = Cost()
    for element in parse_block_chain(line):
        effect = effect_of(element, shape)
        assert effect.axes is not None
        down, across = down + effect.axes[0], across + effect.axes[1]
        cost, shape = cost + effect.cost, effect.output
    return Effect(output=shape, axes=(down, across), cost=cost)


def _sum_effect(residual: Effect, shortcut: Effect) -> Effect:
    """Return the effect of two branches whose outputs are added."""
    assert residual.axes is not None
    assert shortcut.axes is not None
    assert residual.output == shortcut.output
    down, across = (Branches(branches) for branches in zip(residual.axes, shortcut.axes, strict=True))
    cost = residual.cost + shortcut.cost + Cost(activation_bytes=float32_bytes(residual.output))
    return Effect(output=residual.output, axes=((down,), (across,)), cost=cost)
