"""Figures are exact sums, and intervals are what the literature says."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from striate.tasks import Task, create_task
from striate.tasks.classification.metrics import wilson_interval
from striate.tasks.figures import score
from striate.tasks.spec import PredictOptions
from striate.tasks.vocabulary import Vocabulary


def classify(names: Iterable[str], **options: float) -> Task:
    return create_task("classify", Vocabulary(classes=tuple(names)), options=options)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17
    # (1998), table I: method 3, the score interval without continuity correction
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_wilson_interval_has_its_published_values(hits, trials, low, high):
    assert wilson_interval(hits, trials) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(trials=some.integers(1, 100_000), data=some.data())
def test_the_wilson_interval_is_that_of_its_formula(trials, data):
    hits = data.draw(some.integers(0, trials))
    low, high = wilson_interval(hits, trials)
    share, z = hits / trials, 1.959963984540054
    centre, margin = share + z**2 / (2 * trials), z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    bounds = [(centre - margin) / (1 + z**2 / trials), (centre + margin) / (1 + z**2 / trials)]
    assert [low, high] == pytest.approx(bounds, abs=1e-9)
    assert 0 <= low <= share <= high <= 1
    assert low == 0 or hits > 0
    assert high == 1 or hits < trials


def logits_for(predictions: list[int], classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(predictions), classes).float() * 4


def test_figures_of_a_small_example_are_those_counted_by_hand():
    metrics = classify("abc").training.metrics()
    targets = torch.tensor([0, 0, 0, 1, 1])
    metrics.update(logits_for([0, 0, 1, 1, 0], 3), targets)
    figures = metrics.compute()
    right, wrong = -math.log(math.exp(4) / (math.exp(4) + 2)), -math.log(1 / (math.exp(4) + 2))
    assert figures["accuracy"] == 3 / 5
    assert figures["top5_accuracy"] == 1
    assert figures["loss"] == pytest.approx((3 * right + 2 * wrong) / 5)
    a, b, c = metrics.rows()
    assert (a["samples"], a["recall"], a["precision"]) == (3, 2 / 3, 2 / 3)
    assert (b["samples"], b["recall"], b["precision"]) == (2, 1 / 2, 1 / 2)
    assert (c["samples"], c["recall"], c["recall_interval"], c["precision"]) == (0, None, None, None)


def test_top5_counts_a_target_among_the_five_highest():
    metrics = classify(map(str, range(8))).training.metrics()
    logits = torch.arange(8.0, 0, -1).repeat(8, 1)  # class 0 highest, class 7 lowest
    metrics.update(logits, torch.arange(8))
    assert metrics.compute()["top5_accuracy"] == 5 / 8
    assert metrics.compute()["accuracy"] == 1 / 8


@given(cuts=some.lists(some.integers(1, 39), max_size=4))
def test_figures_do_not_depend_on_how_samples_are_batched(cuts):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 7, generator=generator)
    targets = torch.randint(0, 7, (40,), generator=generator)
    task = classify(map(str, range(7)))
    whole, parts = task.training.metrics(), task.training.metrics()
    whole.update(logits, targets)
    bounds = sorted({0, 40, *cuts})
    for start, stop in itertools.pairwise(bounds):
        parts.update(logits[start:stop], targets[start:stop])
    one, other = whole.compute(), parts.compute()
    assert one.pop("loss") == pytest.approx(other.pop("loss"), rel=1e-12)
    assert one == other
    assert whole.rows() == parts.rows()


def test_a_prediction_is_the_likeliest_class_and_lists_the_next():
    task = classify("abc")
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    (prediction,) = task.spec.decode(logits.numpy(), [], PredictOptions(top=2))
    p = logits.double().softmax(1)[0].tolist()
    assert prediction.document() == {
        "class": "b",
        "probability": pytest.approx(p[1]),
        "top": [["b", pytest.approx(p[1], rel=1e-14)], ["c", pytest.approx(p[2], rel=1e-14)]],
    }
    assert prediction.rows() == [{"class": "b", "probability": prediction.ranked[0][1]}]
    (whole,) = task.spec.decode(logits.numpy(), [], PredictOptions(top=5))
    assert len(whole.document()["top"]) == 3


def test_the_loss_is_a_sum_with_its_count():
    task = classify("ab")
    logits, targets = torch.zeros(6, 2), torch.tensor([0, 1, 0, 1, 0, 1])
    total, count = task.training.loss(logits, targets)
    assert count == 6
    assert total.item() == pytest.approx(6 * math.log(2))


def test_of_two_equal_accuracies_the_lower_loss_ranks_higher():
    task = classify("ab")
    better, worse = {"accuracy": 0.5, "loss": 0.1}, {"accuracy": 0.5, "loss": 0.2}
    assert score(task.spec.figures, better) > score(task.spec.figures, worse)
    assert score(task.spec.figures, {"accuracy": 0.6, "loss": 9.0}) > score(task.spec.figures, better)


@given(share=some.floats(0, 0.9), seed=some.integers(0, 1000))
def test_smoothed_labels_are_szegedys(share, seed):
    generator = torch.Generator().manual_seed(seed)
    logits, targets = torch.randn(6, 3, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2])
    smooth = torch.nn.functional.one_hot(targets, 3) * (1 - share) + share / 3
    expected = -(smooth * logits.log_softmax(1)).sum()
    loss, count = classify("abc", label_smoothing=share).training.loss(logits, targets)
    assert (float(loss), count) == (pytest.approx(float(expected), rel=1e-5), 6)


def test_the_sums_of_two_processes_make_the_figures_of_one():
    torch.manual_seed(0)
    logits, targets = torch.randn(7, 6), torch.arange(7) % 6
    whole, first, second = (classify("abcdef").training.metrics() for _ in range(3))
    whole.update(logits, targets)
    first.update(logits[:3], targets[:3])
    second.update(logits[3:], targets[3:])
    for mine, other in zip(first.sums(), second.sums(), strict=True):
        mine += other
    assert first.rows() == whole.rows()
    assert first.compute()["loss"] == pytest.approx(whole.compute()["loss"], rel=1e-12)
    assert {**first.compute(), "loss": 0} == {**whole.compute(), "loss": 0}
