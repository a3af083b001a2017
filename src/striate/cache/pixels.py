"""Decoded images and label planes by row: in memory, mapped from the cache, or decoded whenever they are needed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8

from striate.cache.workers import Decoded, are_few, decode_all, decode_in_workers, warnings_of
from striate.images.decode import MAX_PIXELS
from striate.images.planes import Sources
from striate.images.resize import ImageSpec

logger = logging.getLogger(__name__)


class Gathered(NamedTuple):
    """Decoded images, 0 to 255, and the label planes of labels that have them."""

    images: UInt8[np.ndarray, "rows height width channels"]
    planes: UInt8[np.ndarray, "rows height width"] | None


@runtime_checkable
class PixelStore(Protocol):
    """Decoded images and label planes by row."""

    def gather(self, rows: Int64[np.ndarray, " rows"]) -> Gathered:
        """Return what is in some rows, in that order."""


@dataclass(frozen=True)
class HeldPixels:
    """Images and label planes in arrays, which may be mapped from disk."""

    images: UInt8[np.ndarray, "samples height width channels"]
    planes: UInt8[np.ndarray, "samples height width"] | None = None

    def gather(self, rows: Int64[np.ndarray, " rows"]) -> Gathered:
        """Return what is in some rows: one slice of each array."""
        return Gathered(self.images[rows], None if self.planes is None else self.planes[rows])


@dataclass(frozen=True, kw_only=True)
class DecodedPixels:
    """Images and label planes that are decoded, in worker processes, whenever they are needed."""

    sources: Sources
    spec: ImageSpec
    max_pixels: int = MAX_PIXELS
    logged: set[str] = field(default_factory=set, repr=False)

    def gather(self, rows: Int64[np.ndarray, " rows"]) -> Gathered:
        """Decode what belongs into some rows; raises ImageError. Each warning is logged once."""
        decoded = decode_in_workers(self.sources.take(rows), self.spec, self.max_pixels)
        return _stack(self.sources, rows, decoded, self.logged)


def on_demand(sources: Sources, spec: ImageSpec, max_pixels: int) -> PixelStore:
    """Return pixels that are not kept on disk; a few are decoded at once, into memory; raises ImageError."""
    if not are_few(sources):
        return DecodedPixels(sources=sources, spec=spec, max_pixels=max_pixels)
    return HeldPixels(*_stack(sources, np.arange(len(sources)), decode_all(sources, spec, max_pixels), set()))


def _stack(
    sources: Sources, rows: Int64[np.ndarray, " rows"], decoded: Sequence[Decoded], logged: set[str]
) -> Gathered:
    """Put decoded images of one size into arrays, and log what was odd about them unless that was `logged`."""
    warnings = [
        f"{sources.images.where(row)}: {warning}"
        for row, (image, plane) in zip(rows.tolist(), decoded, strict=True)
        for warning in warnings_of(image, plane)
    ]
    for warning in dict.fromkeys(warnings):
        if warning not in logged:
            logger.info(f"decoded with a warning: {warning}")
    logged.update(warnings)
    planes = [plane.indices for _, plane in decoded if plane is not None]
    return Gathered(np.stack([image.pixels for image, _ in decoded]), np.stack(planes) if planes else None)
