"""Data sets: labelled images in splits, read from disk, checked, and decoded once.

layouts/       how labelled images lie on disk, one layout per file -> Dataset
samples/       built-in data sets
dataset.py     a data set before anything is decoded
labels.py      classes, masks, joints
splits.py      names of splits; holding samples out
files.py       finding image files
store.py       samples, decoded once
statistics.py  of the images: their median size, the mean and deviation of their channels
checks/        what can be wrong with a data set
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

from striate.datasets.dataset import Dataset
from striate.datasets.layouts import LAYOUTS
from striate.datasets.samples import SAMPLES
from striate.errors import ConfigError, DataError, nearest

__all__ = ["Dataset", "open_data"]

_LAST = "class_folders"  # any folder of folders could be one: it is taken where nothing else fits, or on demand


def open_data(
    location: str | Path,
    *,
    task: str = "auto",
    ignore: Sequence[str] = (),
    threshold: int | None = None,
    split_seed: int = 0,
) -> Dataset:
    """List the labelled images of a folder, a file or a built-in sample; nothing is decoded yet.

    Args:
        location: a folder or file in one of the layouts of `LAYOUTS`, or a name in `SAMPLES`, such as `mnist`.
        task: what its labels are for, where it could be several things; `auto` finds it from the layout.
        ignore: classes of masks, by name or value, that count as no label.
        threshold: makes two classes of grey masks, JPEG or not: the second from this value on (1 to 255).
        split_seed: another seed holds out other samples, where the layout itself holds out none.

    Raises:
        DataError: there is nothing there, its layout is unknown, its task in doubt, or its labels make no sense.
        ConfigError: the threshold is beyond what greys can be, or leaves nothing to ignore.

    >>> open_data("mnist").classes[:3]
    ('0', '1', '2')
    """
    name = str(location)
    try:
        return _read_location(name, task, _mask_options(ignore, threshold)).with_validation(split_seed)
    except OSError as error:
        raise DataError(str(error.filename or name), f"cannot be read ({error.strerror})") from None


def _mask_options(ignore: Sequence[str], threshold: int | None) -> dict[str, Any]:
    """Return the options for mask files that are set."""
    if threshold is not None and not 1 <= threshold <= 255:
        raise ConfigError("threshold", f"must be a whole number from 1 to 255, not {threshold}")
    if ignore and threshold is not None:
        raise ConfigError("ignore", "a threshold gives every pixel a class", "leave ignore or threshold out")
    return ({"ignore": tuple(ignore)} if ignore else {}) | ({"threshold": threshold} if threshold is not None else {})


def _read_location(location: str, task: str, mask_options: dict[str, Any]) -> Dataset:
    """Find the sample or the layouts that a location is, and read it."""
    path = Path(location)
    sample = location.partition(":")[0]
    if sample in SAMPLES:
        if path.exists():
            what = "a built-in sample, and something here of that name"
            raise DataError(location, what, f"for the latter write ./{location}")
        return _read_as([resolve_name(SAMPLES[sample])], location, task, mask_options)
    layouts = {name: resolve_name(home) for name, home in LAYOUTS.items()}
    matching = [layout for layout in layouts.values() if layout.matches(location)]
    last = layouts[_LAST]
    if matching[:-1] and matching[-1] is last and task not in last.TASKS:
        matching.pop()
    if not matching and path.is_dir() and any(child.is_dir() for child in path.iterdir()):
        matching = [last]  # which says what is wrong with its names
    if matching:
        return _read_as(matching, location, task, mask_options)
    if path.exists():
        wanted = "; or ".join(layout.DESCRIPTION for layout in layouts.values())
        raise DataError(location, "no layout that striate knows", f"wanted: {wanted}")
    what = f"no such folder or file{nearest(location, SAMPLES)}"
    raise DataError(location, what, f"there are also samples: {', '.join(SAMPLES)}")


def _read_as(layouts: list[ModuleType], location: str, task: str, mask_options: dict[str, Any]) -> Dataset:
    """Have a location read by the first layout that is for a task; raises DataError where that is in doubt."""
    tasks = list(dict.fromkeys(name for layout in layouts for name in layout.TASKS))
    wanted = [name for name in tasks if task in ("auto", name)]
    if len(wanted) > 1:
        raise DataError(location, f"its task could be {' or '.join(tasks)}", "say which with --task")
    if not wanted:
        raise DataError(location, f"its task is {' or '.join(tasks)}, not {task}")
    chosen: Any = next(layout for layout in layouts if wanted[0] in layout.TASKS)
    for option in mask_options:
        if not getattr(chosen, f"CAN_{option.upper()}", False):
            raise ConfigError(option, f"is for classes in mask files, and {location} has none", "leave it out")
    dataset: Dataset = chosen.read(location, wanted[0], **mask_options)
    return dataset
