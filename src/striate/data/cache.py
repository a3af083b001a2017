"""The folder that keeps decoded pictures: where it is, what is in it, and how large it may grow.

    digests.sqlite               hashes of files that were read
    stores/<form>-<set>/         decoded pictures: uint8 arrays that are mapped into memory
      about.json                 whose they are, for people
      items.npy                  which picture is in which row, known by the hash of its content
      images.npy, masks.npy      the pixels

Everything here can be made anew; nothing here is ever changed once it has its name.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from striate.errors import ConfigError, OutputError

DEFAULT_GB = 20
_ABOUT = "about.json"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One set of decoded pictures.

    Attributes:
        folder: where it is.
        name: of the data set that it was decoded for.
        location: of that.
        form: what the pictures are, such as `224x224 RGB, crop`.
        pictures: how many.
        size_bytes: on disk.
        used: when it was last used, in seconds since 1970.
    """

    folder: Path
    name: str
    location: str
    form: str
    pictures: int
    size_bytes: int
    used: float


def folder() -> Path:
    """Return the cache's folder: `STRIATE_CACHE`, or the platform's place for caches."""
    given = os.environ.get("STRIATE_CACHE")
    if given:
        return Path(given)
    import platformdirs

    return platformdirs.user_cache_path("striate", appauthor=False)


def make_folder() -> Path:
    """Return the cache's folder, made if need be; raises OSError."""
    path = folder()
    path.mkdir(parents=True, exist_ok=True)
    return path


def stores_folder() -> Path:
    """Return the folder of the stores, made if need be; raises OSError."""
    path = folder() / "stores"
    path.mkdir(parents=True, exist_ok=True)
    return path


def bound_bytes() -> int:
    """Return how large all stores together may be: `STRIATE_CACHE_GB` gigabytes, 20 if it is not set.

    Raises:
        ConfigError: it is no number of 0 or more.
    """
    given = os.environ.get("STRIATE_CACHE_GB", str(DEFAULT_GB))
    if not re.fullmatch(r"\d+(\.\d*)?", given.strip()):
        raise ConfigError(f"STRIATE_CACHE_GB (={given}) must be a number of gigabytes, 0 or more.")
    return int(float(given) * 10**9)


def room_bytes() -> int:
    """Return how large a new store may be: the bound, or all that the disk has left but for a gigabyte."""
    free = shutil.disk_usage(stores_folder()).free - 10**9
    return max(0, min(bound_bytes(), free))


def stored() -> list[Stored]:
    """List the stores, the one used last first."""
    found = []
    for path in (folder() / "stores").glob("*/" + _ABOUT):
        with contextlib.suppress(OSError, ValueError, KeyError):  # another process may be removing it
            about = json.loads(path.read_bytes())
            found.append(
                Stored(
                    folder=path.parent,
                    name=about["name"],
                    location=about["location"],
                    form=about["form"],
                    pictures=about["pictures"],
                    size_bytes=_size_bytes(path.parent),
                    used=path.stat().st_mtime,
                )
            )
    return sorted(found, key=lambda store: store.used, reverse=True)


def describe(path: Path, *, name: str, location: str, form: str, pictures: int) -> None:
    """Write down whose pictures a new store holds."""
    about = {"name": name, "location": location, "form": form, "pictures": pictures}
    (path / _ABOUT).write_text(json.dumps(about, indent=2) + "\n")


def touch(path: Path) -> None:
    """Note that a store is in use: the one that has not been for longest goes first."""
    with contextlib.suppress(OSError):
        os.utime(path / _ABOUT)


def prune(keep: Path) -> None:
    """Remove stores, the longest unused ones first, until all together are within the bound; `keep` stays."""
    total, bound = 0, bound_bytes()
    for store in [store for first in (True, False) for store in stored() if (store.folder == keep) is first]:
        total += store.size_bytes
        if total > bound and store.folder != keep:
            remove(store.folder)


def clear() -> int:
    """Remove everything that the cache holds, and return how many bytes that were; raises OutputError."""
    path = folder()
    size = _size_bytes(path)
    for part in ("stores", "digests.sqlite"):
        try:
            shutil.rmtree(path / part) if part == "stores" else (path / part).unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OutputError(f"{path / part}: cannot be removed ({error.strerror}).") from None
    return size


def remove(path: Path) -> None:
    """Remove a store, as far as the system lets us: first its name, so that nobody finds half of one."""
    doomed = path.with_name(f".removed-{path.name}")
    with contextlib.suppress(OSError):
        path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def size_bytes() -> int:
    """Return the size of all that the cache holds."""
    return _size_bytes(folder())


def _size_bytes(path: Path) -> int:
    """Add up the sizes of the files below a folder."""
    return sum(size for size in _sizes(path))


def _sizes(path: Path) -> Iterator[int]:
    for parent, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                found = (Path(parent) / name).stat()
                # what an interrupt left is a file with holes, which take no room
                yield min(found.st_size, getattr(found, "st_blocks", found.st_size) * 512)
