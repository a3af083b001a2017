"""Data: from files on disk to batches of tensors.

sources/        where labelled images come from, a layout a file  -> Dataset
dataset.py      a data set before anything is decoded
files.py        finding image files
decode.py       image bytes -> uint8 pixels
store.py        samples, decoded once
preprocessing.py  what the network's input goes through, stored with its weights
batches.py      order and batches
targets.py      what a batch holds
"""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

from striate.data.dataset import Dataset
from striate.data.sources import SAMPLES, SOURCES
from striate.errors import DataError, nearest

__all__ = ["Dataset", "open_data"]


def open_data(location: str | Path) -> Dataset:
    """List the labelled images of a folder or of a built-in sample; nothing is decoded yet.

    Args:
        location: a folder in one of the layouts of `SOURCES`, or a name in `SAMPLES`, such as `mnist`.

    Raises:
        DataError: there is nothing there, its layout is unknown, or its classes make no sense.

    >>> open_data("mnist").classes[:3]
    ('0', '1', '2')
    """
    given = str(location)
    try:
        return _find(given)
    except OSError as error:
        raise DataError(f"{error.filename or given}: cannot be read ({error.strerror}).") from None


def _find(given: str) -> Dataset:
    """Settle who reads a location, and have it read."""
    path = Path(given)
    if given in SAMPLES:
        if path.exists():
            raise DataError(
                f"{given}: a built-in sample, and something here of that name; for the latter write ./{given}."
            )
        return _read(SAMPLES[given], given)
    layouts = {home: resolve_name(home) for home in SOURCES.values()}
    for home, layout in layouts.items():
        if layout.matches(given):
            return _read(home, given)
    if path.is_dir():
        wanted = "; or ".join(layout.DESCRIPTION for layout in layouts.values())
        raise DataError(f"{given}: a folder without class folders; wanted: {wanted}.")
    if path.exists():
        raise DataError(f"{given}: a file, where a folder of class folders is wanted.")
    samples = ", ".join(SAMPLES)
    raise DataError(f"{given}: no such folder{nearest(given, SAMPLES)}; give a folder of class folders, or {samples}.")


def _read(home: str, location: str) -> Dataset:
    """List a location by the module that knows how."""
    dataset: Dataset = resolve_name(home).read(location)
    return dataset
