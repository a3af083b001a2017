"""The stores of one form in the cache: finding pictures in them, and building a new one.

A store's rows are known by the content of what they were decoded from, in the order of those hashes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL
from jaxtyping import Int64, Shaped, UInt64

from striate.data import cache
from striate.data.fitting import Form
from striate.data.pictures import Pictures
from striate.data.pixels import HeldPixels, Pixels
from striate.data.workers import Outcome, array_shapes, create_arrays, fill
from striate.errors import DataError, OutputError, listing
from striate.progress import progress_bar, say

_VERSION = 1  # raise it when decoding changes: older stores are not used any more
_COPIED = 256  # rows at a time
_ITEM = np.dtype([("item", np.uint64), ("row", np.int64), ("size_px", np.int64, (2,))])

Found = tuple[Int64[np.ndarray, " samples"], Pixels, Int64[np.ndarray, "samples 2"]]


class Shelf:
    """The stores of one form, and of pictures that are read in one way."""

    def __init__(self, form: Form, pictures: Pictures) -> None:
        self.form = form
        self.pictures = pictures
        made_by = (_VERSION, PIL.__version__, form, pictures.reading)
        self.key = hashlib.blake2b(repr(made_by).encode(), digest_size=6).hexdigest()

    def find(self, items: Sequence[str]) -> Found | None:
        """Return rows, pixels and sizes from a store that has all of some pictures; None where there is none."""
        wanted = _numbers(items)
        for folder in self._folders():
            table = _read_items(folder)
            places = _places(table, wanted)
            if (places >= 0).all() and (pixels := _map_pixels(folder, masked=self.pictures.masked)):
                cache.touch(folder)
                _warn_of_notes(folder)
                return table["row"][places], pixels, table["size_px"][places]
        return None

    def build(self, items: Sequence[str], *, name: str, location: str, max_pixels: int) -> Found:
        """Decode pictures into a new store; of two processes that want the same one, the second waits."""
        import filelock

        digest = hashlib.blake2b("".join(sorted(set(items))).encode(), digest_size=8).hexdigest()
        folder = cache.stores_folder() / f"{self.key}-{digest}"
        # one for all sets: two that are decoded at a time would only take the cores from each other
        lock = filelock.FileLock(cache.stores_folder() / ".lock")
        try:
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                say("another striate is decoding pictures; waiting for it")
                lock.acquire()
            found = self.find(items)
            if not found:
                cache.remove(folder)  # if it is there, it is damaged
                self._decode(folder, items, name=name, location=location, max_pixels=max_pixels)
                cache.prune(keep=folder)
                found = self.find(items)
        except OSError as error:
            raise OutputError(
                f"{cache.folder()}: the cache cannot be written ({error.strerror}); "
                "set STRIATE_CACHE to another folder, or use --store none."
            ) from None
        finally:
            lock.release()
        assert found
        return found

    def _decode(self, folder: Path, items: Sequence[str], *, name: str, location: str, max_pixels: int) -> None:
        """Fill a folder with the pictures, and give it its name; whatever ends this early, what there is is kept."""
        numbers, first = np.unique(_numbers(items), return_index=True)
        building = folder.with_name(f".building-{folder.name}")
        for left in folder.parent.glob(".building-*"):  # by a process that was killed: we hold the lock
            shutil.rmtree(left, ignore_errors=True)
        building.mkdir()
        create_arrays(building, len(numbers), self.form, masked=self.pictures.masked)
        table = np.zeros(len(numbers), dtype=_ITEM)
        table["item"], table["row"] = numbers, -1
        swallowed = self._copy_known(building, table)
        missing = np.flatnonzero(table["row"] < 0)
        missing = missing[np.argsort(first[missing])]  # in the order of the samples, and so of messages
        outcomes: list[Outcome] = []
        try:
            with progress_bar("decoding", len(missing)) as advance:
                for some in fill(building, self.pictures.take(first[missing]), missing, self.form, max_pixels):
                    outcomes += some
                    advance(len(some))
        finally:
            done = [outcome for outcome in outcomes if not outcome.failure]
            for outcome in done:
                table[outcome.row]["row"], table[outcome.row]["size_px"] = outcome.row, outcome.source_size_px
            table = table[table["row"] >= 0]
            if len(table) < len(numbers):  # some are damaged, or an interrupt came: its name tells what it holds
                digest = hashlib.blake2b(table["item"].tobytes(), digest_size=8).hexdigest()
                folder = folder.with_name(f"{self.key}-{digest}")
            notes = [
                f"{self.pictures.where(int(first[outcome.row]))}: {note}"
                for outcome in done
                for note in outcome.warnings
            ]
            _finish(building, folder, table, notes, self.form, name, location)
        for other in swallowed:
            cache.remove(other)
        _refuse(outcomes)

    def _copy_known(self, building: Path, table: Shaped[np.ndarray, " rows"]) -> list[Path]:
        """Copy the rows that other stores have; returns those stores all of whose pictures are wanted here."""
        swallowed = []
        for folder in self._folders():
            theirs = _read_items(folder)
            places = _places(theirs, table["item"])
            rows = np.flatnonzero((places >= 0) & (table["row"] < 0))
            if len(rows) == 0 or not _map_pixels(folder, masked=self.pictures.masked):
                continue
            for array in array_shapes(1, self.form, masked=self.pictures.masked):
                source = np.load(folder / f"{array}.npy", mmap_mode="r")
                target = np.lib.format.open_memmap(building / f"{array}.npy", mode="r+")
                for begin in range(0, len(rows), _COPIED):
                    some = rows[begin : begin + _COPIED]
                    target[some] = source[theirs["row"][places[some]]]
            table["row"][rows], table["size_px"][rows] = rows, theirs["size_px"][places[rows]]
            if np.isin(theirs["item"], table["item"]).all():
                swallowed.append(folder)
        return swallowed

    def _folders(self) -> list[Path]:
        return [store.folder for store in cache.stored() if store.folder.name.startswith(f"{self.key}-")]


def _numbers(items: Sequence[str]) -> UInt64[np.ndarray, " items"]:
    """Turn hashes in hexadecimal into numbers."""
    return np.array([int(item, 16) for item in items], dtype=np.uint64)


def _read_items(folder: Path) -> Shaped[np.ndarray, " rows"]:
    """Read which picture is in which row of a store, in the order of their hashes; nothing where it is damaged."""
    try:
        table = np.load(folder / "items.npy")
    except (OSError, ValueError, EOFError):
        table = np.zeros(0, dtype=_ITEM)
    return table if table.dtype == _ITEM else np.zeros(0, dtype=_ITEM)


def _places(table: Shaped[np.ndarray, " rows"], wanted: UInt64[np.ndarray, " wanted"]) -> Int64[np.ndarray, " wanted"]:
    """Find hashes in a store's table: the place of each, or -1."""
    if len(table) == 0:
        return np.full(len(wanted), -1)
    places = np.searchsorted(table["item"], wanted).clip(max=len(table) - 1)
    return np.where(table["item"][places] == wanted, places, -1)


def _map_pixels(folder: Path, *, masked: bool) -> Pixels | None:
    """Map a store's pixels into memory; None where its files are damaged."""
    try:
        # plain arrays: each slice of a memmap would be one again, which costs time
        images = np.load(folder / "images.npy", mmap_mode="r").view(np.ndarray)
        masks = np.load(folder / "masks.npy", mmap_mode="r").view(np.ndarray) if masked else None
    except (OSError, ValueError, EOFError):
        return None
    return HeldPixels(images, masks)


def _finish(
    building: Path,
    folder: Path,
    table: Shaped[np.ndarray, " rows"],
    notes: list[str],
    form: Form,
    name: str,
    location: str,
) -> None:
    """Write down what a store holds, have the disk take it, and give it its name; an empty one goes."""
    if len(table) == 0 or folder.exists():
        shutil.rmtree(building, ignore_errors=True)
        return
    np.save(building / "items.npy", table)
    (building / "notes.txt").write_text("".join(f"{note}\n" for note in notes), errors="surrogateescape")
    what = f"{form.width_px}x{form.height_px} {'grey' if form.channels == 1 else 'RGB'}, {form.fit}"
    cache.describe(building, name=name, location=location, form=what, pictures=len(table))
    for path in building.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    building.rename(folder)


def _warn_of_notes(folder: Path) -> None:
    """Say what Pillow had to say of the pictures in a store."""
    with contextlib.suppress(OSError):
        notes = (folder / "notes.txt").read_text(errors="surrogateescape").splitlines()
        if notes:
            say(f"decoded, with a doubt: {listing(notes, most=2)} (striate check tells them all)")


def _refuse(outcomes: Sequence[Outcome]) -> None:
    """Raise DataError where pictures could not be decoded, naming the first few."""
    failures = [outcome.failure.rstrip(".") for outcome in outcomes if outcome.failure]
    if failures:
        them = "it" if len(failures) == 1 else "them"
        raise DataError(f"{listing(failures, most=2)}. Repair, shrink or remove {them}.")
