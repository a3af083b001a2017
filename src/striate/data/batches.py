"""Batches: which images, in which order, as functions of seed, epoch and position alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from striate.data.augment import Augment, draw_moves, gather_moved
from striate.data.preprocessing import Preprocessing
from striate.data.randomness import generator
from striate.data.store import Store
from striate.data.targets import Batch


def epoch_order(samples: int, seed: int, epoch: int) -> Int64[np.ndarray, " samples"]:
    """Return the order in which an epoch visits its samples: a permutation drawn for (seed, epoch)."""
    return generator(seed, epoch, "order").permutation(samples)


def batch_bounds(samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Part positions 0 … samples-1 into batches of at most `batch_size` that differ by one at most.

    No batch is left with a single image, which batch normalisation could not train on; for that, and
    then alone, a batch may exceed `batch_size` (2 or more) by one.

    >>> batch_bounds(10, 4)
    [(0, 4), (4, 7), (7, 10)]
    >>> batch_bounds(3, 2)
    [(0, 3)]
    """
    count = -(-samples // batch_size)
    if samples // count < 2:
        count = max(1, samples // 2)
    sizes = [samples // count + (part < samples % count) for part in range(count)]
    ends = np.cumsum(sizes).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


@dataclass(frozen=True, kw_only=True)
class Batches:
    """A store as batches of tensors on a device."""

    store: Store
    preprocessing: Preprocessing
    batch_size: int
    device: torch.device

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(batch_bounds(len(self.store), self.batch_size))

    def shuffled(self, seed: int, epoch: int, augment: Augment) -> Iterator[Batch]:
        """Yield an epoch's batches in the order of (seed, epoch), augmented."""
        samples = len(self.store)
        moves = draw_moves(samples, seed, epoch)
        for rows in self._rows(epoch_order(samples, seed, epoch)):
            if augment == "none":
                yield self._batch(self.store.images[rows], rows)
            else:
                yield self._batch(gather_moved(self.store.images, rows, moves, flip=augment == "shift+flip"), rows)

    def in_order(self) -> Iterator[Batch]:
        """Yield every sample once, in the store's order, as it is."""
        for rows in self._rows(np.arange(len(self.store))):
            yield self._batch(self.store.images[rows], rows)

    def _rows(self, order: Int64[np.ndarray, " samples"]) -> Iterator[Int64[np.ndarray, " batch"]]:
        for start, stop in batch_bounds(len(order), self.batch_size):
            yield order[start:stop]

    def _batch(
        self, pixels: UInt8[np.ndarray, "batch height width channels"], rows: Int64[np.ndarray, " batch"]
    ) -> Batch:
        return Batch(
            images=self.preprocessing.normalise(pixels, self.device),
            targets=torch.from_numpy(self.store.targets[rows]).to(self.device),
        )
