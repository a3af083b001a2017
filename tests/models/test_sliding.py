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
from striate.models.sliding import _fade, classes_by_windows, enlarged_classes, windows


@given(size=some.integers(1, 300), window=some.integers(1, 90), unit=some.integers(1, 16))
def test_windows_cover_everything_begin_on_the_grid_and_count_everywhere(size, window, unit):
    found = windows(size, window, unit)
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


def test_windows_give_what_the_whole_picture_gives(network):
    """Where windows overlap by more than the network sees, not a pixel differs, seams and borders included."""
    torch.manual_seed(1)
    image = torch.randn(1, 3, 203, 150)
    with torch.inference_mode():
        whole = network(image)[0].argmax(0).to(torch.uint8)
        found = classes_by_windows(network, image, (64, 80), network.unit)
    assert torch.equal(found, whole)


def test_a_picture_smaller_than_a_window_is_one_window(network):
    image = torch.randn(1, 3, 30, 20)
    with torch.inference_mode():
        found = classes_by_windows(network, image, (64, 64), network.unit)
        assert torch.equal(found, network(image)[0].argmax(0).to(torch.uint8))


@pytest.mark.parametrize(("height", "width"), [(100, 37), (13, 90), (300, 301), (5, 5), (20, 30)])
def test_scores_are_enlarged_as_torch_does_band_by_band(height, width):
    torch.manual_seed(0)
    scores = torch.randn(4, 20, 30)
    wanted = F.interpolate(scores[None], (height, width), mode="bilinear")[0].argmax(0).to(torch.uint8)
    assert (enlarged_classes(scores, height, width) != wanted).float().mean() < 1e-3  # ties are rounded either way
