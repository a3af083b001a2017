"""How sure: whether of all answers given with some probability that share is right.

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
        counts: of answers in each of ten equal bins of the probability.
        confidence: mean probability in each bin; 0 where it is empty.
        accuracy: share of right answers in each bin; likewise.
        error: the expected calibration error: the mean distance of the two, weighted by the counts, 0 to 1.
        temperature: what the logits would have to be divided by for the least cross-entropy on these answers; above 1:
            the network is surer than it should be.
        error_after: the expected calibration error with that.
    """

    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    error: float
    temperature: float
    error_after: float


def calibrate(logits: Float[Tensor, "answers classes"], classes: Int[Tensor, " answers"]) -> Calibration:
    """Compare what a network says of its sureness with how often it is right.

    Args:
        logits: of each answer.
        classes: what is true.
    """
    logits, classes = logits.double().cpu(), classes.cpu()
    temperature = _temperature(logits, classes)
    counts, confidence, accuracy, error = _bins(logits, classes)
    error_after = _bins(logits / temperature, classes)[3]
    return Calibration(counts, confidence, accuracy, error, temperature, error_after)


def _bins(
    logits: Float[Tensor, "answers classes"], classes: Int[Tensor, " answers"]
) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...], float]:
    confidence, called = logits.softmax(1).max(1)
    right = (called == classes).double()
    place = (confidence * _BINS).long().clamp(max=_BINS - 1)
    counts = torch.bincount(place, minlength=_BINS)
    of_bin = counts.clamp(min=1)
    confidence = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, place, confidence) / of_bin
    accuracy = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, place, right) / of_bin
    error = float((counts * (confidence - accuracy).abs()).sum() / max(1, len(classes)))
    return tuple(counts.tolist()), tuple(confidence.tolist()), tuple(accuracy.tolist()), error


def _temperature(logits: Float[Tensor, "answers classes"], classes: Int[Tensor, " answers"]) -> float:
    """Find the temperature of the least mean cross-entropy, from a twentieth to 20."""

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits / float(np.exp(log_temperature)), classes))

    found = scipy.optimize.minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded")
    return float(np.exp(found.x))
