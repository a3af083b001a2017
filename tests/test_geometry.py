"""The arithmetic of layers agrees with torch's layers, with gradients, and with published values."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as some
from torch import nn

from striate.errors import GeometryError
from striate.geometry import (
    Branches,
    Cost,
    TransposedWindow,
    Upsampling,
    Window,
    convolution_cost,
    linear_cost,
    output_size,
    receptive_field,
    same_padding,
    sees,
)

SIZES = some.integers(1, 40)
WINDOWS = some.builds(
    Window,
    kernel=some.integers(1, 7),
    stride=some.integers(1, 4),
    padding=some.integers(0, 3).map(lambda p: (p, p)),
    dilation=some.integers(1, 3),
)
MANY = settings(max_examples=1000, deadline=None)


def torch_size(layer: nn.Module, size: int) -> int | None:
    """Return the size that torch's layer really gives, or None where it refuses."""
    try:
        return layer(torch.zeros(1, 1, size)).shape[-1]
    except RuntimeError:
        return None


def our_size(axis, size: int) -> int | None:
    try:
        return axis.output_size(size)
    except GeometryError:
        return None


@MANY
@given(size=SIZES, window=WINDOWS)
def test_a_convolutions_size_is_torchs(size, window):
    layer = nn.Conv1d(1, 1, window.kernel, window.stride, window.padding[0], window.dilation)
    assert our_size(window, size) == torch_size(layer, size)


@MANY
@given(size=SIZES, window=WINDOWS, ceil=some.booleans())
@example(size=1, window=Window(kernel=1, stride=2), ceil=True)
def test_a_pooling_layers_size_is_torchs_rounded_down_or_up(size, window, ceil):
    assume(window.padding[0] <= window.kernel // 2)  # torch's own limit
    layer = nn.MaxPool1d(window.kernel, window.stride, window.padding[0], window.dilation, ceil_mode=ceil)
    ours = Window(
        kernel=window.kernel, stride=window.stride, padding=window.padding, dilation=window.dilation, ceil=ceil
    )
    assert our_size(ours, size) == torch_size(layer, size)


@MANY
@given(size=SIZES, window=WINDOWS, extra=some.integers(0, 3))
def test_a_transposed_convolutions_size_is_torchs(size, window, extra):
    assume(extra < max(window.stride, window.dilation))
    layer = nn.ConvTranspose1d(1, 1, window.kernel, window.stride, window.padding[0], extra, dilation=window.dilation)
    ours = TransposedWindow(
        kernel=window.kernel,
        stride=window.stride,
        padding=window.padding,
        output_padding=extra,
        dilation=window.dilation,
    )
    assert our_size(ours, size) == torch_size(layer, size)


@MANY
@given(size=SIZES, window=WINDOWS)
def test_a_transposed_convolution_undoes_the_size(size, window):
    smaller = our_size(window, size)
    assume(smaller is not None)
    lost = (size + sum(window.padding) - window.extent) % window.stride
    back = TransposedWindow(
        kernel=window.kernel,
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        output_padding=lost,
    )
    assert back.output_size(smaller) == size


@MANY
@given(size=SIZES, kernel=some.integers(1, 9), stride=some.integers(1, 5), dilation=some.integers(1, 3))
def test_same_padding_pads_no_more_than_it_must(size, kernel, stride, dilation):
    before, after = same_padding(size, kernel, stride=stride, dilation=dilation)
    window = Window(kernel=kernel, stride=stride, padding=(before, after), dilation=dilation)
    assert window.output_size(size) == -(-size // stride)
    assert 0 <= after - before <= 1
    if after > 0:
        less = Window(kernel=kernel, stride=stride, padding=(before, after - 1), dilation=dilation)
        assert our_size(less, size) != -(-size // stride)


@given(size=some.integers(8, 40), kernel=some.integers(1, 7), dilation=some.integers(1, 3))
def test_same_padding_is_torchs_where_torch_has_it(size, kernel, dilation):
    layer = nn.Conv1d(1, 1, kernel, padding="same", dilation=dilation)
    after, before = layer._reversed_padding_repeated_twice[::-1]
    ours = same_padding(size, kernel, dilation=dilation)
    assert sorted(ours) == sorted((before, after))


def gradient_span(layers: list[nn.Module], size: int, unit: int) -> tuple[int, int]:
    """Find what a unit sees by sending a one-hot gradient back through the real layers."""
    x = torch.rand(1, 1, size, dtype=torch.float64, requires_grad=True)
    y = nn.Sequential(*layers)(x)
    y[0, 0, unit].backward()
    touched = x.grad[0, 0].nonzero()
    return int(touched.min()), int(touched.max())


def real(axis) -> nn.Module:
    """Build torch's layer with weights of one."""
    if isinstance(axis, Window):
        layer = nn.Conv1d(1, 1, axis.kernel, axis.stride, axis.padding[0], axis.dilation, bias=False)
    elif isinstance(axis, TransposedWindow):
        layer = nn.ConvTranspose1d(1, 1, axis.kernel, axis.stride, axis.padding[0], dilation=axis.dilation, bias=False)
    else:
        return nn.Upsample(scale_factor=axis.factor, mode="linear" if axis.bilinear else "nearest")
    nn.init.ones_(layer.weight)
    return layer.double()


LAYERS = some.one_of(
    WINDOWS,
    some.builds(Upsampling, factor=some.integers(1, 3), bilinear=some.booleans()),
    # without gaps between its places: with them a unit may see nothing at all
    some.integers(1, 3).flatmap(
        lambda stride: some.builds(TransposedWindow, kernel=some.integers(stride, stride + 3), stride=some.just(stride))
    ),
)


@settings(max_examples=300, deadline=None)
@given(layers=some.lists(LAYERS, min_size=1, max_size=4), data=some.data())
def test_what_a_unit_sees_is_where_its_gradient_arrives(layers, data):
    size = 160
    try:
        outputs = output_size(layers, size)
    except GeometryError:
        assume(False)
    assume(outputs <= 5000)
    unit = data.draw(some.integers(0, outputs - 1))
    low, high = sees(layers, unit, unit)
    assume(low >= 0 and high < size)  # inside: at the border some of it is padding
    found_low, found_high = gradient_span([real(layer) for layer in layers], size, unit)
    dilated = any(isinstance(layer, Window) and layer.stride > layer.extent for layer in layers)
    if dilated:  # between windows that leave gaps, a unit of the layer before may be at rest
        assert low <= found_low <= found_high <= high
    else:
        assert (found_low, found_high) == (low, high)


@settings(max_examples=200, deadline=None)
@given(layers=some.lists(LAYERS, min_size=1, max_size=4))
def test_the_receptive_field_is_the_widest_span(layers):
    field = receptive_field(layers)
    period = field.jump.denominator * 36
    spans = [sees(layers, unit, unit) for unit in range(2 * period)]
    assert max(high - low + 1 for low, high in spans) == field.size
    assert Fraction(spans[period][0] - spans[0][0], period) == field.jump
    assert field.offset == Fraction(sum(spans[0]), 2)


ALEXNET = [
    Window(kernel=11, stride=4, padding=(2, 2)),
    Window(kernel=3, stride=2),
    Window(kernel=5, padding=(2, 2)),
    Window(kernel=3, stride=2),
    *[Window(kernel=3, padding=(1, 1))] * 3,
    Window(kernel=3, stride=2),
]
VGG16 = list(
    itertools.chain.from_iterable(
        [*[Window(kernel=3, padding=(1, 1))] * convolutions, Window(kernel=2, stride=2)]
        for convolutions in (2, 2, 3, 3, 3)
    )
)


@pytest.mark.parametrize(("layers", "size", "jump"), [(ALEXNET, 195, 32), (VGG16, 212, 32)])
def test_published_receptive_fields(layers, size, jump):
    # Araujo, Norris, Sim, Distill 2019: AlexNet and VGG-16 at their last pooling
    field = receptive_field(layers)
    assert (field.size, field.jump) == (size, jump)


def test_a_residual_block_sees_what_its_widest_way_sees():
    block = Branches(((Window(kernel=3, padding=(1, 1)), Window(kernel=3, padding=(1, 1))), ()))
    assert receptive_field([block]) == receptive_field([Window(kernel=5, padding=(2, 2))])
    assert block.output_size(9) == 9
    with pytest.raises(GeometryError, match="cannot be added"):
        Branches(((Window(kernel=3),), ())).output_size(9)
    with pytest.raises(GeometryError, match="strides"):
        receptive_field([Branches(((Window(kernel=1, stride=2),), ()))])


def test_checkerboards_are_foretold_where_the_overlap_is_uneven():
    assert TransposedWindow(kernel=3, stride=2).overlaps_unevenly
    assert not TransposedWindow(kernel=4, stride=2).overlaps_unevenly


def test_costs_are_those_of_well_known_layers():
    # AlexNet's third and LeNet-5's first fully connected layer; ResNet's stem
    assert linear_cost(4096, 1000).parameters == 4_097_000
    assert linear_cost(400, 120) == Cost(48_120, 48_000, 480)
    assert convolution_cost(3, 64, (7, 7), (112, 112), bias=False).parameters == 9_408
    assert convolution_cost(32, 32, (3, 3), (8, 8), groups=32).parameters == 32 * 9 + 32
