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
    weights, bias = ridge_regression(values, numbers, np.ones_like(numbers, dtype=bool))
    mean, spread = values.mean(0), values.std(0)
    standard = (values - mean) / spread
    for output in range(2):
        scores, solutions = [], []
        for penalty in 50 * np.logspace(-4, 3, 22):
            inverse = np.linalg.inv(standard.T @ standard + penalty * np.eye(features))
            found = inverse @ standard.T @ (numbers[:, output] - numbers[:, output].mean())
            left = numbers[:, output] - numbers[:, output].mean() - standard @ found
            hat = standard @ inverse @ standard.T + 1 / 50
            scores.append((left**2).sum() / (1 - np.trace(hat) / 50) ** 2)
            solutions.append(found)
        best = solutions[int(np.argmin(scores))]
        assert np.allclose(weights[output] * spread, best, rtol=1e-5, atol=1e-7)
        assert np.allclose(bias[output], numbers[:, output].mean() - weights[output] @ mean)


def test_a_number_is_fitted_to_the_samples_where_it_is_known():
    _, values = drawn(samples=80)
    numbers = np.stack([values[:, 0] * 2 + 1, values[:, 1] - 3], 1)
    known = np.ones_like(numbers, dtype=bool)
    known[40:, 1] = False
    spoilt = np.where(known, numbers, 1e6)
    together = ridge_regression(values, spoilt, known)
    alone = ridge_regression(values[:40], numbers[:40, 1:], known[:40, 1:])
    assert np.allclose(together[0][1], alone[0][0])
    assert np.allclose(together[1][1], alone[1][0])


def test_a_number_that_is_never_known_is_zero():
    _, values = drawn(samples=20)
    weights, bias = ridge_regression(values, np.ones((20, 1)), np.zeros((20, 1), dtype=bool))
    assert not weights.any()
    assert not bias.any()
