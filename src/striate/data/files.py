"""Finding image files."""

from __future__ import annotations

import os
from pathlib import Path

from natsort import natsorted

from striate.data.decode import SIGNATURE_BYTES, looks_like_image
from striate.errors import DataError

_DROPPINGS = {"thumbs.db", "desktop.ini", "__macosx"}  # what operating systems leave behind


def find_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """List a folder's images, and its other files, at any depth and behind links; both in natural order.

    What counts as an image is decided by a file's first bytes. Hidden files and what operating
    systems leave behind (`Thumbs.db`) are in neither list.

    Raises:
        DataError: the folder, or a file in it, cannot be read.
    """
    images: list[Path] = []
    others: list[Path] = []
    try:
        seen = {str(parent) for parent in Path(os.path.realpath(folder)).parents}
        for parent, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
            place = os.path.realpath(parent)
            if place in seen:  # links can lead in a circle, or up and out of the class
                folders.clear()
                continue
            seen.add(place)
            folders[:] = [name for name in folders if not is_hidden(name)]
            for name in files:
                path = Path(parent, name)
                if not is_hidden(name) and path.is_file():
                    with path.open("rb") as file:
                        known = looks_like_image(file.read(SIGNATURE_BYTES))
                    (images if known else others).append(path)
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be read ({error.strerror}).") from None
    return _in_order(images), _in_order(others)


def subfolders(folder: Path) -> list[Path]:
    """List a folder's visible subfolders in natural order (`2` before `10`)."""
    return _in_order([path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)])


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is none of the user's making."""
    return name.startswith(".") or name.lower() in _DROPPINGS


def _in_order(paths: list[Path]) -> list[Path]:
    """Sort naturally; what is naturally equal (`1` and `01`) as text, not as the file system has it."""
    return natsorted(sorted(paths), key=str)


def _raise(error: OSError) -> None:
    raise error
