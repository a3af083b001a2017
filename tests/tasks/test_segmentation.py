"""Losses and figures of segmentation are those of their definitions, on masks made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as some
from tests.support import raises

from striate.batching.targets import NO_LABEL
from striate.errors import ModelError
from striate.images.drawing import paint_classes
from striate.tasks import Task, create_task
from striate.tasks.segmentation.class_map import ClassMap
from striate.tasks.segmentation.training import dice
from striate.tasks.spec import Origin, PredictOptions, TargetStatistics
from striate.tasks.vocabulary import Vocabulary

ABC = Vocabulary(classes=("a", "b", "c"))


def scores_of(called: list[list[int]], classes: int = 3) -> torch.Tensor:
    """Scores whose greatest is that of a class."""
    return F.one_hot(torch.tensor(called), classes).permute(2, 0, 1)[None].float()


def segment(vocabulary: Vocabulary = ABC, statistics: TargetStatistics | None = None, **options: object) -> Task:
    return create_task("segment", vocabulary, statistics, options)


def studied(task: Task, *targets: torch.Tensor) -> Task:
    return task.with_statistics(task.training.fit_target_statistics(targets, lambda chosen: []))


def test_figures_of_masks_made_by_hand():
    true = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 255], [0, 0, 1, 255]]])
    called = scores_of([[0, 0, 0, 1], [0, 0, 1, 2], [0, 2, 1, 0]])
    metrics = segment().training.metrics()
    metrics.update(called, true)
    rows = {row["class"]: row for row in metrics.rows()}
    assert rows["a"]["iou"] == pytest.approx(5 / 7)  # 6 true, 6 called, 5 of them both
    assert rows["b"]["iou"] == pytest.approx(3 / 4)
    assert rows["c"]["iou"] == 0
    assert rows["c"]["accuracy"] is None
    figures = metrics.compute()
    assert figures["pixel_accuracy"] == pytest.approx(8 / 10)
    assert figures["mean_iou"] == pytest.approx((5 / 7 + 3 / 4) / 2)  # c is in no mask
    assert figures["class_accuracy"] == pytest.approx((5 / 6 + 3 / 4) / 2)
    assert list(figures) == ["mean_iou", "pixel_accuracy", "class_accuracy", "boundary_f1", "loss"]


def test_figures_are_those_of_all_pixels_together_however_they_come():
    """Intersection over union as sets of pixels, class by class."""
    rng = np.random.default_rng(0)
    true, called = rng.integers(0, 5, (2, 6, 20, 30))
    metrics = segment(Vocabulary(classes=tuple("abcde"))).training.metrics()
    outputs = F.one_hot(torch.from_numpy(called), 5).permute(0, 3, 1, 2).float()
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        metrics.update(outputs[part], torch.from_numpy(true)[part])
    pixels = [({*np.flatnonzero(true == index)}, {*np.flatnonzero(called == index)}) for index in range(5)]
    assert metrics.compute()["mean_iou"] == pytest.approx(np.mean([len(t & c) / len(t | c) for t, c in pixels]))
    assert metrics.confusion[1, 3] == len(pixels[1][0] & pixels[3][1])


def test_a_class_that_is_nowhere_does_not_count_and_borders_of_a_perfect_map_are_perfect():
    metrics = segment().training.metrics()
    labels = [[0, 0, 1, 1]] * 4
    metrics.update(scores_of(labels), torch.tensor([labels]))
    figures = metrics.compute()
    assert (figures["mean_iou"], figures["boundary_f1"]) == (1.0, 1.0)
    assert metrics.rows()[2]["iou"] is None


def test_the_loss_is_the_cross_entropy_of_labelled_pixels_and_the_dice_loss_of_each_picture():
    torch.manual_seed(0)
    outputs = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    targets = torch.randint(0, 3, (2, 4, 5))
    targets[0, :2], targets[1, 0, 0] = NO_LABEL, NO_LABEL
    found, count = segment(dice=0.5).training.loss(outputs, targets)
    wanted, pixels = 0.0, 0
    for scores, labels in zip(outputs, targets, strict=True):
        kept = labels != NO_LABEL
        probabilities = scores.softmax(0)[:, kept]
        truth = labels[kept]
        cross_entropy = -sum(math.log(probabilities[label, place]) for place, label in enumerate(truth.tolist()))
        coefficients = []
        for index in sorted(set(truth.tolist())):
            both = float(probabilities[index][truth == index].sum())
            coefficients.append(2 * both / (float(probabilities[index].sum()) + int((truth == index).sum())))
        wanted += cross_entropy + 0.5 * len(truth) * (1 - sum(coefficients) / len(coefficients))
        pixels += len(truth)
    assert float(found) == pytest.approx(wanted, rel=1e-6)
    assert count == pixels


@given(seed=some.integers(0, 10**6), value=some.floats(-50, 50))
def test_pixels_without_a_label_change_nothing(seed, value):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(2, 3, 6, 7, generator=generator)
    targets = torch.randint(0, 3, (2, 6, 7), generator=generator)
    targets[torch.rand(2, 6, 7, generator=generator) < 0.4] = NO_LABEL
    other = torch.where((targets == NO_LABEL)[:, None], torch.full_like(outputs, value), outputs)
    task = studied(segment(dice=1.0, class_weights="auto", label_smoothing=0.1), targets)
    both = []
    for scores in (outputs, other):
        scores = scores.clone().requires_grad_()
        loss, count = task.training.loss(scores, targets)
        loss.backward()
        metrics = task.training.metrics()
        metrics.update(scores.detach(), targets)
        both.append((float(loss.detach()), count, metrics.compute(), metrics.rows(), scores.grad))
    assert both[0][:4] == both[1][:4]
    assert (both[0][4][(targets == NO_LABEL)[:, None].expand(-1, 3, -1, -1)] == 0).all()
    assert torch.equal(both[0][4], both[1][4])


def test_a_picture_without_any_label_costs_nothing():
    outputs = torch.randn(1, 3, 4, 4, requires_grad=True)
    targets = torch.full((1, 4, 4), NO_LABEL)
    loss, count = segment(dice=1.0).training.loss(outputs, targets)
    loss.backward()
    assert (float(loss.detach()), count) == (0.0, 0)
    assert (outputs.grad == 0).all()
    assert float(dice(outputs.detach(), targets)) == 1.0


def test_rare_classes_count_more_by_median_frequency():
    """SegNet's rule, worked out by hand: frequency = pixels of a class / pixels of the pictures that show it."""
    masks = torch.tensor([[[0, 0, 0, 1]], [[0, 0, 0, 0]], [[0, 2, 2, NO_LABEL]]])
    task = studied(segment(class_weights="auto"), masks[:2], masks[2:])
    assert task.statistics.values == {"pixels": [8, 1, 2], "pixels_around": [11, 4, 3]}
    frequency = np.array([8 / 11, 1 / 4, 2 / 3])
    weights = np.median(frequency) / frequency
    weights /= (weights * np.array([8, 1, 2])).sum() / 11  # 1 for the average pixel
    np.testing.assert_allclose(task.training.class_weights, weights, rtol=1e-6)
    outputs = torch.randn(3, 3, 1, 4)
    wanted = F.cross_entropy(
        outputs, masks, weight=torch.tensor(weights).float(), ignore_index=NO_LABEL, reduction="sum"
    )
    torch.testing.assert_close(task.training.loss(outputs, masks)[0], wanted)
    milder = segment(class_weights="sqrt", statistics=task.statistics).training.class_weights
    wanted = (task.training.class_weights / task.training.class_weights[0]).sqrt()
    np.testing.assert_allclose(milder / milder[0], wanted, rtol=1e-6)


def test_images_smaller_than_a_unit_are_refused_with_the_way_out():
    with raises(
        ModelError,
        where="resnet18",
        what="one unit of 32x32 pixels, and what training cuts out of images reaches it with 30x70",
        fix="larger --size",
    ):
        segment().training.plan_network("resnet18", (3, 70, 30), stem="large")


def test_predictions_are_as_large_as_their_pictures_and_say_areas():
    task, options, told = segment(), PredictOptions(), []
    plan = task.training.plan_network("resnet20", (3, 32, 48))
    network = task.training.build(plan, "resnet20", 0).eval()
    origin = Origin(source_px=(65, 97), image_px=(32, 48), scale=(1.0, 1.0), offset=(0.0, 0.0))
    with torch.inference_mode():
        outputs = task.training.forward(network, torch.randn(1, 3, 32, 48), options, told.append)
        (found,) = task.spec.decode(outputs, [origin], options)
    assert told == [1]
    assert found.indices.shape == (65, 97)
    document = found.document()
    assert (document["width_px"], document["height_px"]) == (97, 65)
    assert sum(row["pixels"] for row in document["areas"]) == 65 * 97
    assert sum(row["share"] for row in document["areas"]) == pytest.approx(1)
    mask = found.images()[".png"]
    assert (mask.mode, mask.size) == ("P", (97, 65))
    np.testing.assert_array_equal(np.asarray(mask), found.indices)
    overlay = found.overlay(np.full((65, 97, 3), 100, dtype=np.uint8))
    assert overlay.width == 97
    assert overlay.height > 65  # a legend is below


def test_overlays_show_the_picture_through_colours_and_borders_in_full():
    colours = ((0, 0, 0), (200, 0, 0), (0, 0, 200))
    indices = np.zeros((8, 12), dtype=np.uint8)
    indices[:, 4:8], indices[:, 8:] = 1, 255
    picture = np.full((8, 12, 3), 100, dtype=np.uint8)
    drawn = np.asarray(paint_classes(picture, indices, colours, bare=[0]))
    assert drawn[3, 1].tolist() == [100, 100, 100]  # bare
    assert drawn[3, 4].tolist() == [200, 0, 0]  # a border
    assert drawn[3, 6].tolist() == [150, 50, 50]
    assert drawn[3, 10].tolist() == [60, 60, 60]  # no label: darker
    found = ClassMap(indices.clip(max=2), ("background", "car", "road"), colours)
    assert [(row["class"], row["pixels"]) for row in found.rows()] == [("background", 32), ("car", 32), ("road", 32)]
    assert ClassMap(np.zeros((2, 2), np.uint8), ("a", "b"), colours[:2]).rows()[1] == {
        "class": "b", "pixels": 0, "share": 0.0
    }  # fmt: skip


def test_the_baseline_calls_every_pixel_what_most_are():
    assert segment().training.baselines(torch.zeros(1, 3, 2, 2)) == {}
    targets = torch.tensor([[[1, 1, 1, 0], [1, 2, NO_LABEL, 0]]])
    task = studied(segment(), targets)
    metrics = task.training.metrics()
    metrics.update(task.training.baselines(torch.zeros(1, 3, 2, 4))["most frequent class"], targets)
    figures = metrics.compute()
    assert figures["pixel_accuracy"] == pytest.approx(4 / 7)
    assert figures["mean_iou"] == pytest.approx(4 / 7 / 3)  # of a and c nothing is found
    shares = np.array([2, 4, 1]) / 7
    assert figures["loss"] == pytest.approx(-(shares * np.log(shares)).sum())  # the entropy of the shares
