"""Augmentation does what its matrices say, to images, masks and joints alike; (seed, epoch, sample) decide them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

import striate as st
from striate.batching.augmentation import POLICIES, Policy, SampledAugmentation, draw
from striate.batching.batches import Batches
from striate.batching.options import PolicyName
from striate.batching.warp import move_images, move_planes, sampling_grid
from striate.cache.pixels import HeldPixels
from striate.datasets.labels import ClassLabels, JointLabels, Labels, MaskLabels
from striate.datasets.store import Store
from striate.images.decode import MAX_PIXELS
from striate.images.masks import MaskFiles, MaskReading
from striate.images.planes import NO_LABEL
from striate.images.preprocessing import Preprocessing
from striate.tasks.skeleton import Skeleton
from striate.training.config import TrainConfig

CPU = torch.device("cpu")
SKELETON = Skeleton(joints=("root", "l_hand", "r_hand"), parents=(-1, 0, 0), mirror=((1, 2),))
EVERY = Policy(
    flip=0.5, rotate_deg=40, scale=1.5, shear_deg=15, translate=0.2,
    brightness=0.3, contrast=0.3, saturation=0.5, hue=0.1, grey=0.2, erase=0.5, mixup=0.5,
)  # fmt: skip


def make_moves(
    policy: Policy, samples: int = 12, *, height_px: int = 20, width_px: int = 30, seed: int = 0
) -> SampledAugmentation:
    return SampledAugmentation(policy, draw(samples, seed, 0), height_px=height_px, width_px=width_px)


def make_batches(images: np.ndarray, labels: Labels, masks: np.ndarray | None = None, classes: int = 0) -> Batches:
    samples, height, width, channels = images.shape
    store = Store(
        names=("",) * samples,
        pixels=HeldPixels(images, masks),
        rows=np.arange(samples),
        labels=labels,
        digests=("",) * samples,
    )
    form = Preprocessing(
        height_px=height, width_px=width, channels=channels, fit="crop", mean=(0.0,) * channels, std=(1.0,) * channels
    )
    return Batches(store=store, preprocessing=form, batch_size=samples + 1, device=CPU, classes=classes)


def mask_labels(samples: int) -> MaskLabels:
    return MaskLabels(MaskFiles([Path()] * samples, MaskReading()))  # their planes are decoded already


def exact_warp(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Bilinear resampling in float64, the border repeated, by scipy; its coordinates are (row, column) of centres."""
    back = np.linalg.inv(matrix)
    swap = back[:2, :2][::-1, ::-1]
    offset = back[:2, 2][::-1] + swap @ [0.5, 0.5] - 0.5
    return scipy.ndimage.affine_transform(image.astype(np.float64), swap, offset, order=1, mode="nearest")


def test_moved_images_are_those_of_an_exact_warp():
    images = np.random.default_rng(0).integers(0, 256, (12, 20, 30, 3), dtype=np.uint8)
    matrices = make_moves(replace(EVERY, translate=0.3)).matrices
    grid = sampling_grid(matrices, (20, 30), (20, 30), CPU)
    moved = move_images(torch.from_numpy(images), grid).numpy()
    for sample in range(12):
        for channel in range(3):
            expected = exact_warp(images[sample, ..., channel], matrices[sample])
            np.testing.assert_allclose(moved[sample, channel], expected, atol=0.02)


def test_moved_masks_take_the_nearest_label_and_none_from_outside():
    masks = np.random.default_rng(0).integers(0, 5, (12, 20, 30), dtype=np.uint8)
    masks[:, :3] = NO_LABEL
    matrices = make_moves(EVERY).matrices
    grid = sampling_grid(matrices, (20, 30), (20, 30), CPU)
    moved = move_planes(torch.from_numpy(masks), grid).numpy()
    y, x = np.mgrid[:20, :30] + 0.5
    outside = doubtful = 0
    for sample in range(12):
        source = np.linalg.inv(matrices[sample])[:2] @ np.stack([x.ravel(), y.ravel(), np.ones(600)])
        column, row = np.floor(source).astype(int)
        inside = (column >= 0) & (column < 30) & (row >= 0) & (row < 20)
        expected = np.where(inside, masks[sample, row.clip(0, 19), column.clip(0, 29)], NO_LABEL)
        confidence = (np.abs(source - np.rint(source)) > 1e-4).all(0)  # not on the line between two pixels
        np.testing.assert_array_equal(moved[sample].ravel()[confidence], expected[confidence])
        outside += (~inside).sum()
        doubtful += (~confidence).sum()
    assert outside > 100
    assert doubtful < 100


def test_whole_pixels_are_moved_without_resampling():
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 24, 1), dtype=np.uint8)
    moves = make_moves(POLICIES["light"], 40, height_px=16, width_px=24)
    grid = sampling_grid(moves.matrices, (16, 24), (16, 24), CPU)
    moved = move_images(torch.from_numpy(images), grid)[:, 0].numpy()
    seen = set()
    for sample, matrix in enumerate(moves.matrices):
        image = images[sample, :, ::-1, 0] if moves.flipped[sample] else images[sample, ..., 0]
        right, down = round(matrix[0, 2] - 24 * moves.flipped[sample]), round(matrix[1, 2])
        padded = np.pad(image, ((2, 2), (3, 3)), mode="edge")
        expected = padded[2 - down : 18 - down, 3 - right : 27 - right]
        np.testing.assert_allclose(moved[sample], expected, atol=1e-3)
        seen |= {("down", down), ("right", right)}
    assert len(seen) == 5 + 7  # an eighth of 16 rows is 2 either way, of 24 columns 3
    assert 10 < moves.flipped.sum() < 30


def test_a_matrix_is_its_parts_in_their_order():
    policy = replace(EVERY, flip=1.0)
    drawn = draw(6, 1, 2)
    moves = SampledAugmentation(policy, drawn, height_px=20, width_px=30)
    for sample, matrix in enumerate(moves.matrices):
        _, angle, scale, shear, right, down = 2 * drawn[sample, :6].astype(np.float64) - 1
        angle, shear = np.deg2rad(40 * angle), np.deg2rad(15 * shear)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        steps = [
            np.array([[1, 0, -15], [0, 1, -10], [0, 0, 1]]),
            np.diag([-1, 1, 1]),
            np.array([[1, np.tan(shear), 0], [0, 1, 0], [0, 0, 1]]),
            np.diag([1.5**scale, 1.5**scale, 1]),
            turn,
            np.array([[1, 0, 15 + 0.2 * right * 30], [0, 1, 10 + 0.2 * down * 20], [0, 0, 1]]),
        ]
        expected = np.eye(3)
        for step in steps:
            expected = step @ expected
        np.testing.assert_allclose(matrix, expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=some.integers(0, 2**63), u=some.floats(2, 28), v=some.floats(2, 18))
def test_a_joint_goes_where_its_pixel_goes(seed, u, v):
    policy = Policy(flip=0.5, rotate_deg=30, scale=1.3, translate=0.05)
    images = np.zeros((1, 20, 30, 1), np.uint8)
    # a spot whose centre of mass is the joint: shares of four pixels
    column, row = np.floor(u - 0.5), np.floor(v - 0.5)
    for dy in (0, 1):
        for dx in (0, 1):
            share = (1 - abs(column + dx + 0.5 - u)) * (1 - abs(row + dy + 0.5 - v))
            images[0, int(row) + dy, int(column) + dx] = round(255 * share)
    labels = JointLabels(
        xyz_mm=np.zeros((1, 3, 3), np.float32),
        uv_px=np.full((1, 3, 2), (u, v), np.float32),
        visible=np.ones((1, 3), bool),
        skeleton=SKELETON,
    )
    (batch,) = make_batches(images, labels).shuffled(seed, 0, policy)
    spot = batch.images[0, 0].double().numpy()
    if spot.sum() < 0.5 or max(spot[0].max(), spot[-1].max(), spot[:, 0].max(), spot[:, -1].max()) > 0:
        return  # moved out of the picture
    y, x = np.mgrid[:20, :30] + 0.5
    centre = np.array([(spot * x).sum(), (spot * y).sum()]) / spot.sum()
    np.testing.assert_allclose(batch.targets["uv_px"][0, 0], centre, atol=0.25)


def test_rotations_turn_joints_about_the_optical_axis_and_mirror_images_swap_left_and_right():
    rng = np.random.default_rng(0)
    xyz = rng.normal(0, 300, (40, 3, 3)).astype(np.float32)
    labels = JointLabels(
        xyz_mm=xyz,
        uv_px=rng.uniform(0, 16, (40, 3, 2)).astype(np.float32),
        visible=rng.random((40, 3)) < 0.7,
        skeleton=SKELETON,
    )
    policy = Policy(flip=0.5, rotate_deg=50, scale=1.3, translate=0.1)
    batches = make_batches(np.zeros((40, 16, 16, 3), np.uint8), labels)
    (batch,) = batches.shuffled(3, 1, policy)
    targets = batch.targets
    order = np.random.Generator(np.random.Philox(key=np.array([3, 1], np.uint64), counter=[0] * 4)).permutation(40)
    moves = SampledAugmentation(policy, draw(40, 3, 1)[order], height_px=16, width_px=16)
    assert set(moves.flipped) == {True, False}
    for place, sample in enumerate(order):
        turn = np.eye(3)
        angle = moves.angle_rad[place]
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        expected, visible = xyz[sample], labels.visible[sample]
        if moves.flipped[place]:
            expected, visible = expected[[0, 2, 1]] * (-1, 1, 1), visible[[0, 2, 1]]
        np.testing.assert_allclose(targets["xyz_mm"][place], expected @ turn.T, atol=1e-3)
        np.testing.assert_array_equal(targets["visible"][place], visible)


def test_joints_that_are_not_known_are_no_nan_in_a_batch():
    labels = JointLabels(
        xyz_mm=np.full((2, 3, 3), np.nan, np.float32),
        uv_px=np.full((2, 3, 2), np.nan, np.float32),
        visible=np.zeros((2, 3), bool),
        skeleton=SKELETON,
    )
    for batch in (
        *make_batches(np.zeros((2, 8, 8, 3), np.uint8), labels).in_order(),
        *make_batches(np.zeros((2, 8, 8, 3), np.uint8), labels).shuffled(
            0, 0, EVERY.valid_for(labels, mirror_safe=True)
        ),
    ):
        assert torch.isfinite(batch.targets["xyz_mm"]).all()
        assert torch.isfinite(batch.targets["uv_px"]).all()


def test_a_mask_stays_on_its_image():
    masks = np.random.default_rng(1).integers(0, 4, (6, 1, 4, 6), dtype=np.uint8).repeat(16, 2).repeat(16, 3)[:, 0]
    images = (masks * 60)[..., None]
    (batch,) = make_batches(images, mask_labels(6), masks).shuffled(0, 0, Policy(flip=0.5, rotate_deg=30, scale=1.4))
    labelled = batch.targets != NO_LABEL
    same = (batch.images[:, 0] * 255 - batch.targets * 60).abs() < 30
    assert 0.5 < labelled.float().mean() < 1
    assert same[labelled].float().mean() > 0.97  # but for those on the line between two labels


def test_changes_of_colour_are_those_of_their_definition():
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 5, 3), dtype=np.uint8)
    policy = Policy(brightness=0.3, contrast=0.4, saturation=0.5)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    batches = make_batches(images, ClassLabels(np.arange(8)))
    form = replace(batches.preprocessing, mean=mean, std=std)
    order = [int(target) for target in next(iter(batches.shuffled(0, 0, policy))).targets]
    (batch,) = replace(batches, preprocessing=form).shuffled(0, 0, policy)
    drawn = 2 * draw(8, 0, 0).astype(np.float64) - 1
    for place, sample in enumerate(order):
        brightness, contrast, saturation = 1 + drawn[sample, 6:9] * (0.3, 0.4, 0.5)
        pixels = images[sample] / 255
        grey = pixels @ [0.299, 0.587, 0.114]
        pixels = grey[..., None] + saturation * (pixels - grey[..., None])
        pixels = pixels * brightness * contrast + (1 - contrast) / 2
        expected = (pixels - mean) / std
        np.testing.assert_allclose(batch.images[place].permute(1, 2, 0), expected, atol=2e-3)


def test_losing_all_colour_leaves_the_brightness():
    images = np.random.default_rng(0).integers(0, 256, (4, 4, 5, 3), dtype=np.uint8)
    (plain,) = make_batches(images, ClassLabels(np.arange(4))).shuffled(0, 0, Policy())
    (grey,) = make_batches(images, ClassLabels(np.arange(4))).shuffled(0, 0, Policy(grey=1.0))
    expected = (plain.images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(grey.images, expected.expand_as(grey.images), atol=1e-3, rtol=0)


def test_grey_images_change_in_brightness_and_contrast():
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 5, 1), dtype=np.uint8)
    policy = Policy(brightness=0.3, contrast=0.4, saturation=0.9, hue=0.5)
    (batch,) = make_batches(images, ClassLabels(np.arange(8))).shuffled(0, 0, policy)
    drawn = 2 * draw(8, 0, 0).astype(np.float64) - 1
    for place, sample in enumerate(batch.targets.tolist()):
        brightness, contrast = 1 + drawn[sample, 6:8] * (0.3, 0.4)
        expected = images[sample, ..., 0] / 255 * brightness * contrast + (1 - contrast) / 2
        np.testing.assert_allclose(batch.images[place, 0], expected, atol=2e-3)


def test_an_erased_rectangle_is_the_mean_and_of_a_size_within_bounds():
    images = np.full((200, 32, 48, 1), 255, np.uint8)
    (batch,) = make_batches(images, ClassLabels(np.arange(200))).shuffled(0, 0, Policy(erase=0.5))
    erased = (batch.images[:, 0] == 0).double().mean((1, 2)).numpy()
    assert 70 < (erased > 0).sum() < 130
    assert erased[erased > 0].min() > 0.01
    assert 0.15 < erased.max() < 0.22  # whole pixels
    assert set(batch.images.unique().tolist()) == {0.0, 1.0}


def test_shares_of_classes_are_the_shares_of_pixels():
    images = np.zeros((40, 16, 16, 1), np.uint8)
    images[20:] = 255
    labels = ClassLabels(np.repeat([0, 1], 20))
    (batch,) = make_batches(images, labels, classes=2).shuffled(0, 0, Policy(mixup=1.0))
    assert batch.targets.shape == (40, 2)
    torch.testing.assert_close(batch.targets.sum(1), torch.ones(40))
    torch.testing.assert_close(batch.targets[:, 1], batch.images.mean((1, 2, 3)), atol=1e-5, rtol=0)
    blended = [image.unique().numel() == 1 and 0 < image[0, 0, 0] < 1 for image in batch.images]
    cut = [image.unique().numel() == 2 for image in batch.images]
    assert sum(blended) > 3
    assert sum(cut) > 3


@pytest.mark.parametrize("labels", [ClassLabels(np.arange(20)), mask_labels(20)])
def test_what_happens_to_a_sample_depends_on_seed_and_epoch(labels):
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    masks = images[..., 0] if isinstance(labels, MaskLabels) else None
    batches = make_batches(images, labels, masks, classes=20)
    policy = POLICIES["strong"].valid_for(labels, mirror_safe=True)
    seen = {next(iter(batches.shuffled(s, e, policy))).images.sum().item() for s in (0, 1) for e in (0, 1)}
    again = next(iter(batches.shuffled(1, 1, policy))).images.sum().item()
    assert len(seen) == 4
    assert again in seen


def test_images_stay_channels_last_and_float32_whatever_happens_to_them():
    images = np.zeros((4, 8, 10, 3), np.uint8)
    batches = make_batches(images, ClassLabels(np.arange(4)), classes=4)
    for policy in (*POLICIES.values(), EVERY):
        (batch,) = batches.shuffled(0, 0, policy)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.images.dtype == torch.float32


def test_a_policy_leaves_labels_true():
    strong = POLICIES["strong"]
    joints = JointLabels(
        xyz_mm=np.zeros((1, 3, 3), np.float32),
        uv_px=np.zeros((1, 3, 2), np.float32),
        visible=np.ones((1, 3), bool),
        skeleton=SKELETON,
    )
    assert strong.valid_for(st.open_data("mnist").samples.labels, mirror_safe=False).flip == 0
    assert strong.valid_for(joints, mirror_safe=True).shear_deg == 0
    assert strong.valid_for(joints, mirror_safe=True).mixup == 0
    assert strong.valid_for(mask_labels(3), mirror_safe=True).mixup == 0
    assert strong.valid_for(mask_labels(3), mirror_safe=True).shear_deg > 0
    assert strong.valid_for(ClassLabels(np.arange(3)), mirror_safe=True) == strong


def test_digits_and_sides_are_no_mirror_images(colour_folders):
    assert not st.open_data("mnist").mirror_safe
    assert not st.open_data("figures:2", task="segment").mirror_safe  # left and right arms
    assert st.open_data("figures:2", task="pose").mirror_safe
    assert not st.open_data(colour_folders("arrows", classes=("turn Left", "turn right"))).mirror_safe
    assert st.open_data(colour_folders("food", classes=("leftovers", "rightovers", "left"))).mirror_safe


def test_the_command_line_offers_what_there_is():
    assert get_args(PolicyName) == tuple(POLICIES)
    assert TrainConfig().max_pixels == MAX_PIXELS


@pytest.mark.parametrize("policy", [Policy(), Policy(flip=1.0), Policy(translate=1 / 8)])
def test_a_window_is_cut_out_of_the_picture_exactly(policy):
    """Every window lies within its picture, and nothing is resampled on the way."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (100, 20, 31, 3), dtype=np.uint8)
    moves = SampledAugmentation(policy, draw(100, 0, 0), height_px=20, width_px=31, window_px=(9, 16))
    grid = sampling_grid(moves.matrices, (20, 31), (9, 16), CPU)
    found = move_images(torch.from_numpy(pictures), grid).permute(0, 2, 3, 1).numpy()
    corners = set()
    for picture, window in zip(pictures, found, strict=True):
        shown = picture[:, ::-1] if policy.flip else picture
        places = [
            (top, left)
            for top in range(20 - 9 + 1)
            for left in range(31 - 16 + 1)
            if np.abs(shown[top : top + 9, left : left + 16] - window).max() < 0.01
        ]
        assert len(places) == 1
        corners |= set(places)
    assert {top for top, _ in corners} == set(range(12))  # from one border to the other
    assert {left for _, left in corners} >= {0, 15}


def test_a_side_that_is_not_cut_is_moved_as_the_policy_says():
    drawn = draw(50, 0, 0)
    whole = SampledAugmentation(Policy(translate=1 / 8), drawn, height_px=16, width_px=32)
    cut = SampledAugmentation(Policy(translate=1 / 8), drawn, height_px=16, width_px=32, window_px=(16, 8))
    np.testing.assert_array_equal(cut.matrices[:, 1], whole.matrices[:, 1])
    assert (cut.matrices[:, 0, 2] <= 0).all()
    assert not np.array_equal(cut.matrices[:, 0], whole.matrices[:, 0])
