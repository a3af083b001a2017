"""Label planes: an index for each pixel of an image, kept beside the image and not part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8

from striate.errors import ImageError
from striate.images.decode import MAX_PIXELS, DecodedImage
from striate.images.resize import ImageSpec
from striate.images.sources import Content, SourceImages

NO_LABEL = 255  # in every label plane: a pixel whose class is not known, or does not count


@dataclass(frozen=True, kw_only=True)
class DecodedPlane:
    """A decoded label plane.

    Attributes:
        indices: of classes, `NO_LABEL` where there is no label; resized as the image is.
        source_size_px: height and width of the upright plane in its file.
        warnings: what was odd about the file, a line each.
    """

    indices: UInt8[np.ndarray, "height width"]
    source_size_px: tuple[int, int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlaneScan:
    """What a label plane shows, in its own size.

    Attributes:
        classes: pixels for each index of a class; classes that the plane does not show are not in it.
        no_label: pixels without a label.
        unknown: pixels for each value (`12`), index of a palette (`12 = #804080`) or colour (`#804080`) that has no
            class, the most frequent first.
        source_size_px: height and width of the upright plane.
        warnings: what was odd about the file, a line each.
    """

    classes: Mapping[int, int]
    no_label: int
    unknown: Mapping[str, int]
    source_size_px: tuple[int, int]
    warnings: tuple[str, ...] = ()


@runtime_checkable
class SourcePlanes(Protocol):
    """Label planes that are read and decoded one at a time, on demand; they travel to worker processes."""

    @property
    def reading(self) -> str:
        """All, besides their content, that decides what they decode to; part of the key of the cache."""

    def __len__(self) -> int:
        """Count the planes."""

    def where(self, index: int) -> str:
        """Name a plane for messages."""

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> SourcePlanes:
        """Return a selection of the planes."""

    def content(self, index: int) -> Content:
        """Return what decides what a plane shows."""

    def decode(self, index: int, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS) -> DecodedPlane:
        """Decode a plane, resized by the `resize_transform` of its image; raises ImageError, which names the file."""

    def scan(self, index: int, *, max_pixels: int = MAX_PIXELS) -> PlaneScan:
        """Count the pixels of every class in a plane; raises ImageError, which names the file."""


@dataclass(frozen=True)
class Sources:
    """Source images and, for labels that have them, their label planes."""

    images: SourceImages
    planes: SourcePlanes | None = None

    def __post_init__(self) -> None:
        assert self.planes is None or len(self.planes) == len(self.images)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)

    @property
    def reading(self) -> tuple[str, ...]:
        """All, besides their content, that decides what they decode to; part of the key of the cache."""
        return tuple(source.reading for source in (self.images, self.planes) if source is not None)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> Sources:
        """Return a selection of the images, with their planes."""
        return Sources(self.images.take(indices), self.planes.take(indices) if self.planes else None)

    def contents(self, index: int) -> tuple[Content, ...]:
        """Return what decides how an image looks, then what decides its plane."""
        return tuple(source.content(index) for source in (self.images, self.planes) if source is not None)

    def decode(
        self, index: int, spec: ImageSpec, *, max_pixels: int = MAX_PIXELS
    ) -> tuple[DecodedImage, DecodedPlane | None]:
        """Decode an image and its plane; raises ImageError, also where their sizes in the files differ."""
        image = self.images.decode(index, spec, max_pixels=max_pixels)
        if self.planes is None:
            return image, None
        plane = self.planes.decode(index, spec, max_pixels=max_pixels)
        if plane.source_size_px != image.source_size_px:
            raise size_mismatch(
                self.planes.where(index), plane.source_size_px, self.images.where(index), image.source_size_px
            )
        return image, plane


def size_mismatch(plane: str, plane_size_px: tuple[int, int], image: str, image_size_px: tuple[int, int]) -> ImageError:
    """Return the error that a mask (at `plane`) has another height and width than its image (at `image`)."""
    turned = plane_size_px == image_size_px[::-1]
    return ImageError(
        plane,
        f"the mask is {plane_size_px[1]}x{plane_size_px[0]}, but its image {image} is "
        f"{image_size_px[1]}x{image_size_px[0]}",
        "the image is turned, as its EXIF data say: turn the mask too" if turned else "save the mask in the same size",
    )
