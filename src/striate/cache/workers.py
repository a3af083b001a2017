"""Decoding in worker processes: Pillow holds on to the interpreter for too much of the time for threads.

loky starts them without importing the caller's script again, and says so when one is killed.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from itertools import accumulate, starmap
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int64, Shaped

from striate.errors import ImageError, WorkerError
from striate.images.resize import ImageSpec
from striate.images.sources import DecodedImage, SourceImages

_Found = TypeVar("_Found")

_MOST, _TASK_BYTES = 64, 2_000_000  # pictures a task, and of files
_WORTH_BYTES = 4_000_000  # of files: with less, decoding is done before the workers have started
_FEWEST, _WORTH_PICTURES = 8, 64  # pictures, likewise; the second where they are not in files


class Outcome(NamedTuple):
    """What became of one picture: the size in its file and warnings, or why it could not be decoded."""

    row: int
    source_size_px: tuple[int, int]
    warnings: tuple[str, ...]
    failure: str


def create_arrays(folder: Path, rows: int, form: ImageSpec, *, masked: bool) -> None:
    """Make the files that `fill` writes to: `images.npy` and, where there are masks, `masks.npy`; raises OSError."""
    for name, shape in array_shapes(rows, form, masked=masked).items():
        path = folder / f"{name}.npy"
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
        if hasattr(os, "posix_fallocate"):  # a disk that is full says so now, instead of killing who writes later
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def array_shapes(rows: int, form: ImageSpec, *, masked: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of so many decoded pictures, by name."""
    plane = (rows, form.height_px, form.width_px)
    return {"images": (*plane, form.channels)} | ({"masks": plane} if masked else {})


def array_bytes(rows: int, form: ImageSpec, *, masked: bool) -> int:
    """Return how much room the arrays of so many decoded pictures take."""
    return sum(math.prod(shape) for shape in array_shapes(rows, form, masked=masked).values())


def fill(
    folder: Path, pictures: SourceImages, rows: Int64[np.ndarray, " pictures"], form: ImageSpec, max_pixels: int
) -> Iterator[list[Outcome]]:
    """Decode pictures into the rows of the arrays in a folder, and yield what became of them, some at a time."""
    yield from spread(partial(_fill_some, folder, form, max_pixels), pictures, rows)


def decode_apart(pictures: SourceImages, form: ImageSpec, max_pixels: int) -> list[DecodedImage]:
    """Decode pictures in the worker processes, and bring them back; raises ImageError."""
    each = max(1, -(-len(pictures) // (2 * _cores())))
    parts = [pictures.take(np.arange(b, min(b + each, len(pictures)))) for b in range(0, len(pictures), each)]
    with _pool() as pool:
        tasks = [pool.submit(_decode_some, part, form, max_pixels) for part in parts]
        return [picture for task in tasks for picture in task.result()]


def spread(
    work: Callable[..., list[_Found]], pictures: SourceImages, *columns: Shaped[np.ndarray, "pictures ..."]
) -> Iterator[list[_Found]]:
    """Have the worker processes do some work on pictures, and yield what it returns, some at a time, in order.

    Args:
        work: takes pictures, and the same part of every column.
        pictures: what there is to do.
        columns: what else belongs to them, a row each.
    """
    few = are_few(pictures)
    each = 1 if few else _part_size(pictures)
    parts = [np.arange(begin, min(begin + each, len(pictures))) for begin in range(0, len(pictures), each)]
    tasks = [(pictures.take(part), *(column[part] for column in columns)) for part in parts]
    if few:
        yield from starmap(work, tasks)
        return
    with _pool() as pool:
        yield from pool.map(work, *zip(*tasks, strict=True))


def _fill_some(
    folder: Path, form: ImageSpec, max_pixels: int, pictures: SourceImages, rows: Int64[np.ndarray, " pictures"]
) -> list[Outcome]:
    images = np.lib.format.open_memmap(folder / "images.npy", mode="r+")
    masks = np.lib.format.open_memmap(folder / "masks.npy", mode="r+") if pictures.masked else None
    outcomes = []
    for index, row in enumerate(rows.tolist()):
        try:
            picture = pictures.decode(index, form, max_pixels=max_pixels)
        except ImageError as error:
            outcomes.append(Outcome(row, (0, 0), (), str(error)))
            continue
        images[row] = picture.image
        if masks is not None:
            masks[row] = picture.mask
        outcomes.append(Outcome(row, picture.source_size_px, picture.warnings, ""))
    return outcomes


def _decode_some(pictures: SourceImages, form: ImageSpec, max_pixels: int) -> list[DecodedImage]:
    return [pictures.decode(index, form, max_pixels=max_pixels) for index in range(len(pictures))]


def are_few(pictures: SourceImages) -> bool:
    """Tell whether pictures are decoded sooner than worker processes start."""
    if not pictures.kept or len(pictures) < _FEWEST:
        return True
    if not pictures.files(0):
        return len(pictures) < _WORTH_PICTURES
    sizes = (_file_bytes(pictures, index) for index in range(len(pictures)))
    return all(total <= _WORTH_BYTES for total in accumulate(sizes))


def _part_size(pictures: SourceImages) -> int:
    """Return how many pictures make a task: up to 64 small ones, fewer large ones, so that the bar moves on."""
    looked_at = range(0, len(pictures), -(-len(pictures) // 8))
    mean = sum(_file_bytes(pictures, index) for index in looked_at) / len(looked_at)
    return int(np.clip(_TASK_BYTES / max(mean, 1), 1, _MOST))


def _file_bytes(pictures: SourceImages, index: int) -> int:
    total = 0
    for path in pictures.files(index):
        with contextlib.suppress(OSError):  # whoever decodes it says so
            total += path.stat().st_size
    return total


@contextlib.contextmanager
def _pool() -> Iterator[Executor]:
    """Give the worker processes, which stay for ten seconds; one that is killed is an error."""
    from loky import get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    pool = get_reusable_executor(
        max_workers=_cores(), timeout=10, initializer=_ignore_interrupts, env={"OMP_NUM_THREADS": "1"}
    )
    try:
        yield pool
    except TerminatedWorkerError:
        raise WorkerError(
            "a worker process that decodes pictures was killed, most often for want of memory; "
            "shrink the largest pictures, or lower --max-pixels to have them named."
        ) from None


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which the terminal sends to every process, to the one that waits for us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cores() -> int:
    import loky

    return int(loky.cpu_count())
