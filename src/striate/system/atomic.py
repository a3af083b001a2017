"""Files that are either old or new, never half-written, and folders that are filled or gone."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import filelock

from striate.errors import OutputError

_TAKEN = ".being-written"


def write(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content` in one step; text as UTF-8, file names in it as the bytes that they are.

    The bytes go to a temporary name in the same folder, are flushed to disk and then renamed, so
    that a crash, a kill or a full disk leaves the previous file as it was.

    Raises:
        OutputError: the folder is missing or cannot be written, or the disk is full.
    """
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; ours are ordinary ones
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise OutputError(str(path), f"cannot be written ({error.strerror})", "choose another place") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder where there is none; raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        _flush_folder(path.parent)
    except OSError as error:
        raise OutputError(str(path), f"cannot be made ({error.strerror})", "choose another place") from None


def _umask() -> int:
    """Read the process's file mode mask (the system call can only swap it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no handle for that and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError:
            pass  # some network file systems cannot; the file itself is written
        finally:
            os.close(handle)


def check_writable(path: Path) -> None:
    """Raise OutputError where a new file could not be written, before the work that it is to hold."""
    if path.exists():
        raise OutputError(str(path), "there is something already", "choose another name, or remove it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(str(path), "cannot be written (there is no such folder to write to)", "choose another place")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder that nobody else has written to, or is about to, for a block to fill.

    While the block runs, a locked hidden file marks the folder as taken; one that a killed process left is not
    locked any more, and does not count. If the block fails before it has put
    anything there, the folder goes again, and with it those above it that were made for it.

    Raises:
        OutputError: there is something at `path` already, or it cannot be made.
    """
    import filelock

    missing: list[Path] = []
    taken = path / _TAKEN
    lock = filelock.FileLock(taken)
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        if path.exists() and (not path.is_dir() or any(child != taken for child in path.iterdir())):
            raise FileExistsError
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except (FileExistsError, filelock.Timeout):
        raise OutputError(str(path), "there is something already", "choose another place, or remove it") from None
    except OSError as error:
        _remove_empty(missing)
        raise OutputError(str(path), f"cannot be written ({error.strerror})", "choose another place") from None
    try:
        yield path
    except BaseException:
        _release(lock, taken)
        _remove_empty(missing)
        raise
    _release(lock, taken)


@contextmanager
def held_folder(path: Path) -> Iterator[None]:
    """Have a folder that was begun before to oneself while a block runs.

    Raises:
        OutputError: another process is at work there, or it cannot be written.
    """
    import filelock

    taken = path / _TAKEN
    lock = filelock.FileLock(taken)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise OutputError(
            str(path), "another process is at work there", "let it end, or choose another place"
        ) from None
    except OSError as error:
        raise OutputError(str(path), f"cannot be written ({error.strerror})", "choose another place") from None
    try:
        yield
    finally:
        _release(lock, taken)


def _release(lock: filelock.BaseFileLock, taken: Path) -> None:
    with contextlib.suppress(OSError):  # first, while nobody else can hold it; Windows removes no open file
        taken.unlink()
    lock.release()
    if os.name == "nt":
        taken.unlink(missing_ok=True)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, up to the first that is not empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
