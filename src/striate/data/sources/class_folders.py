"""One folder a class, with or without `train/` and `val/` or `test/` around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from striate.data.dataset import Dataset, ImageFiles, Split, SplitName, hold_out
from striate.data.files import find_images, subfolders
from striate.errors import DataError, listing, nearest

DESCRIPTION = "FOLDER/<class>/*.jpg, or FOLDER/train/<class>/*.jpg with val/ or test/ beside train/"

_SPLIT_FOLDERS: dict[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
}
_HELD_OUT = 0.2  # of all images, where the layout sets none aside
_HELD_OUT_BESIDE_TEST = 0.1  # of the training images: `test` has the last word, so a smaller part will do


def matches(location: str) -> bool:
    """Tell whether this is a folder with folders in it."""
    path = Path(location)
    return path.is_dir() and bool(subfolders(path))


def read(location: str) -> Dataset:
    """List the images of a folder of class folders, and set some aside where its layout does not.

    Raises:
        DataError: an empty class, a file that is no image, or a class that train lacks.
    """
    root = Path(location)
    folders = _split_folders(root)
    train_folder = folders.get("train", root)
    classes = tuple(folder.name for folder in subfolders(train_folder))
    if not classes:
        raise DataError(f"{train_folder}: there are no class folders; wanted: {DESCRIPTION}.")
    splits = {name: _read_split(folder, root, classes) for name, folder in folders.items()}
    published: SplitName | None = "test" if "test" in splits else "val" if "val" in splits else None
    if "train" not in splits:
        splits["train"] = _read_split(root, root, classes)
    if "val" not in splits:
        fraction = _HELD_OUT_BESIDE_TEST if "test" in splits else _HELD_OUT
        splits["train"], splits["val"] = _set_aside(splits["train"], fraction)
    return Dataset(
        name=root.resolve().name,
        location=location,
        task="classify",
        classes=classes,
        splits=splits,
        published=published,
    )


def _split_folders(root: Path) -> dict[SplitName, Path]:
    """Find the folders that are splits, if `train/` is among them."""
    found: dict[SplitName, Path] = {}
    for split, names in _SPLIT_FOLDERS.items():
        present = [root / name for name in names if (root / name).is_dir()]
        if len(present) > 1:
            raise DataError(f"{root}: {listing(path.name for path in present)} are all there; keep one of them.")
        if present:
            found[split] = present[0]
    if "train" in found:
        return found
    return {}


def _read_split(folder: Path, root: Path, classes: tuple[str, ...]) -> Split:
    """List the images of one folder of class folders."""
    paths: list[Path] = []
    targets: list[int] = []
    for class_folder in subfolders(folder):
        if class_folder.name not in classes:
            raise DataError(
                f"{class_folder}: train has no class {class_folder.name!r}{nearest(class_folder.name, classes)}; "
                "give it training images too, or remove it."
            )
        images, others = find_images(class_folder)
        if others:
            raise DataError(
                f"{listing(others)}: no image; move what is no image out of the class folders."
            )
        if not images:
            raise DataError(f"{class_folder}: the class is empty; add images or remove the folder.")
        paths += images
        targets += [classes.index(class_folder.name)] * len(images)
    if not paths:
        raise DataError(f"{folder}: there are no class folders; wanted: {DESCRIPTION}.")
    return Split(
        names=tuple(path.relative_to(root).as_posix() for path in paths),
        images=ImageFiles(paths),
        targets=np.array(targets, dtype=np.int64),
    )


def _set_aside(split: Split, fraction: float) -> tuple[Split, Split]:
    """Part a split in two by the hash of its names: what is kept, and what is held out."""
    held = hold_out(split.names, split.targets, fraction)
    return _take(split, ~held), _take(split, held)


def _take(split: Split, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Split:
    """Return the chosen samples of a split."""
    assert isinstance(split.images, ImageFiles)
    where = np.flatnonzero(chosen)
    return Split(
        names=tuple(split.names[index] for index in where),
        images=ImageFiles([split.images.paths[index] for index in where]),
        targets=split.targets[where],
    )
