"""Decoders and heads build on any module that keeps the protocol of a backbone."""

from __future__ import annotations

import pytest
import torch
from tests.support import raises
from torch import nn

import striate as st
from striate.errors import ModelError
from striate.models.decoders import EncoderDecoder
from striate.models.heatmaps import HeatmapNetwork


class PlainBackbone(nn.Module):
    """Two stages of strides 2 and 4, written without striate."""

    channels = (6, 10)
    strides = (2, 4)
    input_shape = (3, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.coarse = nn.Conv2d(6, 10, 3, stride=2, padding=1)

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        fine = self.fine(images).relu()
        return [fine, self.coarse(fine).relu()]


@pytest.mark.parametrize("skips", ["concat", "sum", "none"])
@pytest.mark.parametrize("way", ["upsample", "transposed"])
def test_a_decoder_takes_any_backbone(way, skips):
    network = EncoderDecoder(PlainBackbone(), 5, way=way, skips=skips)
    scores = network(torch.randn(2, 3, 30, 41))
    assert scores.shape == (2, 5, 30, 41)
    scores.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_heatmap_head_takes_any_backbone():
    network = HeatmapNetwork(PlainBackbone(), 3, 2)
    outputs = network(torch.randn(2, 3, 30, 41))
    assert outputs.shape == (2, 3 * (2 + 2))
    outputs.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_network_of_a_line_is_a_backbone():
    network = st.models.create("conv 4@3x3 stride=2 pad=1 | relu | gap | fc classes", classes=2, size_px=(16, 24))
    assert (network.channels, network.strides, network.input_shape) == ((4,), (2,), (3, 16, 24))
    assert [tuple(maps.shape) for maps in network.features(torch.zeros(1, 3, 16, 24))] == [(1, 4, 8, 12)]


def test_a_network_without_feature_maps_is_refused():
    network = st.models.create("flatten | fc classes", classes=2, size_px=8)
    with raises(ModelError, what="does not distinguish positions", fix="begin the line with conv"):
        EncoderDecoder(network, 2)
