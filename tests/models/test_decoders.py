"""Decoders bring feature maps of any network back to exactly the image's size."""

from __future__ import annotations

import copy
import itertools
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.support import raises
from tests.zoo import TRIED
from torch import nn

import striate as st
from striate.errors import ModelError
from striate.layers.upward import CheckerboardWarning, ConvTranspose2d
from striate.models.decoders import Decoder, EncoderDecoder, Up, center_crop_or_pad, common_stride

LINES = (
    "conv 8@5x5 | relu | maxpool 2 | conv 6@3x3 | relu | maxpool 2 | flatten | fc classes",
    "conv 8@3x3 pad=same stride=2x1 | bn | silu | (res 12) x2 | bottleneck 6 stride=2 shortcut=pad | gap | fc classes",
    "conv 4@3x3 pad=1 | relu | conv 4@1x1 | gap | fc classes",
)
WAYS = list(itertools.product(("upsample", "transposed"), ("concat", "sum", "none")))


@pytest.fixture(scope="module", params=[*TRIED, *LINES])
def encoder(request) -> nn.Module:
    """The body of every kind of network; of those that differ in depth alone, the small ones."""
    size = 32 if request.param in LINES else max(32, st.models.smallest_px(request.param))
    return st.models.build_network(
        st.models.plan_network(request.param, (3, size, size), classes=5).backbone(), request.param, seed=1
    )


@pytest.mark.parametrize(("way", "skips"), WAYS)
class TestEveryDecoderOnEveryEncoder:
    def test_outputs_are_as_large_as_the_images_whatever_their_size(self, encoder, way, skips):
        model = EncoderDecoder(encoder, 4, way=way, skips=skips).eval()
        for height, width in ((64, 64), (65, 70), (97, 40)):
            with torch.inference_mode():
                assert model(torch.randn(1, 3, height, width)).shape == (1, 4, height, width)

    def test_every_weight_gets_a_gradient(self, encoder, way, skips):
        model = EncoderDecoder(encoder, 4, way=way, skips=skips).train()
        model(torch.randn(2, 3, 64, 64)).square().mean().backward()
        used = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
        missing = {name for name, _ in model.named_parameters()} - set(used)
        assert not missing
        model.zero_grad(set_to_none=True)

    def test_what_is_saved_and_loaded_gives_the_same(self, encoder, way, skips):
        torch.manual_seed(0)
        model = EncoderDecoder(encoder, 4, way=way, skips=skips).eval()
        content = safetensors.torch.save({name: value.contiguous() for name, value in model.state_dict().items()})
        torch.manual_seed(1)
        other = EncoderDecoder(copy.deepcopy(encoder), 4, way=way, skips=skips).eval()
        for parameter in other.parameters():
            nn.init.normal_(parameter)
        other.load_state_dict(safetensors.torch.load(content))
        images = torch.randn(1, 3, 50, 40)
        with torch.inference_mode():
            torch.testing.assert_close(other(images), model(images), rtol=0, atol=0)


@pytest.mark.parametrize("way", ["upsample", "transposed"])
def test_skips_carry_what_the_coarsest_map_has_lost(way):
    """A network whose coarsest unit is 8x8 pixels tells single pixels apart with skips alone."""
    torch.manual_seed(0)
    encoder = st.models.create("conv 8@3x3 pad=1 | relu | maxpool 8 | conv 8@3x3 pad=1 | gap | fc classes", classes=2)
    image = torch.zeros(1, 3, 32, 32)
    moved = image.clone()
    image[0, :, 17, 17], moved[0, :, 17, 18] = 1.0, 1.0  # within one unit
    difference = {}
    for skips in ("concat", "sum", "none"):
        model = EncoderDecoder(encoder, 2, way=way, skips=skips).eval()
        with torch.inference_mode():
            difference[skips] = float((model(image) - model(moved)).abs().max())
    assert difference["concat"] > 1e-4
    assert difference["sum"] > 1e-4
    assert difference["none"] < 1e-6


def test_fcn_begins_as_bilinear_upsampling_of_added_scores():
    """Long et al. 2015: transposed convolutions of scores, initialised to bilinear interpolation."""
    torch.manual_seed(0)
    decoder = Decoder((4, 8), (2, 4), 3, way="transposed", skips="sum")
    fine, coarse = torch.randn(1, 4, 6, 8), torch.randn(1, 8, 3, 4)

    def enlarged(x):
        return nn.functional.interpolate(x, scale_factor=2, mode="bilinear")

    wanted = enlarged(decoder.scores[0](fine) + enlarged(decoder.scores[1](coarse)))
    torch.testing.assert_close(decoder([fine, coarse]), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", ["upsample", "transposed"])
@pytest.mark.parametrize("stride", [1, 2, 3, (2, 1), (1, 3)])
def test_a_step_up_enlarges_down_and_across_as_the_strides_say(way, stride):
    pair = stride if isinstance(stride, tuple) else (stride, stride)
    maps = [torch.randn(2, 4, 7, 5)]
    decoder = Decoder((4,), (stride,), 3, way=way)
    assert decoder(maps).shape == (2, 3, 7 * pair[0], 5 * pair[1])


def test_no_decoder_draws_checkerboards():
    with warnings.catch_warnings():
        warnings.simplefilter("error", CheckerboardWarning)
        for stride in (1, 2, 3, 4, (2, 4)):
            Decoder((4, 4), (1, stride), 3, way="transposed")


def test_kernel_3_draws_a_checkerboard_and_kernel_4_does_not():
    """The spectrum of what equal weights make of noise: at every second pixel's frequency, beside the median one."""

    def peak(kernel: int) -> float:
        torch.manual_seed(0)
        pad = (kernel - 2 + kernel % 2) // 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckerboardWarning)
            up = ConvTranspose2d(8, 1, kernel, 2, sides=((pad, pad), (pad, pad)), bias=False)
        nn.init.ones_(up.weight)
        with torch.inference_mode():
            rows = up(torch.rand(16, 8, 40, 40) + 1)[:, 0, 4:68, 4:68].numpy()
        spectrum = np.abs(np.fft.rfft2(rows - rows.mean((1, 2), keepdims=True))).mean(0)
        return float(spectrum[0, -1] / np.median(spectrum))

    assert peak(3) > 20
    assert peak(4) < 1


def test_a_transposed_convolution_takes_no_fraction():
    with raises(ModelError, what="cannot enlarge by 3/2x3/2", fix="take --decoder upsample"):
        Up(4, 4, (st.models.decoders.Fraction(3, 2),) * 2, "transposed")


def test_a_line_without_feature_maps_has_nothing_to_decode():
    with raises(ModelError, what="has no feature maps to build on", fix="begin the line with conv"):
        st.models.plan_network("flatten | fc classes", (3, 8, 8), classes=2).backbone()


@pytest.mark.parametrize(("height", "width"), [(4, 9), (9, 4), (6, 6), (1, 1), (12, 13)])
def test_maps_are_fitted_about_their_middle(height, width):
    x = torch.arange(36.0).view(1, 1, 6, 6)
    rows, columns = ((np.arange(size) - (size - 6) // 2).clip(0, 5) for size in (height, width))
    np.testing.assert_array_equal(center_crop_or_pad(x, height, width)[0, 0], x[0, 0].numpy()[np.ix_(rows, columns)])


def test_reduced_images_give_scores_of_full_size():
    torch.manual_seed(0)
    encoder = st.models.create("resnet20", classes=2)
    model = EncoderDecoder(encoder, 3, reduce=2).eval()
    assert model.unit == (8, 8)
    images = torch.randn(1, 3, 34, 50)
    with torch.inference_mode():
        small = nn.functional.avg_pool2d(nn.functional.pad(images, (0, 6, 0, 6), mode="replicate"), 2)
        plain = EncoderDecoder(encoder, 3).eval()
        plain.load_state_dict(model.state_dict())
        wanted = nn.functional.interpolate(plain(small), scale_factor=2, mode="bilinear")[:, :, :34, :50]
        torch.testing.assert_close(model(images), wanted, rtol=1e-4, atol=1e-5)


def test_the_common_stride_is_the_least_common_multiple():
    assert common_stride((1, 2, 4)) == (4, 4)
    assert common_stride(((1, 2), (2, 3))) == (2, 6)
