"""One pass over all pictures: what each file is like, and what is wrong with it by itself. In worker processes."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64
from PIL import Image

from striate.cache.digests import digest
from striate.cache.workers import spread
from striate.datasets.dataset import Dataset, SplitName
from striate.datasets.labels import ClassLabels
from striate.errors import ImageError
from striate.images import decode
from striate.images.masks import MaskCounts, MaskedFiles, mask_counts
from striate.images.resize import ImageSpec
from striate.images.sources import NO_LABEL, DecodedImage, ImageFiles, SourceImages, naming
from striate.system.progress import progress_bar

SIDE_PX = 32  # what imagehash's perceptual hash shrinks images to
THUMBNAIL_PX = 16
_SMALL = ImageSpec(height_px=SIDE_PX, width_px=SIDE_PX, channels=1, fit="stretch")


class ImageScan(NamedTuple):
    """What is seen of one picture.

    Attributes:
        failures: why its files cannot be decoded, each beginning with the file's path; none where they can.
        warnings: what Pillow had to say of its files.
        size_px: height and width of the upright image; None where it cannot be decoded.
        mask_size_px: likewise of its mask.
        file_format: of the image, as Pillow calls it; empty where it is not in a file.
        digests: of the image's content and of the mask's, as `picture_digests` has them; empty where unreadable.
        perceptual: 64 bits that are much the same for images that look alike.
        thumbnail: `THUMBNAIL_PX` squared grey values.
        counts: the classes in its mask.
    """

    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    size_px: tuple[int, int] | None = None
    mask_size_px: tuple[int, int] | None = None
    file_format: str = ""
    digests: tuple[str, ...] = ()
    perceptual: bytes = b""
    thumbnail: bytes = b""
    counts: MaskCounts | None = None


@dataclass(frozen=True)
class DatasetScan:
    """A data set and what was seen of each of its samples' pictures.

    Attributes:
        dataset: the data, in splits.
        looks: one for each sample.
    """

    dataset: Dataset
    looks: list[ImageScan] = field(repr=False)

    @cached_property
    def where(self) -> list[str]:
        """The place of each picture, for messages."""
        pictures = self.dataset.samples.pictures
        return [pictures.where(index) for index in range(len(pictures))]

    @cached_property
    def split_of(self) -> list[SplitName]:
        """The split of each sample."""
        names: dict[int, SplitName] = {}
        for split, rows in self.dataset.splits.items():
            names |= dict.fromkeys(rows.tolist(), split)
        return [names[index] for index in range(len(self.looks))]

    @cached_property
    def decoded(self) -> Bool[np.ndarray, " samples"]:
        """Whether each image can be decoded."""
        return np.array([look.size_px is not None for look in self.looks], dtype=bool)

    def counts(self, split: SplitName) -> Int64[np.ndarray, " classes"]:
        """Count what a split has of each class: images, or pixels in masks."""
        labels, rows = self.dataset.samples.labels, self.dataset.splits[split]
        if isinstance(labels, ClassLabels):
            return np.bincount(labels.targets[rows], minlength=len(self.dataset.classes)).astype(np.int64)
        total = np.zeros(len(self.dataset.classes), dtype=np.int64)
        for row in rows:
            found = self.looks[row].counts
            for index, pixels in found.classes.items() if found else ():
                total[index] += pixels
        return total


def scan_dataset(dataset: Dataset, *, max_pixels: int = decode.MAX_PIXELS) -> DatasetScan:
    """ImageScan at every picture once; progress goes to stderr."""
    pictures = dataset.samples.pictures
    looks: list[ImageScan] = []
    with progress_bar("looking at pictures", len(pictures)) as advance:
        for some in spread(partial(look_at_some, max_pixels=max_pixels), pictures):
            looks += some
            advance(len(some))
    return DatasetScan(dataset, looks)


def look_at_some(pictures: SourceImages, *, max_pixels: int) -> list[ImageScan]:
    """ImageScan at each of some pictures."""
    with warnings.catch_warnings(action="ignore"):  # what matters of them is collected where files are decoded
        return [_look(pictures, index, max_pixels) for index in range(len(pictures))]


def _look(pictures: SourceImages, index: int, max_pixels: int) -> ImageScan:
    images: SourceImages = ImageFiles(pictures.images) if isinstance(pictures, MaskedFiles) else pictures
    found = ImageScan()
    with contextlib.suppress(OSError):  # decoding says it
        contents = pictures.content(index)
        found = found._replace(digests=tuple(digest(content) for content in contents))
        with contextlib.suppress(ImageError):
            found = found._replace(file_format=decode.open_image(contents[0], max_pixels=max_pixels).format or "")
    try:
        picture = images.decode(index, _form(images, index, max_pixels), max_pixels=max_pixels)
    except ImageError as error:
        notes = tuple(getattr(error.__context__, "__notes__", ()))  # of the error before it was given the file's path
        found = found._replace(failures=(str(error),), warnings=notes)
    else:
        found = _with_image(found, picture)
    return _with_mask(found, pictures, index, max_pixels) if isinstance(pictures, MaskedFiles) else found


def _form(pictures: SourceImages, index: int, max_pixels: int) -> ImageSpec:
    """Choose what to decode a picture to: small; but in its own size where its mask is made with it, to be counted."""
    if not pictures.masked:
        return _SMALL
    height, width = decode.upright_size(pictures.header(index, max_pixels=max_pixels))
    return ImageSpec(height_px=height, width_px=width, channels=1)


def _with_image(found: ImageScan, picture: DecodedImage) -> ImageScan:
    from imagehash import phash

    image = Image.fromarray(picture.image[..., 0])
    found = found._replace(
        size_px=picture.source_size_px,
        warnings=picture.warnings,
        perceptual=np.packbits(phash(image).hash).tobytes(),
        thumbnail=image.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX).tobytes(),
    )
    if picture.mask is None:
        return found
    classes, pixels = np.unique(picture.mask, return_counts=True)
    counts = dict(zip(classes.tolist(), pixels.tolist(), strict=True))
    no_label = counts.pop(NO_LABEL, 0)
    return found._replace(counts=MaskCounts(classes=counts, no_label=no_label, unknown={}))


def _with_mask(found: ImageScan, pictures: MaskedFiles, index: int, max_pixels: int) -> ImageScan:
    path = pictures.masks[index]
    try:
        with naming(path), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            size = decode.upright_size(decode.open_image(path.read_bytes(), max_pixels=max_pixels))
        counts = mask_counts(path, pictures.mask_reading, max_pixels=max_pixels)
    except ImageError as error:
        return found._replace(failures=(*found.failures, str(error)))
    said = tuple(f"mask {path.name}: {warning.message}" for warning in caught)
    return found._replace(mask_size_px=size, counts=counts, warnings=found.warnings + said)
