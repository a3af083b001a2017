"""What the outputs of classification mean: logits, one per class. Without torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from striate.errors import ConfigError
from striate.images.resize import Fit
from striate.tasks.classification.options import ClassificationOptions
from striate.tasks.figures import LOSS, SHARE, Figure
from striate.tasks.spec import (
    FineTuning,
    OptimiserName,
    Origin,
    Prediction,
    PredictOptions,
    Rows,
    TargetStatistics,
    softmax,
)
from striate.tasks.vocabulary import Vocabulary

TOP = 5
"""Number of classes that a prediction lists, where nothing else is asked for, and that count as hits of top-5."""

ACCURACY = Figure(
    name="accuracy", label="accuracy", unit=SHARE, better="higher", meaning="the share that is right", interval="wilson"
)
TOP5_ACCURACY = Figure(
    name="top5_accuracy",
    label="top-5 accuracy",
    short="top-5",
    unit=SHARE,
    better="higher",
    meaning="the share whose true class is among the five likeliest",
)
ROW_FIGURES = (
    Figure(name="samples", label="images"),
    Figure(
        name="recall",
        label="recall",
        unit=SHARE,
        better="higher",
        meaning="of those that are of a class, the share that was called so",
        interval="wilson",
    ),
    Figure(
        name="precision",
        label="precision",
        unit=SHARE,
        better="higher",
        meaning="of those that were called so, the share that is",
    ),
)


class ClassificationSpec:
    """Logits, one per class.

    Args:
        vocabulary: the classes.
        statistics: `images`, the number of training images of each class.
        options: of the loss.
    """

    row = "class"
    row_figures = ROW_FIGURES
    columns = (Figure(name="probability", label="probability", unit=SHARE),)
    purpose = "says what an image shows"
    batch_size = 64
    optimiser: OptimiserName = "sgd"
    fine_tuning = FineTuning("adamw", 0.1, "batchnorm")  # 0.0004 was best of flowers, 0.00003 of ants and bees
    keeps_aspect = False
    fits: tuple[Fit, ...] = ("crop", "pad", "stretch")
    crop_px = None
    draws = False
    training_counts: Mapping[str, Sequence[int]] = {}  # the labels tell
    table = "classes.csv"

    def __init__(
        self,
        vocabulary: Vocabulary,
        statistics: TargetStatistics | None = None,
        options: ClassificationOptions | None = None,
    ) -> None:
        self.classes = vocabulary.classes
        self.outputs = len(self.classes)
        self.statistics = statistics or TargetStatistics()
        self.options = options or ClassificationOptions()
        # of five classes or fewer each is among the five likeliest
        self.figures = (ACCURACY, replace(TOP5_ACCURACY, in_line=self.outputs > TOP), LOSS)

    def decode(
        self, outputs: Iterable[np.ndarray | Rows], origins: Iterable[Origin], options: PredictOptions
    ) -> list[Prediction]:
        """Return for each image the `top` likeliest classes, by default 5, and their probabilities."""
        probabilities = softmax(np.array(list(outputs), dtype=np.float64).reshape(-1, self.outputs), 1)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : options.top or TOP]
        return [
            ClassPrediction([(self.classes[index], float(row[index])) for index in indices])
            for row, indices in zip(probabilities, order, strict=True)
        ]

    def check_options(self, options: PredictOptions) -> None:
        """Raise ConfigError for fewer than one alternative, or for windows."""
        if options.top is not None and options.top < 1:
            raise ConfigError("top", f"must be 1 or more, not {options.top}")
        if options.tile:
            raise ConfigError("tile", "a network for classify looks at whole images", "leave it out")

    def input_size(
        self, trained_px: tuple[int, int], scale: float, source_px: tuple[int, int], options: PredictOptions
    ) -> tuple[int, int]:
        """Return the size of the training images."""
        return trained_px


@dataclass(frozen=True)
class ClassPrediction:
    """The likeliest classes of an image, with their probabilities, the likeliest first."""

    ranked: list[tuple[str, float]]

    def document(self) -> dict[str, Any]:
        """Return the class, its probability, and the likeliest classes."""
        return {**self.rows()[0], "top": [list(pair) for pair in self.ranked]}

    def rows(self) -> list[dict[str, Any]]:
        """Return the class and its probability."""
        name, probability = self.ranked[0]
        return [{"class": name, "probability": probability}]

    def summary(self) -> str:
        """Return the class, with its probability where it is not certain."""
        name, probability = self.ranked[0]
        return name if probability == 1 else f"{name} {probability:.0%}"

    def images(self) -> Mapping[str, Image.Image]:
        """Return none."""
        return {}

    def drawn_on(self, image: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Return the image as it is: a class has no place in it."""
        return Image.fromarray(image)

    def overlay(self, image: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Return the image as it is: a class has no place in it."""
        return Image.fromarray(image)


class ClassMixture(ClassPrediction):
    """What is true of two images that were mixed: their classes, with their shares."""

    def summary(self) -> str:
        """Return the classes with their shares."""
        return " + ".join(f"{share:.0%} {name}" for name, share in self.ranked)
