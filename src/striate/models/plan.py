"""What a line makes of an input: shapes, names, receptive fields and cost, element by element. No torch.

>>> layers = plan_line("conv 6@5x5 | tanh | avgpool 2 | flatten | fc classes", (1, 28, 28), classes=10).layers
>>> [(layer.name, layer.output) for layer in layers[2:]]
[('features.2', (6, 12, 12)), ('flatten', (864,)), ('classifier.0', (10,))]
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce

from striate.errors import GeometryError, ModelError
from striate.geometry import Axis, Branches, Cost, ReceptiveField, Shape, receptive_field
from striate.models.effects import effect_of
from striate.models.elements import spec_of
from striate.models.elements.spec import NO_AXES, Effect, Element
from striate.models.notation import elements, parse_line

Stride = int | Fraction | tuple[int | Fraction, int | Fraction]

_MOST_NUMBERS = 2**31  # of one feature map: 8 GB


@dataclass(frozen=True, kw_only=True)
class PlannedLayer:
    """An element of a line as a layer of a network: its `Effect`, with name and input.

    Attributes:
        number: The element's number in the line, from 1.
        element: As it was written, with a number for `classes`.
        name: Name of its module; its parameters' names begin with it.
        input: Shape of the input: [channels, height, width], or [features].
        effect: What it does to that.
    """

    number: int
    element: Element
    name: str
    input: Shape
    effect: Effect

    @property
    def output(self) -> Shape:
        """Shape of the output."""
        return self.effect.output

    @property
    def has_weights(self) -> bool:
        """Whether it has parameters."""
        return self.effect.cost.parameters > 0

    @property
    def makes_vector(self) -> bool:
        """Whether feature maps become a vector here."""
        return len(self.input) > len(self.output)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A line, worked out for one input.

    Attributes:
        line: In the notation.
        input: Channels, height and width of the images.
        layers: One for each element, repeats written out.
        body_length: Number of layers before the head, which begins where feature maps become a vector.
    """

    line: str
    input: Shape
    layers: tuple[PlannedLayer, ...]
    body_length: int

    @property
    def body(self) -> tuple[PlannedLayer, ...]:
        """The layers before the head."""
        return self.layers[: self.body_length]

    def check(self, shape: Shape) -> None:
        """Raise ModelError, with the way out, if a network built for `input` cannot take images of a shape."""
        if len(shape) != 3 or shape[0] != self.input[0]:
            wanted = f"[batch, {self.input[0]}, height, width]"
            raise ModelError("", f"images of shape [batch, {', '.join(map(str, shape))}]", f"{wanted} is needed")
        for layer in self.layers:
            effect = _effect_at(layer.number, layer.element, shape)
            if len(shape) == 1 and layer.has_weights and shape != layer.input:
                raise ModelError(
                    _element_text(layer.number, layer.element),
                    f"it was built for {layer.input[0]:,} numbers, from images of {self.input[1]}x{self.input[2]}, "
                    f"and these give {shape[0]:,}",
                    "with gap or fitpool before it, any size will do",
                )
            shape = effect.output

    def backbone(self) -> Plan:
        """Return the body alone: what a decoder builds on. Raises ModelError if there is none."""
        if not self.body_length:
            raise ModelError("", f"`{self.line}` has no feature maps to build on", "begin the line with conv")
        return replace(self, layers=self.body)

    def smallest_size(self, unit: tuple[int, int]) -> tuple[int, int]:
        """Return the smallest multiple of a height and a width that a network built for `input` takes."""
        most = max(-(-side // step) for side, step in zip(self.input[1:], unit, strict=True))
        for times in range(1, 1 + most):
            shape = (self.input[0], times * unit[0], times * unit[1])
            try:
                self.check(shape)
                break
            except ModelError:
                continue
        return shape[1:]

    @property
    def output(self) -> Shape:
        """Shape of the output."""
        return self.layers[-1].output

    @property
    def cost(self) -> Cost:
        """Cost of all layers, for one image."""
        return reduce(Cost.__add__, (layer.effect.cost for layer in self.layers))

    def strides(self) -> list[tuple[Fraction, Fraction]]:
        """Return, for each layer of the body, the input pixels from one unit of its output to the next.

        Behind `fitpool` they are those of images of this size.
        """
        strides, stride = [], (Fraction(1), Fraction(1))
        for layer in self.body:
            down, across = layer.effect.axes or NO_AXES
            stride = (stride[0] * math.prod(a.step for a in down), stride[1] * math.prod(a.step for a in across))
            strides.append(stride)
        return strides

    def feature_strides(self) -> tuple[Stride, ...]:
        """Return the strides of the feature maps, the finest first: one number, or (down, across) where they differ."""
        strides = self.strides()
        return tuple(_simplest_stride(strides[index]) for index in self.feature_layers())

    def feature_layers(self) -> list[int]:
        """Return the indices of the layers that give feature maps: the last of each resolution, the finest first."""
        last = {stride: index for index, stride in enumerate(self.strides())}
        return [last[stride] for stride in sorted(last, key=lambda stride: (stride[0] * stride[1], stride))]

    def notes(self) -> list[str]:
        """Return remarks for the user, each with the element that it is about."""
        return [
            f"{_element_text(layer.number, layer.element)}: {note}"
            for layer in self.layers
            for note in layer.effect.notes
        ]

    def receptive_fields(self) -> list[tuple[ReceptiveField, ReceptiveField] | None]:
        """Return, for each layer, what its units see along height and width; None: all of the image."""
        fields: list[tuple[ReceptiveField, ReceptiveField] | None] = []
        down: tuple[Axis, ...] = ()
        across: tuple[Axis, ...] = ()
        for layer in self.layers:
            axes = layer.effect.axes
            if axes is None or (fields and fields[-1] is None):
                fields.append(None)
                continue
            if axes != NO_AXES or not fields:
                down, across = down + axes[0], across + axes[1]
                fields.append((receptive_field(down), receptive_field(across)))
            else:
                fields.append(fields[-1])
        return fields


def plan_line(line: str, input_shape: Shape, *, classes: int, names: Sequence[str] = ()) -> Plan:
    """Work out a line for an input.

    Args:
        line: In the notation.
        input_shape: Channels, height and width of the images, each 1 or more.
        classes: What `fc classes` stands for.
        names: Names of the elements with weights, in order. Left out, a network is named as torchvision names
            AlexNet and VGG: `features.N` up to where feature maps become a vector, `classifier.N` behind it.

    Raises:
        ModelError: naming the element, its number in the line, the shape that arrived and what would fit.
    """
    shape = tuple(input_shape)
    layers = []
    for number, element in elements(parse_line(line)):
        counted = replace(element, argument=str(classes)) if element.argument == "classes" else element
        effect = _effect_at(number, counted, shape)
        layers.append(PlannedLayer(number=number, element=counted, name="", input=shape, effect=effect))
        shape = effect.output
    body_length = _body_length(layers)
    named = [replace(layer, name=name) for layer, name in zip(layers, _names(layers, body_length, names), strict=True)]
    return Plan(line=line, input=tuple(input_shape), layers=tuple(named), body_length=body_length)


def check_sizes(shape: Sequence[object], classes: object) -> None:
    """Raise ModelError if images [channels, height, width], or a number of classes, make no sense."""
    if len(shape) != 3 or not all(isinstance(side, int) and side >= 1 for side in shape):
        raise ModelError("shape", f"must be channels, height and width, whole numbers from 1, not {tuple(shape)}")
    if classes is not None and not (isinstance(classes, int) and classes >= 1):
        raise ModelError("classes", f"must be a whole number from 1, not {classes}")


def _element_text(number: int, element: Element) -> str:
    return f"element {number} `{element}`"


def _effect_at(number: int, element: Element, shape: Shape) -> Effect:
    """Return an element's effect; raises ModelError that names it, its number and what arrives."""
    try:
        effect = effect_of(element, shape)
        if math.prod(effect.output) > _MOST_NUMBERS:
            raise GeometryError("", f"{math.prod(effect.output):,} numbers would come out, for one image")
        return effect
    except GeometryError as error:
        arrived = "x".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]:,} numbers"
        notes = (f"its input is {arrived}", *error.notes)
        raise ModelError(_element_text(number, element), error.what, error.fix, notes) from None


def _simplest_stride(stride: tuple[Fraction, Fraction]) -> Stride:
    down, across = (int(step) if step.denominator == 1 else step for step in stride)
    return down if down == across else (down, across)


def unbranched(layers: Sequence[Axis]) -> list[Axis]:
    """Follow the main branch through layers: the convolutions of a residual block, not its shortcut."""
    return [part for layer in layers for part in (layer.ways[0] if isinstance(layer, Branches) else (layer,))]


def _vector_index(layers: Sequence[PlannedLayer]) -> int:
    """Return the index of the layer that makes feature maps a vector, or the number of layers."""
    return next((index for index, layer in enumerate(layers) if layer.makes_vector), len(layers))


def _body_length(layers: Sequence[PlannedLayer]) -> int:
    """Return the number of layers before the head: up to flatten or gap, and what fits maps for it."""
    length = _vector_index(layers)
    while 0 < length < len(layers) and spec_of(layers[length - 1].element).opens_head:
        length -= 1
    return length


def _names(layers: Sequence[PlannedLayer], body_length: int, names: Sequence[str]) -> list[str]:
    """Name layers: those with weights by `names`, or all as torchvision names AlexNet and VGG."""
    kinds = [layer.element.kind for layer in layers]
    if names:
        remaining = iter(names)
        return [
            next(remaining) if layer.has_weights else numbered
            for layer, numbered in zip(layers, number_kinds(kinds), strict=True)
        ]
    vector = 1 + _vector_index(layers)
    return [
        *(f"features.{index}" for index in range(body_length)),
        *number_kinds(kinds[body_length:vector]),
        *(f"classifier.{index}" for index in range(len(layers) - vector)),
    ]


def number_kinds(kinds: Sequence[str]) -> list[str]:
    """Name elements by their kinds.

    >>> number_kinds(["relu", "bn", "relu"])
    ['relu', 'bn', 'relu2']
    """
    seen = Counter[str]()
    names = []
    for kind in kinds:
        seen[kind] += 1
        names.append(kind + (str(seen[kind]) if seen[kind] > 1 else ""))
    return names
