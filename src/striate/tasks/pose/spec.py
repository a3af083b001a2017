"""What the outputs of pose estimation mean: standardised coordinates of joints. Without torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from striate.errors import ConfigError
from striate.images.resize import Fit
from striate.tasks.figures import LOSS, SHARE, Figure
from striate.tasks.pose.joint_prediction import JointPrediction
from striate.tasks.pose.options import PoseOptions
from striate.tasks.spec import FineTuning, OptimiserName, Origin, Prediction, PredictOptions, Rows, TargetStatistics
from striate.tasks.vocabulary import Vocabulary

THUMBNAIL_PX = 16  # side of the training images that the nearest one is found among

_OFF = "how far joints are from where they were found, on average"
_AUC = Figure(
    name="auc",
    label="AUC",
    unit=SHARE,
    better="higher",
    meaning="the mean of that share over all smaller limits",
)
IN_SPACE = (
    Figure(name="mpjpe_mm", label="MPJPE", unit="mm", better="lower", meaning=_OFF, digits=0, interval="bootstrap"),
    Figure(
        name="pa_mpjpe_mm",
        label="PA-MPJPE",
        unit="mm",
        better="lower",
        meaning="the same, once the whole pose is turned, scaled and moved as well as can be",
        digits=0,
    ),
    Figure(name="pck150", label="PCK@150mm", unit=SHARE, better="higher", meaning="the share of joints within 15 cm"),
    _AUC,
)
IN_IMAGE = (
    Figure(name="mean_px", label="mean error", unit="px", better="lower", meaning=_OFF, interval="bootstrap"),
    Figure(
        name="pck10",
        label="PCK@10%",
        unit=SHARE,
        better="higher",
        meaning="the share of joints within a tenth of the person's size",
    ),
    _AUC,
)
_SAMPLES = Figure(name="samples", label="images")


class PoseSpec:
    """Coordinates, standardised, of each joint: x, y and z, then u and v; or u and v alone.

    x, y and z are relative to the root joint, less the mean of the training poses, over the joint's own deviation from
    it; u and v likewise, as shares of the image, from -2 at its left and top to 2. So a vector of zeros says the mean
    pose. Heatmaps, which find u and v within the image by themselves, give these as they are.

    Args:
        vocabulary: the skeleton.
        statistics: `visible` and `placed`, in how many training poses each joint was visible, and within the image;
            `mean_mm` and `deviation_mm` of the former, where data are in mm, and `mean_uv` and `deviation_uv` of the
            latter. Its tensors: `thumbnails` of training images, and their `poses`.
        options: `head`: `vector`, the line's own, which ends in a number for each coordinate; `heatmap`, transposed
            convolutions to a map for each joint (`models.heatmaps`).

    Raises:
        ValueError: the statistics are not of these joints.
    """

    row = "joint"
    purpose = "finds a person's joints"
    batch_size = 64
    optimiser: OptimiserName = "adamw"
    fine_tuning = FineTuning("adamw", 0.1, "batchnorm")
    keeps_aspect = False
    fits: tuple[Fit, ...] = ("pad", "crop")
    crop_px = None
    draws = True
    training_counts: Mapping[str, Sequence[int]] = {}  # the labels tell
    table = "joints.csv"

    def __init__(
        self, vocabulary: Vocabulary, statistics: TargetStatistics | None = None, options: PoseOptions | None = None
    ) -> None:
        if vocabulary.skeleton is None:
            raise ValueError("a pose has a skeleton")
        self.skeleton = vocabulary.skeleton
        self.options = options or PoseOptions()
        self.in_space = self.skeleton.unit == "mm"
        self.joints = len(self.skeleton.joints)
        self.numbers = 5 if self.in_space else 2
        self.outputs = self.joints * self.numbers
        figures = IN_SPACE if self.in_space else IN_IMAGE
        self.figures = (*figures, LOSS)
        self.row_figures = (_SAMPLES, *figures)
        axes = {"mm": "xyz", "px": "uv"} if self.in_space else {"px": "uv"}
        self.columns = tuple(
            Figure(name=f"{axis}_{unit}", label=axis, unit=unit) for unit, names in axes.items() for axis in names
        )
        self.statistics = statistics or TargetStatistics()
        self._check_statistics()

    def decode(
        self, outputs: Iterable[np.ndarray | Rows], origins: Iterable[Origin], options: PredictOptions
    ) -> list[Prediction]:
        """Return for each image where the joints are; not a number for those that were never taught."""
        numbers = np.array(list(outputs), dtype=np.float32).reshape(-1, self.joints, self.numbers)
        known = self.statistics.values
        taught, shown = (np.array(known[name]) > 0 for name in ("visible", "placed"))
        if self.in_space:
            taught[self.skeleton.root] = True  # the others are relative to it
        predictions: list[Prediction] = []
        for sample, origin in zip(numbers, origins, strict=False):  # as many as there are outputs
            xyz = np.where(taught[:, None], self.millimetres(sample), np.float32(np.nan)) if self.in_space else None
            side_px = np.array(origin.image_px[::-1], dtype=np.float32)
            uv = ((self.shares(sample) + 2) / 4 * side_px).astype(np.float64)
            uv[~shown] = np.nan
            placed = (uv - origin.offset) / origin.scale if shown.any() else None
            predictions.append(JointPrediction(self.skeleton, xyz, placed))
        return predictions

    def millimetres(self, numbers: Float32[np.ndarray, "joints _"]) -> Float32[np.ndarray, "joints 3"]:
        """Return x, y and z in mm from one image's numbers: standardisation undone."""
        mean, deviation = self.mean_and_deviation("mm")
        xyz: Float32[np.ndarray, "joints 3"] = mean + deviation * numbers[:, :3]
        return xyz

    def shares(self, numbers: Float32[np.ndarray, "joints _"]) -> Float32[np.ndarray, "joints 2"]:
        """Return u and v from one image's numbers, from -2 at its left and top to 2."""
        if self.options.head == "heatmap":
            return numbers[:, -2:]
        mean, deviation = self.mean_and_deviation("uv")
        uv: Float32[np.ndarray, "joints 2"] = mean + deviation * numbers[:, -2:]
        return uv

    def mean_and_deviation(
        self, unit: Literal["mm", "uv"]
    ) -> tuple[Float[np.ndarray, "joints axes"], Float[np.ndarray, "joints 1"]]:
        """Return the mean of the training poses, and each joint's deviation from it, in float32."""
        values = self.statistics.values
        mean, deviation = (np.array(values[f"{name}_{unit}"], dtype=np.float32) for name in ("mean", "deviation"))
        return mean, deviation[:, None]

    def check_options(self, options: PredictOptions) -> None:
        """Raise ConfigError for alternatives, or windows."""
        if options.top is not None:
            raise ConfigError("top", "is for networks that classify", "leave it out")
        if options.tile:
            raise ConfigError("tile", "a network for pose looks at whole images", "leave it out")

    def input_size(
        self, trained_px: tuple[int, int], scale: float, source_px: tuple[int, int], options: PredictOptions
    ) -> tuple[int, int]:
        """Return the size of the training images."""
        return trained_px

    def _check_statistics(self) -> None:
        """Raise ValueError where the statistics are not as `fit_target_statistics` leaves them."""
        if self.statistics.values:
            self._check_values()
        shapes = {name: tensor.shape for name, tensor in self.statistics.tensors.items()}
        count = max((shape[0] for shape in shapes.values() if shape), default=0)
        wanted = {"thumbnails": (count, THUMBNAIL_PX**2), "poses": (count, self.joints, self.numbers)}
        if shapes and (shapes != wanted or not count):
            raise ValueError(f"it holds {shapes}, not {wanted}")

    def _check_values(self) -> None:
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("visible", "placed", "deviation_uv"), (self.joints,))
        shapes["mean_uv"] = (self.joints, 2)
        if self.in_space:
            shapes |= {"deviation_mm": (self.joints,), "mean_mm": (self.joints, 3)}
        for name, shape in shapes.items():
            values = np.array(self.statistics.values[name], dtype=np.float64)  # raises ValueError for what is no number
            if values.shape != shape or not np.isfinite(values).all():
                raise ValueError(f"{name} in target_statistics is not {' times '.join(map(str, shape))} numbers")
