"""Samples, decoded once: uint8 images in memory, ready to be gathered into batches."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from striate.data.dataset import Samples
from striate.errors import DataError, ImageError, listing
from striate.machine import fits_into_memory, memory_bytes

_CHUNK = 64  # images a task of the pool: enough to make its overhead vanish, few enough for a smooth bar


@dataclass(frozen=True, kw_only=True)
class Store:
    """Decoded images (0 to 255), their names and classes, and the content hash of what each came from."""

    names: tuple[str, ...]
    images: UInt8[np.ndarray, "samples height width channels"]
    targets: Int64[np.ndarray, " samples"]
    digests: tuple[str, ...]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.targets)

    def without(self, digests: Collection[str]) -> Store:
        """Return the samples whose content is not among the given hashes; the store itself where none is."""
        kept = np.array([digest not in digests for digest in self.digests], dtype=bool)
        if kept.all():
            return self
        return Store(
            names=tuple(itertools.compress(self.names, kept)),
            images=self.images[kept],
            targets=self.targets[kept],
            digests=tuple(itertools.compress(self.digests, kept)),
        )


def build_store(
    samples: Samples, *, size_px: int, channels: int, on_progress: Callable[[int], None] = lambda images: None
) -> Store:
    """Decode every image, on all cores (Pillow lets go of the interpreter while it decodes).

    Args:
        samples: what to decode.
        size_px: side of the square that each image becomes.
        channels: 1 for grey, 3 for RGB.
        on_progress: called with the number of images that have been decoded since the last call.

    Raises:
        DataError: images are damaged (the first few are named), or all together do not fit into memory.
    """
    shape = (len(samples), size_px, size_px, channels)
    check_memory(len(samples), size_px=size_px, channels=channels)
    images = np.empty(shape, dtype=np.uint8)
    digests = [""] * len(samples)

    def decode(indices: range) -> list[ImageError]:
        failures: list[ImageError] = []
        for index in indices:
            try:
                images[index], digests[index] = samples.decode(index, size_px=size_px, channels=channels)
            except ImageError as error:
                failures.append(error)
        return failures

    chunks = [range(start, min(start + _CHUNK, len(samples))) for start in range(0, len(samples), _CHUNK)]
    failures: list[ImageError] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for chunk, failed in zip(chunks, pool.map(decode, chunks), strict=True):
                failures += failed
                on_progress(len(chunk))
        except BaseException:  # Ctrl-C among them: what waits in the queue is no longer wanted
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        named = listing((str(failure).rstrip(".") for failure in failures), most=2)
        raise DataError(f"{named}. Repair, shrink or remove {'it' if len(failures) == 1 else 'them'}.")
    return Store(names=samples.names, images=images, targets=samples.targets, digests=tuple(digests))


def check_memory(images: int, *, size_px: int, channels: int) -> None:
    """Raise DataError where so many decoded images cannot fit into this machine's memory."""
    wanted = images * size_px**2 * channels
    if not fits_into_memory(wanted):
        raise DataError(
            f"{images:,} images of {size_px}x{size_px} take {wanted / 1e9:,.1f} GB decoded, but this machine "
            f"has {(memory_bytes() or 0) / 1e9:,.1f} GB of memory; choose a smaller --size."
        )
