"""Joints made by hand, a task that has studied some, and what a network that knew them would give."""

from __future__ import annotations

from dataclasses import replace

import torch

from striate.batching.targets import take_targets
from striate.tasks import Task, create_task
from striate.tasks.skeleton import Skeleton
from striate.tasks.spec import TargetStatistics
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


Joints = dict[str, torch.Tensor]


def poses(samples: int, seed: int = 0) -> Joints:
    generator = torch.Generator().manual_seed(seed)
    xyz = 300 * torch.randn(samples, 4, 3, generator=generator)
    xyz[:, 0] = 0
    return {
        "xyz_mm": xyz,
        "uv_px": torch.rand(samples, 4, 2, generator=generator) * torch.tensor([40.0, 30.0]),
        "visible": torch.rand(samples, 4, generator=generator) < 0.8,
        "placed": torch.rand(samples, 4, generator=generator) < 0.5,
        "side_px": torch.tensor([[40.0, 30.0]] * samples),
    }


def pose_task(vocabulary: Vocabulary = SPACE, values: dict | None = None, head: str = "vector") -> Task:
    return create_task("pose", vocabulary, TargetStatistics(values or {}), {"head": head})


def studied(targets: Joints, vocabulary: Vocabulary = SPACE) -> Task:
    task = pose_task(vocabulary)
    parts = [take_targets(targets, slice(3)), take_targets(targets, slice(3, None))]
    images = lambda chosen: [torch.randn(len(chosen), 3, 30, 40)]  # noqa: E731
    return task.with_statistics(task.training.fit_target_statistics(parts, images))


def outputs_for(task: Task, targets: Joints) -> torch.Tensor:
    """What a network that knew them would give."""
    known = {"mm": targets["xyz_mm"], "uv": 4 * targets["uv_px"] / targets["side_px"][:, None] - 2}
    numbers = []
    for unit in ("mm", "uv") if task.spec.in_space else ("uv",):
        values = task.statistics.values
        mean, deviation = (torch.tensor(values[f"{name}_{unit}"]) for name in ("mean", "deviation"))
        numbers.append((known[unit] - mean) / deviation.clamp(min=1e-9)[:, None])
    return torch.cat(numbers, 2).flatten(1)
