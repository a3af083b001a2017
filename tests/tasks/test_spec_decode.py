"""Decoding in NumPy gives what torch gives, on images of odd sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as some
from tests.tasks.made_poses import IMAGE, SPACE, outputs_for, pose_task, poses, studied

from striate.images.resize import ImageSpec
from striate.tasks import create_task
from striate.tasks.pose.targets import Coordinates
from striate.tasks.segmentation.resample import likeliest_classes
from striate.tasks.spec import Origin, PredictOptions, TargetStatistics, softmax
from striate.tasks.vocabulary import Vocabulary

SIZES = [(100, 37), (13, 90), (300, 301), (5, 5), (20, 30), (1, 1), (1, 97), (64, 30)]


@given(seed=some.integers(0, 10**6), classes=some.integers(1, 12), spread=some.floats(0.01, 300))
def test_classes_are_ranked_as_torch_ranks_them(seed, classes, spread):
    logits = spread * torch.randn(5, classes, generator=torch.Generator().manual_seed(seed))
    task = create_task("classify", Vocabulary(classes=tuple(map(str, range(classes)))))
    predictions = task.spec.decode(logits.numpy(), [], PredictOptions())
    probabilities, indices = logits.double().softmax(1).topk(min(5, classes))
    for prediction, wanted, order in zip(predictions, probabilities, indices, strict=True):
        assert [share for _, share in prediction.ranked] == pytest.approx(wanted.tolist(), rel=1e-13)
        assert [name for name, share in prediction.ranked if share > 1e-9] == [
            str(int(index)) for index, share in zip(order, wanted, strict=True) if share > 1e-9
        ]


@pytest.mark.parametrize("size_px", SIZES)
@pytest.mark.parametrize("rows", [20, 7, 1])
def test_scores_are_resized_as_torch_does_in_any_strips(size_px, rows):
    torch.manual_seed(0)
    scores = torch.randn(4, 20, 30)
    wanted = F.interpolate(scores[None], size_px, mode="bilinear")[0].argmax(0).numpy()
    found = likeliest_classes((strip.numpy() for strip in scores.split(rows, 1)), 20, size_px)
    assert (found != wanted).mean() < 1e-3  # ties are rounded either way


@pytest.mark.parametrize("size_px", SIZES)
def test_class_maps_are_those_of_torchs_probabilities(size_px):
    torch.manual_seed(0)
    scores = 3 * torch.randn(2, 4, 20, 30)
    task = create_task("segment", Vocabulary(classes=tuple("abcd")))
    origin = Origin(source_px=size_px, image_px=(20, 30), scale=(1.0, 1.0), offset=(0.0, 0.0))
    predictions = task.spec.decode(scores.numpy(), [origin] * 2, PredictOptions())
    wanted = F.interpolate(scores.softmax(1), size_px, mode="bilinear").argmax(1).numpy()
    for prediction, classes in zip(predictions, wanted, strict=True):
        assert (prediction.indices != classes).mean() < 1e-3


def test_softmax_is_torchs_in_both_precisions():
    scores = 40 * torch.randn(6, 5, 7)
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        found = softmax(scores.to(dtype).numpy(), 1)
        assert found.dtype == scores.to(dtype).numpy().dtype
        np.testing.assert_allclose(found, scores.to(dtype).softmax(1), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("head", ["vector", "heatmap"])
@pytest.mark.parametrize("vocabulary", [SPACE, IMAGE])
@pytest.mark.parametrize("source_px", [(61, 64), (17, 200), (201, 33)])
def test_joints_are_those_of_the_training_face(vocabulary, head, source_px):
    targets = poses(20)
    values = studied(targets, vocabulary).statistics.values
    spec = pose_task(vocabulary, values, head).spec
    outputs = torch.randn(3, spec.outputs, generator=torch.Generator().manual_seed(1))
    image = ImageSpec(height_px=30, width_px=40, channels=3, fit="pad")
    origin = Origin.of(source_px, image)
    coordinates = Coordinates(spec)
    shares = coordinates.shares(outputs)
    pixels = ((shares + 2) / 4 * torch.tensor([40.0, 30.0])).double().numpy()
    for index, prediction in enumerate(spec.decode(outputs.numpy(), [origin] * 3, PredictOptions())):
        np.testing.assert_array_equal(prediction.uv_px, (pixels[index] - origin.offset) / origin.scale)
        if spec.in_space:
            np.testing.assert_array_equal(prediction.xyz_mm, coordinates.millimetres(outputs)[index])
        else:
            assert prediction.xyz_mm is None


def test_joints_that_were_never_taught_are_not_told():
    targets = poses(9)
    values = dict(studied(targets).statistics.values, visible=[0, 5, 0, 3], placed=[4, 0, 0, 2])
    spec = pose_task(SPACE, values).spec
    origin = Origin(source_px=(30, 40), image_px=(30, 40), scale=(1.0, 1.0), offset=(0.0, 0.0))
    (prediction,) = spec.decode(outputs_for(studied(targets), targets)[:1].numpy(), [origin], PredictOptions())
    assert np.isfinite(prediction.xyz_mm).all(1).tolist() == [True, True, False, True]  # the root is 0 by definition
    assert np.isfinite(prediction.uv_px).all(1).tolist() == [True, False, False, True]
    assert prediction.summary() == "3 joints"


@pytest.mark.parametrize(
    ("values", "tensors"),
    [
        ({"visible": [1, 1], "placed": [1, 1], "mean_uv": [[0, 0]] * 2, "deviation_uv": [1, 1]}, {}),
        ({}, {"thumbnails": np.zeros((2, 256)), "poses": np.zeros((2, 3, 5))}),
        ({}, {"thumbnails": np.zeros((0, 256)), "poses": np.zeros((0, 4, 5))}),
    ],
)
def test_statistics_of_other_joints_are_refused(values, tensors):
    with pytest.raises((ValueError, KeyError)):
        _ = create_task("pose", SPACE, TargetStatistics(values, tensors)).spec
