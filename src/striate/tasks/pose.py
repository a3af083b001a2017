"""Pose: where the joints of one person are, in space relative to a root joint, or in the image."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from striate import models
from striate.batching.targets import JointTargets, Targets
from striate.errors import ConfigError, DataError, ModelError, listing
from striate.images.resize import Fit
from striate.models.effects import Shape
from striate.models.heatmaps import HeatmapNetwork
from striate.models.plan import Plan
from striate.tasks.base import (
    Chosen,
    ExplainTarget,
    Features,
    FineTuning,
    Metrics,
    Origin,
    Prediction,
    PredictOptions,
    SampleResult,
)
from striate.tasks.baselines import THUMBNAIL_PX, thumbnails
from striate.tasks.heads import Head
from striate.tasks.joint_metrics import JointMetrics, Places, written
from striate.tasks.linear import as_layer, ridge_regression
from striate.tasks.skeletons import JointPrediction
from striate.tasks.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

_IN_IMAGE = 0.5  # weight of a place in the image, beside that in space
_MOST_NEIGHBOURS = 5000
_GRID = 4  # cells of maps, down and across, that a linear model reads


class Pose:
    """Coordinates, standardised, of each joint: x, y and z, then u and v; or u and v alone.

    x, y and z are relative to the root joint, less the mean of the training poses, over the joint's own deviation from
    it; u and v likewise, as shares of the image, from -2 at its left and top to 2. So a vector of zeros says the mean
    pose. Heatmaps, which find u and v within the image by themselves, give these as they are.

    Args:
        vocabulary: the skeleton.
        learned: of each joint in how many training poses it was `visible`, and `placed` within the image; `mean_mm` and
            `deviation_mm` of the former, where data are in mm, and `mean_uv` and `deviation_uv` of the latter; from
            `study`.
        head: `vector`, the line's own, which ends in a number for each coordinate; `heatmap`, transposed convolutions
            to a map for each joint (`models.heatmaps`).
    """

    batch_size = 64
    optimiser: Literal["sgd", "adamw"] = "adamw"
    fine_tuning = FineTuning("adamw", 0.1, "batchnorm")
    keeps_aspect = False
    fits: tuple[Fit, ...] = ("pad", "crop")
    crop_px = None
    draws = True
    table = "joints.csv"
    per = "per_joint"

    def __init__(
        self, vocabulary: Vocabulary, *, target_statistics: dict[str, Any] | None = None, head: Head = "vector"
    ) -> None:
        if vocabulary.skeleton is None:
            raise DataError("a pose has a skeleton")
        self.skeleton = vocabulary.skeleton
        self.in_space = self.skeleton.unit == "mm"
        self.joints = len(self.skeleton.joints)
        self.numbers = 5 if self.in_space else 2
        self.outputs = self.joints * self.numbers
        self.headline = "mpjpe_mm" if self.in_space else "mean_px"
        self.target_statistics = self._checked(target_statistics) if target_statistics else {}
        self.head: Head = head
        self._tensors: dict[str, Tensor] = {}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Training images, made small, and their poses: none, or as `study` leaves them."""
        return self._tensors

    @tensors.setter
    def tensors(self, found: dict[str, Tensor]) -> None:
        shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
        count = max((shape[0] for shape in shapes.values() if shape), default=0)
        wanted = {"thumbnails": (count, THUMBNAIL_PX**2), "poses": (count, self.joints, self.numbers)}
        if found and (shapes != wanted or not count):
            raise ValueError(f"it holds {shapes}, not {wanted}")
        self._tensors = found

    def backbone_input(self, shape: Shape) -> Shape:
        """Return the images' own shape."""
        return shape

    def trim_plan(self, plan: Plan, model: str) -> Plan:
        """Take the body, for heatmaps, or all; raises ModelError where it does not end in a number a coordinate."""
        if self.head == "heatmap":
            return plan.trunk()
        if plan.output != (self.outputs,):
            given = "x".join(map(str, plan.output))
            raise ModelError(f"{model} gives {given}, not a number a coordinate; end it with: flatten | fc classes.")
        return plan

    def build(self, plan: Plan, model: str, seed: int) -> nn.Module:
        """Build the network of the line itself, or heatmaps upon it."""
        network = models.build(plan, model, seed=seed)
        if self.head == "vector":
            return network
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed + 1)
            return HeatmapNetwork(network, self.joints, self.numbers - 2)

    def fit_target_statistics(self, targets: Iterable[Targets], images: Chosen) -> None:
        """Find the mean pose and the joints' deviations from it, and keep training images to be looked up.

        Raises:
            DataError: no joint counts in any image.
        """
        poses = [part for part in targets if isinstance(part, JointTargets)]
        visible = torch.cat([self.counted(part) for part in poses]).cpu()
        within = torch.cat([_within(part) for part in poses]).cpu()
        uv = torch.cat([_shares(part) for part in poses]).double().cpu()
        others = [joint for joint in range(self.joints) if not (self.in_space and joint == self.skeleton.root)]
        if untaught := [self.skeleton.joints[joint] for joint in others if not visible[:, joint].any()]:
            if len(untaught) == len(others):
                raise DataError("no training image shows a joint; give places, within the images, of some.")
            where = "in space" if self.in_space else "in the image"
            logger.info(f"no training sample says where {listing(untaught)} is {where}: the network will not tell")
        self.target_statistics = {"visible": visible.sum(0).tolist(), "placed": within.sum(0).tolist()}
        self.target_statistics |= _spread("uv", uv, within)
        places = torch.where(within[..., None], uv, torch.tensor(self.target_statistics["mean_uv"]))
        if self.in_space:
            xyz = torch.cat([part.xyz_mm for part in poses]).double().cpu()
            self.target_statistics |= _spread("mm", xyz, visible)
            xyz = torch.where(visible[..., None], xyz, torch.tensor(self.target_statistics["mean_mm"]))
            places = torch.cat([xyz, places], 2)
        chosen = np.linspace(0, len(uv) - 1, min(len(uv), _MOST_NEIGHBOURS)).round().astype(np.int64)
        self.tensors = {
            "thumbnails": torch.cat([thumbnails(part) for part in images(chosen)]).half(),
            "poses": places[chosen].float(),
        }

    def loss(
        self, outputs: Float[Tensor, "batch numbers"], targets: Targets
    ) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
        """Return the summed loss of all visible joints, and how many these are.

        Of a joint: the sum of the absolute differences of x, y and z over the mean deviation of all joints, and half
        that of u and v, from -2 to 2, where it has a place within the image. Where such places are all there is,
        joints that a crop has cut off do not count.
        """
        assert isinstance(targets, JointTargets)
        loss = (self.places(outputs) - _shares(targets)).abs().sum(2)[_within(targets)].sum()
        if self.in_space:
            difference = (self.millimetres(outputs) - targets.xyz_mm).abs().sum(2)[targets.visible].sum()
            loss = _IN_IMAGE * loss + difference / self._stats("mm", outputs)[1].mean().clamp(min=1e-9)
        return loss, self.counted(targets).sum()

    def counted(self, targets: JointTargets) -> Bool[Tensor, "batch joints"]:
        """Return which joints count: the visible ones, and in the image alone those within it."""
        return targets.visible if self.in_space else _within(targets)

    def millimetres(self, outputs: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch joints 3"]:
        """Return x, y and z in mm: what is standardised made undone."""
        mean, deviation = self._stats("mm", outputs)
        return mean + deviation * self._numbers(outputs)[..., :3]

    def places(self, outputs: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch joints 2"]:
        """Return u and v, from -2 at the image's left and top to 2: heatmaps give them so, vectors standardised."""
        given = self._numbers(outputs)[..., -2:]
        if self.head == "heatmap":
            return given
        mean, deviation = self._stats("uv", outputs)
        return mean + deviation * given

    def read(self, found: Float[Tensor, "batch channels ..."], targets: Targets) -> tuple[Tensor, Targets]:
        """Return the means over the cells of a grid of 4x4: joints are in places."""
        return F.adaptive_avg_pool2d(found, _GRID).flatten(1) if found.ndim == 4 else found, targets

    def fit_linear(self, features: Features) -> nn.Linear:
        """Fit ridge regression, each number by the images that it is known of."""
        numbers, known = [], []
        for targets in features.targets:
            assert isinstance(targets, JointTargets)
            axes = (targets.visible,) * 3 * self.in_space + (_within(targets),) * 2
            poses = torch.cat([targets.xyz_mm] * self.in_space + [_shares(targets)], 2)
            numbers.append(self._outputs(poses).cpu())
            known.append(torch.stack(axes, 2).flatten(1).cpu())
        wanted, said = torch.cat(numbers).double().numpy(), torch.cat(known).numpy()
        return as_layer(ridge_regression(features.matrix(), wanted, said, features.groups))

    def explain_targets(self, outputs: Float[Tensor, "1 numbers"]) -> list[ExplainTarget]:
        """Ask for each joint how far it is from its mean place, the farthest first; then for their coordinates.

        These are called `left wrist.x`, and so on: in space x, y and z, in the image alone u and v.
        """
        unit: Literal["mm", "uv"] = "mm" if self.in_space else "uv"
        mean, deviation = self._stats(unit, outputs)

        names, axes = self.skeleton.joints, "xyz" if self.in_space else "uv"

        def off(numbers: Float[Tensor, "1 numbers"], joint: int) -> Float[Tensor, " axes"]:
            place = self.millimetres(numbers) if self.in_space else self.places(numbers)
            from_mean: Tensor = (place[0, joint] - mean[joint]) / deviation[joint].clamp(min=1e-9)
            return from_mean

        def far(numbers: Float[Tensor, "1 numbers"], joint: int) -> Float[Tensor, ""]:
            return off(numbers, joint).square().sum()

        def ask(joint: int) -> ExplainTarget:
            words = f"what puts {names[joint]} elsewhere than it usually is"
            return ExplainTarget(
                name=names[joint], words=words, value=lambda numbers: far(numbers, joint), signed=False
            )

        def ask_axis(joint: int, axis: int) -> ExplainTarget:
            name = f"{names[joint]}.{axes[axis]}"
            words = f"what decides on {axes[axis]} of {names[joint]}"
            return ExplainTarget(name=name, words=words, value=lambda numbers: off(numbers, joint)[axis], signed=False)

        known = self.target_statistics["visible" if self.in_space else "placed"]
        root = self.skeleton.root if self.in_space else -1
        moving = [joint for joint in range(self.joints) if known[joint] and joint != root]
        order = sorted(moving, key=lambda joint: -float(far(outputs.detach(), joint)))
        return [ask(joint) for joint in order] + [ask_axis(joint, axis) for joint in order for axis in range(len(axes))]

    def sample_results(self, outputs: Float[Tensor, "batch numbers"], targets: Targets) -> list[SampleResult]:
        """Say how far the joints that count are off, on average, and which one most."""
        assert isinstance(targets, JointTargets)
        if self.in_space:
            off, unit = (self.millimetres(outputs) - targets.xyz_mm).norm(dim=2), "mm"
        else:
            off, unit = (_pixels(self.places(outputs), targets.image_px) - targets.uv_px).norm(dim=2), "px"
        found = []
        for distances, counts in zip(off.cpu(), self.counted(targets).cpu(), strict=True):
            worst = int(torch.where(counts, distances, -1.0).argmax())
            mean, name = float(distances[counts].mean()) if counts.any() else 0.0, self.skeleton.joints[worst]
            words = f"{mean:.0f} {unit} off on average; {name} {float(distances[worst]):.0f} {unit}"
            words = words if counts.any() else "no joint is known"
            found.append(SampleResult(error=mean, wrong=bool(counts.any()), confidence=None, words=words, about=name))
        return found

    def ground_truth(self, targets: Targets, times: int = 1) -> list[Prediction]:
        """Return the joints that count."""
        assert isinstance(targets, JointTargets)
        xyz = torch.where(targets.visible[..., None], targets.xyz_mm, np.nan).cpu().numpy()
        uv = torch.where(targets.placed[..., None], times * targets.uv_px, np.nan).cpu().double().numpy()
        return [JointPrediction(self.skeleton, xyz[at] if self.in_space else None, uv[at]) for at in range(len(uv))]

    def answers(self, outputs: Float[Tensor, "batch numbers"], targets: Targets) -> None:
        """Return None: places come without a probability."""

    def baselines(self, images: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch _"]]:
        """Return the mean pose, and that of the training image whose thumbnail is the most alike."""
        if not self.target_statistics:
            return {}
        means = [
            torch.tensor(self.target_statistics[f"mean_{unit}"])
            for unit in (("mm", "uv") if self.in_space else ("uv",))
        ]
        found = {"mean pose": torch.cat(means, 1).expand(len(images), -1, -1)}
        if self.tensors:
            nearest = torch.cdist(thumbnails(images), self.tensors["thumbnails"].float()).argmin(1)
            found["nearest training image"] = self.tensors["poses"][nearest]
        return {name: self._outputs(poses).to(images.device) for name, poses in found.items()}

    def metrics(self) -> Metrics:
        """Return fresh sums."""
        return _Metrics(self)

    def score(self, figures: dict[str, Any]) -> tuple[float, ...]:
        """Rank by mean distance; of two that are equal, by loss."""
        return -figures[self.headline], -figures["loss"]

    def brief(self, figures: dict[str, Any]) -> str:
        """Say the mean distance."""
        return f"MPJPE {figures['mpjpe_mm']:.0f} mm" if self.in_space else f"mean error {figures['mean_px']:.1f} px"

    def describe(self, figures: dict[str, Any]) -> str:
        """Say all figures; a dash for what there is not."""
        named = {"pa_mpjpe_mm": "PA-MPJPE", "pck150": "PCK@150mm", "pck10": "PCK@10%", "auc": "AUC"}
        said = [f"{named[key]} {written(key, value)}" for key, value in figures.items() if key in named]
        return ", ".join([self.brief(figures), *said, f"loss {figures['loss']:.3f}"])

    def check(self, options: PredictOptions) -> None:
        """Raise ConfigError where alternatives, or windows, are asked for."""
        if options.top is not None:
            raise ConfigError(f"top (={options.top}) is for networks that classify; leave it out.")
        if options.tile:
            raise ConfigError("tile: a network for pose looks at whole pictures; leave it out.")

    def input_px(
        self, trained_px: tuple[int, int], scale: float, picture_px: tuple[int, int], options: PredictOptions
    ) -> tuple[int, int]:
        """Return what it was trained on."""
        return trained_px

    def predict(
        self,
        model: nn.Module,
        images: Tensor,
        origins: Iterable[Origin],
        options: PredictOptions,
        advance: Callable[[float], None],
    ) -> list[Prediction]:
        """Return for each image where the joints are."""
        outputs = model(images).float()
        taught, shown = (np.array(self.target_statistics[name]) > 0 for name in ("visible", "placed"))
        xyz = self.millimetres(outputs).cpu().numpy() if self.in_space else None
        uv = _pixels(self.places(outputs), (images.shape[2], images.shape[3])).cpu().double().numpy()
        uv[:, ~shown] = np.nan
        if xyz is not None:
            taught[self.skeleton.root] = True  # the others are relative to it
            xyz[:, ~taught] = np.nan
        found: list[Prediction] = []
        for place, origin in enumerate(origins):
            in_picture = (uv[place] - origin.offset) / origin.scale if shown.any() else None
            found.append(JointPrediction(self.skeleton, None if xyz is None else xyz[place], in_picture))
            advance(1)
        return found

    def _checked(self, target_statistics: dict[str, Any]) -> dict[str, Any]:
        """Return what was found in training targets; raises ValueError where that is not as `study` leaves it."""
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("visible", "placed", "deviation_uv"), (self.joints,))
        shapes["mean_uv"] = (self.joints, 2)
        if self.in_space:
            shapes |= {"deviation_mm": (self.joints,), "mean_mm": (self.joints, 3)}
        for name, shape in shapes.items():
            found = np.array(target_statistics[name], dtype=np.float64)  # which wants numbers
            if found.shape != shape or not np.isfinite(found).all():
                raise ValueError(f"{name} in learned is not {' times '.join(map(str, shape))} numbers")
        return target_statistics

    def _numbers(self, outputs: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch joints _"]:
        numbers: Tensor = outputs.view(-1, self.joints, self.numbers)
        return numbers

    def _outputs(self, poses: Float[Tensor, "batch joints _"]) -> Float[Tensor, "batch numbers"]:
        """Return what a network gives that finds poses: x, y and z in mm, where known, and u and v from -2 to 2."""
        parts = [poses[..., -2:]]
        if self.head == "vector":
            mean, deviation = self._stats("uv", poses)
            parts = [(poses[..., -2:] - mean) / deviation.clamp(min=1e-9)]
        if self.in_space:
            mean, deviation = self._stats("mm", poses)
            parts = [(poses[..., :3] - mean) / deviation.clamp(min=1e-9), *parts]
        return torch.cat(parts, 2).flatten(1)

    def _stats(
        self, unit: Literal["mm", "uv"], like: Tensor
    ) -> tuple[Float[Tensor, "joints axes"], Float[Tensor, "joints 1"]]:
        mean, deviation = (torch.tensor(self.target_statistics[f"{name}_{unit}"]) for name in ("mean", "deviation"))
        return mean.to(like), deviation[:, None].to(like)


class _Metrics(JointMetrics):
    """Counts what a network gives, for `Pose`."""

    def __init__(self, task: Pose) -> None:
        super().__init__(task.skeleton)
        self.task = task

    def update(self, outputs: Float[Tensor, "batch numbers"], targets: Targets) -> None:
        """Count a batch's outputs against its joints."""
        assert isinstance(targets, JointTargets)
        loss, counted = self.task.loss(outputs, targets)
        if self.in_space:
            found, points = self.task.millimetres(outputs), targets.xyz_mm
        else:
            found, points = _pixels(self.task.places(outputs), targets.image_px), targets.uv_px
        self.count(found, Places(points=points, visible=self.task.counted(targets)), loss, int(counted))


def _shares(targets: JointTargets) -> Float[Tensor, "batch joints 2"]:
    """Return places in the image, from -2 at the left and top to 2."""
    return 4 * targets.uv_px / targets.uv_px.new_tensor(targets.image_px[::-1]) - 2


def _pixels(shares: Float[Tensor, "batch joints 2"], image_px: tuple[int, int]) -> Float[Tensor, "batch joints 2"]:
    """Return places in pixels of images of a height and width, from those between -2 and 2."""
    return (shares + 2) / 4 * shares.new_tensor(image_px[::-1])


def _within(targets: JointTargets) -> Bool[Tensor, "batch joints"]:
    """Return which joints have a place within their image."""
    inside: Tensor = targets.placed & (_shares(targets).abs() <= 2).all(2)
    return inside


def _spread(
    unit: str, values: Float[Tensor, "samples joints axes"], counts: Bool[Tensor, "samples joints"]
) -> dict[str, list[Any]]:
    """Return each joint's mean, and its deviation from it along an axis, over the samples in which it counts."""
    total = counts.sum(0).clamp(min=1)[:, None]
    mean = torch.where(counts[..., None], values, 0).sum(0) / total
    square = torch.where(counts, (values - mean).square().mean(2), 0).sum(0) / total[:, 0]
    return {f"mean_{unit}": mean.tolist(), f"deviation_{unit}": square.sqrt().tolist()}
