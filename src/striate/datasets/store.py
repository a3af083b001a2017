"""Samples, decoded once: uint8 pictures that are mapped from the cache, ready to be gathered into batches.

A store in the cache is known by the content of its pictures and by what they were made into, not by where they
lie: a renamed folder finds its pictures again, a changed file does not, and a split of a data set is found in the
store of the whole. Of a new one only those pictures are decoded that no other store has.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

from striate.cache import folder as cache
from striate.cache.digests import picture_digests
from striate.cache.index import StoreIndex
from striate.cache.pixels import Gathered, Pixels, on_demand
from striate.cache.workers import array_bytes
from striate.datasets.dataset import Samples
from striate.datasets.labels import JointLabels, Labels
from striate.errors import DataError, OutputError, listing
from striate.images.decode import MAX_PIXELS, upright_size
from striate.images.resize import ImageSpec
from striate.images.sources import NO_LABEL, SourceImages
from striate.system.progress import progress_bar

logger = logging.getLogger(__name__)

Keep = Literal["auto", "disk", "none"]

_AT_ONCE = 64  # pictures


@dataclass(frozen=True, kw_only=True)
class Store:
    """Decoded samples: names, pictures, labels, and the content hash of what each picture came from.

    `rows` tells where in `pixels` each sample's picture is.
    """

    names: tuple[str, ...]
    pixels: Pixels
    rows: Int64[np.ndarray, " samples"]
    labels: Labels
    digests: tuple[str, ...]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.rows)

    def gather(self, samples: Int64[np.ndarray, " chosen"]) -> Gathered:
        """Return the pictures of some samples; raises ImageError where they are decoded only now and damaged."""
        return self.pixels.gather(self.rows[samples])

    def labelled(self) -> Bool[np.ndarray, " samples"]:
        """Tell which samples, of data with masks, show anything with a label: whose masks are not all `NO_LABEL`."""
        found = np.ones(len(self), dtype=bool)
        for begin in range(0, len(self), _AT_ONCE):
            masks = self.gather(np.arange(begin, min(begin + _AT_ONCE, len(self)))).masks
            assert masks is not None
            found[begin : begin + _AT_ONCE] = (masks != NO_LABEL).any((1, 2))
        return found

    def take(self, samples: Int64[np.ndarray, " chosen"]) -> Store:
        """Return some of the samples."""
        return replace(
            self,
            names=tuple(self.names[index] for index in samples),
            rows=self.rows[samples],
            labels=self.labels.take(samples),
            digests=tuple(self.digests[index] for index in samples),
        )

    def without(self, digests: Collection[str]) -> Store:
        """Return the samples whose content is not among the given hashes; the store itself where none is."""
        kept = np.array([digest not in digests for digest in self.digests], dtype=bool)
        return self if kept.all() else self.take(np.flatnonzero(kept))


def open_store(
    samples: Samples, form: ImageSpec, *, name: str, location: str, keep: Keep = "auto", max_pixels: int = MAX_PIXELS
) -> Store:
    """Have every sample's picture ready in a form; progress goes to stderr.

    Args:
        samples: what to decode.
        form: what pictures become.
        name: whose pictures these are, for people who look at the cache.
        location: where those lie, likewise.
        keep: `disk` decodes once, into the cache; `none` decodes a picture each time it is asked for, from what is
            in the cache already or else from its file; `auto` is `disk` unless the pictures would not fit there.
        max_pixels: files of more pixels are refused before they are decoded.

    Raises:
        DataError: pictures are damaged or not to be read (the first few are named).
        OutputError: the cache cannot be written, or has no room, and `keep` is `disk`.
    """
    pictures = samples.pictures
    cache.bound_bytes()  # a mistake there is said at once
    shelf = StoreIndex(form, pictures)
    with progress_bar("reading", len(samples)) as advance:
        images, items = picture_digests(pictures, advance)
    if pictures.kept and (found := shelf.find(items)):
        rows, pixels, sizes = found
        _check_sizes(pictures, sizes, max_pixels)
    elif not (pictures.kept and _may_keep(len(items), form, masked=pictures.masked, keep=keep)):
        rows, sizes, pixels = np.arange(len(samples)), None, on_demand(pictures, form, max_pixels)
    else:
        rows, pixels, sizes = shelf.build(items, name=name, location=location, max_pixels=max_pixels)
    labels = samples.labels
    if isinstance(labels, JointLabels):
        sizes = _header_sizes(pictures, max_pixels) if sizes is None else sizes
        _check_strays(labels, pictures, sizes)
        labels = labels.fitted(sizes, form)
    return Store(names=samples.names, pixels=pixels, rows=rows, labels=labels, digests=tuple(images))


def _check_strays(labels: JointLabels, pictures: SourceImages, sizes_px: Int64[np.ndarray, "samples 2"]) -> None:
    """Say how many joints lie off their picture; raises DataError for many, or where that is all that is known."""
    strays = labels.strays(sizes_px)
    misplaced = labels.misplaced(sizes_px)
    rows = np.flatnonzero(misplaced if misplaced.any() else strays.any(axis=1))
    if not len(rows):
        return
    row, joint = int(rows[0]), int(np.argmax(strays[rows[0]]))
    (u, v), (height, width) = labels.uv_px[row, joint], sizes_px[row]
    found = (
        f"{pictures.where(row)}: {labels.skeleton.joints[joint]} is at ({u:.0f}, {v:.0f}), off the image, which has "
        f"{width}x{height} pixels"
    )
    if labels.skeleton.unit == "px":
        raise DataError(f"{found}; correct uv, or say null for what it does not show (striate check names all).")
    if misplaced.any():
        raise DataError(
            f"{found}; so are {strays.sum():,} joints, in {strays.any(axis=1).sum():,} samples. Is uv in other pixels, "
            "before pictures were cut or resized? Correct it, or say null for what they do not show."
        )
    logger.info(f"{found}; {strays.sum():,} joints are off their image, of which only xyz is taught")


def undecoded_store(samples: Samples, form: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> Store:
    """Return samples whose pictures are decoded as they are asked for, without the cache; raises ImageError.

    A few are decoded at once.
    """
    return Store(
        names=samples.names,
        pixels=on_demand(samples.pictures, form, max_pixels),
        rows=np.arange(len(samples)),
        labels=samples.labels,
        digests=("",) * len(samples),
    )


def _may_keep(pictures: int, form: ImageSpec, *, masked: bool, keep: Keep) -> bool:
    """Tell whether the cache shall and can take so many pictures; where it must, an OutputError says why it cannot."""
    if keep == "none":
        return False
    needed = array_bytes(pictures, form, masked=masked)
    try:
        room = cache.room_bytes()
    except OSError as error:
        reason = f"{cache.folder()}: the cache cannot be written ({error.strerror})"
        remedy = "set STRIATE_CACHE to another folder"
    else:
        if needed <= room:
            return True
        reason = f"decoded, they take {cache.in_words(needed)}, and the cache has room for {cache.in_words(room)}"
        remedy = "raise STRIATE_CACHE_GB, or choose a smaller --size"
    if keep == "disk":
        raise OutputError(f"{reason}; {remedy}, or use --cache none.")
    logger.info(f"pictures are decoded anew in every epoch: {reason} ({remedy} to change that)")
    return False


def _header_sizes(pictures: SourceImages, max_pixels: int) -> Int64[np.ndarray, "samples 2"]:
    """Return the height and width of each upright picture in its file."""
    headers = (pictures.header(index, max_pixels=max_pixels) for index in range(len(pictures)))
    return np.array([upright_size(header) for header in headers]).reshape(-1, 2)


def _check_sizes(pictures: SourceImages, sizes: Int64[np.ndarray, "samples 2"], max_pixels: int) -> None:
    """Refuse pictures that were decoded under a higher limit, as they would be if they were not in the cache."""
    too_large = np.flatnonzero(sizes.prod(1) > max_pixels)
    if len(too_large):
        named = listing(pictures.where(index) for index in too_large.tolist())
        raise DataError(f"{named}: more than {max_pixels:,} pixels; shrink them, or allow more with --max-pixels.")
