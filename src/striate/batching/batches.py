"""Batches: which images, in which order, as functions of seed, epoch and position alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from striate.batching.augmentation import Policy, SampledAugmentation, draw
from striate.batching.normalise import normalise
from striate.batching.randomness import generator
from striate.batching.targets import Batch, Targets, one_tensor, to_targets
from striate.batching.transfer import to_device
from striate.batching.warp import move_images, move_planes, sampling_grid
from striate.cache.pixels import Gathered
from striate.datasets.store import Store
from striate.images.preprocessing import Preprocessing
from striate.images.resize import ImageSpec

T = TypeVar("T")

_TARGETS = 64  # samples whose targets are looked at together
_AHEAD = 2  # batches that are gathered while the network works on one


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
    if count == 0:
        return []
    if samples // count < 2:
        count = max(1, samples // 2)
    sizes = [samples // count + (part < samples % count) for part in range(count)]
    ends = np.cumsum(sizes).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def own_share(batch: Int64[np.ndarray, " batch"], process: int, processes: int) -> Int64[np.ndarray, " share"]:
    """Return a process's samples of a batch.

    The i-th from the start and the i-th from the end come to the same process: images that are mixed with each
    other do so in the same pairs, however many processes there are.

    >>> batch = np.arange(7)
    >>> own_share(batch, 0, 2), own_share(batch, 1, 2)
    (array([0, 2, 4, 6]), array([1, 3, 5]))
    """
    place = np.arange(len(batch))
    own: Int64[np.ndarray, " share"] = batch[np.minimum(place, place[::-1]) % processes == process]
    return own


def smallest_share(samples: int, batch_size: int, processes: int) -> int:
    """Return of how many samples the smallest share of an epoch's batches is.

    >>> smallest_share(9, 8, 4)
    0
    """
    sizes = {stop - start for start, stop in batch_bounds(samples, batch_size)}
    return min(len(own_share(np.arange(size), process, processes)) for size in sizes for process in range(processes))


def shrink(batch: Batch, scale: int | float) -> Batch:
    """Make the images of a batch smaller, antialiased; their classes stay what they are."""
    if scale == 1:
        return batch
    height, width = (max(1, round(scale * side)) for side in batch.images.shape[2:])
    smaller = F.interpolate(batch.images, (height, width), mode="bilinear", antialias=True)
    return Batch(images=smaller.contiguous(memory_format=torch.channels_last), targets=batch.targets)


@dataclass(frozen=True, kw_only=True)
class Batches:
    """A store as batches of tensors on a device.

    Attributes:
        store: the samples.
        preprocessing: what becomes of their pixels.
        batch_size: of all processes together.
        device: where batches are wanted.
        classes: how many there are; needed where images are mixed.
        share: which process this is, and how many share each batch of an epoch.
        window_px: height and width of what is cut out of augmented images, at random; None: all of them.
    """

    store: Store
    preprocessing: Preprocessing
    batch_size: int
    device: torch.device
    classes: int = 0
    share: tuple[int, int] = (0, 1)
    window_px: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(batch_bounds(len(self.store), self.batch_size))

    def shuffled(
        self, seed: int, epoch: int, policy: Policy, *, passed: int = 0, scale: int | float = 1.0
    ) -> Iterator[Batch]:
        """Yield an epoch's batches in the order of (seed, epoch), augmented.

        Args:
            seed: with `epoch` it decides order and augmentation.
            epoch: counts from 0.
            policy: what may happen to an image.
            passed: batches that are passed over.
            scale: of the images' sides; less than 1 makes them smaller, for classes alone.
        """
        drawn = draw(len(self.store), seed, epoch)
        form = self.preprocessing.image_spec
        order = epoch_order(len(self.store), seed, epoch)
        bounds = batch_bounds(len(order), self.batch_size)[passed:]
        for samples, gathered in self._gathered([own_share(order[slice(*bound)], *self.share) for bound in bounds]):
            moves = SampledAugmentation(
                policy,
                drawn[samples],
                height_px=form.height_px,
                width_px=form.width_px,
                window_px=self.window_px,
            )
            yield shrink(self._batch(samples, gathered, moves), scale)

    def in_order(self, process: int = 0, processes: int = 1) -> Iterator[Batch]:
        """Yield samples in the store's order, as they are: each once, or each to one of several processes."""
        order = np.arange(process, len(self.store), processes)
        parts = [order[slice(*bound)] for bound in batch_bounds(len(order), self.batch_size)]
        for samples, gathered in self._gathered(parts):
            yield self._batch(samples, gathered, None)

    def _gathered(
        self, parts: Sequence[Int64[np.ndarray, " _"]]
    ) -> Iterator[tuple[Int64[np.ndarray, " batch"], Gathered]]:
        """Yield batches of decoded images; a thread gathers the next ones in the meantime."""
        with ThreadPoolExecutor(1) as thread:
            futures: Iterator[Future[Gathered]] = (thread.submit(self.store.gather, part) for part in parts)
            for part, gathered in zip(parts, ahead(futures, _AHEAD), strict=True):
                yield part, gathered.result()

    def _batch(
        self, samples: Int64[np.ndarray, " batch"], gathered: Gathered, moves: SampledAugmentation | None
    ) -> Batch:
        """Bring decoded images to the device, move them, change their colours, normalise and mix them."""
        images = to_device(gathered.images, self.device)
        planes = None if gathered.planes is None else to_device(gathered.planes, self.device)
        image_px = (images.shape[1], images.shape[2])
        if moves is None:
            pixels = images.permute(0, 3, 1, 2).to(torch.float32)
            normal = normalise(self.preprocessing, pixels)
            targets = to_targets(self.store.labels.take(samples), None, planes, image_px, self.device)
            return Batch(images=normal, targets=targets)
        if moves.is_identity:
            pixels = images.permute(0, 3, 1, 2).to(torch.float32)
        else:
            grid = sampling_grid(moves.matrices, image_px, moves.window_px, self.device)
            pixels = move_images(images, grid)
            planes = None if planes is None else move_planes(planes, grid)
        normal = normalise(self.preprocessing, pixels, moves.colours() if moves.policy.colours else None)
        if moves.policy.erase:
            normal.masked_fill_(_inside(moves.erased(), normal), 0)
        targets = to_targets(self.store.labels.take(samples), moves, planes, moves.window_px, self.device)
        if moves.policy.mixup:
            normal, targets = _mix(normal, targets, moves, self.classes)
        return Batch(images=normal, targets=targets)


def targets_of(store: Store, spec: ImageSpec) -> Iterator[Targets]:
    """Yield what the samples of a store show, a few at a time; images are read for their label planes alone."""
    device = torch.device("cpu")
    for bound in batch_bounds(len(store), _TARGETS):
        samples = np.arange(*bound)
        labels = store.labels.take(samples)
        planes = None if labels.planes is None else store.gather(samples).planes
        tensor = None if planes is None else torch.from_numpy(planes)
        yield to_targets(labels, None, tensor, (spec.height_px, spec.width_px), device)


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """Yield items, each after the `count` that follow it have been drawn."""
    source = iter(items)
    waiting = list(islice(source, count + 1))
    while waiting:
        yield waiting.pop(0)
        waiting += islice(source, 1)


def _inside(boxes: Int64[np.ndarray, "batch 4"], images: Float[Tensor, "batch channels height width"]) -> Tensor:
    """Return which pixels lie in each image's rectangle: batch, 1, height, width."""
    top, left, bottom, right = to_device(boxes, images.device).T[:, :, None, None]
    y = torch.arange(images.shape[2], device=images.device)[:, None]
    x = torch.arange(images.shape[3], device=images.device)
    inside: Tensor = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    return inside[:, None]


def _mix(
    images: Float[Tensor, "batch channels height width"], targets: Targets, moves: SampledAugmentation, classes: int
) -> tuple[Tensor, Tensor]:
    """Mix each image with the one as far from the batch's end as it is from the start; shares of classes follow."""
    own, boxes = moves.mixed()
    share = to_device(own.astype(np.float32), images.device)[:, None, None, None]
    cut = _inside(boxes, images)
    others = images.flip(0)
    mixed = torch.where(cut, others, share * images + (1 - share) * others)
    one_hot = F.one_hot(one_tensor(targets), classes).to(torch.float32)
    kept = share[:, :, 0, 0] * (1 - cut.float().mean((2, 3)))
    return mixed.contiguous(memory_format=torch.channels_last), kept * one_hot + (1 - kept) * one_hot.flip(0)
