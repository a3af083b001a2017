"""Decoded pictures by row: in memory, mapped from the cache, or decoded each time they are asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8

from striate.cache.workers import are_few, decode_apart
from striate.images.decode import MAX_PIXELS
from striate.images.resize import ImageSpec
from striate.images.sources import DecodedImage, SourceImages

logger = logging.getLogger(__name__)


class Gathered(NamedTuple):
    """Some pictures: images, 0 to 255, and the masks of data that have them."""

    images: UInt8[np.ndarray, "rows height width channels"]
    masks: UInt8[np.ndarray, "rows height width"] | None


@runtime_checkable
class Pixels(Protocol):
    """Decoded pictures by row."""

    def gather(self, rows: Int64[np.ndarray, " rows"]) -> Gathered:
        """Return the pictures in some rows, in that order."""


@dataclass(frozen=True)
class HeldPixels:
    """SourceImages in arrays, which may be mapped from disk."""

    images: UInt8[np.ndarray, "samples height width channels"]
    masks: UInt8[np.ndarray, "samples height width"] | None = None

    def gather(self, rows: Int64[np.ndarray, " rows"]) -> Gathered:
        """Return the pictures in some rows: one slice of each array."""
        return Gathered(self.images[rows], None if self.masks is None else self.masks[rows])


@dataclass(frozen=True, kw_only=True)
class DecodedPixels:
    """SourceImages that are decoded, in worker processes, each time they are asked for."""

    pictures: SourceImages
    form: ImageSpec
    max_pixels: int = MAX_PIXELS
    told: set[str] = field(default_factory=set, repr=False)

    def gather(self, rows: Int64[np.ndarray, " rows"]) -> Gathered:
        """Decode the pictures in some rows; raises ImageError. What Pillow has to say of each is said once."""
        decoded = decode_apart(self.pictures.take(rows), self.form, self.max_pixels)
        return _stack(self.pictures, rows, decoded, self.told)


def on_demand(pictures: SourceImages, form: ImageSpec, max_pixels: int) -> Pixels:
    """Return pixels that are not kept on disk; a few pictures are decoded at once, into memory; raises ImageError."""
    if not are_few(pictures):
        return DecodedPixels(pictures=pictures, form=form, max_pixels=max_pixels)
    rows = np.arange(len(pictures))
    decoded = [pictures.decode(index, form, max_pixels=max_pixels) for index in rows.tolist()]
    return HeldPixels(*_stack(pictures, rows, decoded, set()))


def _stack(
    pictures: SourceImages, rows: Int64[np.ndarray, " rows"], decoded: list[DecodedImage], told: set[str]
) -> Gathered:
    """Put decoded pictures of one form into arrays, and say what was odd about them unless that was `told`."""
    notes = [
        f"{pictures.where(row)}: {note}"
        for row, picture in zip(rows.tolist(), decoded, strict=True)
        for note in picture.warnings
    ]
    for note in dict.fromkeys(notes):
        if note not in told:
            logger.info(f"decoded, with a doubt: {note}")
    told.update(notes)
    masks = [picture.mask for picture in decoded if picture.mask is not None]
    return Gathered(np.stack([picture.image for picture in decoded]), np.stack(masks) if masks else None)
