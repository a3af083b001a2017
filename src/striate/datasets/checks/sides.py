"""Left and right: pairs of joints that a mirror image swaps, and coordinates that are mirrored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

from striate.datasets.checks.problem import Problem
from striate.datasets.dataset import Dataset
from striate.datasets.labels import JointLabels
from striate.errors import listing
from striate.tasks.left_right import mirror_pairs

_POOR, _MUCH_BETTER = 0.3, 1 / 3  # misfit of xyz and uv as they are; what a change of xyz must bring it down to
_FEWEST_JOINTS = 6  # fewer fit whatever is changed


def pairs(dataset: Dataset, labels: JointLabels) -> Iterator[Problem]:
    """Find pairs of the mirror that are no pairs by their names, or hang on joints that are none."""
    skeleton = labels.skeleton
    mirrored, joints = skeleton.mirrored, skeleton.joints
    mirror = f"{dataset.location}: mirror"
    rooted = bool(np.isfinite(labels.xyz_mm).any())  # of keypoints in images, parents are of our making
    by_name = {joint: other for pair in mirror_pairs(joints) for joint, other in (pair, pair[::-1])}
    for left, right in skeleton.mirror:
        pair = f"{mirror}: {joints[left]}, {joints[right]}"
        expected = [f"{joints[joint]}, {joints[by_name[joint]]}" for joint in (left, right) if joint in by_name]
        parents = skeleton.parents[left], skeleton.parents[right]
        if expected and by_name.get(left) != right:
            yield _wrong_pair(pair, "their names differ by more than left and right", f"pair {listing(expected)}")
        elif rooted and min(parents) >= 0 and mirrored[parents[0]] != parents[1]:
            hang = f"they hang on {joints[parents[0]]} and {joints[parents[1]]}, which are no pair"
            yield _wrong_pair(pair, hang, "correct mirror or parents")
    alone = [
        (joint, other) for joint, other in mirror_pairs(joints) if mirrored[joint] == joint and mirrored[other] == other
    ]
    if alone:
        named = "; ".join(f"{joints[joint]}, {joints[other]}" for joint, other in alone)
        lacking = "these pairs are missing" if skeleton.mirror else "it is missing, though names have sides"
        yield _wrong_pair(f"{mirror}: {named}", f"{lacking}: a mirror image would not swap them", "add them to mirror")


def same_position(dataset: Dataset, labels: JointLabels) -> Iterator[Problem]:
    """Find samples in which both joints of a pair have the same position."""
    skeleton = labels.skeleton
    for left, right in skeleton.mirror:
        both = labels.visible[:, left] & labels.visible[:, right]
        same_xyz = (labels.xyz_mm[:, left] == labels.xyz_mm[:, right]).all(axis=1)
        same_uv = (labels.uv_px[:, left] == labels.uv_px[:, right]).all(axis=1)
        for row in np.flatnonzero(both & (same_xyz | same_uv)):
            yield Problem(
                kind="left-right",
                where=dataset.samples.images.where(int(row)),
                what=f"{skeleton.joints[left]} and {skeleton.joints[right]} have the same "
                f"{'xyz' if same_xyz[row] else 'uv'}",
                fix="correct one of them, or say that it is not visible",
                severity="problem" if same_xyz[row] else "note",  # people in profile are annotated so
            )


def mirrored_coordinates(dataset: Dataset, labels: JointLabels) -> Iterator[Problem]:
    """Find samples whose `xyz` fits `uv` only with left and right swapped, or mirrored, or upside down.

    Both show the same person: seen from afar, u is x and v is y, but for one scale and a shift. What is wrong in
    `xyz` and `uv` alike cannot be found so.
    """
    order = labels.skeleton.mirrored
    both = labels.visible & np.isfinite(labels.xyz_mm).all(axis=2) & np.isfinite(labels.uv_px).all(axis=2)
    both &= both[:, order]
    chosen = np.flatnonzero(both.sum(axis=1) >= _FEWEST_JOINTS)
    if len(chosen) == 0:
        return
    xy, uv, both = labels.xyz_mm[chosen, :, :2], labels.uv_px[chosen], both[chosen]
    misfit = _misfit(xy, uv, both)
    others = {
        "left and right joints swapped": (xy[:, order], "swap the joints of each pair in xyz or in uv"),
        "x mirrored": (xy * np.array([-1, 1], dtype=np.float32), "negate x: it must grow to the right, as u does"),
        "y upside down": (xy * np.array([1, -1], dtype=np.float32), "negate y: it must grow downwards, as v does"),
        "x and y turned by half": (-xy, "negate x and y: they must grow to the right and downwards, as u and v do"),
    }
    misfits = np.stack([_misfit(changed, uv, both) for changed, _ in others.values()])
    best = misfits.argmin(axis=0)
    for row in np.flatnonzero((misfit > _POOR) & (misfits.min(axis=0) < misfit * _MUCH_BETTER)):
        name, (_, fix) = list(others.items())[best[row]]
        where = dataset.samples.images.where(int(chosen[row]))
        yield Problem(kind="left-right", where=where, what=f"xyz fits uv only with {name}", fix=fix)


def _misfit(
    xy: Float[np.ndarray, "samples joints 2"],
    uv: Float[np.ndarray, "samples joints 2"],
    known: Bool[np.ndarray, "samples joints"],
) -> Float[np.ndarray, " samples"]:
    """Return the share, 0 to 1, of what uv varies by that xy does not explain, with one positive scale and a shift."""
    x, u = (_centred(values, known) for values in (xy, uv))
    size, spread = ((values**2).sum(axis=(1, 2)) for values in (x, u))
    scale = np.maximum((x * u).sum(axis=(1, 2)) / np.maximum(size, 1e-9), 0)
    left = ((u - scale[:, None, None] * x) ** 2).sum(axis=(1, 2))
    share: Float[np.ndarray, " samples"] = np.sqrt(left / np.maximum(spread, 1e-9))
    return share


def _centred(
    values: Float[np.ndarray, "samples joints 2"], known: Bool[np.ndarray, "samples joints"]
) -> Float[np.ndarray, "samples joints 2"]:
    """Subtract the mean of the known joints, and put zero for the others."""
    kept = np.where(known[..., None], values, 0).astype(np.float64)
    middle = kept.sum(axis=1, keepdims=True) / known.sum(axis=1)[:, None, None]
    return np.where(known[..., None], kept - middle, 0)


def _wrong_pair(where: str, what: str, fix: str) -> Problem:
    return Problem(kind="left-right", where=where, what=what, fix=fix)
