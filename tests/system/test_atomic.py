"""Files are old or new, folders are filled or gone, and of two who want a folder one has it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

import pytest
from tests.support import raises

from striate.errors import OutputError
from striate.system import atomic


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_text_is_utf8_and_bytes_are_bytes(tmp_path):
    atomic.write(tmp_path / "text", "grün \udcff")
    atomic.write(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "text").read_bytes() == b"gr\xc3\xbcn \xff"
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["bytes", "text"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_file_has_the_mode_of_ordinary_files(tmp_path):
    (tmp_path / "ordinary").touch()
    atomic.write(tmp_path / "ours", "text")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic.write(path, "old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with raises(OutputError, where=f"^{path}$", what="No space left", fix="choose another place"):
        atomic.write(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_file_without_its_folder_is_refused(tmp_path):
    path = tmp_path / "nowhere" / "file"
    for refuse in (lambda: atomic.write(path, "text"), lambda: atomic.check_writable(path)):
        with raises(OutputError, where=f"^{path}$", what="cannot be written", fix="choose another place"):
            refuse()
    assert names(tmp_path) == []


def test_a_file_that_is_there_is_not_for_writing(tmp_path):
    atomic.check_writable(tmp_path / "file")
    (tmp_path / "file").touch()
    with raises(OutputError, what="there is something already", fix="choose another name, or remove it"):
        atomic.check_writable(tmp_path / "file")


def test_a_folder_is_made_under_folders_and_again(tmp_path):
    for _ in range(2):
        atomic.make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with raises(OutputError, where="file", what="cannot be made"):
        atomic.make_folder(tmp_path / "file" / "b")


def test_a_new_folder_is_filled_or_gone(tmp_path):
    with atomic.new_folder(tmp_path / "a" / "filled") as folder:
        (folder / "file").touch()
    assert names(tmp_path) == ["a", "a/filled", "a/filled/file"]
    with pytest.raises(KeyError), atomic.new_folder(tmp_path / "b" / "empty"):
        raise KeyError
    assert names(tmp_path) == ["a", "a/filled", "a/filled/file"]
    with contextlib.suppress(KeyError), atomic.new_folder(tmp_path / "half") as folder:
        (folder / "file").touch()
        raise KeyError
    assert names(tmp_path)[-2:] == ["half", "half/file"]


def test_a_folder_belongs_to_one_at_a_time(tmp_path):
    with (
        atomic.new_folder(tmp_path / "run"),
        raises(OutputError, where="run", what="there is something already", fix="choose another place"),
        atomic.new_folder(tmp_path / "run"),
    ):
        raise AssertionError("it belongs to another one")
    with (
        atomic.held_folder(tmp_path / "run"),
        raises(OutputError, where="run", what="another process is at work there", fix="let it end"),
        atomic.held_folder(tmp_path / "run"),
    ):
        raise AssertionError("it belongs to another one")


def test_what_a_killed_process_left_does_not_count(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".being-written").touch()
    with atomic.new_folder(tmp_path / "run"):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_folder_where_none_can_be_made_is_refused():
    with raises(OutputError, where="^/proc/run$", what="cannot be written"), atomic.new_folder(Path("/proc/run")):
        pass
