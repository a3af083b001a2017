"""Border pixels are counted as the definition has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from striate.batching.targets import NO_LABEL
from striate.tasks.segmentation.boundaries import border_counts, dilate, tolerance_px


def borders(labels: np.ndarray, index: int) -> np.ndarray:
    """Pixels of a class beside one of another class, by the definition, pixel by pixel."""
    found = np.zeros(labels.shape, dtype=bool)
    for y, x in np.argwhere(labels == index):
        for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= ny < labels.shape[0] and 0 <= nx < labels.shape[1] and labels[ny, nx] not in (index, NO_LABEL):
                found[y, x] = True
    return found


@pytest.mark.parametrize("classes", [3, 70])
def test_borders_are_matched_by_their_true_distance(classes):
    """scipy's exact distances, on blobs; more classes than a whole number has bits."""
    rng = np.random.default_rng(0)
    height, width = 150, 200
    coarse = rng.integers(0, classes, (2, 10, 12))
    true, called = (np.kron(one, np.ones((15, 17), dtype=int))[:height, :width] for one in coarse)
    called = np.where(rng.random(called.shape) < 0.9, true, called)
    true[rng.random(true.shape) < 0.02] = NO_LABEL
    true[:20, :30] = NO_LABEL
    counts = border_counts(torch.from_numpy(called)[None], torch.from_numpy(true)[None], classes)
    called = np.where(true == NO_LABEL, NO_LABEL, called)
    radius = tolerance_px(height, width)
    assert radius == 1
    for index in range(0, classes, 9):
        found, wanted = borders(called, index), borders(true, index)
        near = [
            (ndimage.distance_transform_edt(~other) <= radius) & one if other.any() else np.zeros_like(one)
            for one, other in ((found, wanted), (wanted, found))
        ]
        expected = [found.sum(), near[0].sum(), wanted.sum(), near[1].sum()]
        assert counts[:, index].tolist() == expected


@pytest.mark.parametrize("radius", [1, 2, 4, 7])
def test_bits_spread_over_discs(radius):
    rng = np.random.default_rng(radius)
    bits = rng.random((40, 33)) < 0.02
    found = dilate(torch.from_numpy(bits.astype(np.int64) * 4)[None], radius)[0].numpy()
    wanted = ndimage.distance_transform_edt(~bits) <= radius
    np.testing.assert_array_equal(found, wanted * 4)


def test_a_disc_larger_than_the_picture_covers_it():
    bits = torch.zeros(1, 3, 2, dtype=torch.int64)
    bits[0, 0, 0] = 1
    assert (dilate(bits, 9) == 1).all()
