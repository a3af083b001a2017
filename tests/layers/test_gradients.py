"""Gradients are what the lecture says, computed here by plain loops from the definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from torch import nn

from striate.layers import ConvTranspose2d, Pad2d
from striate.models.builders import build_element

DRAWN = settings(max_examples=40, deadline=None)
SIDES = some.tuples(some.integers(2, 6), some.integers(2, 6))
KERNELS = some.tuples(some.integers(1, 3), some.integers(1, 3))
STRIDES = some.tuples(some.integers(1, 3), some.integers(1, 3))


def backward(layer: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Send a drawn gradient back through a layer; return it and what arrives at the input."""
    x.requires_grad_()
    y = layer(x)
    gradient = torch.rand(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y.backward(gradient)
    return gradient, x.grad


def image(channels: int, sides: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return torch.rand((1, channels, *sides), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def places(output: torch.Tensor, kernel: tuple[int, int]):
    """Every output place with every tap of the kernel."""
    return itertools.product(*(range(n) for n in (*output.shape[2:], *kernel)))


@DRAWN
@given(sides=SIDES, kernel=KERNELS, stride=STRIDES, padding=some.tuples(some.integers(0, 2), some.integers(0, 2)))
def test_convolution_passes_gradients_by_the_taps_that_met(sides, kernel, stride, padding):
    assume(all(n + 2 * p >= k for n, p, k in zip(sides, padding, kernel, strict=True)))
    layer = nn.Conv2d(2, 3, kernel, stride, padding).double()
    x = image(2, sides)
    gradient, arrived = backward(layer, x)
    to_input, to_weight = torch.zeros_like(x), torch.zeros_like(layer.weight)
    for row, column, i, j in places(gradient, kernel):
        y, z = row * stride[0] + i - padding[0], column * stride[1] + j - padding[1]
        if 0 <= y < sides[0] and 0 <= z < sides[1]:
            for c_in, c_out in itertools.product(range(2), range(3)):
                to_input[0, c_in, y, z] += layer.weight[c_out, c_in, i, j].detach() * gradient[0, c_out, row, column]
                to_weight[c_out, c_in, i, j] += x[0, c_in, y, z].detach() * gradient[0, c_out, row, column]
    torch.testing.assert_close(arrived, to_input)
    torch.testing.assert_close(layer.weight.grad, to_weight)
    torch.testing.assert_close(layer.bias.grad, gradient.sum((0, 2, 3)))


@DRAWN
@given(sides=SIDES, kernel=KERNELS, stride=STRIDES)
def test_transposed_convolution_passes_gradients(sides, kernel, stride):
    layer = nn.ConvTranspose2d(2, 3, kernel, stride, bias=False).double()
    x = image(2, sides)
    gradient, arrived = backward(layer, x)
    to_input, to_weight = torch.zeros_like(x), torch.zeros_like(layer.weight)
    for row, column, i, j in itertools.product(*(range(n) for n in (*sides, *kernel))):
        for c_in, c_out in itertools.product(range(2), range(3)):
            there = gradient[0, c_out, row * stride[0] + i, column * stride[1] + j]
            to_input[0, c_in, row, column] += layer.weight[c_in, c_out, i, j].detach() * there
            to_weight[c_in, c_out, i, j] += x[0, c_in, row, column].detach() * there
    torch.testing.assert_close(arrived, to_input)
    torch.testing.assert_close(layer.weight.grad, to_weight)


@DRAWN
@given(sides=SIDES, kernel=KERNELS, stride=STRIDES)
def test_average_pooling_spreads_a_gradient_evenly(sides, kernel, stride):
    assume(all(n >= k for n, k in zip(sides, kernel, strict=True)))
    x = image(1, sides)
    gradient, arrived = backward(nn.AvgPool2d(kernel, stride), x)
    expected = torch.zeros_like(x)
    for row, column, i, j in places(gradient, kernel):
        expected[0, 0, row * stride[0] + i, column * stride[1] + j] += gradient[0, 0, row, column] / np.prod(kernel)
    torch.testing.assert_close(arrived, expected)


@DRAWN
@given(sides=SIDES, kernel=KERNELS, stride=STRIDES, values=some.integers(1, 5))
def test_max_pooling_gives_the_gradient_to_the_first_maximum(sides, kernel, stride, values):
    assume(all(n >= k for n, k in zip(sides, kernel, strict=True)))
    x = (image(1, sides) * values).floor()  # few values: many ties
    gradient, arrived = backward(nn.MaxPool2d(kernel, stride), x)
    expected = torch.zeros_like(x)
    for row, column in itertools.product(*(range(n) for n in gradient.shape[2:])):
        window = [
            (row * stride[0] + i, column * stride[1] + j)
            for i, j in itertools.product(range(kernel[0]), range(kernel[1]))
        ]
        winner = max(window, key=lambda place: float(x[(0, 0, *place)].detach()))  # of equals, max takes the first
        expected[(0, 0, *winner)] += gradient[0, 0, row, column]
    torch.testing.assert_close(arrived, expected)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 3, 3, stride=2, padding=1, padding_mode="reflect"),
        nn.Conv2d(2, 4, (3, 2), dilation=2, groups=2, padding=2),
        nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1),
        nn.AvgPool2d(3, 2, padding=1),
        nn.MaxPool2d(3, 2, padding=1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Tanh(),
        Pad2d(((7, 1), (0, 9)), "reflect"),
        ConvTranspose2d(2, 3, 4, 2, sides=((1, 0), (1, 2)), mode="replicate"),
        ConvTranspose2d(2, 2, (2, 3), (2, 1), mode="circular", groups=2),
        build_element("res 3 stride=2", (2, 5, 6)).eval(),
        build_element("bottleneck 1", (2, 5, 6)).eval(),
    ],
    ids=str,
)
def test_gradients_are_the_limits_of_finite_differences(layer):
    x = image(2, (5, 6)).requires_grad_()
    assert torch.autograd.gradcheck(layer.double(), (x,), eps=1e-6, atol=1e-6)
