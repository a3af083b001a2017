"""What one output means: the number of dots, standardised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from tests.tasks.toy.options import DotsOptions

from striate.errors import ConfigError
from striate.tasks.figures import LOSS, SHARE, Figure
from striate.tasks.spec import FineTuning, Origin, Prediction, PredictOptions, Rows, TargetStatistics
from striate.tasks.vocabulary import Vocabulary

ERROR = Figure(
    name="mean_error",
    label="mean error",
    better="lower",
    meaning="by how many dots the number is off, on average",
    interval="bootstrap",
)
RIGHT = Figure(name="right", label="right", unit=SHARE, better="higher", meaning="the share that is right, rounded")


class DotsSpec:
    figures = (ERROR, RIGHT, LOSS)
    row = "dots"
    row_figures = (Figure(name="samples", label="images"), ERROR, RIGHT)
    columns = (Figure(name="number", label="dots"),)
    purpose = "counts bright dots"
    batch_size = 16
    optimiser = "adamw"
    fine_tuning = FineTuning("adamw", 0.1, "none")
    keeps_aspect = False
    fits = ("stretch",)
    crop_px = None
    draws = False
    training_counts: ClassVar = {}
    table = "dots.csv"
    outputs = 1

    def __init__(self, vocabulary: Vocabulary, statistics: TargetStatistics, options: DotsOptions) -> None:
        self.statistics, self.options = statistics, options

    def number(self, outputs: Any) -> Any:
        """Undo standardisation, of arrays and of tensors."""
        values = self.statistics.values
        return values["mean"] + values["deviation"] * outputs[..., 0]

    def decode(
        self, outputs: Iterable[np.ndarray | Rows], origins: Iterable[Origin], options: PredictOptions
    ) -> list[Prediction]:
        return [CountPrediction(float(number)) for number in self.number(np.array(list(outputs), dtype=np.float64))]

    def check_options(self, options: PredictOptions) -> None:
        if options.top is not None or options.tile:
            raise ConfigError("top" if options.top is not None else "tile", "makes no sense for a number")

    def input_size(
        self, trained_px: tuple[int, int], scale: float, source_px: tuple[int, int], options: PredictOptions
    ) -> tuple[int, int]:
        return trained_px


@dataclass(frozen=True)
class CountPrediction:
    number: float

    def document(self) -> dict[str, Any]:
        return {"dots": self.number}

    def rows(self) -> list[dict[str, Any]]:
        return [{"number": self.number}]

    def summary(self) -> str:
        return f"{self.number:.1f} dots"

    def images(self) -> Mapping[str, Image.Image]:
        return {}

    def drawn_on(self, image: np.ndarray) -> Image.Image:
        return Image.fromarray(image)

    def overlay(self, image: np.ndarray) -> Image.Image:
        return Image.fromarray(image)
