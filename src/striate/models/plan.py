"""What a line makes of an input: shapes, names, receptive fields and cost, element by element. No torch.

>>> steps = plan_line("conv 6@5x5 | tanh | avgpool 2 | flatten | fc classes", (1, 28, 28), classes=10).steps
>>> [(step.name, step.output) for step in steps[2:]]
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
from striate.geometry import Axis, Branches, Cost, ReceptiveField, receptive_field
from striate.models.effects import NEITHER, Effect, Shape, effect_of
from striate.models.notation import BLOCKS, Element, elements, parse_line

Stride = int | Fraction | tuple[int | Fraction, int | Fraction]

_MOST_NUMBERS = 2**31  # of one feature map: 8 GB
_WITH_WEIGHTS = ("conv", "deconv", "bn", "fc", *BLOCKS)


@dataclass(frozen=True, kw_only=True)
class Step:
    """An element at its place in a network: an `Effect` with name, place and input.

    Attributes:
        place: of the element in the line, from 1.
        element: as it was written, with a number for `classes`.
        name: of its module; its parameters' names begin with it.
        input: the shape that arrives, [channels, height, width] or [numbers].
        effect: what it does to that.
    """

    place: int
    element: Element
    name: str
    input: Shape
    effect: Effect

    @property
    def output(self) -> Shape:
        """The shape that it gives."""
        return self.effect.output


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A line, worked out for one input.

    Attributes:
        line: in the notation.
        input: [channels, height, width].
        steps: one an element, repeats written out.
        body: how many of them come before the head, which begins where feature maps become a vector.
    """

    line: str
    input: Shape
    steps: tuple[Step, ...]
    body: int

    def check(self, shape: Shape) -> None:
        """Raise ModelError, with the way out, where a network built for `input` cannot take images of a shape."""
        if len(shape) != 3 or shape[0] != self.input[0]:
            wanted = f"[batch, {self.input[0]}, height, width]"
            raise ModelError(f"images of shape [batch, {', '.join(map(str, shape))}] are given; {wanted} is wanted.")
        for step in self.steps:
            effect = _effect_at(step.place, step.element, shape)
            if step.element.kind == "fc" and shape != step.input:
                raise ModelError(
                    f"element {step.place} `{step.element}` was built for {step.input[0]:,} numbers, from images of "
                    f"{self.input[1]}x{self.input[2]}; these give {shape[0]:,}. With gap or fitpool before it, any "
                    "size is taken."
                )
            shape = effect.output

    def backbone(self) -> Plan:
        """Return the body alone: what a decoder builds on. Raises ModelError where there is none."""
        if not self.body:
            raise ModelError(f"`{self.line}` has no feature maps to build on; begin the line with conv.")
        return replace(self, steps=self.steps[: self.body])

    def smallest(self, unit: tuple[int, int]) -> tuple[int, int]:
        """Return the least multiple of a height and a width that a network built for `input` takes."""
        for times in range(1, 1 + max(-(-side // one) for side, one in zip(self.input[1:], unit, strict=True))):
            shape = (self.input[0], times * unit[0], times * unit[1])
            try:
                self.check(shape)
                break
            except ModelError:
                continue
        return shape[1:]

    @property
    def output(self) -> Shape:
        """The shape that comes out."""
        return self.steps[-1].output

    @property
    def cost(self) -> Cost:
        """Of all steps."""
        return reduce(Cost.__add__, (step.effect.cost for step in self.steps))

    def strides(self) -> list[tuple[Fraction, Fraction]]:
        """Return, for the output of each step of the body, the input pixels from one unit to the next.

        Behind `fitpool` they are those of images of this size.
        """
        found, stride = [], (Fraction(1), Fraction(1))
        for step in self.steps[: self.body]:
            down, across = step.effect.axes or NEITHER
            stride = (stride[0] * math.prod(a.step for a in down), stride[1] * math.prod(a.step for a in across))
            found.append(stride)
        return found

    def feature_strides(self) -> tuple[Stride, ...]:
        """Return the strides of the feature maps, the finest first: one number, or (down, across) where they differ."""
        strides = self.strides()
        return tuple(_simplest_stride(strides[index]) for index in self.maps())

    def maps(self) -> list[int]:
        """Return which steps give the feature maps: for each resolution the last one, the finest first."""
        last = {stride: place for place, stride in enumerate(self.strides())}
        return [last[stride] for stride in sorted(last, key=lambda stride: (stride[0] * stride[1], stride))]

    def notes(self) -> list[str]:
        """Return what a person should know, each with the element that it is about."""
        return [f"element {step.place} `{step.element}`: {note}" for step in self.steps for note in step.effect.notes]

    def receptive_fields(self) -> list[tuple[ReceptiveField, ReceptiveField] | None]:
        """Return, for each step, what its units see along height and width; None: all of the image."""
        found: list[tuple[ReceptiveField, ReceptiveField] | None] = []
        down: tuple[Axis, ...] = ()
        across: tuple[Axis, ...] = ()
        for step in self.steps:
            axes = step.effect.axes
            if axes is None or (found and found[-1] is None):
                found.append(None)
                continue
            if axes != NEITHER or not found:
                down, across = down + axes[0], across + axes[1]
                found.append((receptive_field(down), receptive_field(across)))
            else:
                found.append(found[-1])
        return found


def plan_line(line: str, input_shape: Shape, *, classes: int, names: Sequence[str] = ()) -> Plan:
    """Work out a line for an input.

    Args:
        line: in the notation.
        input_shape: [channels, height, width], each 1 or more.
        classes: what `fc classes` stands for.
        names: for the elements with weights, in order. Left out, a network is named as torchvision names
            AlexNet and VGG: `features.N` up to where feature maps become a vector, `classifier.N` behind it.

    Raises:
        ModelError: naming the element, its place in the line, the shape that arrived and what would fit.
    """
    listed = list(elements(parse_line(line)))
    written = [element for _, element in listed]
    body = _body(written)
    shape = tuple(input_shape)
    steps = []
    for (place, element), name in zip(listed, _names(written, body, names), strict=True):
        counted = Element("fc", str(classes)) if element == Element("fc", "classes") else element
        effect = _effect_at(place, counted, shape)
        steps.append(Step(place=place, element=counted, name=name, input=shape, effect=effect))
        shape = effect.output
    return Plan(line=line, input=tuple(input_shape), steps=tuple(steps), body=body)


def check_form(shape: Sequence[object], classes: object) -> None:
    """Raise ModelError where images [channels, height, width], or classes, are none."""
    if len(shape) != 3 or not all(isinstance(side, int) and side >= 1 for side in shape):
        raise ModelError(f"shape (={tuple(shape)}) must be channels, height and width, whole numbers, each 1 or more.")
    if classes is not None and not (isinstance(classes, int) and classes >= 1):
        raise ModelError(f"classes (={classes}) must be a whole number, 1 or more.")


def _effect_at(place: int, element: Element, shape: Shape) -> Effect:
    """Return an element's effect; raises ModelError that names it, its place and what arrives."""
    try:
        effect = effect_of(element, shape)
        if math.prod(effect.output) > _MOST_NUMBERS:
            raise GeometryError(f"{math.prod(effect.output):,} numbers would come out, of one image")
        return effect
    except GeometryError as error:
        arrived = "x".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]:,} numbers"
        raise ModelError(f"element {place} `{element}`: its input is {arrived}; {error}.") from None


def _simplest_stride(stride: tuple[Fraction, Fraction]) -> Stride:
    down, across = (int(step) if step.denominator == 1 else step for step in stride)
    return down if down == across else (down, across)


def straight(layers: Sequence[Axis]) -> list[Axis]:
    """Follow the long way through layers: of a residual block the convolutions, not the shortcut."""
    return [inner for layer in layers for inner in (layer.ways[0] if isinstance(layer, Branches) else (layer,))]


def _turn(listed: Sequence[Element]) -> int:
    """Return the index of the element that makes feature maps a vector, or the number of elements."""
    return next((place for place, e in enumerate(listed) if e.kind in ("flatten", "gap")), len(listed))


def _body(listed: Sequence[Element]) -> int:
    """Return how many elements come before the head: up to flatten or gap, and what fits maps for it."""
    body = _turn(listed)
    while 0 < body < len(listed) and listed[body - 1].kind in ("fitpool", "dropout"):
        body -= 1
    return body


def _names(listed: Sequence[Element], body: int, given: Sequence[str]) -> list[str]:
    """Name the elements: those with weights as given, or all as torchvision names AlexNet and VGG."""
    if given:
        left = iter(given)
        return [
            next(left) if element.kind in _WITH_WEIGHTS else plain
            for element, plain in zip(listed, _plain_names(listed), strict=True)
        ]
    vector = 1 + _turn(listed)
    between = _plain_names(listed[body:vector])
    return [
        *(f"features.{place}" for place in range(body)),
        *between,
        *(f"classifier.{place}" for place in range(len(listed) - vector)),
    ]


def _plain_names(listed: Sequence[Element]) -> list[str]:
    """Name elements by their kinds: `relu`, `relu2`, …."""
    seen = Counter[str]()
    names = []
    for element in listed:
        seen[element.kind] += 1
        names.append(element.kind + (str(seen[element.kind]) if seen[element.kind] > 1 else ""))
    return names
