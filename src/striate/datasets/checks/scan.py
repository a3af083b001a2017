"""One pass over all images: what each file is like, and what is wrong with it by itself. In worker processes."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64
from PIL import Image

from striate.cache.digests import SourceDigests, source_digests
from striate.cache.workers import spread
from striate.datasets.dataset import Dataset
from striate.datasets.splits import SplitName
from striate.errors import ImageError
from striate.images import decode
from striate.images.decode import DecodedImage
from striate.images.planes import PlaneScan, Sources
from striate.images.resize import ImageSpec
from striate.system.progress import progress_bar

SIDE_PX = 32  # what imagehash's perceptual hash shrinks images to
THUMBNAIL_PX = 16
_SMALL = ImageSpec(height_px=SIDE_PX, width_px=SIDE_PX, channels=1, fit="stretch")


class ImageScan(NamedTuple):
    """The result of scanning one image and its label plane.

    Attributes:
        failures: why its files cannot be decoded; none where they can.
        warnings: what was odd about its files.
        size_px: height and width of the upright image; None where it cannot be decoded.
        file_format: of the image, as Pillow calls it; empty where it is not in a file.
        perceptual: 64 bits that are much the same for images that look alike.
        thumbnail: `THUMBNAIL_PX` squared grey values.
        plane: what its label plane shows; None where there is none, or it cannot be decoded.
    """

    failures: tuple[ImageError, ...] = ()
    warnings: tuple[str, ...] = ()
    size_px: tuple[int, int] | None = None
    file_format: str = ""
    perceptual: bytes = b""
    thumbnail: bytes = b""
    plane: PlaneScan | None = None


@dataclass(frozen=True)
class DatasetScan:
    """A data set and a scan of each of its images.

    Attributes:
        dataset: the data, in splits.
        scans: one for each sample.
        digests: hashes of the images and their label planes; empty where a file cannot be read.
    """

    dataset: Dataset
    scans: list[ImageScan] = field(repr=False)
    digests: SourceDigests = field(repr=False)

    @cached_property
    def where(self) -> list[str]:
        """The path of each image, for messages."""
        images = self.dataset.samples.images
        return [images.where(index) for index in range(len(images))]

    @cached_property
    def split_of(self) -> list[SplitName]:
        """The split of each sample."""
        names: dict[int, SplitName] = {}
        for split, rows in self.dataset.splits.items():
            names |= dict.fromkeys(rows.tolist(), split)
        return [names[index] for index in range(len(self.scans))]

    @cached_property
    def decoded(self) -> Bool[np.ndarray, " samples"]:
        """Whether each image can be decoded."""
        return np.array([scan.size_px is not None for scan in self.scans], dtype=bool)

    def counts(self, split: SplitName) -> Int64[np.ndarray, " classes"]:
        """Count what a split has of each class: images, or pixels in masks."""
        rows, classes = self.dataset.splits[split], len(self.dataset.classes)
        counts = self.dataset.samples.labels.take(rows).counts(classes)
        if counts is not None:
            return counts
        total = np.zeros(classes, dtype=np.int64)
        for row in rows:
            plane = self.scans[row].plane
            for index, pixels in plane.classes.items() if plane else ():
                total[index] += pixels
        return total


def scan_dataset(dataset: Dataset, *, max_pixels: int = decode.MAX_PIXELS) -> DatasetScan:
    """Hash and decode every image, and every label plane, once."""
    sources = dataset.samples.sources
    scans: list[ImageScan] = []
    with progress_bar("reading", len(sources)) as advance:
        digests = source_digests(sources, advance, skip_unreadable=True)
    with progress_bar("scanning images", len(sources)) as advance:
        for part in spread(partial(_scan_part, max_pixels=max_pixels), sources):
            scans += part
            advance(len(part))
    return DatasetScan(dataset, scans, digests)


def _scan_part(sources: Sources, *, max_pixels: int) -> list[ImageScan]:
    with warnings.catch_warnings(action="ignore"):  # what matters of them is collected where files are decoded
        return [_scan(sources, index, max_pixels) for index in range(len(sources))]


def _scan(sources: Sources, index: int, max_pixels: int) -> ImageScan:
    """Scan an image and its label plane."""
    images = sources.images
    try:
        scan = _scan_decoded(images.decode(index, _SMALL, max_pixels=max_pixels))
    except ImageError as error:
        scan = ImageScan(failures=(error,), warnings=error.notes)
        with contextlib.suppress(ImageError):  # it is named already
            scan = scan._replace(file_format=images.header(index, max_pixels=max_pixels).format or "")
    if sources.planes is None:
        return scan
    try:
        plane = sources.planes.scan(index, max_pixels=max_pixels)
    except ImageError as error:
        return scan._replace(failures=(*scan.failures, error))
    return scan._replace(plane=plane, warnings=scan.warnings + plane.warnings)


def _scan_decoded(image: DecodedImage) -> ImageScan:
    """Scan a decoded image."""
    from imagehash import phash

    small = Image.fromarray(image.pixels[..., 0])
    return ImageScan(
        size_px=image.source_size_px,
        warnings=image.warnings,
        file_format=image.file_format,
        perceptual=np.packbits(phash(small).hash).tobytes(),
        thumbnail=small.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX).tobytes(),
    )
