"""All checks of a data set, in one pass over its images; nothing is changed."""

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
from striate.datasets.checks import CHECKS
from striate.datasets.checks.content import contradictions, contradictory
from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan, scan_dataset
from striate.datasets.dataset import Dataset
from striate.datasets.layouts import LAYOUTS, class_folders
from striate.datasets.samples import SAMPLES
from striate.errors import DataError
from striate.images.decode import MAX_PIXELS

__all__ = ["CheckReport", "Problem", "check_data", "check_labels", "contradictions", "contradictory"]


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What is wrong with data, the worst first, and a summary of the data."""

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
) -> CheckReport:
    """Find all that is wrong with data; no file is changed.

    What keeps data from being read at all is a problem of the kind `layout`; images are not scanned then.

    Args:
        location: see `open_data`, likewise `task`, `ignore`, `threshold` and `split_seed`.
        task: what its labels are for.
        ignore: classes of masks that count as no label.
        threshold: makes two classes of grey masks.
        split_seed: decides which samples are held out.
        max_pixels: files of more pixels are unreadable.

    Raises:
        DataError: there is nothing there, no layout that is known, or an argument does not fit the data.

    >>> check_data("mnist").ok
    True
    """
    try:
        dataset = open_data(location, task=task, ignore=ignore, threshold=threshold, split_seed=split_seed)
    except DataError as error:
        mask_options = bool(ignore) or threshold is not None
        if not _is_layout(str(location), task) or (mask_options and _can_be_read(location, task)):
            raise
        return _unread(str(location), error)
    scan = scan_dataset(dataset, max_pixels=max_pixels)
    labels = dataset.samples.labels
    problems = [
        *check_labels(dataset),
        *(problem for check in CHECKS.values() for problem in resolve_name(check)(scan)),
        *(problem for check in labels.scan_checks for problem in resolve_name(check)(scan, labels)),
    ]
    problems.sort(key=lambda problem: problem.rank)
    return CheckReport(problems=tuple(problems), summary=_summary(scan) | _tally(problems))


def check_labels(dataset: Dataset) -> list[Problem]:
    """Find what is wrong with labels by themselves; no image is read."""
    labels = dataset.samples.labels
    return [problem for check in labels.label_checks for problem in resolve_name(check)(dataset, labels)]


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


def _unread(location: str, error: DataError) -> CheckReport:
    """Report why data cannot be read; all of it where the layout can list it."""
    problems = [Problem.of(error, "layout", where=location, fix="correct it, and check again")]
    layouts = _layouts(location)
    if len(layouts) == 1 and (list_faults := getattr(layouts[0], "LIST_FAULTS", "")):
        with contextlib.suppress(DataError):  # a folder cannot be read, which is reported already
            faults = list(resolve_name(list_faults)(location))
            problems = faults if any(fault.what == error.what for fault in faults) else problems + faults
    return CheckReport(problems=tuple(problems), summary={"task": None, "samples": None} | _tally(problems))


def _summary(scan: DatasetScan) -> dict[str, Any]:
    """Return what data are like: task, splits, classes, sizes in pixels, formats."""
    dataset = scan.dataset
    counts = {split: scan.counts(split) for split in dataset.splits} if dataset.classes else {}
    sizes = np.array([image.size_px for image in scan.scans if image.size_px], dtype=np.int64).reshape(-1, 2)
    formats = Counter(image.file_format for image in scan.scans if image.file_format)
    counted = "images" if dataset.samples.labels.planes is None else "pixels"
    return {
        "task": dataset.task,
        "samples": len(dataset.samples),
        "splits": {split: len(rows) for split, rows in dataset.splits.items()},
        "val_is_ours": dataset.val_is_held_out,
        "counted": counted if dataset.classes else None,
        "classes": [
            {"class": name, **{split: int(of_class[index]) for split, of_class in counts.items()}}
            for index, name in enumerate(dataset.classes)
        ],
        "joints": list(dataset.skeleton.joints) if dataset.skeleton else [],
        "sizes_px": {
            side: {"min": int(sides.min()), "median": int(np.median(sides)), "max": int(sides.max())}
            for side, sides in zip(("height", "width"), sizes.T, strict=True)
        }
        if len(sizes)
        else None,
        "formats": dict(formats.most_common()),
    }


def _tally(problems: Sequence[Problem]) -> dict[str, Any]:
    """Count problems by kind, the worst first."""
    counts = Counter(problem.kind for problem in sorted(problems, key=lambda problem: problem.rank[1]))
    return {
        "kinds": dict(counts),
        "problems": sum(problem.severity == "problem" for problem in problems),
        "notes": sum(problem.severity == "note" for problem in problems),
    }
