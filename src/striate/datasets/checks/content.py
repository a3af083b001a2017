"""Identical images, by the hash of their content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan
from striate.datasets.labels import Labels
from striate.errors import listing


def contradictions(
    names: Sequence[str],
    digests: Sequence[str],
    labels: Labels,
    classes: Sequence[str] = (),
    planes: Sequence[str] = (),
) -> list[Problem]:
    """Find identical images with different labels; a problem for each group of them.

    Args:
        names: of the samples, or their paths.
        digests: hashes of the images' content; empty where it is not known.
        labels: of the samples.
        classes: what the labels are indices of, for messages.
        planes: hashes of the label planes; without them planes are not compared.
    """
    problems = []
    for first, second, *rest in _conflicting(digests, labels, planes):
        more = f" (and {len(rest):,} more)" if rest else ""
        problems.append(
            Problem(
                kind="contradiction",
                where=names[second],
                what=f"the same image as {names[first]}{more}, {labels.difference(first, second, classes)}",
                fix="keep the one that is right",
            )
        )
    return problems


def contradictory(digests: Sequence[str], labels: Labels) -> list[int]:
    """Return the indices of identical images with different labels, label planes aside.

    >>> import numpy as np
    >>> from striate.datasets.labels import ClassLabels
    >>> contradictory(["a", "b", "a"], ClassLabels(np.array([0, 1, 1])))
    [0, 2]
    """
    return sorted(index for group in _conflicting(digests, labels, ()) for index in group)


def copies(scan: DatasetScan) -> Iterator[Problem]:
    """Find identical images: with different labels, in different splits, and others."""
    samples, splits, planes = scan.dataset.samples, scan.split_of, scan.digests.planes
    # of images that cannot be decoded another check tells
    digests = [digest if image.size_px else "" for digest, image in zip(scan.digests.images, scan.scans, strict=True)]
    yield from contradictions(scan.where, digests, samples.labels, scan.dataset.classes, planes)
    held_out = {"val"} if scan.dataset.val_is_held_out else set()  # it was of train before
    for group in same_content(digests):
        where = [scan.where[index] for index in group]
        official = {"train" if splits[index] in held_out else splits[index] for index in group}
        if len(official) > 1:
            yield _leak(scan, group)
        elif all(_same_label(samples.labels, planes, group[0], index) for index in group):
            yield Problem(
                kind="duplicate",
                where=where[1],
                what=f"the same image as {where[0]}" + (f" and {len(where) - 2:,} more" if len(where) > 2 else ""),
                fix="keep one of them; the others count twice",
                severity="note",
            )


def same_content(digests: Sequence[str]) -> list[list[int]]:
    """Group the indices of equal hashes, of which there are two or more; empty ones are equal to none.

    >>> same_content(["a", "b", "a", "", ""])
    [[0, 2]]
    """
    groups: dict[str, list[int]] = {}
    for index, digest in enumerate(digests):
        if digest:
            groups.setdefault(digest, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _conflicting(digests: Sequence[str], labels: Labels, planes: Sequence[str]) -> Iterator[list[int]]:
    """Yield, of each group of identical images, the first and all that have another label than it."""
    for group in same_content(digests):
        others = [index for index in group[1:] if not _same_label(labels, planes, group[0], index)]
        if others:
            yield [group[0], *others]


def _same_label(labels: Labels, planes: Sequence[str], first: int, second: int) -> bool:
    """Tell whether two samples have the same label, and the same label plane."""
    return labels.same(first, second) and (not planes or planes[first] == planes[second])


def _leak(scan: DatasetScan, group: list[int]) -> Problem:
    splits = scan.split_of
    ordered = sorted(group, key=lambda index: list(scan.dataset.splits).index(splits[index]))
    last, others = ordered[-1], [index for index in ordered if splits[index] != splits[ordered[-1]]]
    named = listing(f"{scan.where[index]} ({splits[index]})" for index in others)
    return Problem(
        kind="leak",
        where=scan.where[last],
        what=f"an image of {splits[last]}, and the same as {named}",
        fix="keep it in one split alone: what was learned by heart is no test",
    )
