"""What training asks of a task: the protocol that a task keeps, and the batch that it is taught with."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from striate.data.targets import Batch, Targets

__all__ = ["Batch", "Metrics", "Targets", "Task"]


@runtime_checkable
class Metrics(Protocol):
    """Sums over batches from which figures are computed: exact, whatever the batches were."""

    def update(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> None:
        """Count a batch's outputs against its targets."""

    def sums(self) -> list[Tensor]:
        """Return the sums themselves: several processes add theirs up in place."""

    def compute(self) -> dict[str, Any]:
        """Return the figures over all that was counted, by name."""

    def per_class(self) -> list[dict[str, Any]]:
        """Return the figures of each class."""


@runtime_checkable
class Task(Protocol):
    """What differs between tasks: outputs, loss, metrics, and what a prediction is.

    Attributes:
        outputs: how many channels the network's head has.
    """

    outputs: int

    def loss(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> tuple[Tensor, int]:
        """Return the sum of the losses of all valid targets, differentiable, and how many there are."""

    def metrics(self) -> Metrics:
        """Return fresh sums."""

    def score(self, figures: dict[str, Any]) -> tuple[float, ...]:
        """Return what ranks one set of figures above another: greater is better."""

    def brief(self, figures: dict[str, Any]) -> str:
        """Say the headline in a few words."""

    def describe(self, figures: dict[str, Any]) -> str:
        """Say the figures in a line."""

    def decode(self, outputs: Float[Tensor, "batch ..."], top: int) -> list[dict[str, Any]]:
        """Turn a batch of outputs into predictions, JSON objects; each has at most `top` alternatives."""
