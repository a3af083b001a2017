"""What the outputs of segmentation mean: scores of classes for every pixel. Without torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from striate.errors import ConfigError
from striate.images.resize import Fit
from striate.tasks.figures import LOSS, SHARE, Figure
from striate.tasks.segmentation.class_map import ClassMap
from striate.tasks.segmentation.options import SegmentationOptions
from striate.tasks.segmentation.resample import likeliest_classes
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

BOUNDARY_F1 = Figure(
    name="boundary_f1",
    label="boundary F1",
    unit=SHARE,
    better="higher",
    meaning="how well borders lie where they are, within some pixels; 100 % is perfect",
)
FIGURES = (
    Figure(
        name="mean_iou",
        label="mean IoU",
        unit=SHARE,
        better="higher",
        meaning="the mean of the classes' IoU",
        interval="bootstrap",
    ),
    Figure(
        name="pixel_accuracy",
        label="pixel accuracy",
        unit=SHARE,
        better="higher",
        meaning="the share of pixels that are right",
    ),
    Figure(
        name="class_accuracy",
        label="class accuracy",
        unit=SHARE,
        better="higher",
        meaning="the mean over classes of the share of their pixels that are right",
    ),
    BOUNDARY_F1,
    LOSS,
)
ROW_FIGURES = (
    Figure(name="pixels", label="pixels"),
    Figure(
        name="iou",
        label="IoU",
        unit=SHARE,
        better="higher",
        meaning="the area that is rightly called so, over all that is so or was called so; 100 % is perfect",
    ),
    Figure(name="accuracy", label="accuracy", unit=SHARE, better="higher", meaning="the share that is right"),
    Figure(
        name="precision",
        label="precision",
        unit=SHARE,
        better="higher",
        meaning="of those that were called so, the share that is",
    ),
    BOUNDARY_F1,
)


class SegmentationSpec:
    """Scores of classes for every pixel.

    Args:
        vocabulary: the classes, and the colours that they are drawn in.
        statistics: `pixels` of every class in the training masks, and `pixels_around`, the number of all labelled
            pixels in the images that it is in.
        options: of the decoder and of the loss.
    """

    figures = FIGURES
    row = "class"
    row_figures = ROW_FIGURES
    columns = (Figure(name="pixels", label="pixels"), Figure(name="share", label="share", unit=SHARE))
    purpose = "gives every pixel a class"
    batch_size = 8
    optimiser: OptimiserName = "sgd"
    fine_tuning = FineTuning("sgd", 1.0, "none")
    keeps_aspect = True
    fits: tuple[Fit, ...] = ("crop", "pad", "stretch")
    crop_px = 256
    draws = True
    table = "areas.csv"

    def __init__(
        self,
        vocabulary: Vocabulary,
        statistics: TargetStatistics | None = None,
        options: SegmentationOptions | None = None,
    ) -> None:
        self.classes = vocabulary.classes
        self.colours = vocabulary.drawn_in
        self.outputs = len(self.classes)
        self.statistics = statistics or TargetStatistics()
        self.options = options or SegmentationOptions()
        pixels = self.statistics.values.get("pixels")
        self.training_counts: Mapping[str, Sequence[int]] = {"pixels in train": pixels} if pixels else {}

    def decode(
        self, outputs: Iterable[np.ndarray | Rows], origins: Iterable[Origin], options: PredictOptions
    ) -> list[Prediction]:
        """Return for each image the likeliest class of every pixel of its source image."""
        predictions: list[Prediction] = []
        for output, origin in zip(outputs, origins, strict=False):  # as many as there are outputs
            strips = [softmax(output, 0)] if isinstance(output, np.ndarray) else output
            indices = likeliest_classes(strips, origin.image_px[0], origin.source_px)
            predictions.append(ClassMap(indices, self.classes, self.colours))
        return predictions

    def check_options(self, options: PredictOptions) -> None:
        """Raise ConfigError for alternatives."""
        if options.top is not None:
            raise ConfigError("top", "is for networks that classify", "leave it out")

    def input_size(
        self, trained_px: tuple[int, int], scale: float, source_px: tuple[int, int], options: PredictOptions
    ) -> tuple[int, int]:
        """Return a size of the source image's shape: as many pixels as in training, or for windows the same scale."""
        share = scale if options.tile else math.sqrt(math.prod(trained_px) / math.prod(source_px))
        return max(1, round(source_px[0] * share)), max(1, round(source_px[1] * share))
