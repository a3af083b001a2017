"""The folder that keeps decoded images: where it is, what is in it, and how large it may grow.

    digests.sqlite               hashes of files that were read
    stores/<key>-<set>/          decoded images: uint8 arrays that are mapped into memory
      about.json                 whose they are, for people
      items.npy                  which image is in which row, known by the hash of its content
      images.npy, planes.npy     the pixels, and the label planes of labels that have them

Everything here can be made anew; nothing here is ever changed once it has its name.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from striate.errors import ConfigError, OutputError
from striate.system.machine import cache_folder

DEFAULT_GB = 20
folder = cache_folder
_ABOUT, _DIGESTS, _LOCK = "about.json", "digests.sqlite", ".lock"
_STORE = re.compile(r"(\.building-|\.removed-)?[0-9a-f]{12}-[0-9a-f]{16}")  # names of folders that are ours
_SPARE_BYTES = 10**9  # left on the disk for others


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """One set of decoded images.

    Attributes:
        folder: where it is.
        name: of the data set that it was decoded for.
        location: of that.
        spec: what the images are, such as `224x224 RGB, crop`.
        images: how many there are.
        size_bytes: on disk.
        used: when it was last used, in seconds since 1970.
    """

    folder: Path
    name: str
    location: str
    spec: str
    images: int
    size_bytes: int
    used: float


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
    setting = os.environ.get("STRIATE_CACHE_GB") or str(DEFAULT_GB)
    try:
        gigabytes = float(setting)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < math.inf:
        raise ConfigError("STRIATE_CACHE_GB", f"must be a number of gigabytes, 0 or more, not {setting}")
    return int(gigabytes * 10**9)


def format_bytes(size_bytes: int | float) -> str:
    """Write a size in megabytes or gigabytes.

    >>> format_bytes(12_345_678), format_bytes(2e9)
    ('12.3 MB', '2.0 GB')
    """
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes < 10**9 else f"{size_bytes / 1e9:,.1f} GB"


def room_bytes(stores: Sequence[StoreInfo]) -> int:
    """Return how large a new store may be: the bound, or what the disk has but for a gigabyte; older ones may go."""
    free = shutil.disk_usage(stores_folder()).free + sum(store.size_bytes for store in stores) - _SPARE_BYTES
    return max(0, min(bound_bytes(), free))


def digests_file() -> Path:
    """Return the file of the hashes of files, its folder made if need be; raises OSError."""
    folder().mkdir(parents=True, exist_ok=True)
    return folder() / _DIGESTS


@contextlib.contextmanager
def lock(on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only process that changes stores while a block runs; raises OSError.

    One lock is for all of them: two sets that were decoded at a time would only take the cores from each other.
    """
    import filelock

    held = filelock.FileLock(stores_folder() / _LOCK)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        on_wait()
        held.acquire()
    try:
        yield
    finally:
        held.release()


def list_stores() -> list[StoreInfo]:
    """List the stores, the one used last first; adds up the sizes of all files."""
    stores = []
    for path in (folder / _ABOUT for folder in _folders() if not folder.name.startswith(".")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # another process may be removing it
            about = json.loads(path.read_bytes())
            stores.append(
                StoreInfo(
                    folder=path.parent,
                    name=about["name"],
                    location=about["location"],
                    spec=about["spec"],
                    images=about["images"],
                    size_bytes=_size_bytes(path.parent),
                    used=path.stat().st_mtime,
                )
            )
    return sorted(stores, key=lambda store: store.used, reverse=True)


def folders_of(key: str) -> list[Path]:
    """Return the folders of the stores of one key, the one used last first; looks at nothing else in them."""
    times: dict[Path, float] = {}
    for path in _folders():
        if path.name.startswith(f"{key}-"):
            with contextlib.suppress(OSError):  # another process may be removing it
                times[path] = (path / _ABOUT).stat().st_mtime
    return sorted(times, key=times.__getitem__, reverse=True)


def describe(path: Path, *, name: str, location: str, spec: str, images: int) -> None:
    """Write down whose images a new store holds."""
    about = {"name": name, "location": location, "spec": spec, "images": images}
    (path / _ABOUT).write_text(json.dumps(about, indent=2) + "\n")


def touch(path: Path) -> None:
    """Note that a store is in use: the one that has not been for longest goes first."""
    with contextlib.suppress(OSError):
        os.utime(path / _ABOUT)


def make_room(wanted_bytes: int, stores: Sequence[StoreInfo]) -> None:
    """Remove stores, the longest unused ones (the last) first, until so much more is within the bound and on the disk.

    A store that has gone by now is no obstacle.
    """
    stores = list(stores)
    total = sum(store.size_bytes for store in stores)
    while stores and (
        total + wanted_bytes > bound_bytes()
        or wanted_bytes > max(0, shutil.disk_usage(stores_folder()).free - _SPARE_BYTES)
    ):
        oldest = stores.pop()
        total -= oldest.size_bytes
        remove_store(oldest.folder)


def clear() -> int:
    """Remove everything that is ours, and return how many bytes that were; raises OutputError."""
    size = size_bytes()
    try:
        with lock() if (folder() / "stores").is_dir() else contextlib.nullcontext():
            for path in _folders():
                shutil.rmtree(path)
            (folder() / _DIGESTS).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(str(error.filename or folder()), f"cannot be removed ({error.strerror})") from None
    return size


def remove_store(path: Path) -> None:
    """Remove a store, as far as the system lets us: first its name, so that nobody finds half of one."""
    doomed = path.with_name(f".removed-{path.name}")
    with contextlib.suppress(OSError):
        path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def size_bytes() -> int:
    """Return the size of all that the cache holds."""
    total = sum(map(_size_bytes, _folders()))
    with contextlib.suppress(OSError):
        total += (folder() / _DIGESTS).stat().st_size
    return total


def _folders() -> list[Path]:
    """List the folders of stores, those that are being built or removed among them, and nothing that is not ours."""
    with contextlib.suppress(OSError):
        return [path for path in (folder() / "stores").iterdir() if _STORE.fullmatch(path.name) and path.is_dir()]
    return []


def _size_bytes(path: Path) -> int:
    """Add up the sizes of the files below a folder."""
    total = 0
    for parent, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total
