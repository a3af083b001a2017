"""Data: from files on disk to batches of tensors.

sources/          where labelled pictures come from, a layout a file  -> Dataset
dataset.py        a data set before anything is decoded
pictures.py       pictures before they are decoded; masks.py: with masks; figures/: people that are drawn
mask_files.py     what is in mask files, before it is known what it means
labels.py         classes, masks, joints
files.py          finding image files
decode.py         image bytes -> uint8 pixels
fitting.py        pictures, masks and joints into the network's size
digests.py        the content of files as hashes
cache.py          the folder that keeps decoded pictures; shelf.py: those of one form in it
workers.py        decoding in worker processes
pixels.py         decoded pictures: in memory, on disk, or decoded when they are asked for
store.py          samples, decoded once
preprocessing.py  what the network's input goes through, stored with its weights
augment.py        what happens to training pictures; warp.py: in one resampling
batches.py        order and batches
targets.py        what a batch holds
sheet.py          what augmentation makes of samples, drawn
check.py          all that is wrong with a data set; checks/: a family of it per file
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
    """List the labelled pictures of a folder, a file or a built-in sample; nothing is decoded yet.

    Args:
        location: a folder or file in one of the layouts of `LAYOUTS`, or a name in `SAMPLES`, such as `mnist`.
        task: what its labels are for, where it could be several things; `auto` finds it from the layout.
        ignore: classes of masks, by name or value, that count as no label.
        threshold: makes two classes of grey masks, JPEG or not: from this value on (1 to 255) the second one.
        split_seed: another one sets other samples aside, where the layout itself sets none aside.

    Raises:
        DataError: there is nothing there, its layout is unknown, its task in doubt, or its labels make no sense.
        ConfigError: the threshold is beyond what greys can be, or leaves nothing to ignore.

    >>> open_data("mnist").classes[:3]
    ('0', '1', '2')
    """
    given = str(location)
    try:
        return _find(given, task, _for_masks(ignore, threshold)).with_validation(split_seed)
    except OSError as error:
        raise DataError(f"{error.filename or given}: cannot be read ({error.strerror}).") from None


def _for_masks(ignore: Sequence[str], threshold: int | None) -> dict[str, Any]:
    """Return the options for mask files that were given."""
    if threshold is not None and not 1 <= threshold <= 255:
        raise ConfigError("threshold", f"must be a whole number from 1 to 255, not {threshold}")
    if ignore and threshold is not None:
        raise ConfigError(
            "threshold and ignore are both given, and a threshold gives every pixel a class; leave one out."
        )
    return ({"ignore": tuple(ignore)} if ignore else {}) | ({"threshold": threshold} if threshold is not None else {})


def _find(given: str, task: str, for_masks: dict[str, Any]) -> Dataset:
    """Settle who reads a location, for which task, and have it read."""
    path = Path(given)
    sample = given.partition(":")[0]
    if sample in SAMPLES:
        if path.exists():
            raise DataError(
                f"{given}: a built-in sample, and something here of that name; for the latter write ./{given}."
            )
        return _read([resolve_name(SAMPLES[sample])], given, task, for_masks)
    layouts = {name: resolve_name(home) for name, home in LAYOUTS.items()}
    found = [layout for layout in layouts.values() if layout.matches(given)]
    last = layouts[_LAST]
    if found[:-1] and found[-1] is last and task not in last.TASKS:
        found.pop()
    if not found and path.is_dir() and any(child.is_dir() for child in path.iterdir()):
        found = [last]  # which says what is wrong with its names
    if found:
        return _read(found, given, task, for_masks)
    wanted = "; or ".join(layout.DESCRIPTION for layout in layouts.values())
    if path.exists():
        raise DataError(f"{given}: no layout that striate knows. Wanted: {wanted}.")
    samples = ", ".join(SAMPLES)
    raise DataError(f"{given}: no such folder or file{nearest(given, SAMPLES)}; there are also samples: {samples}.")


def _read(layouts: list[ModuleType], location: str, task: str, for_masks: dict[str, Any]) -> Dataset:
    """Have a location read by the first layout that is for a task; raises DataError where that is in doubt."""
    tasks = list(dict.fromkeys(name for layout in layouts for name in layout.TASKS))
    wanted = [name for name in tasks if task in ("auto", name)]
    if len(wanted) > 1:
        raise DataError(f"{location}: its task could be {' or '.join(tasks)}; say which with --task.")
    if not wanted:
        raise DataError(f"{location}: its task is {' or '.join(tasks)}, not {task}.")
    chosen: Any = next(layout for layout in layouts if wanted[0] in layout.TASKS)
    for option in for_masks:
        if not getattr(chosen, f"CAN_{option.upper()}", False):
            raise DataError(f"{location}: --{option} is for classes in mask files, and there are none.")
    dataset: Dataset = chosen.read(location, wanted[0], **for_masks)
    return dataset
