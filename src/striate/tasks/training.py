"""What training asks of a task: the protocol of its second face, and the batch that it learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from striate import models
from striate.batching.targets import Targets
from striate.geometry import Shape
from striate.models.plan import Plan
from striate.tasks.spec import PredictOptions, Rows, TargetStatistics

__all__ = ["ChosenImages", "Features", "Metrics", "TaskTraining", "outputs_at_once", "plan_with_outputs"]

ChosenImages = Callable[[Int64[np.ndarray, " chosen"]], Iterable[Float[Tensor, "batch channels height width"]]]
"""Gives the normalised images of the samples at some positions, and decodes no others."""


@runtime_checkable
class Metrics(Protocol):
    """Sums over batches from which figures are computed: exact, whatever the batches were."""

    @property
    def targets(self) -> int:
        """Number of valid targets that were counted: figures need one at least."""

    @property
    def confusion(self) -> Tensor | None:
        """How many of each class (down) were called what (across); None where there are no classes."""

    def update(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> None:
        """Count a batch's outputs against its targets."""

    def sums(self) -> list[Tensor]:
        """Return the sums themselves: several processes add theirs up in place."""

    def compute(self) -> dict[str, Any]:
        """Return the figures over all that was counted, by name: those that the spec declares."""

    def rows(self) -> list[dict[str, Any]]:
        """Return the figures of each class, joint or the like; none where the task has none."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """What reaches a network's last layer, for batches of training images.

    Attributes:
        values: of each batch, [images, features].
        targets: of each batch.
        groups: which source image each image, of all batches one after the other, comes from.
    """

    values: list[Float[Tensor, "_ features"]]
    targets: list[Targets]
    groups: Int64[np.ndarray, " images"]

    def matrix(self) -> Float64[np.ndarray, "images features"]:
        """Return the values of all batches, one after the other."""
        matrix: Float64[np.ndarray, "images features"] = torch.cat(self.values).cpu().double().numpy()
        return matrix


@runtime_checkable
class TaskTraining(Protocol):
    """The network's head, its loss and its metrics."""

    def plan_network(self, model: str, shape: Shape, *, stem: models.Stem = "auto", line: str = "") -> Plan:
        """Work out what the task takes of a model, for images [channels, height, width].

        Args:
            model: a key of `MODELS`, or a line.
            shape: of the images.
            stem: of the model.
            line: the model's line, where that is known from a run: then `stem` does not count.

        Raises:
            ModelError: the model, or the size of the images, does not suit the task.
        """

    def build(self, plan: Plan, model: str, seed: int) -> nn.Module:
        """Build the network, with randomly initialised weights."""

    def fit_target_statistics(self, targets: Iterable[Targets], images: ChosenImages) -> TargetStatistics:
        """Compute what the task has to know of the training targets, or of some of the images.

        Raises:
            DataError: they teach nothing.
        """

    def loss(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> tuple[Tensor, Tensor | int]:
        """Return the sum of the losses of all valid targets, differentiable, and their number.

        A number that has to be counted stays on the device: reading it would make the host wait in every step.
        """

    def metrics(self) -> Metrics:
        """Return metrics that have counted nothing yet."""

    def baselines(self, images: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch ..."]]:
        """Return what stands in for the network's outputs where nothing is learned from images, by name.

        None while the statistics of the targets are not known.
        """

    def fit_linear(self, features: Features) -> nn.Module:
        """Fit the linear model that predicts the targets of features best; its outputs are like the network's."""

    def forward(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels height width"],
        options: PredictOptions,
        advance: Callable[[float], None],
    ) -> Iterable[np.ndarray | Rows]:
        """Run the network on images that are to be predicted: what `TaskSpec.decode` takes.

        Args:
            model: from `build`.
            images: normalised, of the size that `TaskSpec.input_size` gives.
            options: of the predictions.
            advance: told, as it goes, how many images are done: parts of one add up to 1.
        """


def plan_with_outputs(model: str, shape: Shape, outputs: int, stem: models.Stem, line: str) -> Plan:
    """Work out a model that ends in so many outputs, by its line where that is known; raises ModelError."""
    if line:
        return replace(models.find_architecture(model), line=line).plan(shape, classes=outputs)
    return models.plan_network(model, shape, classes=outputs, stem=stem)


def outputs_at_once(
    model: nn.Module, images: Float[Tensor, "batch channels height width"], advance: Callable[[float], None]
) -> np.ndarray:
    """Run the network on all images at once, and return its outputs in float32."""
    outputs: np.ndarray = model(images).float().cpu().numpy()
    advance(len(images))
    return outputs
