"""What can be asked about the outputs of pose estimation, and how right they are."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from striate.batching.targets import Targets
from striate.tasks.explaining import ExplainTarget, SampleResult
from striate.tasks.pose.joint_prediction import JointPrediction
from striate.tasks.pose.spec import PoseSpec
from striate.tasks.pose.targets import Coordinates, joints_of, pixels
from striate.tasks.spec import Prediction

_GRID = 4  # cells of maps, down and across, that a linear model reads


class PoseExplaining:
    """Joints' distances from their mean positions, followed back; each image's joints beside the true ones."""

    def __init__(self, spec: PoseSpec) -> None:
        self.spec = spec
        self.coordinates = Coordinates(spec)

    def explain_targets(self, outputs: Float[Tensor, "1 numbers"]) -> list[ExplainTarget]:
        """Return how far each joint is from its mean position, the farthest first; then the joints' coordinates.

        These are called `left wrist.x`, and so on: in space x, y and z, in the image alone u and v.
        """
        spec, names = self.spec, self.spec.skeleton.joints
        axes = "xyz" if spec.in_space else "uv"

        def far(numbers: Float[Tensor, "1 numbers"], joint: int) -> Float[Tensor, ""]:
            return self._off_mean(numbers, joint).square().sum()

        def of_joint(joint: int) -> ExplainTarget:
            words = f"what puts {names[joint]} elsewhere than it usually is"
            return ExplainTarget(
                name=names[joint], words=words, value=lambda numbers: far(numbers, joint), signed=False
            )

        def of_axis(joint: int, axis: int) -> ExplainTarget:
            name = f"{names[joint]}.{axes[axis]}"
            words = f"what decides on {axes[axis]} of {names[joint]}"
            return ExplainTarget(
                name=name, words=words, value=lambda numbers: self._off_mean(numbers, joint)[axis], signed=False
            )

        known = spec.statistics.values["visible" if spec.in_space else "placed"]
        root = spec.skeleton.root if spec.in_space else -1
        moving = [joint for joint in range(spec.joints) if known[joint] and joint != root]
        order = sorted(moving, key=lambda joint: -float(far(outputs.detach(), joint)))
        return [*map(of_joint, order), *(of_axis(joint, axis) for joint in order for axis in range(len(axes)))]

    def _off_mean(self, numbers: Float[Tensor, "1 numbers"], joint: int) -> Float[Tensor, " axes"]:
        """Return how far a joint is from its mean position, in deviations."""
        unit: Literal["mm", "uv"] = "mm" if self.spec.in_space else "uv"
        mean, deviation = self.coordinates.mean_and_deviation(unit, numbers)
        points = self.coordinates.millimetres(numbers) if self.spec.in_space else self.coordinates.shares(numbers)
        off: Tensor = (points[0, joint] - mean[joint]) / deviation[joint].clamp(min=1e-9)
        return off

    def sample_results(self, outputs: Float[Tensor, "batch numbers"], targets: Targets) -> list[SampleResult]:
        """Return how far the joints that count are off, on average, and which one most."""
        joints, coordinates = joints_of(targets), self.coordinates
        if self.spec.in_space:
            off, unit = (coordinates.millimetres(outputs) - joints["xyz_mm"]).norm(dim=2), "mm"
        else:
            off, unit = (pixels(coordinates.shares(outputs), joints) - joints["uv_px"]).norm(dim=2), "px"
        results = []
        for distances, counts in zip(off.cpu(), coordinates.counted(joints).cpu(), strict=True):
            worst = int(torch.where(counts, distances, -1.0).argmax())
            mean, name = float(distances[counts].mean()) if counts.any() else 0.0, self.spec.skeleton.joints[worst]
            words = f"{mean:.0f} {unit} off on average; {name} {float(distances[worst]):.0f} {unit}"
            words = words if counts.any() else "no joint is known"
            results.append(SampleResult(error=mean, wrong=bool(counts.any()), confidence=None, words=words, about=name))
        return results

    def ground_truth(self, targets: Targets, times: int | float = 1) -> list[Prediction]:
        """Return the joints that count."""
        joints, skeleton = joints_of(targets), self.spec.skeleton
        xyz = torch.where(joints["visible"][..., None], joints["xyz_mm"], np.nan).cpu().numpy()
        uv = torch.where(joints["placed"][..., None], times * joints["uv_px"], np.nan).cpu().double().numpy()
        in_space = self.spec.in_space
        return [JointPrediction(skeleton, xyz[at] if in_space else None, uv[at]) for at in range(len(uv))]

    def calibration_inputs(self, outputs: Float[Tensor, "batch numbers"], targets: Targets) -> None:
        """Return None: coordinates come without a probability."""

    def probe_features(self, outputs: Float[Tensor, "batch channels ..."], targets: Targets) -> tuple[Tensor, Targets]:
        """Return the means over the cells of a grid of 4x4: joints are in places."""
        return F.adaptive_avg_pool2d(outputs, _GRID).flatten(1) if outputs.ndim == 4 else outputs, targets
