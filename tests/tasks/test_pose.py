"""Losses and figures of poses are those of their definitions, on joints made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from tests.support import raises
from tests.tasks.made_poses import IMAGE, SKELETON, SPACE, outputs_for, pose_task, poses, studied

from striate.errors import ConfigError, ModelError
from striate.tasks.pose.joint_prediction import JointPrediction, in_view
from striate.tasks.pose.targets import Coordinates
from striate.tasks.pose.training import PoseTraining
from striate.tasks.spec import Origin, PredictOptions


@pytest.mark.parametrize("vocabulary", [SPACE, IMAGE])
def test_perfect_outputs_cost_nothing(vocabulary):
    targets = poses(8)
    targets = dict(targets, placed=targets["visible"])
    task = studied(targets, vocabulary)
    loss, count = task.training.loss(outputs_for(task, targets), targets)
    assert float(loss) == pytest.approx(0, abs=1e-3)
    assert count == int(targets["visible"].sum())
    metrics = task.training.metrics()
    metrics.update(outputs_for(task, targets), targets)
    figures = metrics.compute()
    assert figures["mpjpe_mm" if task.spec.in_space else "mean_px"] == pytest.approx(0, abs=1e-3)
    assert figures["pck150" if task.spec.in_space else "pck10"] == 1.0


def test_zeros_mean_the_mean_pose_of_what_was_visible():
    targets = poses(50)
    task = studied(targets)
    wanted = np.array(
        [
            targets["xyz_mm"][targets["visible"][:, joint], joint].double().mean(0).numpy()
            for joint in range(len(SKELETON.joints))
        ]
    )
    np.testing.assert_allclose(Coordinates(task.spec).millimetres(torch.zeros(1, 20))[0], wanted, rtol=1e-4, atol=1e-3)
    spread = [
        math.sqrt((targets["xyz_mm"][targets["visible"][:, j], j].double() - torch.tensor(wanted[j])).square().mean())
        for j in range(4)
    ]
    np.testing.assert_allclose(task.statistics.values["deviation_mm"], spread, rtol=1e-6)


@pytest.mark.parametrize("vocabulary", [SPACE, IMAGE])
def test_zeros_of_a_vector_mean_the_mean_place_of_what_the_images_show(vocabulary):
    targets = poses(50)
    targets["uv_px"][:10, 2] = torch.tensor([70.0, 10.0])  # cut off by a crop: no place that could be learned
    task = studied(targets, vocabulary)
    found = (Coordinates(task.spec).shares(torch.zeros(1, task.spec.outputs))[0] + 2) / 4 * torch.tensor([40.0, 30.0])
    within = targets["placed"] & ((targets["uv_px"] >= 0) & (targets["uv_px"] <= torch.tensor([40.0, 30.0]))).all(2)
    for joint in range(4):
        shown = targets["uv_px"][within[:, joint], joint].double()
        np.testing.assert_allclose(found[joint], shown.mean(0), rtol=1e-5)
        spread = (4 * (shown - shown.mean(0)) / torch.tensor([40.0, 30.0])).square().mean().sqrt()
        assert task.statistics.values["deviation_uv"][joint] == pytest.approx(float(spread), rel=1e-6)
    assert task.statistics.values["placed"] == within.sum(0).tolist()
    assert ("mean_mm" in task.statistics.values) == ("deviation_mm" in task.statistics.values) == task.spec.in_space


def test_of_many_training_images_some_are_read_and_no_others():
    targets, asked = poses(10), []
    training = PoseTraining(pose_task().spec, most_neighbours=4)

    def images(chosen):
        asked.extend(chosen.tolist())
        return [torch.randn(len(chosen), 3, 30, 40)]

    tensors = training.fit_target_statistics([targets], images).tensors
    assert asked == [0, 3, 6, 9]
    assert [len(tensor) for tensor in tensors.values()] == [4, 4]
    shown = targets["visible"][asked]
    torch.testing.assert_close(torch.tensor(tensors["poses"])[..., :3][shown], targets["xyz_mm"][asked][shown])


@pytest.mark.parametrize("head", ["vector", "heatmap"])
@pytest.mark.parametrize("vocabulary", [SPACE, IMAGE])
def test_the_loss_is_that_of_its_definition(vocabulary, head):
    """Some joints lie off their image: in space they count by x, y and z alone, in the image not at all."""
    targets = poses(9)
    targets["uv_px"][2, 1], targets["uv_px"][3, :, 1] = torch.tensor([41.0, 3.0]), -0.5
    targets = dict(targets, placed=targets["placed"] & targets["visible"])
    task = pose_task(vocabulary, studied(targets, vocabulary).statistics.values, head)
    outputs = torch.randn(9, task.spec.outputs, generator=torch.Generator().manual_seed(1))
    target_statistics = {name: np.array(found) for name, found in task.statistics.values.items()}
    wanted, count = 0.0, 0
    for sample in range(9):
        for joint in range(4):
            numbers = outputs[sample].double().numpy()[task.spec.numbers * joint :][: task.spec.numbers]
            if task.spec.in_space and targets["visible"][sample, joint]:
                found = target_statistics["mean_mm"][joint] + target_statistics["deviation_mm"][joint] * numbers[:3]
                wanted += (
                    np.abs(found - targets["xyz_mm"][sample, joint].numpy()).sum()
                    / target_statistics["deviation_mm"].mean()
                )
                count += 1
            u, v = targets["uv_px"][sample, joint].tolist()
            if targets["placed"][sample, joint] and 0 <= u <= 40 and 0 <= v <= 30:
                place = numbers[-2:]
                if head == "vector":
                    place = target_statistics["mean_uv"][joint] + target_statistics["deviation_uv"][joint] * place
                wanted += (0.5 if task.spec.in_space else 1) * np.abs(place - (4 * u / 40 - 2, 4 * v / 30 - 2)).sum()
                count += not task.spec.in_space
    loss, counted = task.training.loss(outputs, targets)
    assert float(loss) == pytest.approx(wanted, rel=1e-5)
    assert counted == count > 5


@given(seed=some.integers(0, 10**6))
def test_joints_that_are_not_visible_change_nothing(seed):
    targets = poses(4, seed)
    targets = dict(targets, placed=targets["placed"] & targets["visible"])
    task = studied(poses(20))
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(4, 20, generator=generator, requires_grad=True)
    noise = torch.randn(4, 4, 3, generator=generator)
    other = dict(
        targets,
        xyz_mm=torch.where(targets["visible"][..., None], targets["xyz_mm"], 1e4 * noise),
        uv_px=torch.where(targets["placed"][..., None], targets["uv_px"], 50 * noise[..., :2]),
    )
    found = []
    for each in (targets, other):
        (gradient,) = torch.autograd.grad(task.training.loss(outputs, each)[0], outputs)
        metrics = task.training.metrics()
        metrics.update(outputs.detach(), each)
        found.append((metrics.compute(), metrics.rows(), gradient.tolist()))
    assert found[0] == found[1]
    hidden = torch.tensor(found[0][2]).view(4, 4, 5)[~targets["visible"]]
    assert (hidden == 0).all()


def test_the_nearest_training_image_gives_its_pose():
    targets = dict(poses(7), visible=torch.ones(7, 4, dtype=torch.bool), placed=torch.ones(7, 4, dtype=torch.bool))
    images = torch.randn(7, 3, 30, 40)
    statistics = pose_task().training.fit_target_statistics(
        [targets], lambda chosen: [images[chosen][:4], images[chosen][4:]]
    )
    task = pose_task().with_statistics(statistics)
    found = task.training.baselines(images + 0.001)
    np.testing.assert_allclose(
        Coordinates(task.spec).millimetres(found["nearest training image"]), targets["xyz_mm"], atol=0.1
    )
    np.testing.assert_allclose(found["nearest training image"], outputs_for(task, targets), rtol=1e-3, atol=1e-3)
    shares = 4 * targets["uv_px"] / torch.tensor([40.0, 30.0]) - 2
    heatmaps = pose_task(head="heatmap").with_statistics(statistics)
    np.testing.assert_allclose(
        Coordinates(heatmaps.spec).shares(heatmaps.training.baselines(images)["nearest training image"]),
        shares,
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        Coordinates(task.spec).millimetres(found["mean pose"]),
        targets["xyz_mm"].mean(0).expand(7, -1, -1),
        rtol=1e-4,
        atol=1e-2,
    )


LINES = ("conv 8@5x5 | relu | maxpool 2 | conv 6@3x3 | relu | maxpool 2 | flatten | fc classes", "lenet5", "resnet20")


@pytest.mark.parametrize("model", [*LINES, "resnet18", "efficientnet_lite0"])
@pytest.mark.parametrize("head", ["vector", "heatmap"])
def test_both_heads_go_with_every_backbone(model, head):
    task = pose_task(head=head)
    statistics = task.training.fit_target_statistics([poses(4)], lambda chosen: [torch.randn(4, 3, 64, 64)])
    task = task.with_statistics(statistics)
    network = task.training.build(task.training.plan_network(model, (3, 64, 64)), model, 0)
    outputs = network(torch.randn(2, 3, 64, 64))
    assert outputs.shape == (2, 20)
    task.training.loss(outputs, poses(2))[0].backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert next(network.parameters()).grad.any()
    with raises(ModelError, where="fc 7", what="not one number per coordinate"):
        pose_task().training.plan_network("conv 4@3x3 | gap | fc 7", (3, 64, 64))


@pytest.mark.parametrize("vocabulary", [SPACE, IMAGE])
def test_predictions_are_places_in_the_picture(vocabulary):
    targets = dict(poses(3), placed=torch.ones(3, 4, dtype=torch.bool))
    task = studied(dict(targets, visible=targets["placed"]), vocabulary)
    outputs = outputs_for(task, targets)
    origins = [Origin(source_px=(60, 70), image_px=(30, 40), scale=(0.5, 0.5), offset=(2.5, 0.0))] * 3
    found = task.spec.decode(outputs.numpy(), origins, PredictOptions())
    np.testing.assert_allclose(found[1].uv_px, (targets["uv_px"][1] - torch.tensor([2.5, 0.0])) / 0.5, atol=1e-3)
    head = found[1].document()["joints"]["head"]
    assert list(head) == (["xyz_mm", "uv_px"] if task.spec.in_space else ["uv_px"])
    assert list(found[1].rows()[0]) == [
        "joint",
        *(["x_mm", "y_mm", "z_mm"] if task.spec.in_space else []),
        "u_px",
        "v_px",
    ]
    overlay = found[1].overlay(np.zeros((60, 70, 3), dtype=np.uint8))
    assert overlay.height == 256
    assert (overlay.width > 3 * 256) == task.spec.in_space


def test_a_turned_view_is_a_projection_from_the_side():
    xyz = np.array([[0.0, 0, 0], [100, 0, 0], [0, 0, 200], [0, -300, 0]])
    front, side = in_view(xyz, 0, 100), in_view(xyz, 90, 100)
    assert front[2] == pytest.approx(front[0])  # one behind the other
    assert side[2, 0] > side[0, 0] == pytest.approx(side[1, 0])
    assert front[3, 1] < front[0, 1]
    assert JointPrediction(SKELETON, xyz, None).overlay(np.zeros((300, 200, 3), np.uint8)).size == (800, 300)


def test_joints_that_a_crop_cut_off_do_not_count_in_the_image():
    targets = dict(poses(2), visible=torch.ones(2, 4, dtype=torch.bool), placed=torch.ones(2, 4, dtype=torch.bool))
    targets["uv_px"][0, 1] = torch.tensor([45.0, 10.0])
    task = studied(targets, IMAGE)
    assert task.training.loss(torch.zeros(2, 8), targets)[1] == 7
    metrics = task.training.metrics()
    metrics.update(torch.zeros(2, 8), targets)
    assert [row["samples"] for row in metrics.rows()] == [2, 1, 2, 2]


def test_options_of_other_tasks_are_refused():
    with raises(ConfigError, where="top"):
        pose_task().spec.check_options(PredictOptions(top=2))
    with raises(ConfigError, where="tile", what="looks at whole images"):
        pose_task().spec.check_options(PredictOptions(tile=True))
