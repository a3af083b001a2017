"""All that keeps class folders from being read: reading them stops at the first of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from striate.datasets.checks.problem import Problem
from striate.datasets.files import find_images, subfolders
from striate.datasets.splits import SPLIT_NAMES


def in_class_folders(location: str) -> Iterator[Problem]:
    """Find in class folders what is no image, empty classes, and classes that train lacks; raises DataError."""
    root = Path(location)
    names = [path.name for path in subfolders(root)]
    aliases = [alias for known in SPLIT_NAMES.values() for alias in known]
    splits = [name for name in names if name in aliases] if "train" in names else []
    roots = [root / name for name in splits] or [root]
    classes = {path.name for path in subfolders(root / "train" if splits else root)}
    for folder in (folder for split in roots for folder in subfolders(split)):
        images, others = find_images(folder)
        for other in others:
            yield _fault(other, "no image", "move what is no image out of the class folders")
        if not images:
            yield _fault(folder, "the class is empty", "add images or remove the folder")
        if folder.name not in classes:
            fix = "give it training images too, or remove it"
            yield _fault(folder, f"train has no class {folder.name!r}", fix)


def _fault(where: Path, what: str, fix: str) -> Problem:
    return Problem(kind="layout", where=str(where), what=what, fix=fix)
