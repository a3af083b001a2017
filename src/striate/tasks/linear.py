"""Linear models of features, fitted exactly: logistic regression, and ridge regression in closed form.

How strongly weights are held back is chosen by cross-validation within the samples given. Features are standardised
first, and reduced to the directions that samples lie in, which changes nothing (the weights that fit best lie there).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch
from jaxtyping import Bool, Float64, Int64
from torch import nn

Matrix = Float64[np.ndarray, "samples features"]
Layer = tuple[Float64[np.ndarray, "outputs features"], Float64[np.ndarray, " outputs"]]

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # times half the squared length of the weights, beside the mean loss
RIDGES = tuple(np.logspace(-4, 3, 22).tolist())  # likewise, beside half the mean square
_FOLDS = 5
_FEW = 3  # groups that the penalty of ridge regression is chosen by at least; of fewer it is 1
_MOST_TRIED = 1_000  # samples that the penalty is chosen by, for the time that more take


def as_layer(found: Layer) -> nn.Linear:
    """Return a fully connected layer of weights and bias."""
    weights, bias = map(torch.from_numpy, found)
    layer = nn.Linear(weights.shape[1], weights.shape[0], device="meta").to_empty(device="cpu")  # draws nothing
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.copy_(bias)
    return layer


@dataclass(frozen=True)
class _Frame:
    """Standardised features in the directions that they vary in."""

    mean: Float64[np.ndarray, " features"]
    spread: Float64[np.ndarray, " features"]
    directions: Float64[np.ndarray, "rank features"]
    coordinates: Float64[np.ndarray, "samples rank"]
    singular: Float64[np.ndarray, " rank"]

    @classmethod
    def of(cls, features: Matrix) -> _Frame:
        """Find them: features = mean + spread · (coordinates @ directions)."""
        mean, spread = features.mean(0), features.std(0)
        spread = np.where(spread > 1e-8 * (1 + np.abs(mean)), spread, 1.0)
        left, singular, directions = np.linalg.svd((features - mean) / spread, full_matrices=False)
        kept = singular > 1e-10 * max(float(singular[0]), 1e-300)
        return cls(mean, spread, directions[kept], left[:, kept] * singular[kept], singular[kept])

    def layer(self, weights: Float64[np.ndarray, "outputs rank"], bias: Float64[np.ndarray, " outputs"]) -> Layer:
        """Turn weights of coordinates into those of features."""
        of_features = weights @ self.directions / self.spread
        return of_features, bias - of_features @ self.mean


def logistic_regression(
    features: Matrix, classes: Int64[np.ndarray, " samples"], count: int, groups: Int64[np.ndarray, " samples"]
) -> Layer:
    """Fit multinomial logistic regression: the mean cross-entropy plus the penalty has its minimum there.

    Args:
        features: of each sample.
        classes: from 0 to `count` - 1.
        count: of the classes.
        groups: samples of one number (views of one picture) are not parted by cross-validation.

    Returns:
        Weights and bias.
    """
    tried = np.random.default_rng(0).permutation(len(classes))[:_MOST_TRIED]
    penalty = _choose_penalty(features[tried], classes[tried], count, _folds(groups[tried]))
    frame = _Frame.of(features)
    found = _descend(frame.coordinates, classes, np.zeros((count, frame.coordinates.shape[1] + 1)), penalty)
    return frame.layer(found[:, :-1], found[:, -1])


def _choose_penalty(
    features: Matrix, classes: Int64[np.ndarray, " samples"], count: int, fold: Int64[np.ndarray, " samples"]
) -> float:
    """Return the penalty whose models err least on the folds that they have not seen."""
    losses = np.zeros(len(PENALTIES))
    for held in range(int(fold.max()) + 1) if fold.max() > 0 else ():
        out = fold == held
        frame = _Frame.of(features[~out])
        start = np.zeros((count, frame.coordinates.shape[1] + 1))
        for place in range(len(PENALTIES) - 1, -1, -1):  # each begins where a stronger penalty has led
            start = _descend(frame.coordinates, classes[~out], start, PENALTIES[place])
            weights, bias = frame.layer(start[:, :-1], start[:, -1])
            losses[place] += _cross_entropy(features[out] @ weights.T + bias, classes[out]).sum()
    return PENALTIES[int(losses.argmin())]


def ridge_regression(
    features: Matrix,
    numbers: Float64[np.ndarray, "samples outputs"],
    known: Bool[np.ndarray, "samples outputs"],
    groups: Int64[np.ndarray, " samples"],
) -> Layer:
    """Fit linear regression with penalised weights, in closed form, each output by the samples where it is known.

    The penalty of each output, times half the squared length of its weights beside half the mean square, is the one of
    least error on folds that were left out.

    Args:
        features: of each sample.
        numbers: what is wanted of it.
        known: which of these count.
        groups: samples of one number (views of one picture) are not parted by cross-validation.

    Returns:
        Weights and bias.
    """
    weights = np.zeros((numbers.shape[1], features.shape[1]))
    bias = np.zeros(numbers.shape[1])
    patterns, pattern_of = np.unique(known, axis=1, return_inverse=True)
    for pattern in range(patterns.shape[1]):
        outputs, samples = np.flatnonzero(pattern_of.ravel() == pattern), patterns[:, pattern]
        some = numbers[samples][:, outputs]
        if samples.sum() < 2:
            bias[outputs] = some.mean(0) if samples.any() else 0.0
            continue
        weights[outputs], bias[outputs] = _ridge(features[samples], some, _folds(groups[samples], least=_FEW))
    return weights, bias


def _ridge(
    features: Matrix, numbers: Float64[np.ndarray, "samples outputs"], fold: Int64[np.ndarray, " samples"]
) -> Layer:
    """Fit all numbers, each with the penalty whose models err least on the folds that they have not seen."""
    errors = np.zeros((len(RIDGES), numbers.shape[1]))
    for held in range(int(fold.max()) + 1) if fold.max() > 0 else ():
        out = fold == held
        frame, mean = _Frame.of(features[~out]), numbers[~out].mean(0)
        along = frame.coordinates.T @ (numbers[~out] - mean)  # rank x outputs
        seen = (features[out] - frame.mean) / frame.spread @ frame.directions.T
        for place, penalty in enumerate(RIDGES):
            found = along / (frame.singular**2 + penalty * (~out).sum())[:, None]
            errors[place] += ((seen @ found + mean - numbers[out]) ** 2).sum(0)
    chosen = np.asarray(RIDGES)[errors.argmin(0)] if errors.any() else np.ones(numbers.shape[1])
    frame, mean = _Frame.of(features), numbers.mean(0)
    along = frame.coordinates.T @ (numbers - mean)
    found = along / (frame.singular[:, None] ** 2 + chosen * len(numbers))
    return frame.layer(found.T, mean)


def _folds(groups: Int64[np.ndarray, " samples"], least: int = 2 * _FOLDS) -> Int64[np.ndarray, " samples"]:
    """Deal groups out to folds, in a fixed random order; all to one where there are fewer than so many."""
    names, place = np.unique(groups, return_inverse=True)
    if len(names) < least:
        return np.zeros(len(groups), dtype=np.int64)
    dealt = np.arange(len(names)) % _FOLDS
    folds: Int64[np.ndarray, " samples"] = np.random.default_rng(0).permutation(dealt)[place]
    return folds


def _cross_entropy(
    logits: Float64[np.ndarray, "samples classes"], classes: Int64[np.ndarray, " samples"]
) -> Float64[np.ndarray, " samples"]:
    top = logits.max(1, keepdims=True)
    found: Float64[np.ndarray, " samples"] = (
        np.log(np.exp(logits - top).sum(1)) + top[:, 0] - logits[np.arange(len(classes)), classes]
    )
    return found


def _descend(
    coordinates: Float64[np.ndarray, "samples rank"],
    classes: Int64[np.ndarray, " samples"],
    start: Float64[np.ndarray, "classes all"],
    penalty: float,
) -> Float64[np.ndarray, "classes all"]:
    """Go down to the minimum, by L-BFGS; weights first, the bias last, which is not held back."""
    samples = len(classes)
    wanted = np.zeros((samples, len(start)))
    wanted[np.arange(samples), classes] = 1.0

    def value(flat: Float64[np.ndarray, " all"]) -> tuple[float, Float64[np.ndarray, " all"]]:
        weights = flat.reshape(start.shape)
        logits = coordinates @ weights[:, :-1].T + weights[:, -1]
        losses = _cross_entropy(logits, classes)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        error = (shares / shares.sum(1, keepdims=True) - wanted) / samples
        gradient = np.empty_like(weights)
        gradient[:, :-1] = error.T @ coordinates + penalty * weights[:, :-1]
        gradient[:, -1] = error.sum(0)
        return float(losses.mean() + penalty / 2 * (weights[:, :-1] ** 2).sum()), gradient.ravel()

    found = scipy.optimize.minimize(
        value, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": 1e-6, "ftol": 1e-12}
    )
    return np.asarray(found.x).reshape(start.shape)
