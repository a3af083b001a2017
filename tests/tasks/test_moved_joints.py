"""What augmentation makes of joints is what a moved camera sees of the same figure."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

import striate as st
from striate.data.augment import POLICIES, Moves, draw
from striate.data.figures import locate
from striate.data.fitting import Form
from striate.data.targets import make_targets


@pytest.mark.parametrize("index", range(6))
def test_what_augmentation_makes_of_joints_is_what_a_turned_camera_sees(index):
    """A figure, turned in the image, is the same figure before a camera that was turned about its optical axis."""
    policy = replace(POLICIES["none"], rotate_deg=40)
    moves = Moves(policy, draw(1, index, 0), height_px=128, width_px=128)
    labels = st.open_data(f"figures:{index + 2}", task="pose").samples.labels.take(np.array([index]))
    found = make_targets(labels, moves, None, (128, 128), torch.device("cpu"))
    turned = locate(0, index, turn_deg=math.degrees(float(moves.angle_rad[0])))
    np.testing.assert_allclose(found.xyz_mm[0], turned.xyz_mm - turned.xyz_mm[0], atol=0.05)
    np.testing.assert_allclose(found.uv_px[0], turned.uv_px, atol=0.01)
    assert found.visible[0].tolist() == turned.visible.tolist()


@given(seed=some.integers(0, 10**6))
def test_scale_and_translation_leave_millimetres_alone_and_a_flip_negates_x_and_swaps_sides(seed):
    labels = st.open_data("figures:4", task="pose").samples.labels
    cpu = torch.device("cpu")
    plain = make_targets(labels, None, None, (128, 128), cpu)
    drawn = draw(len(labels), seed, 0)
    policy = replace(POLICIES["none"], scale=1.4, translate=0.2)
    moved = make_targets(labels, Moves(policy, drawn, height_px=128, width_px=128), None, (128, 128), cpu)
    assert torch.equal(moved.xyz_mm, plain.xyz_mm)
    assert not torch.equal(moved.uv_px, plain.uv_px)
    flip = Moves(replace(POLICIES["none"], flip=1.0), drawn, height_px=128, width_px=128)
    flipped = make_targets(labels, flip, None, (128, 128), cpu)
    swapped = torch.from_numpy(labels.skeleton.mirrored)
    assert torch.equal(flipped.xyz_mm, plain.xyz_mm[:, swapped] * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(flipped.uv_px[..., 0], 128 - plain.uv_px[:, swapped, 0])
    assert torch.equal(flipped.visible, plain.visible[:, swapped])


def test_joints_off_their_picture_have_no_place_in_it():
    labels = st.open_data("figures:4", task="pose").samples.labels
    uv = labels.uv_px.copy()
    uv[0, 3] = (-30, 5)
    labels = replace(labels, uv_px=uv).fitted(np.full((len(uv), 2), 128), Form(height_px=64, width_px=64, channels=3))
    found = make_targets(labels, None, None, (64, 64), torch.device("cpu"))
    assert not found.placed[0, 3]
    assert found.visible[0, 3] == bool(labels.visible[0, 3])
    torch.testing.assert_close(found.uv_px[0, 0], torch.tensor(uv[0, 0] / 2))
