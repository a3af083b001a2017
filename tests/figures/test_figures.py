"""Rendered people are functions of (seed, index), move as people can, and are where their joints say that they are."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from striate.figures import JOINTS, MIRROR, PARENTS, PARTS, Figure, locate_joints, render
from striate.figures.poses import random_pose
from striate.figures.skeleton import LIMITS_DEG, SEGMENTS, Build, forward_kinematics, joint_positions, random_build

AT = {name: index for index, name in enumerate(JOINTS)}
COUNT = 36


@cache
def figure(index: int) -> Figure:
    return render(11, index, size_px=64)


@cache
def posed(seed: int) -> tuple[Build, np.ndarray, np.ndarray, np.ndarray]:
    """Draw a build and a pose: the build, the pose's angles, and where it puts the segments."""
    generator = np.random.default_rng(seed)
    build, pose = random_build(generator), random_pose(generator)
    return build, pose.angles_deg, *forward_kinematics(build, pose.angles_deg)


def bones(joints_mm: np.ndarray) -> dict[str, float]:
    lengths = np.linalg.norm(joints_mm[1:] - joints_mm[list(PARENTS[1:])], axis=1)
    return dict(zip(JOINTS[1:], lengths.tolist(), strict=True))


def same(a: Figure, b: Figure) -> bool:
    names = ("image", "mask", "xyz_mm", "uv_px", "visible")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def test_joints_form_a_tree_with_the_pelvis_as_its_root():
    assert JOINTS[0] == "pelvis"
    assert [joint for joint, parent in enumerate(PARENTS) if parent < 0] == [0]
    for joint in range(len(JOINTS)):
        steps = 0
        while joint and steps < len(JOINTS):
            joint, steps = PARENTS[joint], steps + 1
        assert joint == 0


def test_the_mirrored_tree_is_the_same_tree():
    swap = {a: b for pair in MIRROR for a, b in (pair, pair[::-1])}
    assert sorted(swap) == sorted(name for name in JOINTS if name[:2] in ("l_", "r_"))
    edges = {(name, JOINTS[parent]) for name, parent in zip(JOINTS[1:], PARENTS[1:], strict=True)}
    assert {(swap.get(a, a), swap.get(b, b)) for a, b in edges} == edges


def test_seed_and_index_decide_a_figure():
    first = render(3, 5, size_px=48)
    np.random.default_rng().random(3)
    render(3, 6, size_px=32)
    assert same(first, render(3, 5, size_px=48))


@pytest.mark.parametrize("other", [(3, 6), (4, 5), (5, 3)])
def test_another_seed_or_index_is_another_figure(other):
    a, b = render(3, 5, size_px=32), render(*other, size_px=32)
    assert np.abs(a.xyz_mm - b.xyz_mm).max() > 10
    assert (a.image != b.image).mean() > 0.5


def test_seeds_of_64_bits_are_taken():
    assert not same(render(2**64 - 1, 0, size_px=16), render(2**63, 0, size_px=16))


@pytest.mark.parametrize("size_px", [16, 64, 100, 129])
def test_an_image_has_the_size_that_was_asked_for(size_px):
    drawn = render(0, 1, size_px=size_px)
    assert (drawn.image.shape, drawn.mask.shape) == ((size_px, size_px, 3), (size_px, size_px))


def test_the_same_scene_at_two_sizes_is_the_same_scene():
    for index in range(6):
        small, large = figure(index), render(11, index, size_px=128)
        np.testing.assert_allclose(large.xyz_mm, small.xyz_mm, rtol=1e-12)
        np.testing.assert_allclose(large.uv_px, 2 * small.uv_px, rtol=1e-12)
        shrunk = large.image.reshape(64, 2, 64, 2, 3).mean((1, 3))
        assert np.abs(shrunk - small.image).mean() < 12
        assert (large.mask[::2, ::2] == small.mask).mean() > 0.95


def test_no_joint_is_bent_beyond_its_limits():
    spans = []
    for seed in range(300):
        _, angles, _, _ = posed(seed)
        for name, turned in zip(SEGMENTS, angles, strict=True):
            for angle, (least, most) in zip(
                turned, LIMITS_DEG[name.removeprefix("l_").removeprefix("r_")], strict=True
            ):
                assert least <= angle <= most
        spans.append(angles)
    # and poses are no mere trembling: hips, knees, shoulders and elbows use most of what they have
    reach = np.ptp(spans, axis=0)
    for name, wanted in (("thigh", 110), ("shin", 110), ("upper_arm", 170), ("forearm", 110)):
        assert reach[SEGMENTS.index(f"l_{name}"), 0] > wanted
        assert reach[SEGMENTS.index(f"r_{name}"), 0] > wanted


def test_knees_bend_backwards_and_elbows_forwards():
    knees, elbows = 0, 0
    for seed in range(300):
        _, _, rotations, places = posed(seed)
        for side in "lr":
            thigh, shin, foot = (SEGMENTS.index(f"{side}_{name}") for name in ("thigh", "shin", "foot"))
            ahead = rotations[thigh][:, 2]  # where the kneecap looks
            knee = (places[foot] - places[shin]) @ ahead
            assert knee < 1e-9
            knees += knee < -100
            arm, forearm, hand = (SEGMENTS.index(f"{side}_{name}") for name in ("upper_arm", "forearm", "hand"))
            elbow = (places[hand] - places[forearm]) @ rotations[arm][:, 2]
            assert elbow > -1e-9
            elbows += elbow > 100
    assert min(knees, elbows) > 100


def test_bones_have_one_length_in_every_pose():
    build = random_build(np.random.default_rng(0))
    lengths = []
    for seed in range(20):
        rotations, places = forward_kinematics(build, random_pose(np.random.default_rng(seed)).angles_deg)
        lengths.append(bones(joint_positions(build, rotations, places)))
    for name in JOINTS[1:]:
        np.testing.assert_allclose([found[name] for found in lengths], lengths[0][name], rtol=1e-9)
    for left, right in MIRROR:
        assert lengths[0][left] == pytest.approx(lengths[0][right])


def test_pictured_bones_are_as_long_as_those_of_people():
    plausible = {"knee": (220, 560), "ankle": (220, 560), "elbow": (150, 400), "wrist": (130, 350), "head": (220, 340)}
    for index in range(COUNT):
        found = bones(figure(index).xyz_mm)
        for left, right in MIRROR:
            assert found[left] == pytest.approx(found[right])
        for name, (least, most) in plausible.items():
            assert least < found[name if name == "head" else f"l_{name}"] < most


def test_an_upright_figure_is_as_tall_as_its_build_says():
    for seed in range(20):
        build = random_build(np.random.default_rng(seed))
        points = joint_positions(build, *forward_kinematics(build, np.zeros((len(SEGMENTS), 3))))
        above_ankle = np.ptp(points[:, 1])
        assert 0.9 < above_ankle / build.stature_mm < 1


def test_uv_is_the_pinhole_projection_of_xyz():
    for index in range(COUNT):
        drawn = figure(index)
        for (x, y, z), uv in zip(drawn.xyz_mm, drawn.uv_px, strict=True):
            assert z > 300
            np.testing.assert_allclose(uv, (32 + drawn.focal_px * x / z, 32 + drawn.focal_px * y / z), rtol=1e-9)


def test_visible_means_inside_the_image_and_most_joints_are():
    inside = []
    for index in range(COUNT):
        drawn = figure(index)
        u, v = drawn.uv_px.T
        np.testing.assert_array_equal(drawn.visible, (u >= 0) & (u < 64) & (v >= 0) & (v < 64))
        inside.append(drawn.visible)
    assert np.mean(inside) > 0.9


def test_figures_fill_much_of_the_image():
    spans = [np.ptp(figure(index).uv_px, axis=0).max() / 64 for index in range(COUNT)]
    assert 0.5 < np.median(spans) < 0.95
    assert min(spans) > 0.4


@pytest.mark.parametrize(
    ("part", "ends", "wanted"),
    [
        ("left thigh", ("l_hip", "l_knee"), 0.6),
        ("right thigh", ("r_hip", "r_knee"), 0.6),
        ("left lower leg", ("l_knee", "l_ankle"), 0.65),
        ("right lower leg", ("r_knee", "r_ankle"), 0.65),
        ("left upper arm", ("l_shoulder", "l_elbow"), 0.5),
        ("right forearm", ("r_elbow", "r_wrist"), 0.5),
        ("torso", ("spine", "neck"), 0.6),
        ("head", ("neck", "head"), 0.8),
    ],
)
def test_the_mask_names_the_part_in_whose_middle_it_is_asked(part, ends, wanted):
    hits = []
    for index in range(COUNT):
        drawn = figure(index)
        u, v = np.mean([drawn.uv_px[AT[name]] for name in ends], axis=0)
        if 0 <= u < 64 and 0 <= v < 64:
            hits.append(drawn.mask[int(v), int(u)] == PARTS.index(part))
    assert np.mean(hits) >= wanted


def test_the_mask_has_every_part_and_mostly_background():
    share = np.mean([np.bincount(figure(index).mask.ravel(), minlength=len(PARTS)) for index in range(COUNT)], axis=0)
    assert len(share) == len(PARTS)
    assert share.min() > 5
    assert 0.6 < share[0] / 64**2 < 0.97


def test_a_part_seen_differs_in_colour_from_what_is_behind_it():
    steps = []
    for index in range(COUNT):
        drawn = figure(index)
        edge = (drawn.mask[:, 1:] > 0) != (drawn.mask[:, :-1] > 0)
        across = np.abs(np.diff(drawn.image.astype(int), axis=1)).sum(2)
        steps.append(across[edge].mean() / across[~edge].mean())
    assert np.median(steps) > 1.5


def test_left_is_the_figures_own_left():
    front = back = 0
    for seed in range(100):
        build, _, rotations, places = posed(seed)
        points = joint_positions(build, rotations, places)
        assert points[AT["l_hip"], 0] > points[AT["r_hip"], 0]
    for index in range(COUNT):
        drawn = figure(index)
        faced = drawn.xyz_mm[AT["nose"]] - drawn.xyz_mm[AT["neck"]]
        upright = drawn.xyz_mm[AT["neck"], 1] - drawn.xyz_mm[AT["pelvis"], 1] < -200
        if not upright or abs(faced[0]) > 50:
            continue  # bent over, or the face is seen from the side
        if faced[2] < -90:
            front += 1
            assert drawn.uv_px[AT["l_shoulder"], 0] > drawn.uv_px[AT["r_shoulder"], 0]
        elif faced[2] > 90:
            back += 1
            assert drawn.uv_px[AT["l_shoulder"], 0] < drawn.uv_px[AT["r_shoulder"], 0]
    assert min(front, back) >= 3


@pytest.mark.parametrize("turn_deg", [90, -37.5])
def test_a_rolled_camera_turns_joints_clockwise(turn_deg):
    for index in range(5):
        plain, rolled = figure(index), render(11, index, size_px=64, turn_deg=turn_deg)
        angle = np.radians(turn_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        np.testing.assert_allclose(rolled.xyz_mm[:, :2], plain.xyz_mm[:, :2] @ turn.T, atol=1e-6)
        np.testing.assert_allclose(rolled.xyz_mm[:, 2], plain.xyz_mm[:, 2], atol=1e-6)
        np.testing.assert_allclose(rolled.uv_px - 32, (plain.uv_px - 32) @ turn.T, atol=1e-6)


def test_a_quarter_roll_turns_picture_and_mask():
    for index in range(8):
        plain, rolled = figure(index), render(11, index, size_px=64, turn_deg=90)
        clockwise = np.rot90(plain.image, -1).astype(int)
        assert (np.rot90(plain.mask, -1) == rolled.mask).mean() > 0.98
        assert np.abs(clockwise - rolled.image).mean() < 0.5 * np.abs(plain.image.astype(int) - rolled.image).mean()


def test_joints_are_found_without_a_picture():
    for index in range(5):
        drawn, found = render(2, index, size_px=40, turn_deg=20), locate_joints(2, index, size_px=40, turn_deg=20)
        for name in ("xyz_mm", "uv_px", "visible", "focal_px"):
            np.testing.assert_array_equal(getattr(found, name), getattr(drawn, name))
