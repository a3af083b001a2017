"""Inverted residual blocks against their definition, written out with torch's own functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import striate as st
from striate.layers import ResidualBlock, set_stochastic_depth
from striate.models import plan_network
from striate.models.builders import build_element


def by_definition(block: ResidualBlock, x: torch.Tensor, kernel: int, stride: int, expand: int) -> torch.Tensor:
    """Widen, filter each channel, narrow; zeros around it so that ceil(size / stride) comes out, more of them below."""
    parts = dict(block.named_children())

    def norm(name, value):
        part = parts[name]
        scaled = (value - part.running_mean[:, None, None]) / (part.running_var[:, None, None] + 1e-3).sqrt()
        return scaled * part.weight[:, None, None] + part.bias[:, None, None]

    inside, names = x, ["bn1", "bn2"]
    if expand > 1:
        inside = F.relu6(norm("bn1", F.conv2d(x, parts["conv_pw"].weight)))
        names = ["bn2", "bn3"]
    sides = []
    for size in reversed(x.shape[2:]):
        more = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        sides += [more // 2, more - more // 2]
    inside = F.conv2d(F.pad(inside, sides), parts["conv_dw"].weight, stride=stride, groups=inside.shape[1])
    inside = F.relu6(norm(names[0], inside))
    narrow = parts["conv_pwl" if expand > 1 else "conv_pw"]
    residual = norm(names[1], F.conv2d(inside, narrow.weight))
    return residual + x if residual.shape == x.shape and stride == 1 else residual


@pytest.mark.parametrize(
    ("channels_in", "channels", "kernel", "stride", "expand"),
    [(6, 6, 3, 1, 6), (6, 10, 5, 2, 6), (8, 4, 3, 1, 1), (4, 4, 5, 1, 2), (6, 6, 3, 2, 3)],
)
@pytest.mark.parametrize("size", [(12, 12), (9, 14)])
def test_a_block_is_what_its_definition_says(channels_in, channels, kernel, stride, expand, size):
    torch.manual_seed(0)
    block = build_element(
        f"mbconv {channels}@{kernel}x{kernel} stride={stride} expand={expand}", (channels_in, *size)
    ).eval()
    for part in block.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            part.weight.data.normal_()
            part.bias.data.normal_()
    x = torch.randn(2, channels_in, *size)
    with torch.no_grad():
        assert torch.allclose(block(x), by_definition(block, x, kernel, stride, expand), atol=1e-4)


def test_its_cost_and_shape_are_known_without_building_it():
    worked_out = plan_network("mbconv 8@5x5 stride=2 expand=4 | gap | fc classes", (6, 15, 20), classes=3)
    first = worked_out.layers[0].effect
    assert first.output == (8, 8, 10)
    inside = 24
    # weights of the three convolutions, and scale and shift of the three norms
    assert first.cost.parameters == 6 * inside + 25 * inside + inside * 8 + 2 * (inside + inside + 8)
    assert first.cost.macs == 6 * inside * 15 * 20 + 25 * inside * 80 + inside * 8 * 80
    built = st.models.create(
        "mbconv 8@5x5 stride=2 expand=4 | gap | fc classes", classes=3, channels=6, size_px=(15, 20)
    )
    assert sum(value.numel() for value in built.get_submodule("features").parameters()) == first.cost.parameters


def test_efficientnet_lite0_has_the_size_that_was_published():
    worked_out = plan_network("efficientnet_lite0")
    assert worked_out.cost.parameters == 4_652_008  # 4.65 million
    assert round(worked_out.cost.macs / 1e9, 2) == 0.39


def test_only_blocks_that_add_their_input_can_be_left_out():
    network = st.models.create("mbconv 6@3x3 | mbconv 6@3x3 | gap | fc classes", classes=2, channels=6, size_px=8)
    assert set_stochastic_depth(network, 0.5) == 2
    other = st.models.create("mbconv 4@3x3 | mbconv 8@3x3 | gap | fc classes", classes=2, channels=6, size_px=8)
    assert set_stochastic_depth(other, 0.5) == 0


def test_an_epsilon_reaches_the_norm():
    network = st.models.create("conv 4@3x3 | bn eps=0.25 | gap | fc classes", classes=2, size_px=8)
    assert network.features[1].eps == 0.25
