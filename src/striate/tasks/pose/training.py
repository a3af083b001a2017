"""How pose estimation is learned: the network's head, the loss of joints, baselines and figures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from striate import models
from striate.batching.targets import Targets
from striate.errors import DataError, ModelError, listing
from striate.geometry import Shape
from striate.models.heatmaps import HeatmapNetwork
from striate.models.plan import Plan
from striate.tasks.baselines import thumbnails
from striate.tasks.linear import as_layer, ridge_regression
from striate.tasks.pose.joint_metrics import JointMetrics, TrueJoints
from striate.tasks.pose.spec import THUMBNAIL_PX, PoseSpec
from striate.tasks.pose.targets import Coordinates, joints_of, pixels, true_shares, within_image
from striate.tasks.spec import PredictOptions, Rows, TargetStatistics
from striate.tasks.training import ChosenImages, Features, Metrics, outputs_at_once, plan_with_outputs

logger = logging.getLogger(__name__)

_IN_IMAGE = 0.5  # weight of a position in the image, beside that in space
MOST_NEIGHBOURS = 5000
"""Number of training images, at most, that the nearest one is found among."""


class PoseTraining:
    """Distances of joints, standardised.

    Args:
        spec: what outputs mean.
        most_neighbours: number of training images, at most, that the nearest one is found among.
    """

    def __init__(self, spec: PoseSpec, most_neighbours: int = MOST_NEIGHBOURS) -> None:
        self.spec = spec
        self.coordinates = Coordinates(spec)
        self.most_neighbours = most_neighbours

    def plan_network(self, model: str, shape: Shape, *, stem: models.Stem = "auto", line: str = "") -> Plan:
        """Work out the body, for heatmaps, or all; raises ModelError where it does not end in the coordinates."""
        plan = plan_with_outputs(model, shape, self.spec.outputs, stem, line)
        if self.spec.options.head == "heatmap":
            return plan.backbone()
        if plan.output != (self.spec.outputs,):
            given = "x".join(map(str, plan.output))
            raise ModelError(
                model, f"gives {given}, not one number per coordinate", "end it with: flatten | fc classes"
            )
        return plan

    def build(self, plan: Plan, model: str, seed: int) -> nn.Module:
        """Build the network of the line itself, or heatmaps upon it."""
        network = models.build_network(plan, model, seed=seed)
        if self.spec.options.head == "vector":
            return network
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed + 1)
            return HeatmapNetwork(network, self.spec.joints, self.spec.numbers - 2)

    def fit_target_statistics(self, targets: Iterable[Targets], images: ChosenImages) -> TargetStatistics:
        """Compute the mean pose and the joints' deviations from it, and keep training images to be looked up.

        Raises:
            DataError: no joint counts in any image.
        """
        poses = [joints_of(batch) for batch in targets]
        visible = torch.cat([self.coordinates.counted(joints) for joints in poses]).cpu()
        within = torch.cat([within_image(joints) for joints in poses]).cpu()
        uv = torch.cat([true_shares(joints) for joints in poses]).double().cpu()
        self._check_taught(visible)
        values: dict[str, Any] = {"visible": visible.sum(0).tolist(), "placed": within.sum(0).tolist()}
        values |= _spread("uv", uv, within)
        known = torch.where(within[..., None], uv, torch.tensor(values["mean_uv"]))
        if self.spec.in_space:
            xyz = torch.cat([joints["xyz_mm"] for joints in poses]).double().cpu()
            values |= _spread("mm", xyz, visible)
            xyz = torch.where(visible[..., None], xyz, torch.tensor(values["mean_mm"]))
            known = torch.cat([xyz, known], 2)
        chosen = np.linspace(0, len(uv) - 1, min(len(uv), self.most_neighbours)).round().astype(np.int64)
        tensors = {
            "thumbnails": torch.cat([thumbnails(batch, THUMBNAIL_PX) for batch in images(chosen)]).half().numpy(),
            "poses": known[chosen].float().numpy(),
        }
        return TargetStatistics(values, tensors)

    def _check_taught(self, visible: Bool[Tensor, "samples joints"]) -> None:
        """Log which joints no image teaches; raises DataError where these are all."""
        spec = self.spec
        others = [joint for joint in range(spec.joints) if not (spec.in_space and joint == spec.skeleton.root)]
        untaught = [spec.skeleton.joints[joint] for joint in others if not visible[:, joint].any()]
        if untaught and len(untaught) == len(others):
            raise DataError("", "no training image shows a joint", "give places, within the images, of some")
        if untaught:
            where = "in space" if spec.in_space else "in the image"
            logger.info(f"no training sample says where {listing(untaught)} is {where}: the network will not tell")

    def loss(
        self, outputs: Float[Tensor, "batch numbers"], targets: Targets
    ) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
        """Return the summed loss of all visible joints, and their number.

        Of a joint: the sum of the absolute differences of x, y and z over the mean deviation of all joints, and half
        that of u and v, from -2 to 2, where it has a position within the image. Where such positions are all there is,
        joints that a crop has cut off do not count.
        """
        joints, coordinates = joints_of(targets), self.coordinates
        off = (coordinates.shares(outputs) - true_shares(joints)).abs()
        loss = off.sum(2)[within_image(joints)].sum()
        if self.spec.in_space:
            off = (coordinates.millimetres(outputs) - joints["xyz_mm"]).abs()
            deviation = coordinates.mean_and_deviation("mm", outputs)[1].mean().clamp(min=1e-9)
            loss = _IN_IMAGE * loss + off.sum(2)[joints["visible"]].sum() / deviation
        return loss, coordinates.counted(joints).sum()

    def metrics(self) -> Metrics:
        """Return metrics that have counted nothing yet."""
        return PoseMetrics(self)

    def baselines(self, images: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch _"]]:
        """Return the mean pose, and that of the training image whose thumbnail is the most alike."""
        values, tensors = self.spec.statistics.values, self.spec.statistics.tensors
        if not values:
            return {}
        units = ("mm", "uv") if self.spec.in_space else ("uv",)
        mean = torch.cat([torch.tensor(values[f"mean_{unit}"]) for unit in units], 1)
        poses = {"mean pose": mean.expand(len(images), -1, -1)}
        if tensors:
            known = torch.from_numpy(tensors["thumbnails"]).float()
            nearest = torch.cdist(thumbnails(images, THUMBNAIL_PX), known).argmin(1)
            poses["nearest training image"] = torch.from_numpy(tensors["poses"])[nearest]
        return {name: self.coordinates.outputs(pose).to(images.device) for name, pose in poses.items()}

    def fit_linear(self, features: Features) -> nn.Linear:
        """Fit ridge regression, each number by the images that it is known of."""
        numbers, known = [], []
        for joints in map(joints_of, features.targets):
            axes = (joints["visible"],) * 3 * self.spec.in_space + (within_image(joints),) * 2
            poses = torch.cat([joints["xyz_mm"]] * self.spec.in_space + [true_shares(joints)], 2)
            numbers.append(self.coordinates.outputs(poses).cpu())
            known.append(torch.stack(axes, 2).flatten(1).cpu())
        wanted, counts = torch.cat(numbers).double().numpy(), torch.cat(known).numpy()
        return as_layer(ridge_regression(features.matrix(), wanted, counts, features.groups))

    def forward(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels height width"],
        options: PredictOptions,
        advance: Callable[[float], None],
    ) -> Iterable[np.ndarray | Rows]:
        """Return the numbers of all images."""
        return outputs_at_once(model, images, advance)


class PoseMetrics(JointMetrics):
    """Distances of joints from a network's outputs."""

    def __init__(self, training: PoseTraining) -> None:
        super().__init__(training.spec.skeleton)
        self.training = training

    def update(self, outputs: Float[Tensor, "batch numbers"], targets: Targets) -> None:
        """Count a batch's outputs against its joints."""
        joints, coordinates = joints_of(targets), self.training.coordinates
        loss, counted = self.training.loss(outputs, targets)
        if self.in_space:
            points, true = coordinates.millimetres(outputs), joints["xyz_mm"]
        else:
            points, true = pixels(coordinates.shares(outputs), joints), joints["uv_px"]
        self.count(points, TrueJoints(points=true, visible=coordinates.counted(joints)), loss, int(counted))


def _spread(
    unit: str, values: Float[Tensor, "samples joints axes"], counts: Bool[Tensor, "samples joints"]
) -> dict[str, list[Any]]:
    """Return each joint's mean, and its deviation from it along an axis, over the samples in which it counts."""
    total = counts.sum(0).clamp(min=1)[:, None]
    mean = torch.where(counts[..., None], values, 0).sum(0) / total
    square = torch.where(counts, (values - mean).square().mean(2), 0).sum(0) / total[:, 0]
    return {f"mean_{unit}": mean.tolist(), f"deviation_{unit}": square.sqrt().tolist()}
