"""Joints: what is wrong with them by themselves, and off their images."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan
from striate.datasets.dataset import Dataset
from striate.datasets.labels import JointLabels
from striate.errors import listing

_LONGEST_MM, _SHORTEST_MM = 1200, 10  # of a bone; the longest thighs are half of that
_ODD = 3  # times as long, or as short, as the same bone is in the middle of all samples: no child, no foreshortening
_FEWEST = 10  # samples for a middle to mean something


def off_image(scan: DatasetScan, labels: JointLabels) -> Iterator[Problem]:
    """Find visible joints that are outside of their image by more than a twentieth of its side."""
    unread = (10**9, 10**9)
    sizes = np.array([image.size_px or unread for image in scan.scans])
    outside, uv, misplaced = labels.strays(sizes), labels.uv_px, labels.misplaced(sizes)
    for row in np.flatnonzero(outside.any(axis=1)):
        off = [
            f"{labels.skeleton.joints[joint]} ({uv[row, joint, 0]:.0f}, {uv[row, joint, 1]:.0f})"
            for joint in np.flatnonzero(outside[row])
        ]
        yield Problem(
            kind="joints-off-image",
            where=scan.where[row],
            what=f"{listing(off)} outside of its {sizes[row, 1]}x{sizes[row, 0]} pixels",
            fix="correct uv (is it in other pixels?), or say null for what the image does not show",
            # where these are few, xyz counts, and uv does not
            severity="problem" if labels.skeleton.unit == "px" or misplaced[row] else "note",
        )


def without_position(dataset: Dataset, labels: JointLabels) -> Iterator[Problem]:
    """Find joints that count as visible, and whose coordinates are not known or infinite."""
    in_space = bool(np.isfinite(labels.xyz_mm).any())
    name, values = ("xyz", labels.xyz_mm) if in_space else ("uv", labels.uv_px)
    wrong = labels.visible & ~np.isfinite(values).all(axis=2)
    wrong |= np.isinf(labels.xyz_mm).any(axis=2) | np.isinf(labels.uv_px).any(axis=2)
    for row in np.flatnonzero(wrong.any(axis=1)):
        joints = listing(labels.skeleton.joints[joint] for joint in np.flatnonzero(wrong[row]))
        yield Problem(
            kind="non-finite",
            where=dataset.samples.images.where(int(row)),
            what=f"{name} of {joints} is no number, and the joint counts as visible",
            fix=f"give {name}, or say that it is not visible",
        )


def untaught(dataset: Dataset, labels: JointLabels) -> Iterator[Problem]:
    """Find splits that show no joint besides the root, or the same pose alone; and joints that training never shows."""
    skeleton = labels.skeleton
    in_space = skeleton.unit == "mm"
    others = [joint for joint in range(len(skeleton.joints)) if not (in_space and joint == skeleton.root)]
    root = f" besides the root, {skeleton.joints[skeleton.root]}," if in_space else ""
    for split, rows in dataset.splits.items():
        shown = labels.visible[rows][:, others].any(axis=0)
        if not shown.any():
            yield Problem(
                kind="nothing-to-learn",
                where=split,
                what=f"no joint{root} is visible in any of its samples",
                fix="say which joints are visible",
            )
        elif split == "train":
            for joint in np.array(others)[~shown]:
                yield Problem(
                    kind="nothing-to-learn",
                    where=skeleton.joints[joint],
                    what="no training sample shows it, so a network will not tell where it is",
                    fix="label it in some",
                    severity="note",
                )
            positions = np.where(
                labels.visible[rows][..., None], labels.xyz_mm[rows] if in_space else labels.uv_px[rows], np.nan
            )
            if _never_move(positions):
                yield Problem(
                    kind="nothing-to-learn",
                    where=split,
                    what="every sample has the same pose",
                    fix="give samples of different poses",
                )


def _never_move(positions: Float32[np.ndarray, "samples joints axes"]) -> bool:
    """Tell whether every joint has the same position wherever it is known."""
    span = np.fmax.reduce(positions, axis=0) - np.fmin.reduce(positions, axis=0)
    return not (span > 1e-3).any()  # of what is never known it is no number


def limbs(dataset: Dataset, labels: JointLabels) -> Iterator[Problem]:
    """Find bones that no one has: a problem where they are impossible by themselves, a note where they are odd."""
    skeleton = labels.skeleton
    bones = [(joint, parent) for joint, parent in enumerate(skeleton.parents) if parent >= 0]
    impossible: dict[int, list[str]] = {}
    odd: dict[int, list[str]] = {}
    for joint, parent in bones:
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = np.linalg.norm(labels.xyz_mm[:, joint] - labels.xyz_mm[:, parent], axis=1).astype(np.float64)
        lengths[~(labels.visible[:, joint] & labels.visible[:, parent])] = np.nan
        known = np.isfinite(lengths)
        middle = float(np.median(lengths[known])) if known.any() else math.nan
        unlike = known & (known.sum() >= _FEWEST) & ((lengths > _ODD * middle) | (lengths < middle / _ODD))
        wrong = known & ((lengths > _LONGEST_MM) | (lengths == 0) | (unlike & (lengths < _SHORTEST_MM)))
        if middle < 1e-3:  # a joint that has the same position as another by design
            wrong[lengths < 1e-3] = False
        bone = f"{skeleton.joints[parent]} to {skeleton.joints[joint]}"
        usual = f" (usually {middle:,.0f} mm)" if known.sum() >= _FEWEST else ""
        for row in np.flatnonzero(wrong | unlike).tolist():
            target = impossible if wrong[row] else odd
            target.setdefault(row, []).append(f"{bone} is {lengths[row]:,.0f} mm long{usual}")
    for row in sorted(impossible | odd):
        yield Problem(
            kind="limb-length",
            where=dataset.samples.images.where(row),
            what=listing(impossible.get(row, []) + odd.get(row, []), 2),
            fix="correct xyz, or say that its joints are not visible",
            severity="problem" if row in impossible else "note",
        )
