"""What layouts of images with masks share: splits in folders, and pairs of files."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from striate.datasets.dataset import SPLIT_NAMES, Dataset, Samples, SplitName, split_called
from striate.datasets.files import find_images, names_below, subfolders
from striate.datasets.labels import MaskLabels
from striate.datasets.layouts._names import read_classes
from striate.errors import DataError, listing
from striate.images.mask_files import why_no_mask
from striate.images.masks import MaskedFiles

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
    """List the images and masks of splits, given a folder of images and one of masks for each.

    Raises:
        DataError: see `pair` and `read_classes`.
    """
    root = Path(location)
    images: list[Path] = []
    masks: list[Path] = []
    splits: dict[SplitName, Int64[np.ndarray, " chosen"]] = {}
    for split, (image_folder, mask_folder) in folders.items():
        begin = len(images)
        for image, mask in pair(image_folder, mask_folder, lossy=threshold is not None):
            images.append(image)
            masks.append(mask)
        splits[split] = np.arange(begin, len(images))
    found = read_classes(root, masks, ignore, threshold)
    samples = Samples(
        names=names_below(root, images),
        pictures=MaskedFiles(images, masks, found.reading),
        labels=MaskLabels(len(images)),
    )
    return Dataset(
        name=root.resolve().name,
        location=location,
        task=task,
        samples=samples,
        splits=splits,
        classes=found.classes,
        colours=found.colours,
    )


def split_folders(folder: Path, beside: Collection[str] = ()) -> dict[SplitName, Path]:
    """Find the folders in a folder that are splits; none where it has no `train`, nor what looks like a split.

    Folders called as in `beside` belong there; others beside `train` are passed over, which is said.

    Raises:
        DataError: there are two of one split, some but not `train`, or one whose name is not quite that of a split.
    """
    names = [path.name for path in subfolders(folder) if path.name not in beside]
    found: dict[SplitName, Path] = {}
    for name in names:
        split = split_called(name)
        if split in found:
            raise DataError(f"{folder}: {found[split].name} and {name} are both there; keep one of them.")
        if split:
            found[split] = folder / name
    strange = [name for name in names if split_called(name) is None and name.lower() in _SPLIT_LIKE]
    if strange or (found and "train" not in found):
        named = listing(strange or [path.name for path in found.values()])
        lacking = "" if "train" in found else ", and no train"
        raise DataError(f"{folder}: {named}{lacking}? Call splits train, val and test (in lower case).")
    others = [name for name in names if split_called(name) is None]
    if found and others:
        logger.info(f"{folder}: passed over, beside {listing(found)}: {listing(others)}")
    return {split: found[split] for split in SPLIT_NAMES if split in found}


def pair(image_folder: Path, mask_folder: Path, *, lossy: bool = False) -> list[tuple[Path, Path]]:
    """Find the mask of every image: the file of the same path without suffix, or of that and `_mask` or `-mask`.

    Raises:
        DataError: a file is no image, an image has no mask or two, or a mask no image; or there are no images; or
            masks are in a format that is not read, which JPEG is where `lossy` ones will do.
    """
    images = _by_name(image_folder)
    if not images:
        raise DataError(f"{image_folder}: there are no images; add some, and their masks to {mask_folder}.")
    masks = _by_name(mask_folder, known=images)
    _refuse_formats(list(masks.values()), lossy=lossy)
    bare = [path for name, path in images.items() if name not in masks]
    if bare:
        raise DataError(
            f"{listing(bare)}: no mask in {mask_folder} has that name (its suffix may differ); "
            "add one, or move the image away."
        )
    lonely = [path for name, path in masks.items() if name not in images]
    if lonely:
        raise DataError(f"{listing(lonely)}: no image in {image_folder} has that name; add it, or move the mask away.")
    return [(path, masks[name]) for name, path in images.items()]


def _refuse_formats(masks: Sequence[Path], *, lossy: bool) -> None:
    """Refuse masks in a format that is not read, as their suffixes tell; the first of them is opened to say more."""
    others = [path for path in masks if path.suffix.lower() in _OTHER_FORMATS]
    why = why_no_mask(others[0], lossy=lossy) if others else ""
    if why:
        raise DataError(f"{listing(others, 1)}: {why}")


def _by_name(folder: Path, known: Collection[str] = ()) -> dict[str, Path]:
    """List a folder's images by their path without suffix, and without `_mask` where only that makes it known."""
    paths, others = find_images(folder)
    if others:
        raise DataError(f"{listing(others)}: no image; move what is no image away from images and masks.")
    found: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        bare = re.sub("[_-]mask$", "", name)
        if known and name not in known and bare in known:
            name = bare
        if name in found:
            raise DataError(
                f"{found[name]} and {path}: one name for both, and images and masks are paired by name; "
                "rename or remove one."
            )
        found[name] = path
    return found
