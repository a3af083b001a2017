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
from striate.images.decode import DecodedImage
from striate.images.planes import DecodedPlane, Sources
from striate.images.resize import ImageSpec

_Result = TypeVar("_Result")

_MOST, _TASK_BYTES = 64, 2_000_000  # images per task, and bytes of their files
_WORTH_BYTES = 4_000_000  # of files: with less, decoding is done before the workers have started
_FEWEST, _WORTH_IMAGES = 8, 64  # images, likewise; the second where they are not in files

Decoded = tuple[DecodedImage, DecodedPlane | None]


class Outcome(NamedTuple):
    """The result of decoding an image into a row: its size in the file and warnings, or why it failed."""

    row: int
    source_size_px: tuple[int, int] = (0, 0)
    warnings: tuple[str, ...] = ()
    failure: ImageError | None = None


def create_arrays(folder: Path, rows: int, spec: ImageSpec, *, planes: bool) -> None:
    """Make the files that `fill` writes to: `images.npy` and, with planes, `planes.npy`; raises OSError."""
    for name, shape in array_shapes(rows, spec, planes=planes).items():
        path = folder / f"{name}.npy"
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
        if hasattr(os, "posix_fallocate"):  # a disk that is full says so now, instead of killing who writes later
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def array_shapes(rows: int, spec: ImageSpec, *, planes: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of so many decoded images, by name."""
    plane = (rows, spec.height_px, spec.width_px)
    return {"images": (*plane, spec.channels)} | ({"planes": plane} if planes else {})


def array_bytes(rows: int, spec: ImageSpec, *, planes: bool) -> int:
    """Return how much room the arrays of so many decoded images take."""
    return sum(math.prod(shape) for shape in array_shapes(rows, spec, planes=planes).values())


def fill(
    folder: Path, sources: Sources, rows: Int64[np.ndarray, " images"], spec: ImageSpec, max_pixels: int
) -> Iterator[list[Outcome]]:
    """Decode sources into the rows of the arrays in a folder, and yield the outcomes, a part of them at a time."""
    yield from spread(partial(_fill_part, folder, spec, max_pixels), sources, rows)


def decode_in_workers(sources: Sources, spec: ImageSpec, max_pixels: int) -> list[Decoded]:
    """Decode sources in the worker processes, and bring them back; raises ImageError."""
    each = max(1, -(-len(sources) // (2 * _cores())))
    parts = [sources.take(np.arange(b, min(b + each, len(sources)))) for b in range(0, len(sources), each)]
    with _pool() as pool:
        tasks = [pool.submit(decode_all, part, spec, max_pixels) for part in parts]
        return [decoded for task in tasks for decoded in task.result()]


def decode_all(sources: Sources, spec: ImageSpec, max_pixels: int) -> list[Decoded]:
    """Decode sources in this process; raises ImageError."""
    return [sources.decode(index, spec, max_pixels=max_pixels) for index in range(len(sources))]


def spread(
    work: Callable[..., list[_Result]], sources: Sources, *columns: Shaped[np.ndarray, "images ..."]
) -> Iterator[list[_Result]]:
    """Have the worker processes do some work on sources, and yield its results, a part at a time, in order.

    Args:
        work: takes sources, and the same part of every column.
        sources: what there is to do.
        columns: what else belongs to them, a row each.
    """
    few = are_few(sources)
    each = 1 if few else _part_size(sources)
    parts = [np.arange(begin, min(begin + each, len(sources))) for begin in range(0, len(sources), each)]
    tasks = [(sources.take(part), *(column[part] for column in columns)) for part in parts]
    if few:
        yield from starmap(work, tasks)
        return
    with _pool() as pool:
        yield from pool.map(work, *zip(*tasks, strict=True))


def _fill_part(
    folder: Path, spec: ImageSpec, max_pixels: int, sources: Sources, rows: Int64[np.ndarray, " images"]
) -> list[Outcome]:
    images = np.lib.format.open_memmap(folder / "images.npy", mode="r+")
    planes = np.lib.format.open_memmap(folder / "planes.npy", mode="r+") if sources.planes else None
    outcomes = []
    for index, row in enumerate(rows.tolist()):
        try:
            image, plane = sources.decode(index, spec, max_pixels=max_pixels)
        except ImageError as error:
            outcomes.append(Outcome(row, failure=error))
            continue
        images[row] = image.pixels
        if planes is not None and plane is not None:
            planes[row] = plane.indices
        outcomes.append(Outcome(row, image.source_size_px, warnings_of(image, plane)))
    return outcomes


def warnings_of(image: DecodedImage, plane: DecodedPlane | None) -> tuple[str, ...]:
    """Return what was odd about an image, then about its plane."""
    return image.warnings + (plane.warnings if plane else ())


def are_few(sources: Sources) -> bool:
    """Tell whether sources are decoded sooner than worker processes start."""
    if not sources.images.cacheable or len(sources) < _FEWEST:
        return True
    if sources.images.content(0).file is None:
        return len(sources) < _WORTH_IMAGES
    sizes = (_file_bytes(sources, index) for index in range(len(sources)))
    return all(total <= _WORTH_BYTES for total in accumulate(sizes))


def _part_size(sources: Sources) -> int:
    """Return how many images make a task: up to 64 small ones, fewer large ones, so that the bar moves on."""
    sampled = range(0, len(sources), -(-len(sources) // 8))
    mean = sum(_file_bytes(sources, index) for index in sampled) / len(sampled)
    return int(np.clip(_TASK_BYTES / max(mean, 1), 1, _MOST))


def _file_bytes(sources: Sources, index: int) -> int:
    total = 0
    for content in sources.contents(index):
        if content.file is not None:
            with contextlib.suppress(OSError):  # whoever decodes it says so
                total += content.file.stat().st_size
    return total


@contextlib.contextmanager
def _pool() -> Iterator[Executor]:
    """Give the worker processes, which stay for ten seconds; a killed one is an error."""
    from loky import get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    pool = get_reusable_executor(
        max_workers=_cores(), timeout=10, initializer=_ignore_interrupts, env={"OMP_NUM_THREADS": "1"}
    )
    try:
        yield pool
    except TerminatedWorkerError:
        raise WorkerError(
            "a worker process that decodes images was killed, most often for want of memory; "
            "shrink the largest images, or lower --max-pixels to have them named."
        ) from None


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which the terminal sends to every process, to the one that waits for us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cores() -> int:
    import loky

    return int(loky.cpu_count())
