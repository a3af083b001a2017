"""Finding image files."""

from __future__ import annotations

import os
from pathlib import Path

from natsort import natsorted

from striate.data.decode import SIGNATURE_BYTES, looks_like_image
from striate.errors import DataError

_DROPPINGS = {"thumbs.db", "desktop.ini", "__macosx"}  # what operating systems leave behind


def find_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """List a folder's images, and its other files, at any depth; both in natural order.

    What counts as an image is decided by a file's first bytes. Hidden files and what operating
    systems leave behind (`Thumbs.db`) are in neither list.

    Raises:
        DataError: the folder, or a file in it, cannot be read.
    """
    images: list[Path] = []
    others: list[Path] = []
    try:
        for parent, folders, files in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not is_hidden(name)]
            for name in files:
                if not is_hidden(name):
                    path = Path(parent, name)
                    with path.open("rb") as file:
                        known = looks_like_image(file.read(SIGNATURE_BYTES))
                    (images if known else others).append(path)
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be read ({error.strerror}).") from None
    return natsorted(images, key=str), natsorted(others, key=str)


def subfolders(folder: Path) -> list[Path]:
    """List a folder's visible subfolders in natural order (`2` before `10`)."""
    found = [path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)]
    return natsorted(found, key=lambda path: path.name)


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is none of the user's making."""
    return name.startswith(".") or name.lower() in _DROPPINGS


def _raise(error: OSError) -> None:
    raise error
