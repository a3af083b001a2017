"""What explanations and reports ask of a task: the protocol of its third face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from striate.batching.targets import Targets
from striate.tasks.spec import Prediction

__all__ = ["ExplainTarget", "SampleResult", "TaskExplaining"]


@dataclass(frozen=True, kw_only=True)
class ExplainTarget:
    """Something that a network says of one image, as a number that can be followed back to where it comes from.

    Attributes:
        name: a class, a joint, or one of its coordinates.
        words: what the number says, in a few words.
        value: that number, differentiable, from the network's outputs.
        signed: whether only what makes it greater speaks for it; else what makes it less as well.
        probability: that the network gives it, where it gives any; for a class of pixels the mean over these.
    """

    name: str
    words: str
    value: Callable[[Float[Tensor, "1 ..."]], Float[Tensor, ""]]
    signed: bool = True
    probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class SampleResult:
    """How right a network's outputs are for one sample.

    Attributes:
        error: how wrong they are: greater is worse.
        wrong: whether they are wrong at all.
        confidence: the probability that the network gave its answer; None where it gives none.
        words: what was predicted, and what is true.
        about: the name of the `ExplainTarget` that it is about.
    """

    error: float
    wrong: bool
    confidence: float | None
    words: str
    about: str


@runtime_checkable
class TaskExplaining(Protocol):
    """What can be asked about outputs, and how right they are."""

    def explain_targets(self, outputs: Float[Tensor, "1 ..."]) -> list[ExplainTarget]:
        """Return what can be asked about the outputs for one image, the most telling first, one at least."""

    def sample_results(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> list[SampleResult]:
        """Return for each sample how right its outputs are."""

    def ground_truth(self, targets: Targets, times: int | float = 1) -> list[Prediction]:
        """Return what is true of samples, as if predicted for images that are so many times as large."""

    def calibration_inputs(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> tuple[Tensor, Tensor] | None:
        """Return logits, [answers, classes], and the true classes; None where outputs have no probability."""

    def probe_features(self, outputs: Float[Tensor, "batch channels ..."], targets: Targets) -> tuple[Tensor, Targets]:
        """Return what a linear model reads from a layer's output, [samples, features], and its targets."""
