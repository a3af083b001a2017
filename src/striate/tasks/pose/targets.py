"""Targets of joints as training has them, and outputs as coordinates: what the training and explaining faces share.

Targets are a dictionary, as `datasets.labels.JointLabels` makes them: `xyz_mm` relative to the root joint; `uv_px` in
the image, the top left pixel's centre at (0.5, 0.5), what was cut off lies outside of it; `visible`, the joints that
count; `placed`, those of them whose position in the image is known; `side_px`, width and height of the image. What is
not known is 0 and not visible.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from striate.batching.targets import Targets
from striate.tasks.pose.spec import PoseSpec

Joints = dict[str, Tensor]


def joints_of(targets: Targets) -> Joints:
    """Return targets that are joints."""
    assert isinstance(targets, dict)
    return targets


def true_shares(joints: Joints) -> Float[Tensor, "batch joints 2"]:
    """Return true positions in the image, from -2 at the left and top to 2."""
    shares: Tensor = 4 * joints["uv_px"] / joints["side_px"][:, None] - 2
    return shares


def within_image(joints: Joints) -> Bool[Tensor, "batch joints"]:
    """Return which joints have a position within their image."""
    inside: Tensor = joints["placed"] & (true_shares(joints).abs() <= 2).all(2)
    return inside


def pixels(shares: Float[Tensor, "batch joints 2"], joints: Joints) -> Float[Tensor, "batch joints 2"]:
    """Return positions in pixels of the images, from those between -2 and 2."""
    return (shares + 2) / 4 * joints["side_px"][:, None]


class Coordinates:
    """A network's outputs as coordinates, differentiable, and the way back: as `PoseSpec` decodes them."""

    def __init__(self, spec: PoseSpec) -> None:
        self.spec = spec
        self._moved: dict[tuple[str, torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def counted(self, joints: Joints) -> Bool[Tensor, "batch joints"]:
        """Return which joints count: the visible ones, and in the image alone those within it."""
        return joints["visible"] if self.spec.in_space else within_image(joints)

    def millimetres(self, outputs: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch joints 3"]:
        """Return x, y and z in mm: standardisation undone."""
        mean, deviation = self.mean_and_deviation("mm", outputs)
        return mean + deviation * self._numbers(outputs)[..., :3]

    def shares(self, outputs: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch joints 2"]:
        """Return u and v, from -2 at the image's left and top to 2: heatmaps give them so, vectors standardised."""
        numbers = self._numbers(outputs)[..., -2:]
        if self.spec.options.head == "heatmap":
            return numbers
        mean, deviation = self.mean_and_deviation("uv", outputs)
        return mean + deviation * numbers

    def outputs(self, poses: Float[Tensor, "batch joints _"]) -> Float[Tensor, "batch numbers"]:
        """Return what a network gives that finds poses: x, y and z in mm, where known, and u and v from -2 to 2."""
        parts = [poses[..., -2:]]
        if self.spec.options.head == "vector":
            mean, deviation = self.mean_and_deviation("uv", poses)
            parts = [(poses[..., -2:] - mean) / deviation.clamp(min=1e-9)]
        if self.spec.in_space:
            mean, deviation = self.mean_and_deviation("mm", poses)
            parts = [(poses[..., :3] - mean) / deviation.clamp(min=1e-9), *parts]
        return torch.cat(parts, 2).flatten(1)

    def mean_and_deviation(
        self, unit: Literal["mm", "uv"], like: Tensor
    ) -> tuple[Float[Tensor, "joints axes"], Float[Tensor, "joints 1"]]:
        """Return the mean of the training poses, and each joint's deviation from it, on a tensor's device."""
        key = unit, like.device, like.dtype
        if key not in self._moved:  # copied to a device once, and not in every step
            with torch.inference_mode(mode=False):  # gradients may go through them later
                mean, deviation = map(torch.from_numpy, self.spec.mean_and_deviation(unit))
                self._moved[key] = mean.to(like), deviation.to(like)
        return self._moved[key]

    def _numbers(self, outputs: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch joints _"]:
        numbers: Tensor = outputs.view(-1, self.spec.joints, self.spec.numbers)
        return numbers
