"""What augmentation makes of joints is what a moved camera sees of the same figure."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

import striate as st
from striate.batching.augmentation import _DRAWS, POLICIES, SampledAugmentation
from striate.batching.targets import NO_LABEL, to_targets
from striate.batching.warp import move_images, move_planes, sampling_grid
from striate.datasets.labels import JointLabels
from striate.figures import JOINTS, locate_joints, render
from striate.images.resize import ImageSpec

figures_render = importlib.import_module("striate.figures.render")  # the module, which its function hides
SIDE_PX = 128
EVERY = replace(POLICIES["none"], flip=0.5, rotate_deg=40, scale=1.4, translate=0.1)


def drawn(**numbers: float) -> np.ndarray:
    """Draw for one sample what is said, and for all else the middle: nothing."""
    row = np.full((1, len(_DRAWS)), 0.5, dtype=np.float32)
    for name, number in numbers.items():
        row[0, _DRAWS.index(name)] = number
    return row


def other_side(names: tuple[str, ...]) -> list[int]:
    """Find the joint that each is in a mirror, by its name alone."""
    swap = {"l": "r", "r": "l"}
    swapped = [swap[name[0]] + name[1:] if name[1] == "_" else name for name in names]
    return [names.index(name) for name in swapped]


@given(
    index=some.integers(0, 200),
    flip=some.booleans(),
    angle=some.floats(0, 0.99),
    scale=some.floats(0, 0.99),
    right=some.floats(0, 0.99),
    down=some.floats(0, 0.99),
)
def test_augmented_joints_are_those_before_a_moved_camera(index, flip, angle, scale, right, down):
    """The camera was rolled, its focal length is longer and its principal point elsewhere; a mirror negates x.

    Mirrored first: what is then turned clockwise is the mirror image of what was turned the other way.
    """
    row = drawn(flip=0.2 if flip else 0.8, angle=angle, scale=scale, right=right, down=down)
    moves = SampledAugmentation(EVERY, row, height_px=SIDE_PX, width_px=SIDE_PX)
    turn_deg = 40 * (2 * float(row[0, _DRAWS.index("angle")]) - 1)
    longer = 1.4 ** (2 * float(row[0, _DRAWS.index("scale")]) - 1)
    principal = SIDE_PX * (0.5 + 0.1 * (2 * row[0, [_DRAWS.index("right"), _DRAWS.index("down")]] - 1))
    seen = locate_joints(0, index, size_px=SIDE_PX, turn_deg=-turn_deg if flip else turn_deg)
    xyz = seen.xyz_mm
    if flip:
        xyz = xyz[other_side(JOINTS)] * (-1, 1, 1)
    uv = longer * seen.focal_px * xyz[:, :2] / xyz[:, 2:] + principal

    upright = locate_joints(0, index, size_px=SIDE_PX)
    labels = JointLabels(
        xyz_mm=(upright.xyz_mm - upright.xyz_mm[0])[None].astype(np.float32),
        uv_px=upright.uv_px[None].astype(np.float32),
        visible=upright.visible[None],
        skeleton=st.open_data("figures:2", task="pose").skeleton,
    )
    found = to_targets(labels, moves, None, (SIDE_PX, SIDE_PX), torch.device("cpu"))
    np.testing.assert_allclose(found["xyz_mm"][0], xyz - xyz[0], atol=0.01)
    np.testing.assert_allclose(found["uv_px"][0], uv, atol=0.01)
    assert found["visible"][0].tolist() == upright.visible[other_side(JOINTS) if flip else slice(None)].tolist()


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize(("turn_deg", "longer"), [(25, 1), (-40, 1), (0, 1.3), (0, 0.8), (15, 1.2)])
def test_augmented_pixels_are_those_before_a_moved_camera(index, turn_deg, longer, monkeypatch):
    """Where the picture had them: of parts of the body, all but their edges are what the renderer makes of the same."""
    still = render(0, index, size_px=SIDE_PX)
    row = drawn(flip=0.8, angle=(turn_deg / 40 + 1) / 2, scale=(math.log(longer, 1.4) + 1) / 2)
    moves = SampledAugmentation(EVERY, row, height_px=SIDE_PX, width_px=SIDE_PX)
    size = (SIDE_PX, SIDE_PX)
    grid = sampling_grid(moves.matrices, size, size, torch.device("cpu"))
    mask = move_planes(torch.from_numpy(still.mask)[None], grid)[0].numpy()
    real = figures_render.random_camera

    def zoomed(*arguments):
        camera = real(*arguments)
        return replace(camera, focal=longer * camera.focal)

    monkeypatch.setattr(figures_render, "random_camera", zoomed)
    moved = render(0, index, size_px=SIDE_PX, turn_deg=turn_deg)
    known = mask != NO_LABEL
    person = known & ((mask > 0) | (moved.mask > 0))
    assert person.sum() > 500
    wrong, without = ((given != moved.mask)[person].mean() for given in (mask, still.mask))
    assert wrong < 0.15
    assert wrong < without / 2


def test_a_mirror_image_has_its_pixels_the_other_way_round():
    still = render(0, 1, size_px=SIDE_PX)
    moves = SampledAugmentation(EVERY, drawn(flip=0.2), height_px=SIDE_PX, width_px=SIDE_PX)
    grid = sampling_grid(moves.matrices, (SIDE_PX, SIDE_PX), (SIDE_PX, SIDE_PX), torch.device("cpu"))
    moved = move_images(torch.from_numpy(still.image)[None], grid)[0].permute(1, 2, 0)
    np.testing.assert_allclose(moved, still.image[:, ::-1], atol=0.1)


def test_joints_off_their_picture_have_no_place_in_it():
    labels = st.open_data("figures:4", task="pose").samples.labels
    uv = labels.uv_px.copy()
    uv[0, 3] = (-30, 5)
    labels = replace(labels, uv_px=uv).resized(
        lambda: np.full((len(uv), 2), 128), ImageSpec(height_px=64, width_px=64, channels=3), str
    )
    found = to_targets(labels, None, None, (64, 64), torch.device("cpu"))
    assert not found["placed"][0, 3]
    assert found["visible"][0, 3] == bool(labels.visible[0, 3])
    torch.testing.assert_close(found["uv_px"][0, 0], torch.tensor(uv[0, 0] / 2))
