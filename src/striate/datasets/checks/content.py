"""Identical images, by the hash of their content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan
from striate.datasets.labels import ClassLabels, JointLabels, Labels
from striate.errors import listing

_NEAR_PX, _NEAR_MM = 0.5, 1.0  # joints that differ by less are the same, rounded


def contradictions(
    names: Sequence[str],
    digests: Sequence[str],
    labels: Labels,
    classes: Sequence[str] = (),
    masks: Sequence[str] = (),
) -> list[Problem]:
    """Find identical images with different labels; a problem for each group of them.

    Args:
        names: of the samples, or where they are.
        digests: hashes of the images' content; empty where it is not known.
        labels: of the samples.
        classes: what the labels are indices of, for messages.
        masks: hashes of the masks' content, where masks are the labels; without them these are not compared.
    """
    found = []
    for first, second, *rest in _in_conflict(digests, labels, masks):
        more = f" (and {len(rest):,} more)" if rest else ""
        found.append(
            Problem(
                kind="contradiction",
                where=names[second],
                what=f"the same image as {names[first]}{more}, {_differing(labels, classes, first, second)}",
                fix="keep the one that is right",
            )
        )
    return found


def contradictory(digests: Sequence[str], labels: Labels) -> list[int]:
    """Return the places of identical images with different labels, masks aside.

    >>> contradictory(["a", "b", "a"], ClassLabels(np.array([0, 1, 1])))
    [0, 2]
    """
    return sorted(place for group in _in_conflict(digests, labels, ()) for place in group)


def _in_conflict(digests: Sequence[str], labels: Labels, masks: Sequence[str]) -> Iterator[list[int]]:
    """Yield, of each group of identical images, the first and all that have another label than it."""
    for group in same_content(digests):
        others = [place for place in group[1:] if not _agree(labels, masks, group[0], place)]
        if others:
            yield [group[0], *others]


def copies(evidence: DatasetScan) -> Iterator[Problem]:
    """Find identical images: with different labels, in different splits, and others."""
    samples, splits = evidence.dataset.samples, evidence.split_of
    digests = [look.digests[0] if look.digests and look.size_px else "" for look in evidence.looks]  # damage is said
    masked = any(len(look.digests) == 2 for look in evidence.looks)
    masks = ["".join(look.digests[1:]) for look in evidence.looks] if masked else []
    yield from contradictions(evidence.where, digests, samples.labels, evidence.dataset.classes, masks)
    for group in same_content(digests):
        where = [evidence.where[place] for place in group]
        ours = {"val"} if evidence.dataset.val_is_ours else set()  # was of train before
        given = {"train" if splits[place] in ours else splits[place] for place in group}
        if len(given) > 1:
            yield _leak(evidence, group)
        elif all(_agree(samples.labels, masks, group[0], place) for place in group):
            yield Problem(
                kind="duplicate",
                where=where[1],
                what=f"the same image as {where[0]}" + (f" and {len(where) - 2:,} more" if len(where) > 2 else ""),
                fix="keep one of them; the others count twice",
                severity="note",
            )


def same_content(digests: Sequence[str]) -> list[list[int]]:
    """Group the places of equal hashes, of which there are two or more; empty ones are equal to none.

    >>> same_content(["a", "b", "a", "", ""])
    [[0, 2]]
    """
    groups: dict[str, list[int]] = {}
    for place, digest in enumerate(digests):
        if digest:
            groups.setdefault(digest, []).append(place)
    return [group for group in groups.values() if len(group) > 1]


def _leak(evidence: DatasetScan, group: list[int]) -> Problem:
    splits = evidence.split_of
    ordered = sorted(group, key=lambda place: list(evidence.dataset.splits).index(splits[place]))
    last, others = ordered[-1], [place for place in ordered if splits[place] != splits[ordered[-1]]]
    named = listing(f"{evidence.where[place]} ({splits[place]})" for place in others)
    return Problem(
        kind="leak",
        where=evidence.where[last],
        what=f"an image of {splits[last]}, and the same as {named}",
        fix="keep it in one split alone: what was learned by heart is no test",
    )


def _agree(labels: Labels, masks: Sequence[str], first: int, second: int) -> bool:
    """Tell whether two samples have the same label."""
    if isinstance(labels, ClassLabels):
        return bool(labels.targets[first] == labels.targets[second])
    if isinstance(labels, JointLabels):
        pairs = ((labels.xyz_mm, _NEAR_MM), (labels.uv_px, _NEAR_PX))
        return all(np.allclose(xy[first], xy[second], rtol=0, atol=near, equal_nan=True) for xy, near in pairs)
    return not masks or masks[first] == masks[second]


def _differing(labels: Labels, classes: Sequence[str], first: int, second: int) -> str:
    """Say how two labels differ."""
    if isinstance(labels, ClassLabels) and classes:
        given, other = (classes[labels.targets[place]] for place in (second, first))
        return f"but labelled {given}, not {other}"
    return "with another mask" if not isinstance(labels, ClassLabels | JointLabels) else "with another label"
