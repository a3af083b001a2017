"""Figures of joints are those of their definitions, on joints made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from scipy.spatial.transform import Rotation
from tests.tasks.made_poses import IMAGE, LEARNED, SPACE, outputs_for, pose_task, poses, studied

from striate.tasks.figures import describe
from striate.tasks.pose.joint_metrics import procrustes


def test_figures_of_joints_made_by_hand():
    """Distances of 0 (the root), 30, 150 and (not visible) 1000 mm, and one of 200."""
    targets = {
        "xyz_mm": torch.zeros(2, 4, 3),
        "uv_px": torch.zeros(2, 4, 2),
        "visible": torch.tensor([[True, True, True, False], [False, True, False, False]]),
        "placed": torch.zeros(2, 4, dtype=torch.bool),
        "side_px": torch.tensor([[40.0, 30.0]] * 2),
    }
    task = pose_task(SPACE, LEARNED)
    outputs = torch.zeros(2, 4, 5)
    outputs[0, 1, 0], outputs[0, 2, 1], outputs[0, 3, 2], outputs[1, 1, 2] = 30, 150, 1000, 200
    metrics = task.training.metrics()
    metrics.update(outputs.flatten(1), targets)
    figures = metrics.compute()
    assert figures["mpjpe_mm"] == pytest.approx((0 + 30 + 150 + 200) / 4)
    assert figures["pck150"] == 2 / 3  # without the root, which is right by construction
    shares = [sum(distance <= limit for distance in (30, 150, 200)) / 3 for limit in range(0, 151, 5)]
    assert figures["auc"] == pytest.approx(np.mean(shares))
    rows = {row["joint"]: row for row in metrics.rows()}
    assert (rows["l_hand"]["samples"], rows["l_hand"]["mpjpe_mm"]) == (2, pytest.approx(115))
    assert rows["l_hand"]["pck150"] == 1 / 2
    assert rows["l_hand"]["auc"] == pytest.approx(np.mean([(limit >= 30) / 2 for limit in range(0, 151, 5)]))
    assert rows["r_hand"]["pck150"] == 1
    assert rows["root"] == {
        "joint": "root", "samples": 1, "mpjpe_mm": 0, "pa_mpjpe_mm": rows["root"]["pa_mpjpe_mm"],
        "pck150": None, "auc": None,
    }  # fmt: skip
    assert rows["head"] == {"joint": "head", "samples": 0} | dict.fromkeys(figures.keys() - {"loss"})


def test_figures_in_the_image_are_in_pixels_and_of_a_persons_size():
    targets = poses(1)
    uv = torch.tensor([[[5.0, 5.0], [25.0, 5.0], [5.0, 15.0], [39.0, 29.0]]])
    seen = torch.tensor([[True, True, True, False]])
    targets = dict(targets, uv_px=uv, visible=seen, placed=seen)
    task = pose_task(IMAGE, LEARNED)
    moved = uv + torch.tensor([[[0.03, 0.0], [1.9, 0.0], [0.0, 2.1], [9.0, 9.0]]])
    metrics = task.training.metrics()
    metrics.update(outputs_for(task, dict(targets, uv_px=moved)), targets)
    figures = metrics.compute()
    assert figures["mean_px"] == pytest.approx((0.03 + 1.9 + 2.1) / 3, rel=1e-5)
    # of the 31 limits from 0 to 2 pixels: all but 0; 1.93 and 2; none
    shares = [row["auc"] for row in metrics.rows()]
    assert shares == [pytest.approx(30 / 31), pytest.approx(2 / 31), 0, None]
    assert [list(row) for row in metrics.rows()] == [["joint", "samples", "mean_px", "pck10", "auc"]] * 4
    assert figures["pck10"] == pytest.approx(2 / 3)  # within 2 pixels: a tenth of the 20 between the outermost


def test_joints_rows_add_up_to_the_figures_of_all():
    """Each figure is the mean of the rows', weighed by how many joints each is of."""
    targets = poses(40)
    task = studied(targets)
    metrics = task.training.metrics()
    metrics.update(0.3 * torch.randn(40, 20, generator=torch.Generator().manual_seed(3)), targets)
    rows, figures = metrics.rows(), metrics.compute()
    fixed = targets["visible"].sum(1) >= 3  # the samples that are aligned
    aligned = targets["visible"][fixed].sum(0)
    samples = targets["visible"].sum(0)
    for name, weights, kept in (
        ("mpjpe_mm", samples, rows),
        ("pa_mpjpe_mm", aligned, rows),
        ("pck150", samples[1:], rows[1:]),
        ("auc", samples[1:], rows[1:]),
    ):
        found = np.average([row[name] for row in kept], weights=weights)
        assert figures[name] == pytest.approx(found), name
        assert len({row[name] for row in kept}) > 1


def test_figures_that_nothing_is_counted_for_are_none_and_said_so():
    """Two joints fix no pose in space; the root alone has no share that is within 150 mm."""
    targets = poses(3)
    two = dict(targets, visible=torch.tensor([[True, False, True, False]] * 3))
    root = dict(targets, visible=torch.tensor([[True, False, False, False]] * 3))
    task = pose_task(SPACE, LEARNED)
    for seen, none in ((two, {"pa_mpjpe_mm"}), (root, {"pa_mpjpe_mm", "pck150", "auc"})):
        metrics = task.training.metrics()
        metrics.update(torch.zeros(3, 20), seen)
        figures = metrics.compute()
        assert {name for name, figure in figures.items() if figure is None} == none
        said = describe(task.spec.figures, figures)
        assert said.count("–") == len(none)
        assert "PA-MPJPE –" in said


@given(seed=some.integers(0, 10**6), mirrored=some.booleans())
def test_procrustes_agrees_with_scipy(seed, mirrored):
    rng = np.random.default_rng(seed)
    points, onto = rng.normal(size=(2, 3, 6, 3))
    counts = rng.random((3, 6)) < 0.8
    counts[:, :4] = True
    if mirrored:  # the best orthogonal matrix would be no rotation
        onto = points * (1, 1, -1) + 0.01 * onto
    found = procrustes(torch.tensor(points), torch.tensor(onto), torch.tensor(counts)).numpy()
    for sample in range(3):
        kept = counts[sample]
        a, b = (each[sample] - each[sample, kept].mean(0) for each in (points, onto))
        rotation, _ = Rotation.align_vectors(b[kept], a[kept])
        turned = rotation.apply(a)
        scale = (turned[kept] * b[kept]).sum() / (turned[kept] ** 2).sum()
        wanted = scale * turned + onto[sample, kept].mean(0)
        np.testing.assert_allclose(found[sample], wanted, rtol=1e-6, atol=1e-6)


def test_a_pose_that_was_turned_scaled_and_moved_has_no_aligned_error():
    targets = dict(poses(6), visible=torch.ones(6, 4, dtype=torch.bool))
    task = studied(targets)
    turn = torch.tensor(Rotation.from_euler("xyz", (30, 50, -70), degrees=True).as_matrix()).float()
    other = dict(targets, xyz_mm=1.7 * targets["xyz_mm"] @ turn + 100)
    metrics = task.training.metrics()
    metrics.update(outputs_for(task, targets), other)
    figures = metrics.compute()
    assert figures["pa_mpjpe_mm"] < 0.01 < 100 < figures["mpjpe_mm"]


def test_outputs_that_are_no_numbers_are_counted_and_not_fatal():
    targets = dict(poses(3), visible=torch.ones(3, 4, dtype=torch.bool))
    task = studied(targets)
    metrics = task.training.metrics()
    metrics.update(torch.full((3, 20), float("nan")), targets)
    assert math.isnan(metrics.compute()["loss"])  # which stops a training, in a line
