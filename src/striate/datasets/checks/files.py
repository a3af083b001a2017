"""Single files: images that cannot be used, or are odd."""

from __future__ import annotations

from collections.abc import Iterator

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan
from striate.errors import listing

_SMALL_PX = 16


def unreadable(scan: DatasetScan) -> Iterator[Problem]:
    """Find files that cannot be decoded, and files with warnings."""
    for where, image in zip(scan.where, scan.scans, strict=True):
        for failure in image.failures:
            yield Problem.of(failure, "unreadable", where=where, fix="put in an undamaged file, or remove it")
        if image.warnings:
            fix = "save the image anew if it looks wrong"
            yield Problem(kind="warning", where=where, what=listing(image.warnings, 2), fix=fix, severity="note")


def small(scan: DatasetScan) -> Iterator[Problem]:
    """Find images that show next to nothing."""
    for where, image in zip(scan.where, scan.scans, strict=True):
        if image.size_px and min(image.size_px) < _SMALL_PX:
            what = f"{image.size_px[1]}x{image.size_px[0]} pixels"
            fix = f"use larger images, {_SMALL_PX} pixels a side or more"
            yield Problem(kind="small", where=where, what=what, fix=fix, severity="note")
