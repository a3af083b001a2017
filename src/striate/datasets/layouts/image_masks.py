"""Images in one folder and their masks in another, `images/` and `masks/`, both with or without splits in them."""

from __future__ import annotations

from pathlib import Path

from striate.datasets.dataset import Dataset
from striate.datasets.files import is_hidden
from striate.datasets.layouts.image_mask_pairs import read_pairs, split_folders
from striate.datasets.splits import SplitName
from striate.errors import DataError, listing

DESCRIPTION = "FOLDER/images/ with FOLDER/masks/"
TASKS = ("segment",)
CAN_IGNORE = True
CAN_THRESHOLD = True


def matches(location: str) -> bool:
    """Tell whether this is a folder with `images/` and `masks/`, or with one of them and nothing else."""
    root, kinds = Path(location), {"images", "masks"}
    if all((root / kind).is_dir() for kind in kinds):
        return True
    inside = {path.name for path in root.iterdir() if not is_hidden(path.name)} if root.is_dir() else set()
    return len(inside & kinds) == 1 == len(inside) and (root / inside.pop()).is_dir()


def read(location: str, task: str = "segment", ignore: tuple[str, ...] = (), threshold: int | None = None) -> Dataset:
    """List images and their masks, paired by their path without suffix; `_mask` after a mask's name is left out.

    Args:
        location: the folder; its classes are in `classes.txt` or `classes.json`, see `read_classes`.
        task: what it is for.
        ignore: names, values or colours (`#804080`) of what shall be no label.
        threshold: the lowest grey of the second of two classes; None where values or colours are classes.

    Raises:
        DataError: images and masks do not pair up, or there is no telling what the masks mean.
    """
    root = Path(location)
    for kind in ("images", "masks"):
        if not (root / kind).is_dir():
            raise DataError(str(root), f"there is no folder {kind}", "put the masks beside the images, file for file")
    images, masks = (split_folders(root / kind) for kind in ("images", "masks"))
    if set(images) != set(masks):
        raise DataError(
            str(root),
            f"images has {_listing(images)}, but masks has {_listing(masks)}",
            "give every split both, or move it out of both",
        )
    if not images:
        return read_pairs(location, task, {"train": (root / "images", root / "masks")}, ignore, threshold)
    for folder in (root / "images", root / "masks"):
        loose = [path for path in folder.iterdir() if path.is_file() and not is_hidden(path.name)]
        if loose:
            raise DataError(listing(sorted(loose)), "beside the splits", "move files into one of them, or out")
    pairs = {split: (images[split], masks[split]) for split in images}
    return read_pairs(location, task, pairs, ignore, threshold)


def _listing(splits: dict[SplitName, Path]) -> str:
    return ", ".join(splits) or "no splits"
