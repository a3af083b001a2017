"""Heatmaps give the places that they show, wherever a backbone's units lie."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from tests.support import raises

import striate as st
from striate.errors import ModelError
from striate.models.heatmaps import HeatmapNetwork


def test_a_heatmap_finds_the_place_of_its_peak_and_reads_there():
    encoder = st.models.create("conv 4@4x4 stride=4 | relu | gap | fc classes", classes=2)
    network = HeatmapNetwork(encoder, 2, 1).eval()
    maps = torch.full((1, 4, 6, 8), -50.0)
    maps[0, 0, 1, 2] = maps[0, 1, 5, 7] = 50.0
    maps[0, 2, 1, 2], maps[0, 3, 5, 7] = 3.0, -2.0
    network.decoder = torch.nn.Identity()
    network.decoder.forward = lambda features: maps
    with torch.inference_mode():
        first, second = network(torch.randn(1, 3, 24, 32)).view(2, 3)
    torch.testing.assert_close(first, torch.tensor([3.0, 4 * 2.5 / 8 - 2, 4 * 1.5 / 6 - 2]))
    torch.testing.assert_close(second, torch.tensor([-2.0, 4 * 7.5 / 8 - 2, 4 * 5.5 / 6 - 2]))


UNPADDED = "conv 1@5x5 | relu | avgpool 2 | conv 1@5x5 | relu | avgpool 2 | gap | fc classes"
PATCHES = "conv 1@4x4 stride=4 | relu | gap | fc classes"
HALVED = "conv 1@2x2 stride=2 | relu | conv 1@2x2 stride=2 | relu | conv 1@2x2 stride=2 | relu | gap | fc classes"


@pytest.mark.parametrize(
    ("line", "size_px", "square_px"),
    [
        (UNPADDED, (32, 32), (10, 18)),  # units stand for the pixels from 6 to 26 alone: the middles of 8, 12, … 24
        (UNPADDED, (32, 40), (18, 10)),
        (PATCHES, (32, 48), (4, 40)),
        (PATCHES, (30, 45), (20, 8)),  # no multiples of the stride: images are extended
        (HALVED, (24, 16), (12, 8)),  # the finest map that is used is at a quarter
        (HALVED, (20, 12), (12, 4)),
    ],
)
def test_positions_are_right_whatever_the_padding(line, size_px, square_px):
    """A bright square of 4x4 pixels, its top left one at `square_px` (row, column), which one unit sees alone."""
    encoder = st.models.create(line, classes=2, size_px=48)
    network = HeatmapNetwork(encoder, 1, 1).eval()
    image = torch.zeros(1, 3, *size_px)
    row, column = square_px
    image[:, :, row : row + 4, column : column + 4] = 1
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            parameter.zero_()
            if name.endswith("weight") and parameter.ndim == 4:
                sides = parameter.shape[2:]
                if sides == (5, 5):
                    parameter[:, :, 2, 2] = 1  # looks at its middle
                else:
                    parameter.fill_(1)  # looks at all alike
        finest = encoder.features(image)[network.first]
        peak = finest.amax()
        network.decoder = torch.nn.Identity()
        network.decoder.forward = lambda maps: torch.cat([1000 / peak * maps[0], maps[0]], 1)
        found = network(image)[0]
    height, width = size_px
    assert float(found[0]) == pytest.approx(float(peak))
    assert float((found[1] + 2) / 4 * width) == pytest.approx(column + 2, abs=1e-3)
    assert float((found[2] + 2) / 4 * height) == pytest.approx(row + 2, abs=1e-3)


def test_places_do_not_become_coarser_by_mixed_precision():
    """Between units, places differ by less than bfloat16 tells apart: half a pixel at the far side of 128."""
    encoder = st.models.create(PATCHES, classes=2, size_px=128)
    network = HeatmapNetwork(encoder, 3, 2).eval()
    maps = torch.randn(8, 9, 32, 32, generator=torch.Generator().manual_seed(0))
    network.decoder = torch.nn.Identity()
    network.decoder.forward = lambda features: maps
    images = torch.zeros(8, 3, 128, 128)
    with torch.inference_mode():
        exact = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(images)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, rtol=0, atol=1e-6)


def test_a_place_is_the_mean_of_all_and_not_the_highest_one():
    network = HeatmapNetwork(st.models.create(PATCHES, classes=2, size_px=32), 1, 1).eval()
    maps = torch.full((1, 2, 8, 8), -50.0)
    maps[0, 0, 2, 1], maps[0, 0, 2, 5] = 0.0, torch.log(torch.tensor(3.0))  # a quarter, and three
    maps[0, 1, 2, 1], maps[0, 1, 2, 5] = 8.0, 16.0
    network.decoder = torch.nn.Identity()
    network.decoder.forward = lambda features: maps
    with torch.inference_mode():
        found, x, y = network(torch.zeros(1, 3, 32, 32))[0]
    assert float(found) == pytest.approx(8 / 4 + 16 * 3 / 4)
    assert float((x + 2) / 4 * 32) == pytest.approx(4 * (1.5 / 4 + 5.5 * 3 / 4), abs=1e-4)
    assert float((y + 2) / 4 * 32) == pytest.approx(4 * 2.5, abs=1e-4)


def test_a_line_whose_strides_do_not_double_takes_the_other_head():
    body = "conv 4@4x4 stride=4 | relu | up 3 | conv 4@4x4 stride=4 pad=1 | gap | fc classes"
    encoder = st.models.create(body, classes=2, size_px=48)
    with raises(ModelError, what="cannot enlarge by", fix="take --head vector, or other strides"):
        HeatmapNetwork(encoder, 2, 1)


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "resnet20", "vgg11_bn"])
def test_maps_are_made_of_more_channels_than_they_are(model):
    plan = st.models.plan_network(model, (3, 64, 64), classes=2).backbone()
    network = HeatmapNetwork(st.models.build_network(plan, model, seed=0), 17, 3)
    ways = [up.then[0].out_channels for up in network.decoder.up]
    assert all(width >= 128 > 17 * 4 for width in ways)
    assert len(ways) == len(network.encoder.channels[network.first :]) - 1


SEVERAL = ("lenet5", "resnet20", "resnet18", "resnet50", "vgg11_bn", "alexnet", UNPADDED, HALVED)


@pytest.mark.parametrize("model", SEVERAL)
def test_every_parameter_gets_a_gradient_and_is_saved(model, tmp_path):
    plan = st.models.plan_network(model, (3, 72, 80), classes=2).backbone()
    network = HeatmapNetwork(st.models.build_network(plan, model, seed=0), 3, 2)
    images = torch.rand(2, 3, 72, 80)
    outputs = network(images)
    assert outputs.shape == (2, 12)
    (outputs * torch.randn(2, 12)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other = HeatmapNetwork(st.models.build_network(plan, model, seed=1), 3, 2)
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    with torch.inference_mode():
        assert torch.equal(other.eval()(images), network.eval()(images))


@pytest.mark.parametrize("size_px", [(70, 81), (97, 64), (75, 75)])
@pytest.mark.parametrize("model", SEVERAL)
def test_images_of_odd_sizes_have_places_within_them(model, size_px):
    """A little beyond the border at the most: by half a unit, where an encoder does not pad."""
    plan = st.models.plan_network(model, (3, 72, 80), classes=2).backbone()
    network = HeatmapNetwork(st.models.build_network(plan, model, seed=0), 3, 2).eval()
    with torch.inference_mode():
        outputs = network(torch.randn(2, 3, *size_px)).view(2, 3, 4)
    assert outputs.isfinite().all()
    assert (outputs[..., 2:].abs() <= 2 + 4 * 2 / min(size_px)).all()
