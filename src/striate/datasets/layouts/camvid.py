"""CamVid's layout: images in `train/`, their masks in `trainannot/`, and so for the other splits."""

from __future__ import annotations

from pathlib import Path

from striate.datasets.dataset import Dataset
from striate.datasets.files import subfolders
from striate.datasets.layouts.image_mask_pairs import read_pairs, split_folders
from striate.errors import DataError, listing

DESCRIPTION = "FOLDER/train/ with FOLDER/trainannot/"
TASKS = ("segment",)
CAN_IGNORE = True
CAN_THRESHOLD = True
_ANNOT = "annot"


def matches(location: str) -> bool:
    """Tell whether this is a folder with `train/` and `trainannot/`."""
    return all((Path(location) / name).is_dir() for name in ("train", "train" + _ANNOT))


def read(location: str, task: str = "segment", ignore: tuple[str, ...] = (), threshold: int | None = None) -> Dataset:
    """List images and their masks, paired by their path without suffix.

    Args:
        location: the folder; its classes are in `classes.txt` or `classes.json`, see `read_classes`.
        task: what it is for.
        ignore: names, values or colours (`#804080`) of what shall be no label.
        threshold: the lowest grey of the second of two classes; None where values or colours are classes.

    Raises:
        DataError: images and masks do not pair up, or there is no telling what the masks mean.
    """
    root = Path(location)
    annotated = {folder.name for folder in subfolders(root) if folder.name.endswith(_ANNOT)}
    folders = split_folders(root, beside=annotated)
    wanted = {folder.name + _ANNOT for folder in folders.values()}
    if wanted != annotated:
        lacking = sorted(wanted - annotated) + sorted(name.removesuffix(_ANNOT) for name in annotated - wanted)
        fix = "give every split images, and masks in <split>annot"
        raise DataError(str(root), f"there is no {listing(lacking)}", fix)
    pairs = {split: (folder, root / (folder.name + _ANNOT)) for split, folder in folders.items()}
    return read_pairs(location, task, pairs, ignore, threshold)
