"""Left and right are told by names, and a mirror image swaps them in all that it has to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from striate.batching.augmentation import POLICIES, SampledAugmentation, draw
from striate.batching.targets import to_targets
from striate.datasets.labels import JointLabels
from striate.images.drawing import side_colours
from striate.tasks.left_right import left_joints, mirror_pairs
from striate.tasks.skeleton import Skeleton


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "left_eye", "right_eye"], ((1, 2),)),
        (["r_hip", "l_hip", "L_knee", "R_knee"], ((1, 0), (2, 3))),
        (["RightHand", "LeftHand", "upperarm_left", "upperarm_right"], ((1, 0), (2, 3))),
        (["knee.L", "knee.R", "eye l", "eye r", "left_over", "cleft"], ((0, 1), (2, 3))),
        (["head", "tail", "l_fin"], ()),
        (["Rankle", "Lankle", "LHip", "RHip", "rwrist", "lwrist"], ((1, 0), (2, 3), (5, 4))),
        (["hip_left", "hip_right", "kneeL", "kneeR", "ELBOW L", "ELBOW R"], ((0, 1), (2, 3), (4, 5))),
        (["nose", "lf_paw", "rf_paw", "L_B_Paw", "R_B_Paw"], ((1, 2), (3, 4))),
        (["right_l", "left_r", "level", "lid", "rump"], ()),
    ],
)
def test_left_and_right_are_told_by_names(names, pairs):
    assert mirror_pairs(names) == pairs


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (("hip_left", "hip_right", "RHip", "LHip", "knee.R", "knee.L"), {0, 3, 5}),
        (("Rankle", "Lankle", "r_arm", "l_arm", "lid", "rim"), {1, 3, 4}),
        (
            ("links", "rechts", "gauche", "droite", "sinistra", "destra"),
            {0, 2, 4},
        ),  # the first, where names do not tell
    ],
)
def test_the_left_one_of_a_pair_is_told_by_its_name_in_whichever_order_it_comes(names, left):
    for mirror in (((0, 1), (2, 3), (4, 5)), ((5, 4), (1, 0), (3, 2))):
        skeleton = Skeleton(
            joints=("pelvis", *names), parents=(-1, *[0] * 6), mirror=tuple((a + 1, b + 1) for a, b in mirror)
        )
        assert {joint - 1 for joint in skeleton.left} == left
        assert skeleton.left | skeleton.right == set(range(1, 7))
        middle, *sides = side_colours(7, skeleton.left, skeleton.right)
        assert len({sides[joint] for joint in left}) == 1
        assert len({middle, *sides}) == 3
    assert left_joints(names, ((0, 1),)) <= {0, 1}


def test_pairs_mean_the_same_in_any_order():
    made = [
        Skeleton(joints=("a", "b", "c", "d", "e"), parents=(-1, 0, 0, 0, 0), mirror=mirror)
        for mirror in (((1, 2), (3, 4)), ((4, 3), (2, 1)))
    ]
    assert made[0] == made[1]
    assert made[0].mirrored.tolist() == [0, 2, 1, 4, 3]


def test_a_root_that_is_one_of_a_pair_is_exchanged_by_a_mirror_image():
    """The left hip is the root: of the mirror image the right one was, and what is relative to it has to be moved."""
    skeleton = Skeleton(joints=("l_hip", "r_hip", "head"), parents=(-1, 0, 0), mirror=((0, 1),))
    space = np.array([[[100, 0, 3000], [-110, 10, 3020], [20, -600, 3050]]], dtype=np.float32)
    labels = JointLabels(
        xyz_mm=np.concatenate([space - space[:, :1]] * 3),
        uv_px=np.full((3, 3, 2), 10, np.float32),
        visible=np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool),
        skeleton=skeleton,
    )
    labels.xyz_mm[1, 1] = np.nan  # what would be the root is not known
    moves = SampledAugmentation(replace(POLICIES["none"], flip=1.0), draw(3, 1, 0), height_px=32, width_px=32)
    found = to_targets(labels, moves, None, (32, 32), torch.device("cpu"))
    mirrored = space[0, [1, 0, 2]] * (-1, 1, 1)
    np.testing.assert_allclose(found["xyz_mm"][0], mirrored - mirrored[0], atol=1e-3)
    assert found["visible"].tolist() == [[True] * 3, [False] * 3, [True, True, False]]
    assert not found["placed"][1].any()
