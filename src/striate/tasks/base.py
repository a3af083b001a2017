"""What training and a run ask of a task: the protocol that a task keeps, and the batch that it is taught with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from PIL import Image
from torch import Tensor, nn

from striate.batching.targets import Batch, Targets
from striate.images.resize import Fit
from striate.models.effects import Shape
from striate.models.plan import Plan

__all__ = [
    "Batch",
    "Chosen",
    "ExplainTarget",
    "Features",
    "FineTuning",
    "Metrics",
    "Origin",
    "PredictOptions",
    "Prediction",
    "SampleResult",
    "Targets",
    "Task",
]

Chosen = Callable[[Int64[np.ndarray, " chosen"]], Iterable[Float[Tensor, "batch channels height width"]]]
"""Gives the normalised images of the samples that have some places in an order, and reads no others."""


@runtime_checkable
class Metrics(Protocol):
    """Sums over batches from which figures are computed: exact, whatever the batches were."""

    @property
    def targets(self) -> int:
        """How many valid targets have been counted: figures want one at least."""

    @property
    def confusion(self) -> Tensor | None:
        """How many of each class (down) were called what (across); None where there are no classes."""

    def update(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> None:
        """Count a batch's outputs against its targets."""

    def sums(self) -> list[Tensor]:
        """Return the sums themselves: several processes add theirs up in place."""

    def compute(self) -> dict[str, Any]:
        """Return the figures over all that was counted, by name."""

    def rows(self) -> list[dict[str, Any]]:
        """Return the figures of each class, or joint."""


@runtime_checkable
class Prediction(Protocol):
    """What a network says of one picture."""

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""

    def rows(self) -> list[dict[str, Any]]:
        """Return it as rows of a table."""

    def files(self) -> Mapping[str, Image.Image]:
        """Return the pictures that it is, by what their names end in; none where there are none."""

    def overlay(self, picture: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Draw it upon the picture that it is of."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What can be chosen about predictions.

    Attributes:
        top: how many alternatives one lists at most; None: as many as the task lists.
        tile: whether pictures are looked at window by window.
        window_px: height and width of these windows; None where the task has none.
    """

    top: int | None = None
    tile: bool = False
    window_px: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The picture that an image was made of: x in the image = scale * x in the picture + offset, and so for y.

    Attributes:
        size_px: its height and width.
        scale: of x and of y.
        offset: of x and of y.
    """

    size_px: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]


@dataclass(frozen=True)
class FineTuning:
    """How weights learn that have seen ImageNet: what measured best (docs/pretraining.md).

    Attributes:
        optimiser: that takes the steps.
        share: the peak of the learning rate, as a share of what drawn weights take.
        freeze: what does not learn.
    """

    optimiser: Literal["sgd", "adamw"]
    share: float
    freeze: Literal["none", "batchnorm"]


@dataclass(frozen=True, kw_only=True)
class Features:
    """What reaches a network's last layer, of batches of training images.

    Attributes:
        values: of each batch, [images, features].
        targets: of each batch.
        groups: which picture each image, of all batches one after the other, is of.
    """

    values: list[Float[Tensor, "_ features"]]
    targets: list[Targets]
    groups: Int64[np.ndarray, " images"]

    def matrix(self) -> Float64[np.ndarray, "images features"]:
        """Return the values of all batches, one after the other."""
        matrix: Float64[np.ndarray, "images features"] = torch.cat(self.values).cpu().double().numpy()
        return matrix


@dataclass(frozen=True, kw_only=True)
class ExplainTarget:
    """Something that a network says of one picture, as a number that can be followed back to where it comes from.

    Attributes:
        name: a class, a joint, or one of its coordinates.
        words: what the number says, in a few words.
        value: that number, differentiable, from the network's outputs.
        signed: whether only what makes it greater speaks for it; else what makes it less as well.
        probability: that the network gives it, where it gives any; of a class of pixels the mean over these.
    """

    name: str
    words: str
    value: Callable[[Float[Tensor, "1 ..."]], Float[Tensor, ""]]
    signed: bool = True
    probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class SampleResult:
    """What became of one sample.

    Attributes:
        error: how wrong it is: greater is worse.
        wrong: whether it is wrong at all.
        sure: the probability that the network gave its answer; None where it gives none.
        words: what was said, and what is true.
        about: the name of the question that it is about.
    """

    error: float
    wrong: bool
    confidence: float | None
    words: str
    about: str


@runtime_checkable
class Task(Protocol):
    """What differs between tasks: the network's head, loss, metrics, and what a prediction is.

    Attributes:
        outputs: how many channels the network's head has.
        batch_size: images a step, where none is asked for.
        optimiser: likewise.
        fine_tuning: how published weights learn, where nothing else is asked for.
        keeps_aspect: whether images keep the shape of the data's pictures; else they become squares.
        fits: ways in which pictures of another shape may come to that of the images, the default first.
        crop_px: side of the windows that training cuts out of images, where none is asked for; None: it takes whole
            images, as predictions do.
        draws: whether its predictions are pictures.
        learned: what was found in the training targets, JSON; travels with the weights.
        tensors: likewise, what is too long for that.
        table: what a table of its predictions is called, in a folder of them.
        headline: the figure that counts most, by its name in the metrics.
        per: what `rows` of its metrics are called in JSON.
    """

    outputs: int
    batch_size: int
    optimiser: Literal["sgd", "adamw"]
    fine_tuning: FineTuning
    keeps_aspect: bool
    fits: tuple[Fit, ...]
    crop_px: int | None
    draws: bool
    target_statistics: dict[str, Any]
    tensors: dict[str, Tensor]
    table: str
    headline: str
    per: str

    def backbone_input(self, shape: Shape) -> Shape:
        """Return the shape, [channels, height, width], in which images of a shape reach the line's first element."""

    def trim_plan(self, plan: Plan, model: str) -> Plan:
        """Return what the task takes of a line that is worked out for `inner` images.

        Raises:
            ModelError: the line, or the size of the images, does not suit the task.
        """

    def build(self, plan: Plan, model: str, seed: int) -> nn.Module:
        """Build the network, with freshly drawn weights."""

    def fit_target_statistics(self, targets: Iterable[Targets], images: Chosen) -> None:
        """Find in the training targets, or in some of the images, what the task has to know of them."""

    def loss(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> tuple[Tensor, Tensor | int]:
        """Return the sum of the losses of all valid targets, differentiable, and their number.

        A number that has to be counted stays on the device: reading it would make the host wait in every step.
        """

    def read(self, found: Float[Tensor, "batch channels ..."], targets: Targets) -> tuple[Tensor, Targets]:
        """Return what a linear model is to read of a layer's output, [samples, features], and what it is to say."""

    def fit_linear(self, features: Features) -> nn.Linear:
        """Fit the linear model that says best what is true of features."""

    def explain_targets(self, outputs: Float[Tensor, "1 ..."]) -> list[ExplainTarget]:
        """Return what can be asked about the outputs for one picture, the most telling first."""

    def sample_results(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> list[SampleResult]:
        """Say of each sample how far its outputs are right."""

    def ground_truth(self, targets: Targets, times: int = 1) -> list[Prediction]:
        """Return what is true of samples, as if it had been predicted of images that are so many times as large."""

    def answers(self, outputs: Float[Tensor, "batch ..."], targets: Targets) -> tuple[Tensor, Tensor] | None:
        """Return logits, [answers, classes], and the true classes; None where outputs have no probability."""

    def baselines(self, images: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch ..."]]:
        """Return what stands in for the network's outputs where nothing is learned from images, by name.

        None before `study`.
        """

    def metrics(self) -> Metrics:
        """Return fresh sums."""

    def score(self, figures: dict[str, Any]) -> tuple[float, ...]:
        """Return what ranks one set of figures above another: greater is better."""

    def brief(self, figures: dict[str, Any]) -> str:
        """Say the headline in a few words."""

    def describe(self, figures: dict[str, Any]) -> str:
        """Say the figures in a line."""

    def check(self, options: PredictOptions) -> None:
        """Raise ConfigError where an option makes no sense for its predictions."""

    def input_px(
        self, trained_px: tuple[int, int], scale: float, picture_px: tuple[int, int], options: PredictOptions
    ) -> tuple[int, int]:
        """Return the height and width that a picture is brought to for a prediction.

        Args:
            trained_px: height and width of the training images.
            scale: how large these were, as a share of the pictures that they came from.
            picture_px: of the picture.
            options: of the prediction.
        """

    def predict(
        self,
        model: nn.Module,
        images: Tensor,
        origins: Iterable[Origin],
        options: PredictOptions,
        advance: Callable[[float], None],
    ) -> list[Prediction]:
        """Have the network say what it sees in images.

        Args:
            model: from `build`.
            images: normalised, of the size that `input_px` says.
            origins: the pictures that these were; read where they are wanted.
            options: of the predictions.
            advance: told, as it goes, how many pictures are done: parts of one add up to 1.
        """
