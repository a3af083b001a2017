"""What a task's outputs mean, without torch: the protocol of its first face, and what that is asked with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from striate.images.resize import Fit, ImageSpec, resize_transform
from striate.tasks.figures import Figure

__all__ = [
    "FineTuning",
    "OptimiserName",
    "Origin",
    "PredictOptions",
    "Prediction",
    "Rows",
    "TargetStatistics",
    "TaskSpec",
    "softmax",
]

OptimiserName = Literal["sgd", "adamw"]
"""Optimisers by name (`training.optimisers`)."""

Rows = Iterator[Float[np.ndarray, "classes _ width"]]
"""Probabilities of one image, some rows of pixels at a time, from top to bottom."""


@runtime_checkable
class Prediction(Protocol):
    """What a network predicts for one image."""

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""

    def rows(self) -> list[dict[str, Any]]:
        """Return it as rows of a table, one at least."""

    def summary(self) -> str:
        """Return it in a few words."""

    def images(self) -> Mapping[str, Image.Image]:
        """Return the images that it consists of, by the ending of their files; none where there are none."""

    def drawn_on(self, image: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Draw it on the image that it is for, which keeps its size."""

    def overlay(self, image: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Draw it on the image that it is for, with what helps to read it beside or below."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of a prediction.

    Attributes:
        top: number of alternatives to list; None: as many as the task lists.
        tile: whether images are predicted window by window.
        window_px: height and width of these windows; None where the task has none.
    """

    top: int | None = None
    tile: bool = False
    window_px: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a network's image comes from: x in the image = scale * x in the source image + offset, and so for y.

    Attributes:
        source_px: height and width of the source image.
        image_px: height and width of the image that the network gets.
        scale: of x and of y.
        offset: of x and of y.
    """

    source_px: tuple[int, int]
    image_px: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]

    @classmethod
    def of(cls, source_px: tuple[int, int], spec: ImageSpec) -> Origin:
        """Work it out for a source image of a height and width."""
        transform = resize_transform(*source_px, spec)
        return cls(
            source_px=source_px,
            image_px=(spec.height_px, spec.width_px),
            scale=(transform.scale_x, transform.scale_y),
            offset=(transform.offset_x, transform.offset_y),
        )


@dataclass(frozen=True)
class FineTuning:
    """How published weights are fine-tuned: what measured best (docs/pretraining.md).

    Attributes:
        optimiser: name of the optimiser.
        share: the peak of the learning rate, as a share of that for randomly initialised weights.
        freeze: what does not learn.
    """

    optimiser: OptimiserName
    share: float
    freeze: Literal["none", "batchnorm"]


@dataclass(frozen=True)
class TargetStatistics:
    """What a task has to know of the training targets; travels with the weights.

    Attributes:
        values: JSON, kept in `run.json`.
        tensors: what is too long for that.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)


@runtime_checkable
class TaskSpec(Protocol):
    """What outputs mean, and the facts that follow from that.

    Attributes:
        outputs: number of channels of the network's output.
        figures: of a network on labelled images; the first one is the headline, which ranks networks.
        row: what is counted one by one in the rows of metrics, such as a class or a joint: the key of its name there.
        row_figures: the numbers in these rows.
        columns: the numbers in the rows of a prediction.
        purpose: what a network for the task does, in a few words that follow its name.
        batch_size: images per step, where none is asked for.
        optimiser: likewise.
        fine_tuning: how published weights are fine-tuned, where nothing else is asked for.
        keeps_aspect: whether images keep the shape of the source images; else they become squares.
        fits: ways in which source images of another shape can be brought to that of the images, the default first.
        crop_px: side of the windows that training cuts out of images, where none is asked for; None: it takes whole
            images, as predictions do.
        draws: whether a prediction can be drawn on its image.
        table: name of the table of predictions, in a folder of them.
        training_counts: how much of each class, or the like, is in the training targets, by a heading, where only these
            tell.
        statistics: statistics of the training targets.
    """

    outputs: int
    figures: Sequence[Figure]
    row: str
    row_figures: Sequence[Figure]
    columns: Sequence[Figure]
    purpose: str
    batch_size: int
    optimiser: OptimiserName
    fine_tuning: FineTuning
    keeps_aspect: bool
    fits: tuple[Fit, ...]
    crop_px: int | None
    draws: bool
    table: str
    training_counts: Mapping[str, Sequence[int]]
    statistics: TargetStatistics

    def decode(
        self, outputs: Iterable[np.ndarray | Rows], origins: Iterable[Origin], options: PredictOptions
    ) -> list[Prediction]:
        """Turn outputs into predictions.

        Args:
            outputs: the network's, an array [batch, ...]; or one item for each image: an array, or where it was
                predicted window by window the rows of its probabilities.
            origins: where the images come from; read where the task wants them.
            options: of the predictions.
        """

    def check_options(self, options: PredictOptions) -> None:
        """Raise ConfigError where an option makes no sense for its predictions."""

    def input_size(
        self, trained_px: tuple[int, int], scale: float, source_px: tuple[int, int], options: PredictOptions
    ) -> tuple[int, int]:
        """Return the height and width that a source image is brought to for a prediction.

        Args:
            trained_px: height and width of the training images.
            scale: size of these, as a share of the source images that they were made from.
            source_px: height and width of the source image.
            options: of the prediction.
        """


def softmax(scores: Float[np.ndarray, ...], axis: int) -> Float[np.ndarray, ...]:
    """Return probabilities along an axis, in the scores' own precision."""
    powers = np.exp(scores - scores.max(axis, keepdims=True))
    probabilities: Float[np.ndarray, ...] = powers / powers.sum(axis, keepdims=True)
    return probabilities
