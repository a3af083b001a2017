"""Decoded pictures by row: in memory, mapped from the cache, or decoded each time they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8

from striate.data.decode import MAX_PIXELS
from striate.data.fitting import Form
from striate.data.pictures import Picture, Pictures
from striate.data.workers import decode_apart


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
    """Pictures in arrays, which may be mapped from disk."""

    images: UInt8[np.ndarray, "samples height width channels"]
    masks: UInt8[np.ndarray, "samples height width"] | None = None

    def gather(self, rows: Int64[np.ndarray, " rows"]) -> Gathered:
        """Return the pictures in some rows: one slice of each array."""
        return Gathered(self.images[rows], None if self.masks is None else self.masks[rows])


@dataclass(frozen=True, kw_only=True)
class DecodedPixels:
    """Pictures that are decoded, in worker processes, each time they are asked for."""

    pictures: Pictures
    form: Form
    max_pixels: int = MAX_PIXELS

    def gather(self, rows: Int64[np.ndarray, " rows"]) -> Gathered:
        """Decode the pictures in some rows; raises ImageError."""
        return stack(decode_apart(self.pictures.take(rows), self.form, self.max_pixels))


def stack(pictures: list[Picture]) -> Gathered:
    """Put decoded pictures of one form into arrays."""
    masks = [picture.mask for picture in pictures if picture.mask is not None]
    return Gathered(np.stack([picture.image for picture in pictures]), np.stack(masks) if masks else None)
