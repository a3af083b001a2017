"""Finding image files."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from natsort import natsorted

from striate.errors import DataError, listing
from striate.images.decode import SIGNATURE_BYTES, looks_like_image

_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
_DROPPINGS = {"thumbs.db", "desktop.ini", "__macosx"}  # what operating systems leave behind


def find_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """List a folder's images, and its other files, at any depth and behind links; both in natural order.

    What counts as an image is decided by a file's first bytes. Hidden files and what operating
    systems leave behind (`Thumbs.db`) are in neither list.

    Raises:
        DataError: the folder, or a file in it, cannot be read.
    """
    images: list[str] = []  # text until the end: with tens of thousands of files, making paths takes seconds
    others: list[str] = []
    try:
        seen = {str(parent) for parent in Path(os.path.realpath(folder)).parents}
        for parent, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
            real = os.path.realpath(parent)
            if real in seen:  # links can lead in a circle, or up and out of the class
                folders.clear()
                continue
            seen.add(real)
            folders[:] = [name for name in folders if not is_hidden(name)]
            for name in files:
                path = os.path.join(parent, name)
                if not is_hidden(name) and os.path.isfile(path):
                    with open(path, "rb", buffering=0) as file:
                        known = looks_like_image(file.read(SIGNATURE_BYTES))
                    (images if known else others).append(path)
    except OSError as error:
        raise DataError(str(error.filename or folder), f"cannot be read ({error.strerror})") from None
    return _in_order(folder, images), _in_order(folder, others)


def images_in(folder: Path) -> list[Path]:
    """List the images that lie directly in a folder, in natural order."""
    files = (path for path in folder.iterdir() if path.is_file() and not is_hidden(path.name))
    return _in_order(folder, [str(path) for path in files if looks_like_image(_head(path) or b"")])


def subfolders(folder: Path) -> list[Path]:
    """List a folder's visible subfolders in natural order (`2` before `10`)."""
    return _in_order(folder, [str(path) for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)])


def find_listed(folder: Path, names: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Find the images that a file in a folder lists, and see that they are images, by their first bytes.

    Names are paths relative to the folder, or absolute; with backslashes for slashes where there is no file otherwise.

    Returns: a path for each, and its name with slashes.

    Raises:
        DataError: images are missing or no images; the first three are named.
    """
    paths: list[Path] = []
    spellings: list[str] = []
    missing: list[str] = []
    others: list[str] = []
    for name in names:
        spelled, path = name, folder / name
        head = _head(path)
        if head is None and "\\" in name:
            spelled = name.replace("\\", "/")
            path = folder / spelled
            head = _head(path)
        if head is None:
            missing.append(name)
        elif not looks_like_image(head):
            others.append(name)
        paths.append(path)
        spellings.append(Path(spelled).as_posix())
    if missing:
        what = f"{len(missing):,} of {len(names):,} images are not there: {listing(missing)}"
        raise DataError("", what, f"correct their paths, which are relative to {folder.resolve()}")
    if others:
        raise DataError(listing(others), "no image", "take what is no image off the list")
    return paths, spellings


def first_repeat(paths: Sequence[Path]) -> tuple[int, int] | None:
    """Return the indices of the first file that comes a second time, links resolved; None where all differ."""
    folders: dict[Path, str] = {}
    seen: dict[str, int] = {}
    for index, path in enumerate(paths):
        if path.parent not in folders:
            folders[path.parent] = os.path.realpath(path.parent)
        real = os.path.realpath(path) if path.is_symlink() else f"{folders[path.parent]}{os.sep}{path.name}"
        if real in seen:
            return seen[real], index
        seen[real] = index
    return None


def names_below(folder: Path, paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the paths of files below a folder from there, with slashes: what samples are called."""
    start = len(os.path.join(folder, "")) if folder != Path() else 0
    return tuple(str(path)[start:].replace(os.sep, "/") for path in paths)


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is none of the user's making."""
    return name.startswith(".") or name.lower() in _DROPPINGS


def _in_order(folder: Path, paths: list[str]) -> list[Path]:
    """Sort what is below a folder naturally; what is naturally equal (`1` and `01`) as text, not as it is on disk."""
    start = len(str(folder))
    return [Path(path) for path in natsorted(sorted(paths), key=lambda path: path[start:])]


def _raise(error: OSError) -> None:
    raise error


def _head(path: Path) -> bytes | None:
    """Return a file's first bytes; None where there is no such file. Raises DataError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(SIGNATURE_BYTES)
    except ValueError:  # no path can hold a NUL, or half a surrogate pair
        return None
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise DataError(str(path), f"cannot be read ({error.strerror})") from None
