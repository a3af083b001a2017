"""Figures of joints: how far predicted ones lie from true ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from striate.tasks.skeleton import Skeleton

_PCK_MM = 150
_PCK_SHARE = 0.1  # of a person's longer side, in the image
_STEPS = 30  # of the curve whose area is AUC, beside the one at 0: every 5 mm, as in Mehta et al. 2017
_LEAST_JOINTS = 3  # that fix a pose in space


@dataclass(frozen=True, kw_only=True)
class TrueJoints:
    """Where joints are.

    Attributes:
        points: x, y and z in mm, or u and v in pixels.
        visible: joints that count.
    """

    points: Float[Tensor, "batch joints axes"]
    visible: Bool[Tensor, "batch joints"]


class JointMetrics:
    """Summed distances of visible joints, each joint by itself, in double precision.

    Args:
        skeleton: the joints; its unit says whether coordinates are in mm, or in pixels.
    """

    confusion: Tensor | None = None

    def __init__(self, skeleton: Skeleton) -> None:
        count = len(skeleton.joints)
        self.joints = skeleton.joints
        self.in_space = skeleton.unit == "mm"
        self.rated = [joint for joint in range(count) if not (self.in_space and joint == skeleton.root)]
        self.counts = torch.zeros(count, dtype=torch.int64)
        self.within = torch.zeros(_STEPS + 1, count, dtype=torch.int64)
        self.compared = torch.zeros(count, dtype=torch.int64)  # with a limit; a single point in an image has none
        self.distances = torch.zeros(count, dtype=torch.float64)
        self.aligned = torch.zeros(2, count, dtype=torch.float64)  # distances, and of how many
        self.loss = torch.zeros(2, dtype=torch.float64)

    @property
    def targets(self) -> int:
        """How many visible joints have been counted, but for the root in space, which is right by construction."""
        return int(self.counts[self.rated].sum())

    def sums(self) -> list[Tensor]:
        """Return all counts and sums."""
        return [self.counts, self.within, self.compared, self.distances, self.aligned, self.loss]

    def count(
        self, predicted: Float[Tensor, "batch joints axes"], true: TrueJoints, loss: Float[Tensor, ""], targets: int
    ) -> None:
        """Count a batch: predicted and true joints, and the summed loss of so many targets."""
        predicted, points, visible = predicted.double().cpu(), true.points.double().cpu(), true.visible.cpu()
        distance = (predicted - points).norm(dim=2)
        limit = torch.full((len(points),), float(_PCK_MM)) if self.in_space else _PCK_SHARE * _extent(points, visible)
        steps = torch.arange(_STEPS + 1, dtype=torch.float64)[:, None, None] / _STEPS
        self.counts += visible.sum(0)
        self.distances += torch.where(visible, distance, 0).sum(0)
        compared = visible & (limit > 0)[:, None]
        self.compared += compared.sum(0)
        self.within += ((distance <= steps * limit[:, None]) & compared).sum(1)
        fixed = (visible.sum(1) >= _LEAST_JOINTS) & predicted.isfinite().all(2).all(1)
        if self.in_space and fixed.any():
            left = (procrustes(predicted[fixed], points[fixed], visible[fixed]) - points[fixed]).norm(dim=2)
            self.aligned[0] += torch.where(visible[fixed], left, 0).sum(0)
            self.aligned[1] += visible[fixed].sum(0)
        self.loss[0] += float(loss)
        self.loss[1] += targets

    def compute(self) -> dict[str, Any]:
        """Return the figures: means over all visible joints; None where there is none to take a mean of.

        In space: `mpjpe_mm`, the mean distance; `pa_mpjpe_mm`, that after turning, scaling and moving each pose as fits
        best (of samples with three visible joints or more); `pck150`, the share within 150 mm; `auc`, its mean over
        0, 5, … 150 mm. The root, which the others are relative to, is in both means, and in neither share: it is right
        by construction. In the image: `mean_px`, in pixels of the network's images; `pck10`, the share within a tenth
        of the longer side of the visible joints' box (Yang and Ramanan 2013); `auc`, its mean from 0 up to there.
        """
        figures = self._figures(list(range(len(self.joints))), self.rated)
        return figures | {"loss": float(self.loss[0] / self.loss[1].clamp(min=1))}

    def rows(self) -> list[dict[str, Any]]:
        """Return each joint's number of samples and its figures; of these the root in space has no shares."""
        return [
            {"joint": name, "samples": int(self.counts[index])}
            | self._figures([index], [index] if index in self.rated else [])
            for index, name in enumerate(self.joints)
        ]

    def _figures(self, joints: list[int], rated: list[int]) -> dict[str, float | None]:
        """Return the figures of some joints, and the shares of those of them that are rated."""
        mean = _ratio(self.distances[joints].sum(), self.counts[joints].sum())
        count = self.compared[rated].sum()
        share = _ratio(self.within[-1, rated].sum(), count)
        auc = _ratio(self.within[:, rated].sum(), count * len(self.within))
        if not self.in_space:
            return {"mean_px": mean, "pck10": share, "auc": auc}
        aligned = _ratio(self.aligned[0, joints].sum(), self.aligned[1, joints].sum())
        return {"mpjpe_mm": mean, "pa_mpjpe_mm": aligned, "pck150": share, "auc": auc}


def procrustes(
    points: Float[Tensor, "batch joints axes"],
    onto: Float[Tensor, "batch joints axes"],
    counts: Bool[Tensor, "batch joints"],
) -> Float[Tensor, "batch joints axes"]:
    """Turn, scale and move points so that those that count come to lie on others as closely as can be.

    The rotation is proper, and found by singular values: P. Schönemann, "A generalized solution of the orthogonal
    Procrustes problem", 1966; S. Umeyama, "Least-squares estimation of transformation parameters", 1991.
    """
    weight = counts[..., None].to(points)
    total = weight.sum(1, keepdim=True).clamp(min=1)
    centre, centre_onto = ((weight * each).sum(1, keepdim=True) / total for each in (points, onto))
    moved, wanted = points - centre, onto - centre_onto
    left, values, right = torch.linalg.svd((weight * moved).mT @ wanted)
    sign = torch.ones_like(values)
    sign[:, -1] = torch.linalg.det(left @ right).sign()
    rotation = left @ (sign[..., None] * right)
    spread = (weight * moved.square()).sum((1, 2)).clamp(min=1e-12)
    scale = (values * sign).sum(1) / spread
    aligned: Tensor = scale[:, None, None] * (moved @ rotation) + centre_onto
    return aligned


def _ratio(total: Tensor, count: Tensor) -> float | None:
    """Return a mean; None of nothing."""
    return float(total) / float(count) if count else None


def _extent(points: Tensor, visible: Tensor) -> Float[Tensor, " batch"]:
    """Return the longer side of the box of the joints that count."""
    low = torch.where(visible[..., None], points, torch.inf).amin(1)
    high = torch.where(visible[..., None], points, -torch.inf).amax(1)
    longer: Tensor = (high - low).amax(1).clamp(min=0)
    return longer
