"""The bricks that torch lacks: padding in any mode and amount, and the ways up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.support import raises
from torch import nn

from striate.errors import ModelError
from striate.geometry import TransposedWindow
from striate.layers import (
    CheckerboardWarning,
    ConvTranspose2d,
    LinearMap,
    Pad2d,
    PadShortcut,
    SamePad2d,
    StochasticDepth,
    as_matrix,
    conv_bn_activation,
    deconv,
    set_stochastic_depth,
    up,
)
from striate.layers.upward import triangle
from striate.models.builders import build_element

DRAWN = settings(max_examples=60, deadline=None)
SIZES = some.tuples(some.integers(1, 6), some.integers(1, 6))
SIDES = some.tuples(
    some.tuples(some.integers(0, 15), some.integers(0, 15)), some.tuples(some.just(0), some.integers(0, 9))
)
NUMPYS = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@DRAWN
@given(size=SIZES, sides=SIDES, mode=some.sampled_from(list(NUMPYS)))
def test_padding_is_numpys_however_far_it_reaches(size, sides, mode):
    image = np.random.default_rng(0).random((1, 2, *size))
    layer = Pad2d(sides, mode)
    expected = np.pad(image, ((0, 0), (0, 0), *sides), mode=NUMPYS[mode])
    np.testing.assert_array_equal(layer(torch.from_numpy(image)).numpy(), expected)
    np.testing.assert_allclose(as_matrix(layer, (2, *size)) @ image.ravel(), expected.ravel())


@DRAWN
@given(
    size=SIZES,
    kernel=some.tuples(some.integers(1, 5), some.integers(1, 5)),
    stride=some.tuples(some.integers(1, 4), some.integers(1, 4)),
    mode=some.sampled_from(list(NUMPYS)),
)
def test_same_padding_gives_the_size_over_the_stride(size, kernel, stride, mode):
    padded = SamePad2d(kernel, stride, mode=mode)(torch.rand(1, 1, *size))
    result = F.max_pool2d(padded, kernel, stride)
    assert tuple(result.shape[2:]) == tuple(-(-n // s) for n, s in zip(size, stride, strict=True))


def test_a_padding_of_another_name_is_refused():
    for make in (lambda: Pad2d(((1, 1), (1, 1)), "mirror"), lambda: ConvTranspose2d(1, 1, 2, mode="mirror")):
        with pytest.raises(ModelError, match="unknown padding mode 'mirror'; there are: zeros, reflect, replicate"):
            make()


@pytest.mark.parametrize("sides", [-1, ((0, -1), (0, 0))])
def test_sides_that_are_none_are_refused(sides):
    with pytest.raises(ModelError, match=r"must be \(\(above, below\), \(left, right\)\)"):
        Pad2d(sides)


def test_one_number_pads_all_sides():
    assert Pad2d(2, "reflect")(torch.zeros(1, 1, 3, 4)).shape == (1, 1, 7, 8)


def test_the_matrix_of_torchs_own_padding_ends_where_that_ends():
    layer = nn.ReflectionPad2d(3)
    with pytest.raises(RuntimeError):
        layer(torch.zeros(1, 1, 3, 3))
    with pytest.raises(ModelError, match=r"reaches 2 beyond an input of 3, not 3; striate.layers.Pad2d goes on"):
        as_matrix(layer, (1, 3, 3))


@DRAWN
@given(
    size=SIZES,
    kernel=some.tuples(some.integers(1, 4), some.integers(1, 4)),
    stride=some.tuples(some.integers(1, 3), some.integers(1, 3)),
    rows=some.tuples(some.integers(0, 2), some.integers(0, 2)),
    columns=some.tuples(some.integers(0, 2), some.integers(0, 2)),
    extra=some.integers(0, 2),
    mode=some.sampled_from(list(NUMPYS)),
)
@pytest.mark.filterwarnings("ignore::striate.layers.upward.CheckerboardWarning")
def test_transposed_convolution_is_that_of_the_padded_image(size, kernel, stride, rows, columns, extra, mode):
    """Extend the image by far, let torch's own layer loose on it, and cut out what belongs to the image."""
    output_padding = tuple(min(extra, s - 1) for s in stride)
    layer = ConvTranspose2d(
        2, 3, kernel, stride, sides=(rows, columns), mode=mode, output_padding=output_padding
    ).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    sizes = [
        s * (n - 1) + k - sum(pair) + a
        for n, k, s, pair, a in zip(size, kernel, stride, (rows, columns), output_padding, strict=True)
    ]
    if min(sizes) < 1:
        return
    image = torch.rand((1, 2, *size), dtype=torch.float64)
    far = 6
    extended = torch.from_numpy(np.pad(image.numpy(), ((0, 0), (0, 0), (far, far), (far, far)), mode=NUMPYS[mode]))
    large = F.conv_transpose2d(extended, layer.weight, layer.bias, stride)
    top, left = (far * s + pair[0] for s, pair in zip(stride, (rows, columns), strict=True))
    expected = large[:, :, top : top + sizes[0], left : left + sizes[1]]
    result = layer(image)
    torch.testing.assert_close(result, expected)
    linear = result - layer.bias.view(1, -1, 1, 1)
    np.testing.assert_allclose(as_matrix(layer, (2, *size)) @ image.numpy().ravel(), linear.detach().numpy().ravel())
    np.testing.assert_allclose(LinearMap(layer, (2, *size)) @ image.numpy().ravel(), linear.detach().numpy().ravel())


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_it_is_the_transpose_of_the_same_convolution(mode):
    back = ConvTranspose2d(3, 2, 4, 2, sides=((1, 1), (1, 1)), mode=mode)
    forth = nn.Conv2d(2, 3, 4, 2, padding=1, padding_mode=mode, bias=False)
    forth.weight.data = back.weight.data = torch.randn(3, 2, 4, 4)
    difference = as_matrix(back, (3, 4, 5)) - as_matrix(forth, (2, 8, 10)).T
    assert abs(difference).max() == 0


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
def test_a_fresh_deconv_upsamples_bilinearly_up_to_the_borders(factor):
    images = torch.rand(2, 5, 6, 7)
    expected = F.interpolate(images, scale_factor=factor, mode="bilinear")
    torch.testing.assert_close(deconv(5, 5, factor)(images), expected, rtol=1e-5, atol=1e-5)
    assert up(5, 3, factor)(images).shape == (2, 3, 6 * factor, 7 * factor)


@DRAWN
@given(stride=some.integers(1, 5), times=some.integers(1, 4))
def test_the_contributions_to_each_unit_average_one(stride, times):
    weights = triangle(stride * times, stride).view(-1, stride)  # a column for each phase
    assert weights.sum(0).mean().item() == pytest.approx(1)
    assert triangle(2 * stride - 1, stride).sum().item() == pytest.approx(stride)


def test_residual_blocks_take_one_stride_or_two():
    same = build_element("res 8", (8, 5, 5))
    assert isinstance(same.downsample, nn.Identity)
    assert build_element("bottleneck 4", (16, 5, 5))(torch.zeros(1, 16, 5, 5)).shape == (1, 16, 5, 5)
    assert build_element("res 12 stride=2 shortcut=pad", (8, 5, 6))(torch.zeros(1, 8, 5, 6)).shape == (1, 12, 3, 3)
    assert build_element("res 12 stride=2x1", (8, 5, 6))(torch.zeros(1, 8, 5, 6)).shape == (1, 12, 3, 6)
    with raises(ModelError, where="channels", what="at least the 8 of the input, not 4"):
        PadShortcut(8, 4, 2)


def test_conv_bn_activation_keeps_sizes_but_for_the_stride():
    block = conv_bn_activation(6, 8, 5, stride=2, groups=2, activation=nn.SiLU())
    assert [type(part) for part in block] == [nn.Conv2d, nn.BatchNorm2d, nn.SiLU]
    assert block[0].bias is None
    assert block[0].groups == 2
    assert block(torch.zeros(2, 6, 9, 10)).shape == (2, 8, 5, 5)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "uneven"), [(4, 2, 1, False), (3, 2, 1, True), (4, 2, 2, True), (6, 3, 2, False)]
)
def test_unevenness_is_seen_in_a_flat_image(kernel, stride, dilation, uneven):
    window = TransposedWindow(kernel=kernel, stride=stride, dilation=dilation)
    assert window.overlaps_unevenly is uneven
    weight = torch.ones(1, 1, kernel, kernel)
    flat = F.conv_transpose2d(torch.ones(1, 1, 12, 12), weight, stride=stride, dilation=dilation)
    inner = flat[0, 0, 10:-10, 10:-10]
    assert bool(inner.max() > inner.min()) is uneven


def test_mixed_channels_keep_their_spread():
    torch.manual_seed(0)
    layer = ConvTranspose2d(256, 512, 4, 2, sides=((1, 1), (1, 1)), mode="replicate")
    flat = torch.randn(16, 256).relu()[:, :, None, None].expand(16, 256, 3, 3)
    assert layer(flat).square().mean().item() == pytest.approx(2 * flat.square().mean().item(), rel=0.2)


def test_a_kernel_that_is_no_multiple_of_its_stride_is_warned_of():
    with pytest.warns(CheckerboardWarning, match=r"kernel \(3, 3\) and stride \(2, 2\) draws checkerboards"):
        ConvTranspose2d(1, 1, 3, 2)
    ConvTranspose2d(1, 1, 4, 2)  # warnings are errors here


@pytest.mark.parametrize("chance", [0.1, 0.5])
def test_stochastic_depth_keeps_the_mean(chance):
    torch.manual_seed(0)
    dropped = StochasticDepth(chance)(torch.ones(20_000, 2, 1, 1))
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    assert dropped.unique().tolist() == [0, pytest.approx(1 / (1 - chance))]
    # three standard errors of the mean
    assert float(dropped.mean()) == pytest.approx(1, abs=3 * (chance / (1 - chance) / 20_000) ** 0.5)
    images = torch.randn(4, 2, 3, 3)
    assert StochasticDepth(chance).eval()(images) is images


def test_stochastic_depth_grows_with_depth():
    blocks = nn.Sequential(*(build_element("res 4", (4, 5, 5)) for _ in range(4)))
    assert set_stochastic_depth(blocks, 0.2) == 4
    assert [block.drop.chance for block in blocks] == [pytest.approx(0.05 * place) for place in (1, 2, 3, 4)]
    assert set_stochastic_depth(nn.Conv2d(1, 1, 1), 0.2) == 0


def test_a_block_without_its_residual_is_its_shortcut():
    block = build_element("res 4", (4, 5, 5)).train()
    block.drop.chance = 0.999999
    images = torch.rand(3, 4, 5, 5)
    torch.testing.assert_close(block(images), images)
