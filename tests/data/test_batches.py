"""Order, batches and augmentation are functions of (seed, epoch, sample), and of nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from striate.data.augment import POLICIES
from striate.data.batches import Batches, ahead, batch_bounds, epoch_order
from striate.data.labels import ClassLabels
from striate.data.pixels import HeldPixels
from striate.data.preprocessing import Preprocessing, channel_statistics
from striate.data.store import Store
from striate.errors import DataError

FORM = Preprocessing(height_px=6, width_px=6, channels=3, fit="crop", mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3))
LIGHT = POLICIES["light"]


def make_store(images: np.ndarray) -> Store:
    samples = len(images)
    return Store(
        names=("",) * samples,
        pixels=HeldPixels(images),
        rows=np.arange(samples),
        labels=ClassLabels(np.arange(samples)),
        digests=("",) * samples,
    )


def make_batches(samples: int = 10, batch_size: int = 4) -> Batches:
    images = np.random.default_rng(0).integers(0, 256, (samples, 6, 6, 3), dtype=np.uint8)
    return Batches(
        store=make_store(images),
        preprocessing=FORM,
        batch_size=batch_size,
        device=torch.device("cpu"),
        classes=samples,
    )


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
    seen = torch.cat([batch.targets for batch in make_batches().shuffled(0, 3, LIGHT)])
    assert sorted(seen.tolist()) == list(range(10))


@pytest.mark.parametrize("policy", [policy for policy in POLICIES.values() if not policy.mix])
def test_grouping_into_batches_changes_no_sample(policy):
    def by_sample(batch_size: int) -> dict[int, torch.Tensor]:
        batches = make_batches(batch_size=batch_size).shuffled(5, 2, policy)
        return {int(t): image for batch in batches for t, image in zip(batch.targets, batch.images, strict=True)}

    three, seven = by_sample(3), by_sample(7)
    assert all(torch.equal(three[sample], seven[sample]) for sample in range(10))


def test_normalised_images_are_what_the_definition_says_and_channels_last_in_memory():
    batches = make_batches(4)
    (batch,) = batches.in_order()
    expected = (batches.store.gather(np.arange(4)).images / 255 - np.array(FORM.mean)) / np.array(FORM.std)
    np.testing.assert_allclose(batch.images.permute(0, 2, 3, 1), expected, rtol=1e-5, atol=1e-5)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_items_are_drawn_ahead_of_those_that_are_used():
    drawn: list[int] = []

    def source():
        for item in range(6):
            drawn.append(item)
            yield item

    used = []
    for item in ahead(source(), 2):
        used.append(item)
        assert len(drawn) == min(6, item + 3)
    assert used == list(range(6))


def test_what_goes_wrong_while_a_batch_is_gathered_reaches_whoever_waits_for_it():
    class Broken:
        def gather(self, rows: np.ndarray) -> None:
            raise DataError("a.png: damaged")

    batches = make_batches()
    batches = replace(batches, store=replace(batches.store, pixels=Broken()))
    with pytest.raises(DataError, match=r"a\.png"):
        next(iter(batches.in_order()))


@pytest.mark.parametrize(("samples", "looked_at"), [(5, 5), (9, 4)])
def test_channel_statistics_are_those_of_numpy_over_the_samples_that_are_looked_at(samples, looked_at, monkeypatch):
    monkeypatch.setattr("striate.data.preprocessing._COUNTED", looked_at)
    images = np.random.default_rng(2).integers(0, 256, (samples, 7, 9, 3), dtype=np.uint8)
    chosen = images if samples == looked_at else images[[0, 2, 5, 8]]
    mean, std = channel_statistics(make_store(images))
    np.testing.assert_allclose(mean, (chosen / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (chosen / 255).std((0, 1, 2)), rtol=1e-12)


def test_a_constant_channel_does_not_divide_by_zero():
    assert channel_statistics(make_store(np.full((2, 3, 3, 1), 7, np.uint8))) == ((pytest.approx(7 / 255),), (1.0,))
