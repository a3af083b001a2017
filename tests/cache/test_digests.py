"""Hashes of content: files that have not changed are not read again, and a file is read once for all its parts."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from tests.support import raises

from striate.cache import folder
from striate.cache.digests import content_digests, digest, source_digests
from striate.errors import ImageError
from striate.images.crops import CroppedFiles
from striate.images.masks import MaskFiles, MaskReading
from striate.images.planes import Sources
from striate.images.sources import Content, ImageArray, ImageFiles


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    found = [tmp_path / f"{index}.png" for index in range(3)]
    for index, path in enumerate(found):
        path.write_bytes(bytes([index]) * 100)
    return found


def settled(sources: Sources) -> list[str]:
    """Hash sources; files of this very moment count as old enough to be kept."""
    return source_digests(sources, settled_s=-60).items


def forge_kept_digests(value: str) -> int:
    """Change every hash that is kept on disk, and return how many there are."""
    with contextlib.closing(sqlite3.connect(folder.digests_file())) as index, index:
        return index.execute("UPDATE files SET digest = ?", (value,)).rowcount


def test_an_image_is_known_by_its_bytes(paths):
    found = source_digests(Sources(ImageFiles(paths)))
    assert found.images == found.items == [digest(path.read_bytes()) for path in paths]
    assert found.planes == []


def test_an_image_with_a_mask_is_known_by_both(paths, tmp_path):
    masks = [tmp_path / f"mask{index}" for index in range(3)]
    for index, path in enumerate(masks):
        path.write_bytes(bytes([7 + index % 2]))
    found = source_digests(Sources(ImageFiles(paths), MaskFiles(masks, MaskReading())))
    assert found.images == [digest(path.read_bytes()) for path in paths]
    assert found.planes == [digest(path.read_bytes()) for path in masks]
    assert found.items == [digest(f"{image}{mask}".encode()) for image, mask in zip(*found[:2], strict=True)]


def test_pixels_in_memory_are_hashed():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    assert source_digests(Sources(ImageArray(pixels))).items == [digest(image.tobytes()) for image in pixels]


def test_parts_of_a_file_are_hashed_with_one_reading(paths):
    boxes = np.array([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 1, 1]])
    parts = Sources(CroppedFiles([paths[0], paths[0], paths[0], paths[1]], boxes))
    expected = [
        digest(path.read_bytes() + box.astype("<i8").tobytes())
        for path, box in zip([paths[0]] * 3 + [paths[1]], boxes, strict=True)
    ]
    assert settled(parts) == expected
    assert forge_kept_digests("kept") == 3  # two parts of the first file, one of the second
    assert settled(parts) == ["kept"] * 4


def test_unchanged_files_are_not_read_again(paths):
    sources = Sources(ImageFiles(paths))
    settled(sources)
    assert forge_kept_digests("kept") == 3
    assert settled(sources) == ["kept"] * 3
    time.sleep(0.02)
    paths[1].write_bytes(paths[1].read_bytes())
    assert settled(sources) == ["kept", digest(paths[1].read_bytes()), "kept"]


def test_files_that_have_just_changed_are_read_again(paths):
    source_digests(Sources(ImageFiles(paths)))
    assert forge_kept_digests("kept") == 0


def test_a_damaged_index_costs_time_once(paths):
    sources = Sources(ImageFiles(paths))
    expected = settled(sources)
    folder.digests_file().write_bytes(b"no data base, however long one looks at it" * 100)
    assert settled(sources) == expected
    assert forge_kept_digests("kept") == 3


def test_unreadable_files_are_named_or_left_empty(paths):
    paths[1].unlink()
    paths.append(paths[0].parent)  # a folder
    with raises(ImageError, where=r"1\.png$", what="cannot be read"):
        source_digests(Sources(ImageFiles(paths)))
    found = source_digests(Sources(ImageFiles(paths)), skip_unreadable=True).items
    assert [bool(each) for each in found] == [True, False, True, False]


def test_progress_counts_images(paths):
    done: list[float] = []
    masks = MaskFiles(paths, MaskReading())
    source_digests(Sources(ImageFiles(paths), masks), done.append)
    assert sum(done) == 3
    assert content_digests([Content(None, b"a"), Content(paths[0])], done.append)[0] == digest(b"a")
    assert sum(done) == 5
