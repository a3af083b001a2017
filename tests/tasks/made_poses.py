"""Joints made by hand, a task that has studied some, and what a network that knew them would give."""

from __future__ import annotations

from dataclasses import replace

import torch

from striate.batching.targets import JointTargets
from striate.tasks.pose import Pose
from striate.tasks.skeleton import Skeleton
from striate.tasks.vocabulary import Vocabulary

SKELETON = Skeleton(joints=("root", "l_hand", "r_hand", "head"), parents=(-1, 0, 0, 0), mirror=((1, 2),))
SPACE, IMAGE = Vocabulary(skeleton=SKELETON), Vocabulary(skeleton=replace(SKELETON, unit="px"))

LEARNED = {
    "visible": [1] * 4,
    "placed": [1] * 4,
    "mean_mm": [[0.0] * 3] * 4,
    "deviation_mm": [1.0] * 4,
    "mean_uv": [[0.0] * 2] * 4,
    "deviation_uv": [1.0] * 4,
}


def poses(samples: int, seed: int = 0) -> JointTargets:
    generator = torch.Generator().manual_seed(seed)
    xyz = 300 * torch.randn(samples, 4, 3, generator=generator)
    xyz[:, 0] = 0
    return JointTargets(
        xyz_mm=xyz,
        uv_px=torch.rand(samples, 4, 2, generator=generator) * torch.tensor([40.0, 30.0]),
        visible=torch.rand(samples, 4, generator=generator) < 0.8,
        placed=torch.rand(samples, 4, generator=generator) < 0.5,
        image_px=(30, 40),
    )


def studied(targets: JointTargets, vocabulary: Vocabulary = SPACE) -> Pose:
    task = Pose(vocabulary)
    task.fit_target_statistics([targets[:3], targets[3:]], lambda chosen: [torch.randn(len(chosen), 3, 30, 40)])
    return task


def outputs_for(task: Pose, targets: JointTargets) -> torch.Tensor:
    """What a network that knew them would give."""
    known = {"mm": targets.xyz_mm, "uv": 4 * targets.uv_px / torch.tensor(targets.image_px[::-1]) - 2}
    numbers = []
    for unit in ("mm", "uv") if task.in_space else ("uv",):
        mean, deviation = (torch.tensor(task.target_statistics[f"{name}_{unit}"]) for name in ("mean", "deviation"))
        numbers.append((known[unit] - mean) / deviation.clamp(min=1e-9)[:, None])
    return torch.cat(numbers, 2).flatten(1)
