"""Samples, decoded once: uint8 images that are mapped from the cache, ready to be gathered into batches.

A store in the cache is known by the content of its images and by what they were made into, not by where they lie: a
renamed folder finds its images again, a changed file does not, and a split of a data set is found in the store of the
data set. Of a new store only those images are decoded that no other store has.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int64

from striate.cache import folder as cache
from striate.cache.digests import source_digests
from striate.cache.folder import StoreInfo
from striate.cache.index import StoreIndex
from striate.cache.pixels import Gathered, PixelStore, on_demand
from striate.cache.workers import array_bytes
from striate.datasets.dataset import Samples
from striate.datasets.labels import Labels
from striate.datasets.options import CacheChoice
from striate.errors import DataError, OutputError, listing
from striate.images.decode import MAX_PIXELS, upright_size
from striate.images.planes import NO_LABEL
from striate.images.resize import ImageSpec
from striate.images.sources import SourceImages
from striate.system.progress import progress_bar

logger = logging.getLogger(__name__)


_AT_ONCE = 64  # label planes


@dataclass(frozen=True, kw_only=True)
class Store:
    """Decoded samples.

    Attributes:
        names: of the samples.
        pixels: the decoded images and label planes.
        rows: where in `pixels` each sample is.
        labels: of the samples, for images as they are after resizing.
        digests: the hash of the content that each image came from.
    """

    names: tuple[str, ...]
    pixels: PixelStore
    rows: Int64[np.ndarray, " samples"]
    labels: Labels
    digests: tuple[str, ...]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.rows)

    def gather(self, samples: Int64[np.ndarray, " chosen"]) -> Gathered:
        """Return the images, and label planes, of a selection of the samples.

        Raises:
            ImageError: an image is decoded only now, and damaged.
        """
        return self.pixels.gather(self.rows[samples])

    def labelled(self) -> Bool[np.ndarray, " samples"]:
        """Tell which samples have a label anywhere: all, but for those whose label planes are all `NO_LABEL`."""
        labelled = np.ones(len(self), dtype=bool)
        if self.labels.planes is None:
            return labelled
        for begin in range(0, len(self), _AT_ONCE):
            planes = self.gather(np.arange(begin, min(begin + _AT_ONCE, len(self)))).planes
            assert planes is not None
            labelled[begin : begin + _AT_ONCE] = (planes != NO_LABEL).any((1, 2))
        return labelled

    def take(self, samples: Int64[np.ndarray, " chosen"]) -> Store:
        """Return a selection of the samples."""
        return replace(
            self,
            names=tuple(self.names[index] for index in samples),
            rows=self.rows[samples],
            labels=self.labels.take(samples),
            digests=tuple(self.digests[index] for index in samples),
        )

    def without(self, digests: Collection[str]) -> Store:
        """Return the samples whose hash is not in a collection; the store itself where none is."""
        kept = np.array([digest not in digests for digest in self.digests], dtype=bool)
        return self if kept.all() else self.take(np.flatnonzero(kept))


def open_store(
    samples: Samples,
    spec: ImageSpec,
    *,
    name: str,
    location: str,
    keep: CacheChoice = "auto",
    max_pixels: int = MAX_PIXELS,
) -> Store:
    """Decode samples, or find them decoded in the cache.

    Args:
        samples: what to decode.
        spec: what images become.
        name: of the data set, for people who look at the cache.
        location: of the data set, likewise.
        keep: `disk` decodes once, into the cache; `none` decodes an image whenever it is needed, from what is in the
            cache already or else from its file; `auto` is `disk` unless the images would not fit there.
        max_pixels: files of more pixels are refused before they are decoded.

    Raises:
        DataError: images are damaged or cannot be read (the first ones are named), or do not go with their labels.
        OutputError: the cache cannot be written, or has no room, and `keep` is `disk`.
    """
    sources, images = samples.sources, samples.images
    cache.bound_bytes()  # a mistake there is reported at once
    index = StoreIndex(spec, sources)
    with progress_bar("reading", len(samples)) as advance:
        digests = source_digests(sources, advance)
    sizes: Int64[np.ndarray, "samples 2"] | None = None
    if images.cacheable and (stored := index.find(digests.items)):
        rows, pixels, sizes = stored
        _check_sizes(images, sizes, max_pixels)
    elif images.cacheable and (stores := _stores_with_room(index, keep)) is not None:
        rows, pixels, sizes = index.build(
            digests.items, name=name, location=location, max_pixels=max_pixels, stores=stores
        )
    else:
        rows, pixels = np.arange(len(samples)), on_demand(sources, spec, max_pixels)

    def sizes_px() -> Int64[np.ndarray, "samples 2"]:
        return _header_sizes(images, max_pixels) if sizes is None else sizes

    labels = samples.labels.resized(sizes_px, spec, images.where)
    return Store(names=samples.names, pixels=pixels, rows=rows, labels=labels, digests=tuple(digests.images))


def undecoded_store(samples: Samples, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> Store:
    """Return samples whose images are decoded when they are needed, without the cache; raises ImageError.

    A few are decoded at once.
    """
    return Store(
        names=samples.names,
        pixels=on_demand(samples.sources, spec, max_pixels),
        rows=np.arange(len(samples)),
        labels=samples.labels,
        digests=("",) * len(samples),
    )


def _stores_with_room(index: StoreIndex, keep: CacheChoice) -> Sequence[StoreInfo] | None:
    """Return the stores beside which, or instead of which, a new one has room; None where there is no new store.

    Raises:
        OutputError: there is no room, or the cache cannot be written, and `keep` is `disk`.
    """
    if keep == "none":
        return None
    needed = array_bytes(len(index.sources), index.spec, planes=index.planes)
    where = str(cache.folder())
    try:
        stores = cache.list_stores()
        room = cache.room_bytes(stores)
    except OSError as error:
        reason = f"the cache cannot be written ({error.strerror})"
        fix = "set STRIATE_CACHE to another folder"
    else:
        if needed <= room:
            return stores
        reason = (
            f"decoded, the images take {cache.format_bytes(needed)}, and the cache has room for "
            f"{cache.format_bytes(room)}"
        )
        fix = "raise STRIATE_CACHE_GB, or choose a smaller --size"
    if keep == "disk":
        raise OutputError(where, reason, f"{fix}, or use --cache none")
    logger.info(f"images are decoded again in every epoch: {where}: {reason} ({fix} to change that)")
    return None


def _header_sizes(images: SourceImages, max_pixels: int) -> Int64[np.ndarray, "samples 2"]:
    """Return the height and width of each upright image in its file."""
    headers = (images.header(index, max_pixels=max_pixels) for index in range(len(images)))
    return np.array([upright_size(header) for header in headers]).reshape(-1, 2)


def _check_sizes(images: SourceImages, sizes: Int64[np.ndarray, "samples 2"], max_pixels: int) -> None:
    """Refuse images that were decoded under a higher limit, as they would be if they were not in the cache."""
    too_large = np.flatnonzero(sizes.prod(1) > max_pixels)
    if len(too_large):
        named = listing(images.where(index) for index in too_large.tolist())
        raise DataError(named, f"more than {max_pixels:,} pixels", "shrink them, or allow more with --max-pixels")
