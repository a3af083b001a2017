"""Large pictures are looked at window by window, and no seam is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as some

import striate as st
from striate.models.decoders import EncoderDecoder
from striate.models.sliding import _fade, strips_by_windows, tile_windows
from striate.tasks.segmentation.resample import likeliest_classes


@given(size=some.integers(1, 300), window=some.integers(1, 90), unit=some.integers(1, 16))
def test_windows_cover_everything_and_begin_on_the_grid(size, window, unit):
    found = tile_windows(size, window, unit)
    assert found[0][0] == 0
    assert found[-1][1] == size
    assert all(start % unit == 0 for start, _ in found)
    assert all(end - start < max(window, 2 * unit) + unit for start, end in found)
    weight = np.zeros(size)
    for place, (start, end) in enumerate(found):
        weight[start:end] += _fade(found, place).numpy()
    assert (weight > 0.99).all()


@pytest.fixture(scope="module")
def network() -> EncoderDecoder:
    """A network that sees few pixels around each, and whose batch norms are in use."""
    torch.manual_seed(0)
    encoder = st.models.create(
        "conv 8@3x3 pad=1 | bn | relu | maxpool 2 | conv 8@3x3 pad=1 | relu | gap | fc classes", classes=2
    )
    return EncoderDecoder(encoder, 5).eval()


def classes_by_windows(network, image, window, picture=None):
    strips = (strip.numpy() for strip in strips_by_windows(network, image, window, network.unit))
    return torch.from_numpy(likeliest_classes(strips, image.shape[2], picture or tuple(image.shape[2:])))


def test_windows_give_what_the_whole_picture_gives(network):
    """Where windows overlap by more than the network sees, not a pixel differs, seams and borders included."""
    torch.manual_seed(1)
    image = torch.randn(1, 3, 203, 150)
    with torch.inference_mode():
        whole = network(image)[0].argmax(0).to(torch.uint8)
        found = classes_by_windows(network, image, (64, 80))
    assert torch.equal(found, whole)


def test_a_picture_smaller_than_a_window_is_one_window(network):
    image = torch.randn(1, 3, 30, 20)
    with torch.inference_mode():
        found = classes_by_windows(network, image, (64, 64))
        assert torch.equal(found, network(image)[0].argmax(0).to(torch.uint8))


def test_windows_of_a_downsampled_image_are_enlarged_smoothly(network):
    torch.manual_seed(2)
    image = torch.randn(1, 3, 100, 90)
    with torch.inference_mode():
        whole = network(image).softmax(1)
        wanted = F.interpolate(whole, (251, 260), mode="bilinear")[0].argmax(0).to(torch.uint8)
        assert (classes_by_windows(network, image, (48, 64), (251, 260)) != wanted).float().mean() < 1e-3


def test_progress_is_told_for_each_window_and_adds_up_to_one(network):
    told: list[float] = []
    list(strips_by_windows(network, torch.randn(1, 3, 100, 90), (48, 64), network.unit, told.append))
    assert len(told) > 4
    assert sum(told) == pytest.approx(1)
