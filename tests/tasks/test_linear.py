"""Linear models: minima by their gradients, ridge regression by the normal equations, choices by leaving out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.model_selection import GroupKFold

from striate.tasks.linear import RIDGE_PENALTIES, choose_penalty, logistic_regression, ridge_regression


def drawn(samples: int = 60, features: int = 7, seed: int = 0):
    random = np.random.default_rng(seed)
    values = random.normal(size=(samples, features)) * random.uniform(0.1, 20, features) + random.normal(size=features)
    return random, values


@pytest.mark.parametrize("penalty", [0.01, 1.0])
@pytest.mark.parametrize("count", [2, 3])
def test_logistic_regression_is_the_minimum_of_its_loss(penalty, count):
    random, values = drawn()
    classes = random.integers(0, count, len(values))
    weights, bias = logistic_regression(values, classes, count, np.arange(len(values)), (penalty,))
    spread = torch.from_numpy(values.std(0))
    w, b = (torch.from_numpy(found).requires_grad_() for found in (weights, bias))
    logits = torch.from_numpy(values) @ w.T + b
    # the penalty is on the weights of standardised features
    loss = F.cross_entropy(logits, torch.from_numpy(classes)) + penalty / 2 * (w * spread).square().sum()
    loss.backward()
    assert (w.grad / spread).abs().max() < 1e-5
    assert b.grad.abs().max() < 1e-5


@pytest.mark.parametrize("present", [[1], [0, 2], [0, 1, 3]])
def test_class_without_a_sample_is_never_likely(present):
    random, values = drawn()
    classes = random.choice(present, len(values))
    weights, bias = logistic_regression(values, classes, 4, np.arange(len(values)))
    shares = torch.from_numpy(values @ weights.T + bias).softmax(1)
    absent = sorted({0, 1, 2, 3} - set(present))
    assert float(shares[:, absent].max()) < 1e-4
    assert float(shares[:, absent].min()) > 0


def test_more_features_than_samples_separate_what_can_be():
    _, values = drawn(samples=30, features=200)
    classes = (values[:, 0] > np.median(values[:, 0])).astype(np.int64)
    weights, bias = logistic_regression(values, classes, 2, np.arange(30))
    assert ((values @ weights.T + bias).argmax(1) == classes).mean() == 1.0


def test_noise_gets_a_stronger_penalty_than_a_signal():
    random, values = drawn(samples=200, features=40)
    groups, penalties = np.arange(200), (1e-3, 0.1, 10.0)
    signal = (values[:, 0] > values[:, 0].mean()).astype(np.int64)
    for_noise = choose_penalty(values, random.integers(0, 2, 200), 2, groups, penalties)
    assert for_noise == 10.0 > choose_penalty(values, signal, 2, groups, penalties)


def test_penalty_is_chosen_by_images_not_by_views():
    """Each image is there twice: were its views in two folds, classes that are noise would seem to be learnt."""
    random, values = drawn(samples=100, features=60)
    classes = random.integers(0, 2, 100)
    views, twice = np.concatenate([values, values + 1e-6]), np.tile(classes, 2)
    assert choose_penalty(views, twice, 2, np.tile(np.arange(100), 2), (1e-3, 10.0)) == 10.0
    assert choose_penalty(views, twice, 2, np.arange(200), (1e-3, 10.0)) == 1e-3


@pytest.mark.parametrize("features", [5, 90])
def test_ridge_solves_the_normal_equations_of_its_penalty(features):
    random, values = drawn(samples=50, features=features)
    truth = random.normal(size=(2, features))
    numbers = values @ truth.T + random.normal(size=(50, 2)) * 5
    groups = np.arange(50) // 2
    weights, bias = ridge_regression(values, numbers, np.ones_like(numbers, dtype=bool), groups)
    folds = list(GroupKFold(5, shuffle=True, random_state=0).split(values, groups=groups))

    def solved(rows: np.ndarray, output: int, penalty: float) -> tuple[np.ndarray, float]:
        mean, spread = values[rows].mean(0), values[rows].std(0)
        standard, wanted = (values[rows] - mean) / spread, numbers[rows, output]
        inverse = np.linalg.inv(standard.T @ standard + penalty * len(standard) * np.eye(features))
        found = inverse @ standard.T @ (wanted - wanted.mean()) / spread
        return found, float(wanted.mean() - found @ mean)

    for output in range(2):
        errors = np.zeros(len(RIDGE_PENALTIES))
        for index, penalty in enumerate(RIDGE_PENALTIES):
            for train, held in folds:
                w, b = solved(train, output, penalty)
                errors[index] += ((values[held] @ w + b - numbers[held, output]) ** 2).sum()
        best, offset = solved(np.arange(50), output, RIDGE_PENALTIES[int(errors.argmin())])
        assert np.allclose(weights[output], best, rtol=1e-5, atol=1e-7)
        assert np.allclose(bias[output], offset)


def test_second_view_of_an_image_does_not_loosen_the_penalty():
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


def test_number_is_fitted_to_samples_where_it_is_known():
    _, values = drawn(samples=80)
    numbers = np.stack([values[:, 0] * 2 + 1, values[:, 1] - 3], 1)
    known = np.ones_like(numbers, dtype=bool)
    known[40:, 1] = False
    spoilt = np.where(known, numbers, 1e6)
    together = ridge_regression(values, spoilt, known, np.arange(80))
    alone = ridge_regression(values[:40], numbers[:40, 1:], known[:40, 1:], np.arange(40))
    assert np.allclose(together[0][1], alone[0][0])
    assert np.allclose(together[1][1], alone[1][0])


def test_number_that_is_never_known_is_zero():
    _, values = drawn(samples=20)
    weights, bias = ridge_regression(values, np.ones((20, 1)), np.zeros((20, 1), dtype=bool), np.arange(20))
    assert not weights.any()
    assert not bias.any()
