"""All that is wrong with a data set, in one pass; nothing is changed."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np

from striate.datasets import open_data
from striate.datasets.checks import CHECKS, JOINT_CHECKS, KINDS, Problem
from striate.datasets.checks.content import contradictions, contradictory
from striate.datasets.checks.files import parted
from striate.datasets.checks.layout import in_class_folders
from striate.datasets.checks.scan import DatasetScan, scan_dataset
from striate.datasets.dataset import Dataset
from striate.datasets.labels import ClassLabels, JointLabels
from striate.datasets.layouts import LAYOUTS, class_folders
from striate.datasets.samples import SAMPLES
from striate.errors import DataError
from striate.images.decode import MAX_PIXELS

__all__ = ["KINDS", "Problem", "Report", "cheap_problems", "check_data", "contradictions", "contradictory"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is wrong with data, the worst first, and what they are like."""

    problems: tuple[Problem, ...]
    summary: dict[str, Any] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether there is no problem; there may be notes."""
        return not any(problem.severity == "problem" for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as a document."""
        return {"ok": self.ok, "problems": [asdict(problem) for problem in self.problems], "summary": self.summary}


def check_data(
    location: str | Path,
    *,
    task: str = "auto",
    ignore: Sequence[str] = (),
    threshold: int | None = None,
    split_seed: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> Report:
    """Look for all that is wrong with data; progress goes to stderr, and no file is changed.

    What keeps data from being read at all is a problem of the kind `layout`; the pictures are not looked at then.

    Args:
        location: see `open_data`, likewise `task`, `ignore`, `threshold` and `split_seed`.
        task: what its labels are for.
        ignore: classes of masks that count as no label.
        threshold: makes two classes of grey masks.
        split_seed: decides what is set aside.
        max_pixels: files of more pixels are unreadable.

    Raises:
        DataError: there is nothing there, no layout that is known, or an argument does not fit the data.

    >>> check_data("mnist").ok
    True
    """
    try:
        dataset = open_data(location, task=task, ignore=ignore, threshold=threshold, split_seed=split_seed)
    except DataError as error:
        given = bool(ignore) or threshold is not None
        if not _is_layout(str(location), task) or (given and _can_be_read(location, task)):
            raise
        return _unread(str(location), error)
    evidence = scan_dataset(dataset, max_pixels=max_pixels)
    found = [*cheap_problems(dataset), *(problem for check in CHECKS for problem in check(evidence))]
    kinds = list(KINDS)
    found.sort(key=lambda problem: (problem.severity == "note", kinds.index(problem.kind)))
    return Report(problems=tuple(found), summary=_summary(evidence) | _tally(found))


def cheap_problems(dataset: Dataset) -> list[Problem]:
    """Find what is wrong with labels by themselves; no picture is read."""
    labels = dataset.samples.labels
    if not isinstance(labels, JointLabels):
        return []
    return [problem for check in JOINT_CHECKS for problem in check(dataset, labels)]


def _is_layout(location: str, task: str) -> bool:
    """Tell whether there is something of a layout and for a task that are known, whatever may be wrong with it."""
    path = Path(location)
    if location.partition(":")[0] in SAMPLES or not path.exists():
        return False
    layouts = _layouts(location)
    if not layouts:
        return task in ("auto", *class_folders.TASKS) and path.is_dir() and any(map(Path.is_dir, path.iterdir()))
    tasks = {task for layout in layouts for task in layout.TASKS}
    return task in tasks or (task == "auto" and len(tasks) == 1)


def _layouts(location: str) -> list[Any]:
    """Return the layouts that a location is in."""
    return [layout for layout in map(resolve_name, LAYOUTS.values()) if layout.matches(location)]


def _can_be_read(location: str | Path, task: str) -> bool:
    """Tell whether data can be read if no class is ignored and there is no threshold: these do not fit them then."""
    try:
        open_data(location, task=task)
    except DataError:
        return False
    return True


def _unread(location: str, error: DataError) -> Report:
    """Report why data cannot be read; of class folders all of it."""
    where, what, fix = parted(str(error), location)
    found = [Problem(kind="layout", where=where, what=what, fix=fix or "correct it, and check again")]
    if _layouts(location) == [class_folders]:
        with contextlib.suppress(DataError):  # a folder cannot be read, and that has been said
            faults = list(in_class_folders(location))
            found = faults if any(fault.what in str(error) for fault in faults) else found + faults
    return Report(problems=tuple(found), summary={"task": None, "samples": None} | _tally(found))


def _summary(evidence: DatasetScan) -> dict[str, Any]:
    """Say what data are like: task, splits, classes, sizes in pixels, formats."""
    dataset = evidence.dataset
    counted = isinstance(dataset.samples.labels, ClassLabels)
    counts = {split: evidence.counts(split) for split in dataset.splits} if dataset.classes else {}
    sizes = np.array([look.size_px for look in evidence.looks if look.size_px], dtype=np.int64).reshape(-1, 2)
    formats = Counter(look.file_format for look in evidence.looks if look.file_format)
    return {
        "task": dataset.task,
        "samples": len(dataset.samples),
        "splits": {split: len(rows) for split, rows in dataset.splits.items()},
        "val_is_ours": evidence.dataset.val_is_ours,
        "counted": ("images" if counted else "pixels") if dataset.classes else None,
        "classes": [
            {"class": name, **{split: int(found[index]) for split, found in counts.items()}}
            for index, name in enumerate(dataset.classes)
        ],
        "joints": list(dataset.skeleton.joints) if dataset.skeleton else [],
        "sizes_px": {
            side: {"min": int(given.min()), "median": int(np.median(given)), "max": int(given.max())}
            for side, given in zip(("height", "width"), sizes.T, strict=True)
        }
        if len(sizes)
        else None,
        "formats": dict(formats.most_common()),
    }


def _tally(found: Sequence[Problem]) -> dict[str, Any]:
    """Count problems by kind."""
    counts = Counter(problem.kind for problem in found)
    return {
        "kinds": {kind: counts[kind] for kind in KINDS if kind in counts},
        "problems": sum(problem.severity == "problem" for problem in found),
        "notes": sum(problem.severity == "note" for problem in found),
    }
