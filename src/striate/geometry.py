"""The arithmetic of layers along one axis: sizes, padding, receptive fields and cost. Whole numbers, no torch.

A layer with two axes is described, and computed, axis by axis. Sources:

- V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016 (arXiv:1603.07285);
- A. Araujo, W. Norris, J. Sim, "Computing receptive fields of convolutional neural networks", Distill 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

from striate.errors import GeometryError

Shape = tuple[int, ...]
"""Channels, height and width of feature maps, or the length of a vector."""

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


@runtime_checkable  # for the checks of shapes in tests
class Axis(Protocol):
    """A layer along one axis: what size it gives, and what it looks at."""

    def output_size(self, size: int) -> int:
        """Return the number of output units for `size` input units; raises GeometryError where none fit."""

    def sees(self, first: int, last: int) -> tuple[int, int]:
        """Return the first and last input unit that output units `first` to `last` depend on.

        Numbers below 0, or beyond the input, are padding.
        """

    @property
    def step(self) -> Fraction:
        """How many input units lie between what neighbouring output units see."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window that slides over its input: convolution or pooling along one axis.

    Attributes:
        kernel: how many places it has, 1 or more.
        stride: how far it moves from one output unit to the next, 1 or more.
        padding: units added before and after the input, 0 or more.
        dilation: distance between its neighbouring places, 1 or more.
        ceil: whether what is left over at the end gets a window too (pooling's `ceil_mode`).
    """

    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    ceil: bool = False

    @property
    def extent(self) -> int:
        """Units that the window spans: d(k - 1) + 1 (Dumoulin and Visin, section 5.1)."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def step(self) -> Fraction:
        """The stride."""
        return Fraction(self.stride)

    def output_size(self, size: int) -> int:
        """Return floor((i + p - e) / s) + 1 (Dumoulin and Visin, relationships 6 and 15).

        With `ceil` it is ceil((i + p - e) / s) + 1, less one where that last window would begin in the
        padding after the input: torch's rule.

        Raises:
            GeometryError: the padded input is smaller than the window.

        >>> Window(kernel=5).output_size(32), Window(kernel=7, stride=2, padding=(3, 3)).output_size(224)
        (28, 112)
        >>> Window(kernel=2, stride=2, ceil=True).output_size(7)
        4
        """
        room = size + sum(self.padding) - self.extent
        if self.ceil:
            windows = -(-room // self.stride) + 1
            windows -= (windows - 1) * self.stride >= size + self.padding[0]
        else:
            windows = room // self.stride + 1
        if windows < 1:
            raise GeometryError(f"a window of {self.extent} does not fit into {size + sum(self.padding)}")
        return windows

    def sees(self, first: int, last: int) -> tuple[int, int]:
        """Return s·first - p to s·last - p + e - 1 (Araujo et al., equations 1 and 2 read for a span)."""
        before = self.padding[0]
        return first * self.stride - before, last * self.stride - before + self.extent - 1


@dataclass(frozen=True, kw_only=True)
class TransposedWindow:
    """A transposed convolution along one axis: the transpose of the `Window` with the same numbers.

    Attributes:
        kernel: how many weights it has, 1 or more.
        stride: distance between the output places of neighbouring input units, 1 or more.
        padding: output units cut off before and after, 0 or more.
        output_padding: output units added after, 0 or more and below stride or dilation.
        dilation: distance between neighbouring weights, 1 or more.
    """

    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    output_padding: int = 0
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Units that the kernel spans: d(k - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def step(self) -> Fraction:
        """One over the stride."""
        return Fraction(1, self.stride)

    @property
    def overlaps_unevenly(self) -> bool:
        """Whether some output units get more contributions than others: without dilation, k mod s ≠ 0.

        Drawn on a picture that is a checkerboard: Odena, Dumoulin, Olah, "Deconvolution and checkerboard
        artifacts", Distill 2016.
        """
        phases = [self.dilation * tap % self.stride for tap in range(self.kernel)]
        return len({phases.count(phase) for phase in range(self.stride)}) > 1

    def output_size(self, size: int) -> int:
        """Return s(i - 1) + e - p + a (Dumoulin and Visin, relationship 14).

        Of all the sizes that the convolution maps to `size` it is the smallest, plus the output padding.

        Raises:
            GeometryError: the padding leaves nothing.

        >>> TransposedWindow(kernel=4, stride=2, padding=(1, 1)).output_size(7)
        14
        """
        result = self.stride * (size - 1) + self.extent - sum(self.padding) + self.output_padding
        if result < 1:
            raise GeometryError(f"cutting off {sum(self.padding)} leaves nothing")
        return result

    def sees(self, first: int, last: int) -> tuple[int, int]:
        """Return ceil((first + p - e + 1) / s) to floor((last + p) / s): what `Window.sees` maps onto them."""
        before = self.padding[0]
        return -((self.extent - 1 - first - before) // self.stride), (last + before) // self.stride

    def reaches_beyond(self, size: int) -> tuple[int, int]:
        """Return how many units before and after an input of `size` would contribute, if they were there."""
        first, last = self.sees(0, self.output_size(size) - 1)
        return max(0, -first), max(0, last - size + 1)


def transposed_windows(
    kernels: Sequence[int],
    strides: Sequence[int],
    paddings: Sequence[tuple[int, int]],
    output_paddings: Sequence[int],
    dilations: Sequence[int],
) -> list[TransposedWindow]:
    """Return a transposed convolution's windows, one an axis, from one sequence an option as torch has them."""
    return [
        TransposedWindow(kernel=kernel, stride=stride, padding=padding, output_padding=extra, dilation=dilation)
        for kernel, stride, padding, extra, dilation in zip(
            kernels, strides, paddings, output_paddings, dilations, strict=True
        )
    ]


@dataclass(frozen=True, kw_only=True)
class Upsampling:
    """Upsampling along one axis by a whole factor, nearest or bilinear (torch's `align_corners=False`).

    Source: the documentation of `torch.nn.Upsample`.
    """

    factor: int
    bilinear: bool = False

    @property
    def step(self) -> Fraction:
        """One over the factor."""
        return Fraction(1, self.factor)

    def output_size(self, size: int) -> int:
        """Return f·i."""
        return self.factor * size

    def sees(self, first: int, last: int) -> tuple[int, int]:
        """Return what an output unit takes its value from.

        Nearest: floor(u / f). Bilinear: the two neighbours of (u + 1/2) / f - 1/2; where that falls on a
        unit, the second one has no weight.
        """
        if not self.bilinear:
            return first // self.factor, last // self.factor
        low = Fraction(2 * first + 1, 2 * self.factor) - Fraction(1, 2)
        high = Fraction(2 * last + 1, 2 * self.factor) - Fraction(1, 2)
        return math.floor(low), math.ceil(high)


@dataclass(frozen=True, kw_only=True)
class AdaptivePooling:
    """Pooling along one axis to a given number of units, whatever the size of its input."""

    size: int
    outputs: int

    @property
    def step(self) -> Fraction:
        """Input units for each output unit, on average."""
        return Fraction(self.size, self.outputs)

    def output_size(self, size: int) -> int:
        """Return the number of units asked for."""
        return self.outputs

    def sees(self, first: int, last: int) -> tuple[int, int]:
        """Return floor(first · i / o) to ceil((last + 1) · i / o) - 1: torch's rule."""
        return first * self.size // self.outputs, -(-(last + 1) * self.size // self.outputs) - 1


@dataclass(frozen=True)
class Branches:
    """Ways side by side whose outputs are added: a residual block. A way is a sequence of layers, or empty."""

    ways: tuple[tuple[Axis, ...], ...]

    @property
    def step(self) -> Fraction:
        """The step of every way; they must agree for their outputs to be added."""
        steps = {math.prod((layer.step for layer in way), start=Fraction(1)) for way in self.ways}
        if len(steps) > 1:
            raise GeometryError("ways with different strides cannot be added")
        return steps.pop()

    def output_size(self, size: int) -> int:
        """Return the size that every way gives; raises GeometryError where they differ."""
        sizes = [output_size(way, size) for way in self.ways]
        if len(set(sizes)) > 1:
            raise GeometryError(f"sizes {' and '.join(map(str, sizes))} cannot be added")
        return sizes[0]

    def sees(self, first: int, last: int) -> tuple[int, int]:
        """Return the span of what all ways see (Araujo et al., section on arbitrary computation graphs)."""
        spans = [sees(way, first, last) for way in self.ways]
        return min(low for low, _ in spans), max(high for _, high in spans)


def output_size(layers: Sequence[Axis], size: int) -> int:
    """Return the size after layers, one after the other; raises GeometryError."""
    for layer in layers:
        size = layer.output_size(size)
    return size


def sees(layers: Sequence[Axis], first: int, last: int) -> tuple[int, int]:
    """Return the input units that units `first` to `last` behind all layers depend on."""
    for layer in reversed(layers):
        first, last = layer.sees(first, last)
    return first, last


@dataclass(frozen=True)
class ReceptiveField:
    """What units of a feature map see of the input, along one axis.

    Attributes:
        size: how many input positions a unit depends on, from the first to the last; of units that differ
            (behind upsampling) the one that sees most.
        jump: how far the fields of neighbouring units lie apart; a fraction behind upsampling.
        offset: the centre of unit 0's field: 0 is the middle of the first input position; padding lies
            below 0. Half a position is possible.
    """

    size: int
    jump: Fraction
    offset: Fraction


def receptive_field(layers: Sequence[Axis]) -> ReceptiveField:
    """Return the receptive field behind layers, one after the other (Araujo et al.: r0, S0 and the first centre).

    >>> receptive_field([Window(kernel=7, stride=2, padding=(3, 3)), Window(kernel=3, stride=2, padding=(1, 1))])
    ReceptiveField(size=11, jump=Fraction(4, 1), offset=Fraction(0, 1))
    """
    jump = math.prod((layer.step for layer in layers), start=Fraction(1))
    spans = [sees(layers, unit, unit) for unit in range(_period(layers))]
    return ReceptiveField(size=max(high - low + 1 for low, high in spans), jump=jump, offset=Fraction(sum(spans[0]), 2))


def _period(layers: Sequence[Axis]) -> int:
    """Return after how many units the pattern of what they see repeats, or a multiple of that.

    That many units of the output must be a whole number of units of every map before it.
    """
    period, step = 1, Fraction(1)
    for layer in reversed(layers):
        if isinstance(layer, Branches):
            ways = [_period(way) for way in layer.ways]
            period = math.lcm(period, *((way / step).numerator for way in ways))
        step *= layer.step
        period = math.lcm(period, step.denominator)
    return period


def same_padding(size: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Return the padding, before and after, that makes ceil(i / s) output units, for any stride.

    max(0, s(ceil(i / s) - 1) + e - i) in all; of an odd number the one more is after, as in TensorFlow and
    in torch's `padding="same"` (which takes no stride). Source: the documentation of `tf.nn.convolution`.

    >>> same_padding(224, 7, stride=2), same_padding(5, 2)
    ((2, 3), (0, 1))
    """
    outputs = -(-size // stride)
    total = max(0, stride * (outputs - 1) + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class Cost:
    """What a layer costs for one image.

    Attributes:
        parameters: numbers that are learned.
        macs: multiply-accumulates of its linear part; additions of a bias, activations and pooling are not
            counted, as in the figures that papers and torchvision give.
        activation_bytes: its output in float32.
    """

    parameters: int = 0
    macs: int = 0
    activation_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.parameters + other.parameters,
            self.macs + other.macs,
            self.activation_bytes + other.activation_bytes,
        )


def convolution_cost(
    channels_in: int,
    channels: int,
    kernel: tuple[int, int],
    output: tuple[int, int],
    *,
    groups: int = 1,
    bias: bool = True,
) -> Cost:
    """Return (C/g)·C'·k_h·k_w weights and C' biases, and a multiply-accumulate for each weight at each place.

    For a transposed convolution give its input's size as `output`: there each weight is used at each
    input place. The activation's size is then that of the convolution it transposes.

    >>> convolution_cost(3, 64, (7, 7), (112, 112), bias=False)
    Cost(parameters=9408, macs=118013952, activation_bytes=3211264)
    """
    weights = channels_in // groups * channels * math.prod(kernel)
    places = math.prod(output)
    return Cost(weights + bias * channels, weights * places, 4 * channels * places)


def linear_cost(features_in: int, features: int, *, bias: bool = True) -> Cost:
    """Return parameters N·N' + N', and one multiply-accumulate a weight."""
    weights = features_in * features
    return Cost(weights + bias * features, weights, 4 * features)
