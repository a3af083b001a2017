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
from striate.data.sources import SOURCES
from striate.errors import DataError, nearest

__all__ = ["Dataset", "open_data"]


def open_data(location: str | Path) -> Dataset:
    """List the labelled images of a folder or of a built-in sample; nothing is decoded yet.

    Args:
        location: a folder in one of the layouts of `SOURCES`, or a sample's name, such as `mnist`.

    Raises:
        DataError: there is nothing there, its layout is unknown, or its classes make no sense.

    >>> open_data("mnist").classes[:3]
    ('0', '1', '2')
    """
    given = str(location)
    sources = {name: resolve_name(home) for name, home in SOURCES.items()}
    for source in sources.values():
        if source.matches(given):
            dataset: Dataset = source.read(given)
            return dataset
    path = Path(given)
    if path.is_dir():
        layouts = "; or ".join(source.DESCRIPTION for source in sources.values())
        raise DataError(f"{given}: a folder without class folders; wanted: {layouts}.")
    if path.exists():
        raise DataError(f"{given}: a file, where a folder of class folders is wanted.")
    raise DataError(f"{given}: no such folder{nearest(given, sources)}; give a folder of class folders, or mnist.")
