"""One folder per class, with or without `train/` and `val/` or `test/` around them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from striate.datasets.dataset import Dataset, Samples
from striate.datasets.files import find_images, images_in, names_below, subfolders
from striate.datasets.labels import ClassLabels
from striate.datasets.splits import SPLIT_NAMES, SplitName
from striate.errors import DataError, listing, nearest
from striate.images.sources import ImageFiles

logger = logging.getLogger(__name__)


DESCRIPTION = "FOLDER/<class>/*.jpg, or FOLDER/train/<class>/*.jpg with val/ or test/ beside train/"

TASKS = ("classify",)
LIST_FAULTS = "striate.datasets.checks.layout:in_class_folders"
_SPLIT_LIKE = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "images", "masks", "labels"}


def matches(location: str) -> bool:
    """Tell whether this is a folder of folders, and not all of these are called as splits or kinds of files are."""
    path = Path(location)
    if not path.is_dir():
        return False
    if (path / "train").is_dir():
        return bool(subfolders(path / "train"))
    return any(folder.name.lower() not in _SPLIT_LIKE for folder in subfolders(path))


def read(location: str, task: str = "classify") -> Dataset:
    """List the images of a folder of class folders.

    Raises:
        DataError: an empty class, a file that is no image, or a class that train lacks.
    """
    root = Path(location)
    folders = _split_folders(root)
    _log_loose_images(root, *folders.values())
    train_folder = folders.get("train", root)
    classes = tuple(folder.name for folder in subfolders(train_folder))
    paths: list[Path] = []
    targets: list[int] = []
    splits: dict[SplitName, Int64[np.ndarray, " chosen"]] = {}
    for split, folder in (folders or {"train": root}).items():
        begin = len(paths)
        for target, images in _labelled_images(folder, classes):
            paths += images
            targets += [target] * len(images)
        splits[split] = np.arange(begin, len(paths))
        lacking = [name for target, name in enumerate(classes) if target not in set(targets[begin:])]
        if lacking:
            logger.info(f"{folder}: no images of {listing(lacking)}")
    samples = Samples(
        names=names_below(root, paths),
        images=ImageFiles(paths),
        labels=ClassLabels(np.array(targets, dtype=np.int64)),
    )
    return Dataset(
        name=root.resolve().name,
        location=location,
        task=task,
        classes=classes,
        samples=samples,
        splits=splits,
    )


def _labelled_images(folder: Path, classes: tuple[str, ...]) -> Iterator[tuple[int, list[Path]]]:
    """Yield the class folders of a folder: the index of the class, and its images."""
    class_folders = subfolders(folder)
    if not class_folders:
        raise DataError(str(folder), "there are no class folders", f"wanted: {DESCRIPTION}")
    for class_folder in class_folders:
        name = class_folder.name
        if name not in classes:
            what = f"train has no class {name!r}{nearest(name, classes)}"
            raise DataError(str(class_folder), what, "give it training images too, or remove it")
        images, others = find_images(class_folder)
        if others:
            raise DataError(listing(others), "no image", "move what is no image out of the class folders")
        if not images:
            raise DataError(str(class_folder), "the class is empty", "add images or remove the folder")
        yield classes.index(name), images


def _log_loose_images(*folders: Path) -> None:
    """Log which images lie beside class folders, and so are not read."""
    for folder in folders:
        loose = images_in(folder)
        if loose:
            named = listing(loose)
            logger.info(
                f"passed over, beside the class folders: {named}; an image belongs into the folder of its class"
            )


def _split_folders(root: Path) -> dict[SplitName, Path]:
    """Find the folders that are splits, if `train/` is among them; refuse what looks like splits and is not.

    A class may be called `test`; but where every folder has a name of that kind, or `train/` has one beside
    it that striate does not know, taking it for a class, or passing it over, would teach or measure nonsense.
    """
    names = [folder.name for folder in subfolders(root)]
    folders: dict[SplitName, Path] = {}
    for split, aliases in SPLIT_NAMES.items():
        present = [alias for alias in aliases if alias in names]
        if len(present) > 1:
            raise DataError(str(root), f"{listing(present)} are all there", "keep one of them")
        if present:
            folders[split] = root / present[0]
    known = {path.name for path in folders.values()} if "train" in folders else set()
    beside = [name for name in names if name not in known]
    strange = [name for name in beside if name.lower() in _SPLIT_LIKE]
    if strange and (known or strange == names):
        lacking = "" if known else ", and no train"
        what = f"{listing(strange)}: named like splits{lacking}"
        raise DataError(str(root), what, "call splits train, val and test (in lower case)")
    if known and beside:
        if not subfolders(folders["train"]):
            raise DataError(str(root), "train has no class folders", "if it is a class itself, give it another name")
        logger.info(f"passed over, beside {listing(sorted(known))}: {listing(beside)}")
    return folders if known else {}
