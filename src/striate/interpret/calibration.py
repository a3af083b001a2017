"""Calibration: whether the probabilities of a network are the shares of right answers.

Guo et al. 2017, "On calibration of modern neural networks": reliability diagrams, the expected calibration error, and
the temperature that would mend it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """What probabilities are worth.

    Attributes:
        counts: number of answers in each of ten equal bins of the probability.
        confidence: mean probability in each bin; 0 where it is empty.
        accuracy: share of right answers in each bin; 0 where it is empty.
        error: expected calibration error: mean distance of the two, weighted by the counts, 0 to 1.
        temperature: number that the logits would have to be divided by for the least cross-entropy on these answers;
            above 1 the network is more confident than it should be.
        error_after: expected calibration error with that temperature.
    """

    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    error: float
    temperature: float
    error_after: float


def calibrate(logits: Float[Tensor, "answers classes"], classes: Int[Tensor, " answers"]) -> Calibration:
    """Compare the probabilities of a network with how often it is right.

    Args:
        logits: logits of each answer.
        classes: true class of each answer.
    """
    logits, classes = logits.double().cpu(), classes.cpu()
    temperature = _temperature(logits, classes)
    counts, confidence, accuracy, error = _bins(logits, classes)
    error_after = _bins(logits / temperature, classes)[3]
    return Calibration(counts, confidence, accuracy, error, temperature, error_after)


def _bins(
    logits: Float[Tensor, "answers classes"], classes: Int[Tensor, " answers"]
) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...], float]:
    """Return counts, mean probability and share of right answers of each bin, and the expected calibration error."""
    confidence, predicted = logits.softmax(1).max(1)
    right = (predicted == classes).double()
    bins = (confidence * _BINS).long().clamp(max=_BINS - 1)
    counts = torch.bincount(bins, minlength=_BINS)
    at_least_one = counts.clamp(min=1)
    confidence = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, bins, confidence) / at_least_one
    accuracy = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, bins, right) / at_least_one
    error = float((counts * (confidence - accuracy).abs()).sum() / max(1, len(classes)))
    return tuple(counts.tolist()), tuple(confidence.tolist()), tuple(accuracy.tolist()), error


def _temperature(logits: Float[Tensor, "answers classes"], classes: Int[Tensor, " answers"]) -> float:
    """Return the temperature of the least mean cross-entropy, from a twentieth to 20."""

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits / float(np.exp(log_temperature)), classes))

    best = scipy.optimize.minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded")
    return float(np.exp(best.x))
