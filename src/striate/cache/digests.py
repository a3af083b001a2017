"""The content of images and label planes as 64-bit hashes.

Files that have not changed since the last time are not read again: their hashes are kept in `digests.sqlite`. A file
that many images are parts of is read once for all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from striate.cache import folder as cache
from striate.errors import ImageError
from striate.images.planes import Sources
from striate.images.sources import Content, file_errors

SETTLED_S = 2  # file systems tell times to within 2 s: a file that changed later than that may change unnoticed
_READERS, _SMALL = 4, 100_000  # threads, where files are larger than so many bytes: hashing releases the interpreter
_FILES_PER_TASK = 64
_PATHS_PER_QUERY = 500

_Key = tuple[str, bytes]  # a file's path, and the bytes that follow its own


class _Stamp(NamedTuple):
    """What changes with a file's content."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class SourceDigests(NamedTuple):
    """The hashes of sources, one each.

    Attributes:
        images: of the images alone.
        planes: of the label planes alone; empty where there are none.
        items: of all that is decoded: of an image, or of an image and its plane.
    """

    images: list[str]
    planes: list[str]
    items: list[str]


def source_digests(
    sources: Sources,
    on_progress: Callable[[float], None] = lambda images: None,
    *,
    skip_unreadable: bool = False,
    settled_s: int | float = SETTLED_S,
) -> SourceDigests:
    """Hash every image and every label plane.

    Args:
        sources: what to hash.
        on_progress: called with the number of images hashed since the last call.
        skip_unreadable: give files that cannot be read an empty hash, instead of raising.
        settled_s: age in seconds from which a file's hash is kept for the next time.

    Raises:
        ImageError: a file cannot be read.
    """
    contents = [sources.contents(index) for index in range(len(sources))]
    flat = [content for parts in contents for content in parts]
    per_image = len(contents[0]) if contents else 1
    hashes = content_digests(
        flat, lambda done: on_progress(done / per_image), skip_unreadable=skip_unreadable, settled_s=settled_s
    )
    images = hashes[::per_image]
    if per_image == 1:
        return SourceDigests(images, [], images)
    planes = hashes[1::per_image]
    items = [digest(f"{image}{plane}".encode()) for image, plane in zip(images, planes, strict=True)]
    return SourceDigests(images, planes, items)


def digest(content: bytes) -> str:
    """Hash bytes to 64 bits, written in hexadecimal."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def content_digests(
    contents: Sequence[Content],
    on_progress: Callable[[float], None] = lambda contents: None,
    *,
    skip_unreadable: bool = False,
    settled_s: int | float = SETTLED_S,
) -> list[str]:
    """Hash contents, see `source_digests`."""
    in_files: dict[str, list[bytes]] = {}
    for content in contents:
        if content.file is not None:
            in_files.setdefault(str(content.file), []).append(content.more)
    known = _file_digests(in_files, on_progress, skip_unreadable=skip_unreadable, settled_s=settled_s)
    on_progress(sum(content.file is None for content in contents))
    return [digest(more) if file is None else known[str(file), more] for file, more in contents]


def _file_digests(
    in_files: dict[str, list[bytes]],
    on_progress: Callable[[float], None],
    *,
    skip_unreadable: bool,
    settled_s: int | float,
) -> dict[_Key, str]:
    """Hash files, each with all that follows it; look the hashes of unchanged files up."""
    stamps = {path: stamp for path in in_files if (stamp := _stamp(path, skip_unreadable=skip_unreadable))}
    hashes: dict[_Key, str] = {(path, each): "" for path, more in in_files.items() for each in more}
    wanted = {path: more for path, more in in_files.items() if path in stamps}
    with _index() as index:
        if index:
            keys = [(path, more) for path in wanted for more in dict.fromkeys(wanted[path])]
            hashes |= {key: hashed for key, stamp, hashed in _look_up(index, keys) if stamps[key[0]] == stamp}
        fresh = {path: more for path, more in wanted.items() if not all(hashes[path, each] for each in more)}
        on_progress(sum(map(len, in_files.values())) - sum(map(len, fresh.values())))
        now = time.time_ns()
        for path, hashed_by_suffix in _hash_in_threads(fresh, stamps, skip_unreadable=skip_unreadable):
            hashes |= {(path, more): hashed for more, hashed in hashed_by_suffix.items()}
            on_progress(len(fresh[path]))
        if index:
            settled = [path for path in fresh if max(stamps[path][1:3]) < now - settled_s * 10**9]
            entries = ((path, more) for path in settled for more in dict.fromkeys(fresh[path]))
            _remember(index, ((key, stamps[key[0]], hashes[key]) for key in entries if hashes[key]))
    return hashes


def _hash_in_threads(
    files: dict[str, list[bytes]], stamps: dict[str, _Stamp], *, skip_unreadable: bool
) -> Iterator[tuple[str, dict[bytes, str]]]:
    """Hash files in threads, and yield each file's path and hashes."""
    paths = list(files)
    size = sum(stamps[path].size for path in paths)

    def hash_files(begin: int) -> list[tuple[str, dict[bytes, str]]]:
        part = paths[begin : begin + _FILES_PER_TASK]
        return [(path, _hash_file(path, files[path], skip_unreadable=skip_unreadable)) for path in part]

    # of small files, threads would spend more time waiting for the interpreter than for the disk
    with ThreadPoolExecutor(_READERS if size > _SMALL * len(paths) else 1) as pool:
        for hashed in pool.map(hash_files, range(0, len(paths), _FILES_PER_TASK)):
            yield from hashed


def _hash_file(path: str, suffixes: Iterable[bytes], *, skip_unreadable: bool) -> dict[bytes, str]:
    """Read a file once, and hash it with each of the bytes that follow it."""
    try:
        with file_errors(path), open(path, "rb", buffering=0) as file:
            state = hashlib.blake2b(file.read(), digest_size=8)
    except ImageError:
        if not skip_unreadable:
            raise
        return dict.fromkeys(suffixes, "")
    hashes: dict[bytes, str] = {}
    for suffix in suffixes:
        if suffix not in hashes:
            branch = state.copy()
            branch.update(suffix)
            hashes[suffix] = branch.hexdigest()
    return hashes


def _stamp(path: str, *, skip_unreadable: bool) -> _Stamp | None:
    """Return a file's stamp; None where it cannot be read, unless that is an error."""
    try:
        with file_errors(path):
            state = os.stat(path)
    except ImageError:
        if not skip_unreadable:
            raise
        return None
    return _Stamp(state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


@contextlib.contextmanager
def _index() -> Iterator[sqlite3.Connection | None]:
    """Open the index of known files in the cache; None where there can be none, which costs time and no more."""
    index = None
    try:
        path = cache.digests_file()
        try:
            index = _open_index(path)
        except sqlite3.OperationalError:  # it is locked, say
            raise
        except sqlite3.DatabaseError:  # it is damaged
            path.unlink()
            index = _open_index(path)
    except (OSError, sqlite3.Error):
        pass
    try:
        yield index
    finally:
        if index:
            index.close()


def _open_index(path: Path) -> sqlite3.Connection:
    index = sqlite3.connect(path, timeout=10)
    try:
        index.execute(
            "CREATE TABLE IF NOT EXISTS files"
            " (path BLOB PRIMARY KEY, size INT, mtime_ns INT, ctime_ns INT, inode INT, digest TEXT)"
        )
    except sqlite3.Error:
        index.close()
        raise
    return index


def _look_up(index: sqlite3.Connection, keys: Iterable[_Key]) -> Iterator[tuple[_Key, _Stamp, str]]:
    absolute = _AbsolutePaths()
    names = {absolute.key(key): key for key in keys}
    wanted = list(names)
    with contextlib.suppress(sqlite3.Error):
        for begin in range(0, len(wanted), _PATHS_PER_QUERY):
            part = wanted[begin : begin + _PATHS_PER_QUERY]
            marks = ",".join("?" * len(part))
            for name, *stamp, hashed in index.execute(f"SELECT * FROM files WHERE path IN ({marks})", part):
                yield names[name], _Stamp(*stamp), hashed


def _remember(index: sqlite3.Connection, entries: Iterable[tuple[_Key, _Stamp, str]]) -> None:
    absolute = _AbsolutePaths()
    rows = [(absolute.key(key), *_signed(stamp), hashed) for key, stamp, hashed in entries]
    with contextlib.suppress(sqlite3.Error), index:
        index.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)


class _AbsolutePaths(dict[str, bytes]):
    """Absolute paths as the bytes that they are (not every path is text), each worked out once."""

    def __missing__(self, path: str) -> bytes:
        self[path] = os.fsencode(os.path.abspath(path))
        return self[path]

    def key(self, key: _Key) -> bytes:
        """Write a path and what follows the file's content as bytes; no path holds a NUL."""
        path, more = key
        return self[path] + b"\0" + more if more else self[path]


def _signed(stamp: _Stamp) -> tuple[int, ...]:
    """Fit numbers into SQLite's 64 bits: some file systems count inodes beyond."""
    return tuple(value % 2**63 for value in stamp)
