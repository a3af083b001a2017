"""Order, batches and augmentation are functions of (seed, epoch, sample), and of nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from striate.data.augment import draw_moves, gather_moved
from striate.data.batches import Batches, batch_bounds, epoch_order
from striate.data.preprocessing import Preprocessing, channel_statistics
from striate.data.store import Store

FORM = Preprocessing(size_px=6, channels=3, mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3))


def make_store(samples: int) -> Store:
    images = np.random.default_rng(0).integers(0, 256, (samples, 6, 6, 3), dtype=np.uint8)
    return Store(names=("",) * samples, images=images, targets=np.arange(samples), digests=("",) * samples)


def make_batches(samples: int = 10, batch_size: int = 4) -> Batches:
    return Batches(store=make_store(samples), preprocessing=FORM, batch_size=batch_size, device=torch.device("cpu"))


@given(samples=some.integers(2, 500), batch_size=some.integers(2, 70))
def test_batches_part_the_samples_evenly_and_none_is_left_alone(samples, batch_size):
    bounds = batch_bounds(samples, batch_size)
    sizes = [stop - start for start, stop in bounds]
    assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds[:-1])]
    assert sum(sizes) == samples
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2
    assert max(sizes) <= batch_size + (batch_size <= 2 and samples % 2)


@given(samples=some.integers(1, 200), seed=some.integers(0, 2**64 - 1), epoch=some.integers(0, 1000))
def test_an_epochs_order_is_a_permutation_that_seed_and_epoch_decide(samples, seed, epoch):
    order = epoch_order(samples, seed, epoch)
    assert sorted(order) == list(range(samples))
    np.random.default_rng().random(3)
    np.testing.assert_array_equal(order, epoch_order(samples, seed, epoch))


def test_epochs_and_seeds_differ_in_order():
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_an_epoch_shows_every_sample_once():
    seen = torch.cat([batch.targets for batch in make_batches().shuffled(0, 3, "shift+flip")])
    assert sorted(seen.tolist()) == list(range(10))


def test_grouping_into_batches_changes_no_sample():
    def by_sample(batch_size: int) -> dict[int, torch.Tensor]:
        batches = make_batches(batch_size=batch_size).shuffled(5, 2, "shift+flip")
        return {int(t): image for batch in batches for t, image in zip(batch.targets, batch.images, strict=True)}

    three, seven = by_sample(3), by_sample(7)
    assert all(torch.equal(three[sample], seven[sample]) for sample in range(10))


def test_normalised_images_are_what_the_definition_says_and_channels_last_in_memory():
    batches = make_batches(4)
    (batch,) = batches.in_order()
    expected = (batches.store.images / 255 - np.array(FORM.mean)) / np.array(FORM.std)
    np.testing.assert_allclose(batch.images.permute(0, 2, 3, 1), expected, rtol=1e-5, atol=1e-5)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("flip", [False, True])
def test_moved_images_are_the_shift_and_mirror_of_their_definition(flip):
    images = np.random.default_rng(1).integers(0, 256, (40, 16, 24, 1), dtype=np.uint8)
    rows, moves = np.arange(39, -1, -1), draw_moves(40, seed=0, epoch=0)
    moved = gather_moved(images, rows, moves, flip=flip)
    seen = set()
    for place, row in enumerate(rows):
        # of 16 rows at most 2 either way, of 24 columns at most 3
        y, x = int(moves[row, 0] * 5), int(moves[row, 1] * 7)
        expected = np.pad(images[row], ((2, 2), (3, 3), (0, 0)), mode="edge")[y : y + 16, x : x + 24]
        if flip and moves[row, 2] < 0.5:
            expected = expected[:, ::-1]
        np.testing.assert_array_equal(moved[place], expected)
        seen |= {("down", y), ("right", x)}
    assert len(seen) == 5 + 7


def test_half_of_the_images_are_mirrored():
    assert abs((draw_moves(10_000, 0, 0)[:, 2] < 0.5).mean() - 0.5) < 0.02


def test_a_black_border_makes_a_shift_move_the_content_alone():
    images = np.zeros((1, 16, 16, 1), np.uint8)
    images[0, 8, 8] = 255
    moved = gather_moved(images, np.array([0]), np.array([[0.0, 0.999, 0.9]]), flip=True)
    assert np.argwhere(moved[0, ..., 0]).tolist() == [[10, 6]]


def test_channel_statistics_are_those_of_numpy():
    images = np.random.default_rng(2).integers(0, 256, (5, 7, 9, 3), dtype=np.uint8)
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-12)


def test_a_constant_channel_does_not_divide_by_zero():
    assert channel_statistics(np.full((2, 3, 3, 1), 7, np.uint8)) == ((pytest.approx(7 / 255),), (1.0,))
