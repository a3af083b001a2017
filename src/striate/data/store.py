"""Samples, decoded once: uint8 pictures that are mapped from the cache, ready to be gathered into batches.

A store in the cache is known by the content of its pictures and by what they were made into, not by where they
lie: a renamed folder finds its pictures again, a changed file does not, and a split of a data set is found in the
store of the whole. Of a new one only those pictures are decoded that no other store has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int64

from striate.data import cache
from striate.data.dataset import Samples
from striate.data.decode import MAX_PIXELS, upright_size
from striate.data.digests import picture_digests
from striate.data.fitting import Form
from striate.data.labels import Labels
from striate.data.pictures import Pictures
from striate.data.pixels import DecodedPixels, Gathered, HeldPixels, Pixels, stack
from striate.data.shelf import Shelf
from striate.data.workers import array_shapes
from striate.errors import OutputError
from striate.progress import progress_bar, say

Keep = Literal["auto", "disk", "none"]


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
    samples: Samples, form: Form, *, name: str, location: str, keep: Keep = "auto", max_pixels: int = MAX_PIXELS
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
    with progress_bar("reading", len(samples)) as advance:
        images, items = picture_digests(pictures, advance)
    shelf = Shelf(form, pictures)
    if not pictures.kept:
        rows, pixels, sizes = np.arange(len(samples)), _decode_into_memory(pictures, form), None
    elif found := shelf.find(items):
        rows, pixels, sizes = found
    elif keep == "none" or not _has_room(len(items), form, masked=pictures.masked, wanted=keep == "disk"):
        rows, sizes = np.arange(len(samples)), None
        pixels = DecodedPixels(pictures=pictures, form=form, max_pixels=max_pixels)
    else:
        rows, pixels, sizes = shelf.build(items, name=name, location=location, max_pixels=max_pixels)
    labels = samples.labels
    if labels.sized:
        labels = labels.fitted(_header_sizes(pictures) if sizes is None else sizes, form)
    return Store(names=samples.names, pixels=pixels, rows=rows, labels=labels, digests=tuple(images))


def undecoded_store(samples: Samples, form: Form, *, max_pixels: int = MAX_PIXELS) -> Store:
    """Return samples whose pictures are decoded as they are asked for; neither files nor the cache are looked at."""
    return Store(
        names=samples.names,
        pixels=DecodedPixels(pictures=samples.pictures, form=form, max_pixels=max_pixels),
        rows=np.arange(len(samples)),
        labels=samples.labels,
        digests=("",) * len(samples),
    )


def _has_room(pictures: int, form: Form, *, masked: bool, wanted: bool) -> bool:
    """Tell whether the cache can take so many pictures; where that is `wanted`, an OutputError says why it cannot."""
    needed = sum(int(np.prod(shape)) for shape in array_shapes(pictures, form, masked=masked).values())
    try:
        room = cache.room_bytes()
    except OSError as error:
        reason = f"{cache.folder()}: the cache cannot be written ({error.strerror})"
        remedy = "set STRIATE_CACHE to another folder"
    else:
        if needed <= room:
            return True
        reason = f"decoded, the pictures take {needed / 1e9:,.1f} GB; the cache has room for {room / 1e9:,.1f} GB"
        remedy = "raise STRIATE_CACHE_GB, or choose a smaller --size"
    if wanted:
        raise OutputError(f"{reason}; {remedy}, or use --store none.")
    say(f"{reason}: they are decoded anew in every epoch ({remedy} to change that)")
    return False


def _decode_into_memory(pictures: Pictures, form: Form) -> Pixels:
    """Decode pictures that are in memory already."""
    return HeldPixels(*stack([pictures.decode(index, form) for index in range(len(pictures))]))


def _header_sizes(pictures: Pictures) -> Int64[np.ndarray, "samples 2"]:
    """Return the height and width of each upright picture in its file."""
    return np.array([upright_size(pictures.header(index)) for index in range(len(pictures))]).reshape(-1, 2)
