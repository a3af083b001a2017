"""What layouts of images with masks share: splits in folders, and pairs of files."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from striate.datasets.dataset import Dataset, Samples
from striate.datasets.files import find_images, names_below, subfolders
from striate.datasets.labels import MaskLabels
from striate.datasets.layouts.mask_classes import read_classes
from striate.datasets.splits import SPLIT_NAMES, SplitName, split_named
from striate.errors import DataError, ImageError, listing
from striate.images.mask_files import check_mask_file
from striate.images.masks import MaskFiles
from striate.images.sources import ImageFiles

logger = logging.getLogger(__name__)


_SPLIT_LIKE = {"training", "dev", "testing", *(alias for aliases in SPLIT_NAMES.values() for alias in aliases)}
_OTHER_FORMATS = (".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")


def read_pairs(
    location: str,
    task: str,
    folders: Mapping[SplitName, tuple[Path, Path]],
    ignore: tuple[str, ...],
    threshold: int | None = None,
) -> Dataset:
    """List the images and masks of splits, from a folder of images and a folder of masks for each.

    Raises:
        DataError: see `pair_files` and `read_classes`.
    """
    root = Path(location)
    images: list[Path] = []
    masks: list[Path] = []
    splits: dict[SplitName, Int64[np.ndarray, " chosen"]] = {}
    for split, (image_folder, mask_folder) in folders.items():
        begin = len(images)
        for image, mask in pair_files(image_folder, mask_folder, lossy=threshold is not None):
            images.append(image)
            masks.append(mask)
        splits[split] = np.arange(begin, len(images))
    named = read_classes(root, masks, ignore, threshold)
    samples = Samples(
        names=names_below(root, images),
        images=ImageFiles(images),
        labels=MaskLabels(MaskFiles(masks, named.reading)),
    )
    return Dataset(
        name=root.resolve().name,
        location=location,
        task=task,
        samples=samples,
        splits=splits,
        classes=named.classes,
        colours=named.colours,
    )


def split_folders(folder: Path, beside: Collection[str] = ()) -> dict[SplitName, Path]:
    """Find the folders in a folder that are splits; none where it has no `train`, nor what looks like a split.

    Folders called as in `beside` belong there; others beside `train` are skipped, which is logged.

    Raises:
        DataError: there are two folders of one split, splits but not `train`, or a name that is not quite one.
    """
    names = [path.name for path in subfolders(folder) if path.name not in beside]
    folders: dict[SplitName, Path] = {}
    for name in names:
        split = split_named(name)
        if split in folders:
            raise DataError(str(folder), f"{folders[split].name} and {name} are both there", "keep one of them")
        if split:
            folders[split] = folder / name
    strange = [name for name in names if split_named(name) is None and name.lower() in _SPLIT_LIKE]
    if strange or (folders and "train" not in folders):
        named = listing(strange or [path.name for path in folders.values()])
        lacking = "" if "train" in folders else ", and no train"
        what = f"{named}: named like splits{lacking}"
        raise DataError(str(folder), what, "call splits train, val and test (in lower case)")
    others = [name for name in names if split_named(name) is None]
    if folders and others:
        logger.info(f"{folder}: passed over, beside {listing(folders)}: {listing(others)}")
    return {split: folders[split] for split in SPLIT_NAMES if split in folders}


def pair_files(image_folder: Path, mask_folder: Path, *, lossy: bool = False) -> list[tuple[Path, Path]]:
    """Find the mask of every image: the file of the same path without suffix, or of that and `_mask` or `-mask`.

    Raises:
        DataError: a file is no image, an image has no mask or two, or a mask no image; or there are no images; or
            masks are in a format that is not read, which JPEG is where `lossy` ones will do.
    """
    images = _by_name(image_folder)
    if not images:
        raise DataError(str(image_folder), "there are no images", f"add images, and their masks to {mask_folder}")
    masks = _by_name(mask_folder, known=images)
    _refuse_formats(list(masks.values()), lossy=lossy)
    bare = [path for name, path in images.items() if name not in masks]
    if bare:
        what = f"no mask in {mask_folder} has that name (its suffix may differ)"
        raise DataError(listing(bare), what, "add one, or move the image away")
    lonely = [path for name, path in masks.items() if name not in images]
    if lonely:
        what = f"no image in {image_folder} has that name"
        raise DataError(listing(lonely), what, "add it, or move the mask away")
    return [(path, masks[name]) for name, path in images.items()]


def _refuse_formats(masks: Sequence[Path], *, lossy: bool) -> None:
    """Refuse masks in a format that is not read, as their suffixes tell; the first of them is opened to say more."""
    others = [path for path in masks if path.suffix.lower() in _OTHER_FORMATS]
    if others:
        try:
            check_mask_file(others[0], lossy=lossy)
        except ImageError as error:
            raise DataError(listing(others, 1), error.what, error.fix, error.notes) from None


def _by_name(folder: Path, known: Collection[str] = ()) -> dict[str, Path]:
    """List a folder's images by their path without suffix, and without `_mask` where only that makes it known."""
    paths, others = find_images(folder)
    if others:
        raise DataError(listing(others), "no image", "move what is no image away from images and masks")
    by_name: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        bare = re.sub("[_-]mask$", "", name)
        if known and name not in known and bare in known:
            name = bare
        if name in by_name:
            what = "one name for both, and images and masks are paired by name"
            raise DataError(f"{by_name[name]} and {path}", what, "rename or remove one")
        by_name[name] = path
    return by_name
