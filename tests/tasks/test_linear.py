"""Linear models: minima by their gradients, ridge regression by the normal equations, choices by leaving out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from striate.tasks import linear
from striate.tasks.linear import logistic_regression, ridge_regression


def drawn(samples: int = 60, features: int = 7, seed: int = 0):
    random = np.random.default_rng(seed)
    values = random.normal(size=(samples, features)) * random.uniform(0.1, 20, features) + random.normal(size=features)
    return random, values


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_logistic_regression_is_the_minimum_of_its_loss(monkeypatch, penalty):
    random, values = drawn()
    classes = random.integers(0, 3, len(values))
    monkeypatch.setattr(linear, "PENALTIES", (penalty,))
    weights, bias = logistic_regression(values, classes, 3, np.arange(len(values)))
    spread = torch.from_numpy(values.std(0))
    w, b = (torch.from_numpy(found).requires_grad_() for found in (weights, bias))
    logits = torch.from_numpy(values) @ w.T + b
    # the penalty is on the weights of standardised features
    loss = F.cross_entropy(logits, torch.from_numpy(classes)) + penalty / 2 * (w * spread).square().sum()
    loss.backward()
    assert (w.grad / spread).abs().max() < 1e-5
    assert b.grad.abs().max() < 1e-5


def test_logistic_regression_with_more_features_than_samples_parts_what_can_be_parted():
    _, values = drawn(samples=30, features=200)
    classes = (values[:, 0] > np.median(values[:, 0])).astype(np.int64)
    weights, bias = logistic_regression(values, classes, 2, np.arange(30))
    assert ((values @ weights.T + bias).argmax(1) == classes).mean() == 1.0


def test_noise_is_held_back_more_strongly_than_what_tells_classes_apart(monkeypatch):
    random, values = drawn(samples=200, features=40)
    groups = np.arange(200)
    taken = []
    original = linear._descend
    monkeypatch.setattr(
        linear, "_descend", lambda c, k, start, penalty: taken.append(penalty) or original(c, k, start, penalty)
    )
    logistic_regression(values, random.integers(0, 2, 200), 2, groups)
    for_noise = taken[-1]
    logistic_regression(values, (values[:, 0] > values[:, 0].mean()).astype(np.int64), 2, groups)
    assert for_noise == max(linear.PENALTIES) > taken[-1]


def test_views_of_one_picture_are_not_parted_between_folds():
    groups = np.random.default_rng(1).permutation(np.repeat(np.arange(40), 3))
    folds = linear._folds(groups)
    assert all(len(set(folds[groups == group])) == 1 for group in range(40))
    assert set(folds) == set(range(5))


@pytest.mark.parametrize("features", [5, 90])
def test_ridge_regression_solves_the_normal_equations_of_the_penalty_that_leaving_out_chooses(features):
    random, values = drawn(samples=50, features=features)
    truth = random.normal(size=(2, features))
    numbers = values @ truth.T + random.normal(size=(50, 2)) * 5
    groups = np.arange(50) // 2
    weights, bias = ridge_regression(values, numbers, np.ones_like(numbers, dtype=bool), groups)
    fold = linear._folds(groups)

    def solved(rows: np.ndarray, output: int, penalty: float) -> tuple[np.ndarray, float]:
        mean, spread = values[rows].mean(0), values[rows].std(0)
        standard, wanted = (values[rows] - mean) / spread, numbers[rows, output]
        inverse = np.linalg.inv(standard.T @ standard + penalty * len(standard) * np.eye(features))
        found = inverse @ standard.T @ (wanted - wanted.mean()) / spread
        return found, float(wanted.mean() - found @ mean)

    for output in range(2):
        errors = np.zeros(len(linear.RIDGES))
        for place, penalty in enumerate(linear.RIDGES):
            for held in range(5):
                w, b = solved(fold != held, output, penalty)
                errors[place] += ((values[fold == held] @ w + b - numbers[fold == held, output]) ** 2).sum()
        best, offset = solved(np.ones(50, dtype=bool), output, linear.RIDGES[int(errors.argmin())])
        assert np.allclose(weights[output], best, rtol=1e-5, atol=1e-7)
        assert np.allclose(bias[output], offset)


def test_a_second_view_of_a_picture_does_not_loosen_the_penalty():
    random = np.random.default_rng(0)
    values, truth = random.normal(size=(120, 100)), random.normal(size=100) / 10
    numbers = (values @ truth + random.normal(size=120))[:, None]
    fresh = random.normal(size=(2000, 100))

    def error(views: int) -> float:
        seen = np.concatenate([values + 0.3 * random.normal(size=values.shape) * view for view in range(views)])
        known, groups = np.ones((120 * views, 1), dtype=bool), np.tile(np.arange(120), views)
        weights, bias = ridge_regression(seen, np.tile(numbers, (views, 1)), known, groups)
        return float(((fresh @ weights.T + bias)[:, 0] - fresh @ truth) ** 2 @ np.full(2000, 1 / 2000))

    assert error(2) < 1.1 * error(1) < truth @ truth  # which is what the mean alone errs by


def test_a_number_is_fitted_to_the_samples_where_it_is_known():
    _, values = drawn(samples=80)
    numbers = np.stack([values[:, 0] * 2 + 1, values[:, 1] - 3], 1)
    known = np.ones_like(numbers, dtype=bool)
    known[40:, 1] = False
    spoilt = np.where(known, numbers, 1e6)
    together = ridge_regression(values, spoilt, known, np.arange(80))
    alone = ridge_regression(values[:40], numbers[:40, 1:], known[:40, 1:], np.arange(40))
    assert np.allclose(together[0][1], alone[0][0])
    assert np.allclose(together[1][1], alone[1][0])


def test_a_number_that_is_never_known_is_zero():
    _, values = drawn(samples=20)
    weights, bias = ridge_regression(values, np.ones((20, 1)), np.zeros((20, 1), dtype=bool), np.arange(20))
    assert not weights.any()
    assert not bias.any()
