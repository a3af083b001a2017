"""What an element of the notation is: how it is written, what it does to a shape, what builds its module. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from striate.geometry import PADDING_MODES, Axis, Cost, Shape

Axes = tuple[tuple[Axis, ...], tuple[Axis, ...]]
NO_AXES: Axes = ((), ())

Role = Literal["", "convolution", "upsampling", "pooling", "block", "linear"]
"""What an element is drawn as; an element without a role is drawn together with the one before it."""


@dataclass(frozen=True)
class Element:
    """One element of a line: its kind, its argument and its options, as they were written."""

    kind: str
    argument: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.kind, *([self.argument] if self.argument else []), *map("=".join, self.options)])

    def option(self, name: str, default: str) -> str:
        """Return an option as text."""
        return dict(self.options).get(name, default)

    def pair(self, name: str, default: int | str) -> tuple[int, int]:
        """Return an option that has a number for each axis, height first."""
        return read_pair(self.option(name, str(default)))

    @property
    def stride(self) -> tuple[int, int]:
        """Stride, height first."""
        return self.pair("stride", 1)

    @property
    def groups(self) -> int:
        """Number of groups of channels that are convolved separately."""
        return int(self.option("groups", "1"))

    @property
    def bias(self) -> bool:
        """Whether a convolution has a bias."""
        return self.option("bias", "yes") == "yes"

    @property
    def sides(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Padding above and below, left and right; undefined for `same`."""
        before, _, after = self.option("pad", "0").partition(":")
        (top, left), (bottom, right) = read_pair(before), read_pair(after or before)
        return (top, bottom), (left, right)

    @property
    def channels(self) -> int:
        """The number in front of @, or the argument if it is one number."""
        return int(self.argument.partition("@")[0])

    @property
    def kernel(self) -> tuple[int, int]:
        """The numbers after @, or the argument if it has no @, height first."""
        return read_pair(self.argument.rpartition("@")[2])


def read_pair(text: str) -> tuple[int, int]:
    """Read `2` or `2x1`, height first.

    >>> read_pair("2x1"), read_pair("3")
    ((2, 1), (3, 3))
    """
    height, _, width = text.partition("x")
    return int(height), int(width or height)


def pair_text(height: object, width: object) -> str:
    """Write two numbers as the notation does: `2`, or `2x1` if they differ."""
    return str(height) if height == width else f"{height}x{width}"


@dataclass(frozen=True)
class OptionForm:
    """How the value of an option is written.

    Attributes:
        pattern: Regular expression of the whole value.
        wording: The same for a message.
    """

    pattern: str
    wording: str


@dataclass(frozen=True)
class ElementForm:
    """How an element is written.

    Attributes:
        pattern: Regular expression of the whole argument; empty if the element has no argument.
        example: An example, for messages.
        options: Options by name.
    """

    pattern: str = ""
    example: str = ""
    options: Mapping[str, OptionForm] = field(default_factory=dict)


COUNT = r"[1-9]\d{0,6}"
PAIR = rf"{COUNT}(x{COUNT})?"
NUMBERS = rf"(0|{COUNT})(x(0|{COUNT}))?"
CHANNELS_AND_KERNEL = rf"{COUNT}@{PAIR}"

PAIR_OPTION = OptionForm(PAIR, "a number such as 2, or 2x1")
COUNT_OPTION = OptionForm(COUNT, "a number such as 2")
SIDES_OPTION = OptionForm(rf"{NUMBERS}(:{NUMBERS})?", "a number such as 1, or 2x1, or 0:1")
PADDING_OPTION = OptionForm(rf"same|{SIDES_OPTION.pattern}", f"{SIDES_OPTION.wording}, or same")
MODE_OPTION = OptionForm("|".join(PADDING_MODES), f"{', '.join(PADDING_MODES[:-1])} or {PADDING_MODES[-1]}")
SWITCH_OPTION = OptionForm("yes|no", "yes or no")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What an element does to an input of one shape.

    Attributes:
        output: Shape of the output.
        cost: Cost for one image.
        axes: Geometry along the height and along the width; None if every unit sees the whole input.
        notes: Remarks for the user.
    """

    output: Shape
    cost: Cost
    axes: Axes | None = NO_AXES
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block as a chain of other elements: what a residual block, or an inverted one, consists of.

    Attributes:
        chain: The layers in the notation, one after the other.
        names: Names of the layers with weights, in order, as published weights have them.
        shortcut: What the block's input passes through before it is added to the output of the chain, likewise in the
            notation; empty: it is added as it is. None: nothing is added.
        activation: Element that follows the sum; empty if none does.
    """

    chain: str
    names: tuple[str, ...]
    shortcut: str | None = None
    activation: str = ""


def no_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return no arguments: those of a module that depends on neither its element nor its input."""
    return {}


@dataclass(frozen=True, kw_only=True)
class ElementSpec:
    """All that is known of an element: one row of `ELEMENTS`.

    An element is either one layer, with `effect` and `builder`, or a `block` of other elements, from which both follow.

    Attributes:
        form: How it is written.
        effect: Maps the element and the shape of its input to an `Effect`: output, geometry and cost. Raises
            GeometryError if the input does not fit.
        builder: What builds its module, as "module:name"; imported when the first one is built.
        arguments: Maps the element and the shape of its input to the keyword arguments of the builder.
        block: Maps the element and the shape of its input to a `Block`. Raises GeometryError.
        axes: Numbers of axes that its input may have: 3 for feature maps [channels, height, width], 1 for a vector.
        role: What it is drawn as.
        activation: For activations, the function that weights before it are initialised for, as
            `torch.nn.init.calculate_gain` names it: relu, tanh or sigmoid.
        opens_head: Whether it belongs to the head if it stands directly before the element that makes feature maps a
            vector: it gives maps the size, or the noise, that the head was made for.
    """

    form: ElementForm = ElementForm()
    effect: Callable[[Element, Shape], Effect] | None = None
    builder: str = ""
    arguments: Callable[[Element, Shape], dict[str, Any]] = no_arguments
    block: Callable[[Element, Shape], Block] | None = None
    axes: tuple[int, ...] = (1, 3)
    role: Role = ""
    activation: Literal["", "relu", "tanh", "sigmoid"] = ""
    opens_head: bool = False


def float32_bytes(shape: Shape) -> int:
    """Return the size of an output in float32."""
    return 4 * math.prod(shape)
