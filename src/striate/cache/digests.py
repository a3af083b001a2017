"""The content of pictures as 64-bit hashes; files that have not changed since the last time are not read again."""

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
from striate.images.sources import SourceImages, naming

SETTLED_S = 2  # file systems tell times to within 2 s: a file that changed later than that may change unnoticed
_READERS, _SMALL = 4, 100_000  # threads, where files are larger than so many bytes: hashing lets go of the interpreter
_AT_ONCE = 64  # files a task of a thread
_QUERY = 500  # paths a query


class _Stamp(NamedTuple):
    """What changes with a file's content."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def picture_digests(
    pictures: SourceImages, on_progress: Callable[[int], None] = lambda pictures: None
) -> tuple[list[str], list[str]]:
    """Hash every picture: its image alone, and all that it decodes from (image and mask).

    `on_progress` is called with the number of pictures hashed since the last call.

    Raises:
        ImageError: a file cannot be read.
    """
    count = len(pictures)
    parts = [pictures.files(index) for index in range(count)]
    if count == 0 or not parts[0]:
        contents = [[digest(content) for content in _counted(pictures, index, on_progress)] for index in range(count)]
    else:
        found = _file_digests([path for paths in parts for path in paths], on_progress, len(parts[0]))
        contents = [[found[str(path)] for path in paths] for paths in parts]
    images = [content[0] for content in contents]
    whole = [digest("".join(content).encode()) if len(content) > 1 else content[0] for content in contents]
    return images, whole


def digest(content: bytes) -> str:
    """Hash bytes to 64 bits, written in hexadecimal."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _counted(pictures: SourceImages, index: int, on_progress: Callable[[int], None]) -> tuple[bytes, ...]:
    on_progress(1)
    return pictures.content(index)


def _file_digests(paths: Sequence[Path], on_progress: Callable[[int], None], files_each: int) -> dict[str, str]:
    """Hash files, `files_each` in a row being a picture's; of unchanged ones the hash is looked up."""
    stamps = {path: _stamp(path) for path in dict.fromkeys(map(str, paths))}
    with _index() as index:
        known = dict(_look_up(index, stamps)) if index else {}
        found = {path: hashed for path, (stamp, hashed) in known.items() if stamps[path] == stamp}
        on_progress(len(found) // files_each)
        fresh = [path for path in stamps if path not in found]
        now = time.time_ns()
        size = sum(stamps[path].size for path in fresh)
        # of small files, threads would spend more time waiting for the interpreter than for the disk
        with ThreadPoolExecutor(_READERS if size > _SMALL * len(fresh) else 1) as pool:
            parts = [fresh[begin : begin + _AT_ONCE] for begin in range(0, len(fresh), _AT_ONCE)]
            for part, hashed in zip(parts, pool.map(_hash_files, parts), strict=True):
                found |= dict(zip(part, hashed, strict=True))
                on_progress(len(part) // files_each)
        if index:
            settled = [path for path in fresh if max(stamps[path][1:3]) < now - SETTLED_S * 10**9]
            _remember(index, ((path, stamps[path], found[path]) for path in settled))
    return found


def _hash_files(paths: Sequence[str]) -> list[str]:
    return [_hash_file(path) for path in paths]


def _hash_file(path: str) -> str:
    with naming(path), open(path, "rb", buffering=0) as file:
        return digest(file.read())


def _stamp(path: str) -> _Stamp:
    with naming(path):
        found = os.stat(path)
    return _Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


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


def _look_up(index: sqlite3.Connection, paths: Iterable[str]) -> Iterator[tuple[str, tuple[_Stamp, str]]]:
    names = {_key(path): path for path in paths}
    wanted = list(names)
    with contextlib.suppress(sqlite3.Error):
        for begin in range(0, len(wanted), _QUERY):
            some = wanted[begin : begin + _QUERY]
            marks = ",".join("?" * len(some))
            for path, *stamp, hashed in index.execute(f"SELECT * FROM files WHERE path IN ({marks})", some):
                yield names[path], (_Stamp(*stamp), hashed)


def _remember(index: sqlite3.Connection, entries: Iterable[tuple[str, _Stamp, str]]) -> None:
    rows = [(_key(path), *_signed(stamp), hashed) for path, stamp, hashed in entries]
    with contextlib.suppress(sqlite3.Error), index:
        index.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)


def _key(path: str) -> bytes:
    """Write an absolute path as the bytes that it is: not every one is text."""
    return os.fsencode(os.path.abspath(path))


def _signed(stamp: _Stamp) -> tuple[int, ...]:
    """Fit numbers into SQLite's 64 bits: some file systems count inodes beyond."""
    return tuple(value % 2**63 for value in stamp)
