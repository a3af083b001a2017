"""Linear models of features, fitted exactly: logistic regression and ridge regression, with scikit-learn.

How strongly weights are penalised is chosen by cross-validation within the samples. Features are standardised first, so
that one penalty means the same for all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import nn

Matrix = Float64[np.ndarray, "samples features"]
Layer = tuple[Float64[np.ndarray, "outputs features"], Float64[np.ndarray, " outputs"]]
Fold = tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " held"]]

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Penalties of logistic regression: factors of half the squared length of the weights, beside the mean loss."""
RIDGE_PENALTIES = tuple(np.logspace(-4, 3, 22).tolist())
"""Penalties of ridge regression: factors of half the squared length of the weights, beside half the mean square."""

_FOLDS = 5
_LEAST_GROUPS = 10  # to choose the penalty of logistic regression by; of fewer it is the weakest
_LEAST_GROUPS_RIDGE = 3  # likewise of ridge regression; of fewer it is 1
_MOST_TRIED = 1_000  # samples that the penalty is chosen by, for the time that more take
_ABSENT = (
    -14.0
)  # bias of a class of which there is no sample, relative to the others: a probability of one in a million
_TOLERANCE, _MOST_ITERATIONS = 1e-6, 1_000


def as_layer(parameters: Layer) -> nn.Linear:
    """Return a fully connected layer with these weights and this bias."""
    weights, bias = map(torch.from_numpy, parameters)
    layer = nn.Linear(weights.shape[1], weights.shape[0], device="meta").to_empty(device="cpu")  # draws no numbers
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.copy_(bias)
    return layer


def logistic_regression(
    features: Matrix,
    classes: Int64[np.ndarray, " samples"],
    count: int,
    groups: Int64[np.ndarray, " samples"],
    penalties: Sequence[float] = PENALTIES,
) -> Layer:
    """Fit multinomial logistic regression, with the penalty that `choose_penalty` chooses.

    Args:
        features: features of each sample.
        classes: class of each sample, from 0 to `count` - 1.
        count: number of classes.
        groups: samples of the same number (views of one image) are not split by cross-validation.
        penalties: penalties to choose from, ascending.

    Returns:
        Weights and bias.
    """
    tried = np.random.default_rng(0).permutation(len(classes))[:_MOST_TRIED]
    penalty = choose_penalty(features[tried], classes[tried], count, groups[tried], penalties)
    return next(_logistic_path(features, classes, count, [penalty]))


def choose_penalty(
    features: Matrix,
    classes: Int64[np.ndarray, " samples"],
    count: int,
    groups: Int64[np.ndarray, " samples"],
    penalties: Sequence[float],
) -> float:
    """Return the penalty of the least cross-entropy on the folds that were held out."""
    losses = np.zeros(len(penalties))
    for train, held in _folds(groups, least=_LEAST_GROUPS):
        path = _logistic_path(features[train], classes[train], count, penalties[::-1])
        for index, (weights, bias) in zip(reversed(range(len(penalties))), path, strict=True):
            losses[index] += _cross_entropy(features[held] @ weights.T + bias, classes[held])
    return penalties[int(losses.argmin())]


def _logistic_path(
    features: Matrix, classes: Int64[np.ndarray, " samples"], count: int, penalties: Sequence[float]
) -> Iterator[Layer]:
    """Yield a model for each penalty; each fit starts from the one before: the strongest penalty is best first."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    present = np.unique(classes)
    scaler = StandardScaler().fit(features)
    standardised = scaler.transform(features)
    model = LogisticRegression(tol=_TOLERANCE, max_iter=_MOST_ITERATIONS, warm_start=True)
    for penalty in penalties:
        weights, bias = np.zeros((count, features.shape[1])), np.full(count, _ABSENT)
        bias[present] = 0.0
        if len(present) > 1:
            # of two classes scikit-learn fits the difference of their weights, whose penalty is twice that of both
            strength = penalty * len(classes) / (2 if len(present) == 2 else 1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # so near to the minimum is near enough
                model.set_params(C=1 / strength).fit(standardised, classes)
            weights[present], bias_present = _of_every_class(model.coef_, model.intercept_)
            bias[present] = bias_present - bias_present.max()
        yield _of_features(weights, bias, scaler)


def _of_every_class(
    weights: Float64[np.ndarray, "rows features"], bias: Float64[np.ndarray, " rows"]
) -> tuple[Float64[np.ndarray, "classes features"], Float64[np.ndarray, " classes"]]:
    """Return a row for each class, where scikit-learn has but one for two classes: half of it to each."""
    if len(weights) > 1:
        return weights, bias
    signs = np.array([-0.5, 0.5])
    return signs[:, None] * weights, signs * bias


def ridge_regression(
    features: Matrix,
    numbers: Float64[np.ndarray, "samples outputs"],
    known: Bool[np.ndarray, "samples outputs"],
    groups: Int64[np.ndarray, " samples"],
    penalties: Sequence[float] = RIDGE_PENALTIES,
) -> Layer:
    """Fit linear regression with penalised weights, each output by the samples where it is known.

    The penalty of each output is the one of least error on the folds that were held out.

    Args:
        features: features of each sample.
        numbers: outputs wanted of each sample.
        known: which of these count.
        groups: samples of the same number (views of one image) are not split by cross-validation.
        penalties: penalties to choose from.

    Returns:
        Weights and bias.
    """
    weights = np.zeros((numbers.shape[1], features.shape[1]))
    bias = np.zeros(numbers.shape[1])
    patterns, pattern_of = np.unique(known, axis=1, return_inverse=True)
    for pattern in range(patterns.shape[1]):
        outputs, samples = np.flatnonzero(pattern_of.ravel() == pattern), patterns[:, pattern]
        wanted = numbers[samples][:, outputs]
        if samples.sum() < 2:
            bias[outputs] = wanted.mean(0) if samples.any() else 0.0
            continue
        chosen = _choose_ridge_penalties(features[samples], wanted, groups[samples], penalties)
        weights[outputs], bias[outputs] = _fit_ridge(features[samples], wanted, chosen)
    return weights, bias


def _choose_ridge_penalties(
    features: Matrix,
    numbers: Float64[np.ndarray, "samples outputs"],
    groups: Int64[np.ndarray, " samples"],
    penalties: Sequence[float],
) -> Float64[np.ndarray, " outputs"]:
    """Return for each output the penalty of the least square error on the folds that were held out; 1 without folds."""
    outputs = numbers.shape[1]
    errors = np.zeros((len(penalties), outputs))
    for train, held in _folds(groups, least=_LEAST_GROUPS_RIDGE):
        # every output once for each penalty: all of them by one decomposition
        tiled = np.tile(numbers[train], len(penalties))
        weights, bias = _fit_ridge(features[train], tiled, np.repeat(penalties, outputs))
        predicted = (features[held] @ weights.T + bias).reshape(len(held), len(penalties), outputs)
        errors += ((predicted - numbers[held][:, None]) ** 2).sum(0)
    return np.asarray(penalties)[errors.argmin(0)] if errors.any() else np.ones(outputs)


def _fit_ridge(
    features: Matrix, numbers: Float64[np.ndarray, "samples outputs"], penalties: Float64[np.ndarray, " outputs"]
) -> Layer:
    """Fit ridge regression with a penalty for each output."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    model = Ridge(alpha=penalties * len(features), solver="svd").fit(scaler.transform(features), numbers)
    weights = np.asarray(model.coef_).reshape(numbers.shape[1], -1)
    return _of_features(weights, np.asarray(model.intercept_).reshape(-1), scaler)


def _of_features(
    weights: Float64[np.ndarray, "outputs features"], bias: Float64[np.ndarray, " outputs"], scaler: object
) -> Layer:
    """Turn weights of standardised features into those of the features themselves."""
    of_features = weights / scaler.scale_  # type: ignore[attr-defined]  # scikit-learn carries no types
    return of_features, bias - of_features @ scaler.mean_  # type: ignore[attr-defined]


def _folds(groups: Int64[np.ndarray, " samples"], *, least: int) -> Iterator[Fold]:
    """Yield folds that split no group; none where there are fewer groups than `least`."""
    from sklearn.model_selection import GroupKFold

    count = len(np.unique(groups))
    if count >= least:
        yield from GroupKFold(min(_FOLDS, count), shuffle=True, random_state=0).split(groups, groups=groups)


def _cross_entropy(logits: Float64[np.ndarray, "samples classes"], classes: Int64[np.ndarray, " samples"]) -> float:
    """Return the summed cross-entropy."""
    from scipy.special import logsumexp

    return float((logsumexp(logits, axis=1) - logits[np.arange(len(classes)), classes]).sum())
