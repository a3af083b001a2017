"""A layer is its matrix."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from scipy.sparse.linalg import svds
from torch import nn

from striate.errors import ModelError
from striate.layers import LinearMap, Pad2d, as_matrix, offset

DRAWN = settings(max_examples=150, deadline=None)


def randomise(layer: nn.Module, seed: int = 0) -> nn.Module:
    """Give a layer weights, biases and running statistics that are all different from each other."""
    generator = torch.Generator().manual_seed(seed)
    layer = layer.double().eval()
    for value in layer.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator, dtype=torch.float64) + 0.1)
    return layer


def vector(image: torch.Tensor, order: str) -> np.ndarray:
    """Write an image down as a vector, by the definition of either order."""
    if order == "columns" and image.dim() == 3:
        return np.concatenate([channel[:, x].numpy() for channel in image for x in range(channel.shape[1])])
    return image.flatten().numpy()


def pushed_through(layer: nn.Module, shape: tuple[int, ...]) -> np.ndarray:
    """The oracle: a column of the matrix is the layer's answer to a unit vector."""
    eye = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
    with torch.no_grad():
        return (layer(eye) - layer(torch.zeros_like(eye[:1]))).flatten(1).T.numpy()


def check(layer: nn.Module, shape: tuple[int, ...]) -> None:
    """Compare a layer, its matrix and its operator, in both orders."""
    layer = randomise(layer)
    try:
        with torch.no_grad():
            image = torch.rand(shape, dtype=torch.float64)
            answer = layer(image[None])[0]
    except RuntimeError:
        with pytest.raises(ModelError, match="does not take an input of"):
            as_matrix(layer, shape)
        return
    np.testing.assert_allclose(as_matrix(layer, shape).toarray(), pushed_through(layer, shape), rtol=1e-12, atol=1e-12)
    for order in ("rows", "columns"):
        matrix = as_matrix(layer, shape, order)
        x, y = vector(image, order), vector(answer, order)
        np.testing.assert_allclose(matrix @ x + offset(layer, shape, order), y, rtol=1e-9, atol=1e-9)
        operator = LinearMap(layer, shape, order)
        back = np.random.default_rng(0).random(len(y))
        np.testing.assert_allclose(operator @ x, matrix @ x, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(operator.T @ back, matrix.T @ back, rtol=1e-9, atol=1e-9)
        assert (operator @ x) @ back == pytest.approx(x @ (operator.H @ back), rel=1e-12)


AXIS = some.tuples(some.integers(1, 4), some.integers(1, 3), some.integers(0, 3), some.integers(1, 2))
MODES = some.sampled_from(["zeros", "reflect", "replicate", "circular"])
SIDES = some.tuples(some.integers(1, 7), some.integers(1, 7))


@DRAWN
@given(axes=some.tuples(AXIS, AXIS), sides=SIDES, groups=some.integers(1, 2), mode=MODES)
def test_convolution_with_every_option(axes, sides, groups, mode):
    kernel, stride, padding, dilation = zip(*axes, strict=True)
    layer = nn.Conv2d(2, 4, kernel, stride, padding, dilation=dilation, groups=groups, padding_mode=mode)
    check(layer, (2, *sides))


@DRAWN
@given(axes=some.tuples(AXIS, AXIS), sides=SIDES, groups=some.integers(1, 2), extra=some.integers(0, 2))
def test_transposed_convolution(axes, sides, groups, extra):
    kernel, stride, padding, dilation = zip(*axes, strict=True)
    assume(all(extra < max(s, d) for s, d in zip(stride, dilation, strict=True)))
    layer = nn.ConvTranspose2d(4, 2, kernel, stride, padding, output_padding=extra, dilation=dilation, groups=groups)
    check(layer, (4, *sides))


@DRAWN
@given(axes=some.tuples(AXIS, AXIS), sides=SIDES)
def test_a_transposed_convolution_has_the_transposed_matrix(axes, sides):
    kernel, stride, padding, dilation = zip(*axes, strict=True)
    convolution = randomise(nn.Conv2d(3, 2, kernel, stride, padding, dilation=dilation, bias=False))
    try:
        output = convolution(torch.zeros(1, 3, *sides, dtype=torch.float64)).shape[2:]
    except RuntimeError:
        assume(False)
    extra = [
        (size + 2 * p - d * (k - 1) - 1) % s
        for size, k, s, p, d in zip(sides, kernel, stride, padding, dilation, strict=True)
    ]
    back = nn.ConvTranspose2d(2, 3, kernel, stride, padding, extra, dilation=dilation, bias=False)
    back.weight = convolution.weight
    forth, transposed = as_matrix(convolution, (3, *sides)), as_matrix(back, (2, *output))
    assert (transposed != forth.T).nnz == 0


@DRAWN
@given(
    axes=some.tuples(AXIS, AXIS),
    sides=SIDES,
    ceil=some.booleans(),
    count=some.booleans(),
    divisor=some.sampled_from([None, 3]),
)
def test_average_pooling(axes, sides, ceil, count, divisor):
    kernel, stride, padding, _ = zip(*axes, strict=True)
    padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    check(nn.AvgPool2d(kernel, stride, padding, ceil, count, divisor), (2, *sides))


@DRAWN
@given(sides=SIDES, wanted=SIDES, mode=some.sampled_from(["nearest", "bilinear"]), corners=some.booleans())
def test_upsampling_and_adaptive_pooling(sides, wanted, mode, corners):
    check(nn.Upsample(size=wanted, mode=mode, align_corners=corners if mode == "bilinear" else None), (2, *sides))
    check(nn.Upsample(scale_factor=2, mode=mode), (2, *sides))
    check(nn.AdaptiveAvgPool2d(wanted), (2, *sides))


@DRAWN
@given(
    sides=SIDES,
    padding=some.tuples(*[some.integers(0, 3)] * 4),
    kind=some.sampled_from([nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d]),
)
def test_padding_of_every_kind_and_side(sides, padding, kind):
    check(kind(padding), (2, *sides))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 3), (5,)),
        (nn.Linear(4, 3), (2, 3, 4)),
        (nn.BatchNorm2d(3), (3, 4, 2)),
        (nn.BatchNorm2d(3, affine=False), (3, 4, 2)),
        (nn.BatchNorm1d(6), (6,)),
        (nn.Flatten(), (2, 3, 4)),
        (nn.Identity(), (2, 3, 4)),
        (nn.Dropout(0.5), (2, 3, 4)),
        (nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (2, 6)),
        (nn.Conv2d(2, 3, (3, 5), padding="same", dilation=(2, 1)), (2, 5, 4)),
        (nn.Conv2d(2, 3, 2, padding="valid"), (2, 5, 4)),
        (nn.ConvTranspose1d(2, 3, 4, stride=2, padding=1), (2, 6)),
        (nn.AvgPool1d(2), (2, 7)),
        (
            nn.Sequential(
                nn.ReflectionPad2d((2, 1, 0, 1)),
                nn.Conv2d(2, 4, 3, stride=2),
                nn.BatchNorm2d(4),
                nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.AvgPool2d(2)),
                nn.Flatten(),
                nn.Linear(4 * 2 * 3, 5),
            ),
            (2, 5, 6),
        ),
    ],
    ids=str,
)
def test_other_layers_and_sequences(layer, shape):
    check(layer, shape)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.MaxPool2d(2), nn.Sequential(nn.Conv2d(1, 1, 1), nn.Tanh())], ids=str)
def test_what_is_not_linear_has_no_matrix(layer):
    for look in (as_matrix, LinearMap):
        with pytest.raises(ModelError, match="is not linear"):
            look(layer, (1, 4, 4))


def test_a_shape_that_does_not_fit_is_named():
    with pytest.raises(ModelError, match="does not take an input of 2x4x4: 3 channels are wanted, not 2"):
        as_matrix(nn.Conv2d(3, 4, 3), (2, 4, 4))
    with pytest.raises(ModelError, match="does not take an input of 3x2x4: a window of 3 does not fit into 2"):
        as_matrix(nn.Conv2d(3, 4, 3), (3, 2, 4))


def test_the_lectures_order_by_columns():
    conv = nn.Conv2d(1, 1, 2, bias=False)
    conv.weight.data = torch.tensor([[[[1.0, 3.0], [2.0, 4.0]]]])  # its columns: (1, 2) and (3, 4)
    assert as_matrix(conv, (1, 3, 3), "columns").toarray().tolist() == [
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
    ]


def test_the_largest_singular_value_is_the_matrixs():
    layer = randomise(nn.Conv2d(2, 3, 3, padding=1))
    exact = np.linalg.svd(as_matrix(layer, (2, 8, 8)).toarray(), compute_uv=False)[0]
    assert LinearMap(layer, (2, 8, 8)).largest_singular_value() == pytest.approx(exact, rel=1e-9)
    assert svds(as_matrix(layer, (2, 8, 8)), k=1, return_singular_vectors=False)[0] == pytest.approx(exact, rel=1e-9)


def test_a_real_layer_is_built_in_seconds_and_is_sparse():
    layer = nn.Conv2d(64, 64, 3, padding=1)
    began = time.perf_counter()
    matrix = as_matrix(layer, (64, 56, 56))
    assert time.perf_counter() - began < 30
    assert matrix.nnz == 64 * 64 * (3 * 56 - 2) ** 2
    assert (matrix.data.itemsize, matrix.indices.itemsize) == (4, 4)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 1), (5,)),
        (nn.Conv2d(3, 1, 4), (3, 4, 4)),
        (nn.Conv2d(1, 8, 1), (1, 1, 1)),
        (nn.Conv2d(1, 1, 3), (1, 3, 3)),
        (nn.Conv2d(2, 3, 3, padding=1), (2, 5, 4)),
        (nn.Linear(4, 9), (4,)),
    ],
)
def test_the_largest_singular_value_is_numpys(layer, shape):
    expected = np.linalg.svd(as_matrix(layer.double(), shape).toarray(), compute_uv=False)[0]
    assert LinearMap(layer, shape).largest_singular_value() == pytest.approx(expected, rel=1e-9)


def test_a_matrix_of_zeros_stretches_nothing():
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    assert LinearMap(layer, (4,)).largest_singular_value() == 0


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("scale", [1.5, 2.3, (1.25, 3.0), 0.7])
@pytest.mark.parametrize("recompute", [None, True])
def test_upsampling_by_broken_factors_is_torchs(mode, scale, recompute):
    layer = nn.Upsample(scale_factor=scale, mode=mode, recompute_scale_factor=recompute)
    image = torch.rand(1, 2, 5, 7, dtype=torch.float64)
    np.testing.assert_allclose(
        as_matrix(layer, (2, 5, 7)) @ image.numpy().ravel(), layer(image).numpy().ravel(), atol=1e-6
    )


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm2d(3), (4, 2, 2), "3 channels are wanted, not 4"),
        (nn.Conv2d(1, 1, 2), (1, 5), r"\[channels, height, width\] is wanted"),
        (nn.AvgPool2d(2), (4, 4), r"\[channels, height, width\] is wanted"),
        (nn.Flatten(0), (4, 4), "its first axis is that of the batch"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ModelError, match=message):
        as_matrix(layer, shape)


def test_flatten_is_torchs_from_any_axis_on():
    layer = nn.Sequential(nn.Flatten(2), nn.Linear(12, 3)).double()
    image = torch.rand(1, 2, 3, 4, dtype=torch.float64)
    expected = layer(image) - layer(torch.zeros_like(image))
    np.testing.assert_allclose(as_matrix(layer, (2, 3, 4)) @ image.numpy().ravel(), expected.detach().numpy().ravel())


def test_matrices_have_the_precision_of_their_weights():
    layer = nn.Sequential(nn.Conv2d(2, 3, 3))
    for order in ("rows", "columns"):
        matrix = as_matrix(layer, (2, 8, 8), order)
        assert (matrix.dtype, matrix.indices.dtype) == (np.float32, np.int32)
    assert as_matrix(nn.Conv2d(1, 1, 3).bfloat16(), (1, 5, 5)).dtype == np.float32


@pytest.mark.parametrize("see", [as_matrix, LinearMap], ids=["as_matrix", "LinearMap"])
@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.ConstantPad2d(1, 3.0), (2, 4, 4), "pads with a number other than 0"),
        (Pad2d(1, fill=2.0), (2, 4, 4), "pads with a number other than 0"),
        (nn.BatchNorm2d(2, track_running_stats=False), (2, 4, 4), "linear in no mode"),
        (nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU()), (2, 4, 4), "ReLU is not linear"),
    ],
)
def test_both_views_refuse_what_is_not_linear(see, layer, shape, message):
    with pytest.raises(ModelError, match=message):
        see(layer, shape)
