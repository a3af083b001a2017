"""Order, batches and augmentation are functions of (seed, epoch, sample), and of nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from striate.batching.augmentation import POLICIES
from striate.batching.batches import Batches, ahead, batch_bounds, epoch_order, own_share, shrink, smallest_share
from striate.batching.targets import Batch
from striate.cache.pixels import HeldPixels
from striate.datasets.labels import ClassLabels
from striate.datasets.statistics import channel_statistics
from striate.datasets.store import Store
from striate.errors import DataError
from striate.images.preprocessing import Preprocessing

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


@pytest.mark.parametrize("policy", [policy for policy in POLICIES.values() if not policy.mixup])
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


@pytest.mark.parametrize(("samples", "most"), [(5, 5), (9, 4)])
def test_channel_statistics_are_those_of_numpy(samples, most):
    images = np.random.default_rng(2).integers(0, 256, (samples, 7, 9, 3), dtype=np.uint8)
    chosen = images if samples == most else images[[0, 2, 5, 8]]
    mean, std = channel_statistics(make_store(images), most=most)
    np.testing.assert_allclose(mean, (chosen / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (chosen / 255).std((0, 1, 2)), rtol=1e-12)


def test_a_constant_channel_does_not_divide_by_zero():
    assert channel_statistics(make_store(np.full((2, 3, 3, 1), 7, np.uint8))) == ((pytest.approx(7 / 255),), (1.0,))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("passed", [0, 1, 3, 4])
def test_an_epoch_gone_on_with_is_the_rest_of_it(policy, passed):
    batches = make_batches(samples=14)
    whole = list(batches.shuffled(3, 5, policy))
    rest = list(batches.shuffled(3, 5, policy, passed=passed))
    assert len(whole) == 4
    assert len(rest) == 4 - passed
    for one, other in zip(whole[passed:], rest, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.targets, other.targets)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("processes", [2, 3])
def test_the_shares_of_several_processes_are_together_the_batches_of_one(policy, processes):
    alone = make_batches(samples=23, batch_size=8)
    shares = [replace(alone, share=(process, processes)) for process in range(processes)]
    for whole, *parts in zip(*(batches.shuffled(3, 5, policy) for batches in (alone, *shares)), strict=True):
        images = torch.cat([part.images for part in parts])
        assert len(images) == len(whole.images)
        for image in images:  # mixed ones as well: with the same partner, and the same share of it
            assert any(torch.allclose(image, other, atol=1e-5) for other in whole.images)


@pytest.mark.parametrize("samples", range(2, 30))
@pytest.mark.parametrize(("batch_size", "processes"), [(4, 2), (8, 4), (6, 3)])
def test_the_smallest_share_is_found(samples, batch_size, processes):
    batches = [make_batches(samples, batch_size)] * processes
    shares = [
        len(own_share(np.arange(stop - start), place, processes))
        for place, _ in enumerate(batches)
        for start, stop in batch_bounds(samples, batch_size)
    ]
    assert smallest_share(samples, batch_size, processes) == min(shares)


def test_several_processes_measure_every_sample_once():
    batches = make_batches(samples=11)
    seen = [int(target) for process in range(3) for batch in batches.in_order(process, 3) for target in batch.targets]
    assert sorted(seen) == list(range(11))
    assert list(make_batches(samples=2).in_order(2, 3)) == []


def test_a_batch_is_cut_into_parts_that_differ_by_one_at_most():
    joints = {"xyz_mm": torch.randn(7, 2, 3), "visible": torch.rand(7, 2) > 0.5}
    batch = Batch(images=torch.randn(7, 3, 4, 4), targets=joints)
    parts = list(batch.parts(3))
    assert [len(part.images) for part in parts] == [2, 2, 3]
    assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
    for name, tensor in joints.items():
        assert torch.equal(torch.cat([part.targets[name] for part in parts]), tensor)


def test_shrunk_images_are_the_means_of_what_they_cover():
    batch = Batch(images=torch.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8), targets=torch.tensor([0, 1]))
    small = shrink(batch, 0.5)
    assert small.images.shape == (2, 3, 4, 4)
    assert small.images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(small.targets, batch.targets)
    # a plane is its own triangle-filtered self, away from the borders
    torch.testing.assert_close(
        small.images[:, :, 1:3, 1:3], torch.nn.functional.avg_pool2d(batch.images, 2)[:, :, 1:3, 1:3]
    )
    assert shrink(batch, 1) is batch
