"""Samples, decoded once: uint8 images in memory, ready to be gathered into batches."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from striate.data.dataset import Samples
from striate.errors import DataError, ImageError, listing

_CHUNK = 64  # images a task of the pool: enough to make its overhead vanish, few enough for a smooth bar


@dataclass(frozen=True, kw_only=True)
class Store:
    """Decoded images (0 to 255), their classes, and the content hash of what each came from."""

    images: UInt8[np.ndarray, "samples height width channels"]
    targets: Int64[np.ndarray, " samples"]
    digests: tuple[str, ...]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.targets)


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
    _check_memory(shape)
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
        raise DataError(f"{named}. Repair or remove {'it' if len(failures) == 1 else 'them'}.")
    return Store(images=images, targets=samples.targets, digests=tuple(digests))


def _check_memory(shape: tuple[int, int, int, int]) -> None:
    """Refuse what cannot fit before a single image is decoded."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return  # Windows: the allocation itself has to tell
    wanted = float(np.prod(shape, dtype=np.float64))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if wanted > memory:
        raise DataError(
            f"{shape[0]:,} images of {shape[1]}x{shape[2]} take {wanted / 1e9:,.1f} GB decoded, but this machine "
            f"has {memory / 1e9:,.1f} GB of memory; choose a smaller --size."
        )
