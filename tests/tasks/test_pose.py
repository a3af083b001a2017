"""Losses and figures of poses are those of their definitions, on joints made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from scipy.spatial.transform import Rotation

import striate as st
from striate.data.augment import POLICIES, Moves, draw
from striate.data.figures import locate
from striate.data.fitting import Form
from striate.data.labels import Skeleton, Vocabulary
from striate.data.targets import JointTargets, make_targets
from striate.errors import ConfigError, ModelError
from striate.tasks import create_task
from striate.tasks.base import Origin, PredictOptions, Task
from striate.tasks.joint_metrics import procrustes
from striate.tasks.pose import Pose
from striate.tasks.skeletons import JointPrediction, in_view

SKELETON = Skeleton(joints=("root", "l_hand", "r_hand", "head"), parents=(-1, 0, 0, 0), mirror=((1, 2),))
SPACE, IMAGE = Vocabulary(skeleton=SKELETON), Vocabulary(skeleton=replace(SKELETON, unit="px"))

LEARNED = {
    "visible": [1] * 4,
    "placed": [1] * 4,
    "mean_mm": [[0.0] * 3] * 4,
    "deviation_mm": [1.0] * 4,
    "mean_uv": [[0.0] * 2] * 4,
    "deviation_uv": [1.0] * 4,
}


def poses(samples: int, seed: int = 0) -> JointTargets:
    generator = torch.Generator().manual_seed(seed)
    xyz = 300 * torch.randn(samples, 4, 3, generator=generator)
    xyz[:, 0] = 0
    return JointTargets(
        xyz_mm=xyz,
        uv_px=torch.rand(samples, 4, 2, generator=generator) * torch.tensor([40.0, 30.0]),
        visible=torch.rand(samples, 4, generator=generator) < 0.8,
        placed=torch.rand(samples, 4, generator=generator) < 0.5,
        image_px=(30, 40),
    )


def studied(targets: JointTargets, vocabulary: Vocabulary = SPACE) -> Pose:
    task = Pose(vocabulary)
    task.study([targets[:3], targets[3:]], lambda chosen: [torch.randn(len(chosen), 3, 30, 40)])
    return task


def outputs_for(task: Pose, targets: JointTargets) -> torch.Tensor:
    """What a network that knew them would give."""
    known = {"mm": targets.xyz_mm, "uv": 4 * targets.uv_px / torch.tensor(targets.image_px[::-1]) - 2}
    numbers = []
    for unit in ("mm", "uv") if task.in_space else ("uv",):
        mean, deviation = (torch.tensor(task.learned[f"{name}_{unit}"]) for name in ("mean", "deviation"))
        numbers.append((known[unit] - mean) / deviation.clamp(min=1e-9)[:, None])
    return torch.cat(numbers, 2).flatten(1)


@pytest.mark.parametrize("vocabulary", [SPACE, IMAGE])
def test_it_keeps_the_protocol_of_a_task(vocabulary):
    assert isinstance(create_task("pose", vocabulary), Task)


@pytest.mark.parametrize("vocabulary", [SPACE, IMAGE])
def test_perfect_outputs_cost_nothing(vocabulary):
    targets = poses(8)
    targets = replace(targets, placed=targets.visible)
    task = studied(targets, vocabulary)
    loss, count = task.loss(outputs_for(task, targets), targets)
    assert float(loss) == pytest.approx(0, abs=1e-3)
    assert count == int(targets.visible.sum())
    metrics = task.metrics()
    metrics.update(outputs_for(task, targets), targets)
    figures = metrics.compute()
    assert figures["mpjpe_mm" if task.in_space else "mean_px"] == pytest.approx(0, abs=1e-3)
    assert figures["pck150" if task.in_space else "pck10"] == 1.0


def test_zeros_mean_the_mean_pose_of_what_was_visible():
    targets = poses(50)
    task = studied(targets)
    wanted = np.array(
        [
            targets.xyz_mm[targets.visible[:, joint], joint].double().mean(0).numpy()
            for joint in range(len(SKELETON.joints))
        ]
    )
    np.testing.assert_allclose(task.millimetres(torch.zeros(1, 20))[0], wanted, rtol=1e-4, atol=1e-3)
    spread = [
        math.sqrt((targets.xyz_mm[targets.visible[:, j], j].double() - torch.tensor(wanted[j])).square().mean())
        for j in range(4)
    ]
    np.testing.assert_allclose(task.learned["deviation_mm"], spread, rtol=1e-6)


@pytest.mark.parametrize("vocabulary", [SPACE, IMAGE])
def test_zeros_of_a_vector_mean_the_mean_place_of_what_the_images_show(vocabulary):
    targets = poses(50)
    targets.uv_px[:10, 2] = torch.tensor([70.0, 10.0])  # cut off by a crop: no place that could be learned
    task = studied(targets, vocabulary)
    found = (task.places(torch.zeros(1, task.outputs))[0] + 2) / 4 * torch.tensor([40.0, 30.0])
    within = targets.placed & ((targets.uv_px >= 0) & (targets.uv_px <= torch.tensor([40.0, 30.0]))).all(2)
    for joint in range(4):
        shown = targets.uv_px[within[:, joint], joint].double()
        np.testing.assert_allclose(found[joint], shown.mean(0), rtol=1e-5)
        spread = (4 * (shown - shown.mean(0)) / torch.tensor([40.0, 30.0])).square().mean().sqrt()
        assert task.learned["deviation_uv"][joint] == pytest.approx(float(spread), rel=1e-6)
    assert task.learned["placed"] == within.sum(0).tolist()
    assert ("mean_mm" in task.learned) == ("deviation_mm" in task.learned) == task.in_space


def test_of_many_training_images_some_are_read_and_no_others(monkeypatch):
    monkeypatch.setattr("striate.tasks.pose._MOST_NEIGHBOURS", 4)
    targets, asked = poses(10), []
    task = Pose(SPACE)

    def images(chosen):
        asked.extend(chosen.tolist())
        return [torch.randn(len(chosen), 3, 30, 40)]

    task.study([targets], images)
    assert asked == [0, 3, 6, 9]
    assert [len(tensor) for tensor in task.tensors.values()] == [4, 4]
    shown = targets.visible[asked]
    torch.testing.assert_close(task.tensors["poses"][..., :3][shown], targets.xyz_mm[asked][shown])


def test_the_loss_is_that_of_its_definition():
    targets = poses(5)
    task = studied(targets)
    torch.manual_seed(1)
    outputs = torch.randn(5, 20)
    mean, deviation = np.array(task.learned["mean_mm"]), np.array(task.learned["deviation_mm"])
    mean_uv, deviation_uv = np.array(task.learned["mean_uv"]), np.array(task.learned["deviation_uv"])
    wanted = 0.0
    for sample in range(5):
        for joint in range(4):
            numbers = outputs[sample, 5 * joint : 5 * joint + 5].double().numpy()
            if targets.visible[sample, joint]:
                found = mean[joint] + deviation[joint] * numbers[:3]
                wanted += np.abs(found - targets.xyz_mm[sample, joint].numpy()).sum() / deviation.mean()
            if targets.placed[sample, joint]:
                place = 4 * targets.uv_px[sample, joint].numpy() / (40, 30) - 2
                wanted += 0.5 * np.abs(mean_uv[joint] + deviation_uv[joint] * numbers[3:] - place).sum()
    assert float(task.loss(outputs, targets)[0]) == pytest.approx(wanted, rel=1e-5)


@given(seed=some.integers(0, 10**6))
def test_joints_that_are_not_visible_change_nothing(seed):
    targets = poses(4, seed)
    targets = replace(targets, placed=targets.placed & targets.visible)
    task = studied(poses(20))
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(4, 20, generator=generator, requires_grad=True)
    noise = torch.randn(4, 4, 3, generator=generator)
    other = replace(
        targets,
        xyz_mm=torch.where(targets.visible[..., None], targets.xyz_mm, 1e4 * noise),
        uv_px=torch.where(targets.placed[..., None], targets.uv_px, 50 * noise[..., :2]),
    )
    found = []
    for each in (targets, other):
        (gradient,) = torch.autograd.grad(task.loss(outputs, each)[0], outputs)
        metrics = task.metrics()
        metrics.update(outputs.detach(), each)
        found.append((metrics.compute(), metrics.rows(), gradient.tolist()))
    assert found[0] == found[1]
    hidden = torch.tensor(found[0][2]).view(4, 4, 5)[~targets.visible]
    assert (hidden == 0).all()


def test_figures_of_joints_made_by_hand():
    """Distances of 0, 30, 150 and (not visible) 1000 mm, and one of 200."""
    targets = JointTargets(
        xyz_mm=torch.zeros(2, 4, 3),
        uv_px=torch.zeros(2, 4, 2),
        visible=torch.tensor([[True, True, True, False], [False, True, False, False]]),
        placed=torch.zeros(2, 4, dtype=torch.bool),
        image_px=(30, 40),
    )
    task = Pose(SPACE, learned=LEARNED)
    outputs = torch.zeros(2, 4, 5)
    outputs[0, 1, 0], outputs[0, 2, 1], outputs[0, 3, 2], outputs[1, 1, 2] = 30, 150, 1000, 200
    metrics = task.metrics()
    metrics.update(outputs.flatten(1), targets)
    figures = metrics.compute()
    assert figures["mpjpe_mm"] == pytest.approx((0 + 30 + 150 + 200) / 4)
    assert figures["pck150"] == 3 / 4
    shares = [sum(distance <= limit for distance in (0, 30, 150, 200)) / 4 for limit in range(0, 151, 5)]
    assert figures["auc"] == pytest.approx(np.mean(shares))
    rows = {row["joint"]: row for row in metrics.rows()}
    assert (rows["l_hand"]["samples"], rows["l_hand"]["mpjpe_mm"]) == (2, pytest.approx(115))
    assert rows["head"]["mpjpe_mm"] is None


def test_figures_in_the_image_are_in_pixels_and_of_a_persons_size():
    targets = poses(1)
    uv = torch.tensor([[[5.0, 5.0], [25.0, 5.0], [5.0, 15.0], [39.0, 29.0]]])
    seen = torch.tensor([[True, True, True, False]])
    targets = replace(targets, uv_px=uv, visible=seen, placed=seen)
    task = Pose(IMAGE, learned=LEARNED)
    moved = uv + torch.tensor([[[0.0, 0.0], [1.9, 0.0], [0.0, 2.1], [9.0, 9.0]]])
    metrics = task.metrics()
    metrics.update(outputs_for(task, replace(targets, uv_px=moved)), targets)
    figures = metrics.compute()
    assert figures["mean_px"] == pytest.approx((1.9 + 2.1) / 3, rel=1e-5)
    assert figures["pck10"] == pytest.approx(2 / 3)  # within 2 pixels: a tenth of the 20 between the outermost


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
    targets = replace(poses(6), visible=torch.ones(6, 4, dtype=torch.bool))
    task = studied(targets)
    turn = torch.tensor(Rotation.from_euler("xyz", (30, 50, -70), degrees=True).as_matrix()).float()
    other = replace(targets, xyz_mm=1.7 * targets.xyz_mm @ turn + 100)
    metrics = task.metrics()
    metrics.update(outputs_for(task, targets), other)
    figures = metrics.compute()
    assert figures["pa_mpjpe_mm"] < 0.01 < 100 < figures["mpjpe_mm"]


def test_the_nearest_training_image_gives_its_pose():
    targets = replace(poses(7), visible=torch.ones(7, 4, dtype=torch.bool), placed=torch.ones(7, 4, dtype=torch.bool))
    images = torch.randn(7, 3, 30, 40)
    task = Pose(SPACE)
    task.study([targets], lambda chosen: [images[chosen][:4], images[chosen][4:]])
    found = task.baselines(images + 0.001)
    np.testing.assert_allclose(task.millimetres(found["nearest training image"]), targets.xyz_mm, atol=0.1)
    np.testing.assert_allclose(found["nearest training image"], outputs_for(task, targets), rtol=1e-3, atol=1e-3)
    shares = 4 * targets.uv_px / torch.tensor([40.0, 30.0]) - 2
    heatmaps = Pose(SPACE, learned=task.learned, head="heatmap")
    heatmaps.tensors = task.tensors
    np.testing.assert_allclose(
        heatmaps.places(heatmaps.baselines(images)["nearest training image"]), shares, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        task.millimetres(found["mean pose"]), targets.xyz_mm.mean(0).expand(7, -1, -1), rtol=1e-4, atol=1e-2
    )


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


LINES = ("conv 8@5x5 | relu | maxpool 2 | conv 6@3x3 | relu | maxpool 2 | flatten | fc classes", "lenet5", "resnet20")


@pytest.mark.parametrize("model", [*LINES, "alexnet", "vgg11_bn", "resnet18", "resnet50"])
@pytest.mark.parametrize("head", ["vector", "heatmap"])
def test_both_heads_go_with_every_backbone(model, head):
    task = Pose(SPACE, head=head)
    task.study([poses(4)], lambda chosen: [torch.randn(4, 3, 64, 64)])
    plan = st.models.plan(model, (3, 64, 64), classes=task.outputs)
    network = task.build(task.adapt(plan, model), model, 0)
    outputs = network(torch.randn(2, 3, 64, 64))
    assert outputs.shape == (2, 20)
    task.loss(outputs, poses(2))[0].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in list(network.parameters())[:1])
    with pytest.raises(ModelError, match="not a number a coordinate"):
        Pose(SPACE).adapt(st.models.plan("conv 4@3x3 | gap | fc 7", (3, 64, 64), classes=20), "a line")


@pytest.mark.parametrize("vocabulary", [SPACE, IMAGE])
def test_predictions_are_places_in_the_picture(vocabulary):
    targets = replace(poses(3), placed=torch.ones(3, 4, dtype=torch.bool))
    task = studied(replace(targets, visible=targets.placed), vocabulary)
    outputs = outputs_for(task, targets)
    origins = [Origin(size_px=(60, 70), scale=(0.5, 0.5), offset=(2.5, 0.0))] * 3
    identity = torch.nn.Identity()
    identity.forward = lambda images: outputs
    found = task.predict(identity, torch.zeros(3, 3, 30, 40), origins, PredictOptions(), lambda share: None)
    np.testing.assert_allclose(found[1].uv_px, (targets.uv_px[1] - torch.tensor([2.5, 0.0])) / 0.5, atol=1e-3)
    head = found[1].document()["joints"]["head"]
    assert list(head) == (["xyz_mm", "uv_px"] if task.in_space else ["uv_px"])
    assert list(found[1].rows()[0]) == ["joint", *(["x_mm", "y_mm", "z_mm"] if task.in_space else []), "u_px", "v_px"]
    overlay = found[1].overlay(np.zeros((60, 70, 3), dtype=np.uint8))
    assert overlay.height == 256
    assert (overlay.width > 3 * 256) == task.in_space


def test_a_turned_view_is_a_projection_from_the_side():
    xyz = np.array([[0.0, 0, 0], [100, 0, 0], [0, 0, 200], [0, -300, 0]])
    front, side = in_view(xyz, 0, 100), in_view(xyz, 90, 100)
    assert front[2] == pytest.approx(front[0])  # one behind the other
    assert side[2, 0] > side[0, 0] == pytest.approx(side[1, 0])
    assert front[3, 1] < front[0, 1]
    assert JointPrediction(SKELETON, xyz, None).overlay(np.zeros((300, 200, 3), np.uint8)).size == (800, 300)


def test_outputs_that_are_no_numbers_are_counted_and_not_fatal():
    targets = replace(poses(3), visible=torch.ones(3, 4, dtype=torch.bool))
    task = studied(targets)
    metrics = task.metrics()
    metrics.update(torch.full((3, 20), float("nan")), targets)
    assert math.isnan(metrics.compute()["loss"])  # which stops a training, in a line


def test_joints_that_a_crop_cut_off_do_not_count_in_the_image():
    targets = replace(poses(2), visible=torch.ones(2, 4, dtype=torch.bool), placed=torch.ones(2, 4, dtype=torch.bool))
    targets.uv_px[0, 1] = torch.tensor([45.0, 10.0])
    task = studied(targets, IMAGE)
    assert task.loss(torch.zeros(2, 8), targets)[1] == 7
    metrics = task.metrics()
    metrics.update(torch.zeros(2, 8), targets)
    assert [row["samples"] for row in metrics.rows()] == [2, 1, 2, 2]


def test_options_of_other_tasks_are_refused():
    with pytest.raises(ConfigError, match="top"):
        Pose(SPACE).check(PredictOptions(top=2))
    with pytest.raises(ConfigError, match="looks at whole pictures"):
        Pose(SPACE).check(PredictOptions(tile=True))
