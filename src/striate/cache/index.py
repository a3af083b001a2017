"""The stores of one form in the cache: finding pictures in them, and building a new one.

A store's rows are known by the content of what they were decoded from, in the order of those hashes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL
from jaxtyping import Int64, Shaped, UInt64

from striate.cache import folder as cache
from striate.cache.digests import SETTLED_S, picture_digests
from striate.cache.pixels import HeldPixels, Pixels
from striate.cache.workers import Outcome, array_bytes, array_shapes, create_arrays, fill
from striate.errors import DataError, OutputError, listing
from striate.images.resize import ImageSpec
from striate.images.sources import SourceImages
from striate.system.progress import progress_bar

logger = logging.getLogger(__name__)

_VERSION = 1  # raise it when decoding changes: older stores are not used any more
_NOTES = "notes.json"
_COPIED = 256  # rows at a time
_ITEM = np.dtype([("item", np.uint64), ("row", np.int64), ("size_px", np.int64, (2,))])

Found = tuple[Int64[np.ndarray, " samples"], Pixels, Int64[np.ndarray, "samples 2"]]


class StoreIndex:
    """The stores of one form, and of pictures that are read in one way."""

    def __init__(self, form: ImageSpec, pictures: SourceImages) -> None:
        self.form = form
        self.pictures = pictures
        self.since_ns = time.time_ns() - SETTLED_S * 10**9
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
                notes = _read_notes(folder)
                tell([note for item in dict.fromkeys(items) for note in notes.get(item, ())])
                return table["row"][places], pixels, table["size_px"][places]
        return None

    def build(self, items: Sequence[str], *, name: str, location: str, max_pixels: int) -> Found:
        """Decode pictures into a new store; of two processes that want the same one, the second waits."""
        digest = hashlib.blake2b("".join(sorted(set(items))).encode(), digest_size=8).hexdigest()
        folder = cache.stores_folder() / f"{self.key}-{digest}"
        try:
            with cache.lock(lambda: logger.info("another striate is decoding pictures; waiting for it")):
                found = self.find(items)
                if not found:
                    cache.remove(folder)  # if it is there, it is damaged
                    cache.make_room(array_bytes(len(set(items)), self.form, masked=self.pictures.masked))
                    self._decode(folder, items, name=name, location=location, max_pixels=max_pixels)
                    found = self.find(items)
        except OSError as error:
            raise OutputError(
                f"{cache.folder()}: the cache cannot be written ({error.strerror}); "
                "set STRIATE_CACHE to another folder, or use --cache none."
            ) from None
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
        notes: dict[str, list[str]] = {}
        swallowed = self._copy_known(building, table, notes)
        missing = np.flatnonzero(table["row"] < 0)
        missing = missing[np.argsort(first[missing])]  # in the order of the samples, and so of messages
        outcomes: list[Outcome] = []
        try:
            with progress_bar("decoding", len(missing)) as advance:
                for some in fill(building, self.pictures.take(first[missing]), missing, self.form, max_pixels):
                    outcomes += [self._unchanged(outcome, int(first[outcome.row]), items) for outcome in some]
                    advance(len(some))
        finally:
            done = [outcome for outcome in outcomes if not outcome.failure]
            for outcome in done:
                table[outcome.row]["row"], table[outcome.row]["size_px"] = outcome.row, outcome.source_size_px
            table = table[table["row"] >= 0]
            if len(table) < len(numbers):  # some are damaged, or an interrupt came: its name tells what it holds
                digest = hashlib.blake2b(table["item"].tobytes(), digest_size=8).hexdigest()
                folder = folder.with_name(f"{self.key}-{digest}")
            for outcome in done:
                index = int(first[outcome.row])
                notes[items[index]] = [f"{self.pictures.where(index)}: {note}" for note in outcome.warnings]
            _finish(building, folder, table, notes, self.form, name, location)
        for other in swallowed:
            cache.remove(other)
        _refuse(outcomes)

    def _copy_known(
        self, building: Path, table: Shaped[np.ndarray, " rows"], notes: dict[str, list[str]]
    ) -> list[Path]:
        """Copy the rows, and notes, that other stores have; returns those all of whose pictures are wanted here."""
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
            notes |= _read_notes(folder)
            if np.isin(theirs["item"], table["item"]).all():
                swallowed.append(folder)
        return swallowed

    def _unchanged(self, outcome: Outcome, index: int, items: Sequence[str]) -> Outcome:
        """Turn an outcome into a failure where the files have other content by now than they were known by."""
        changed = False
        for path in self.pictures.files(index):
            with contextlib.suppress(OSError):
                now = path.stat()
                changed = changed or max(now.st_mtime_ns, now.st_ctime_ns) > self.since_ns
        if (
            not changed
            or outcome.failure
            or picture_digests(self.pictures.take(np.array([index])))[1] == [items[index]]
        ):
            return outcome
        return outcome._replace(failure=f"{self.pictures.where(index)}: changed while it was read")

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
    notes: dict[str, list[str]],
    form: ImageSpec,
    name: str,
    location: str,
) -> None:
    """Write down what a store holds, have the disk take it, and give it its name; an empty one goes."""
    if len(table) == 0 or folder.exists():
        shutil.rmtree(building, ignore_errors=True)
        return
    np.save(building / "items.npy", table)
    told = {item: said for item, said in notes.items() if said}
    (building / _NOTES).write_text(json.dumps(told))
    what = f"{form.width_px}x{form.height_px} {'grey' if form.channels == 1 else 'RGB'}, {form.fit}"
    cache.describe(building, name=name, location=location, form=what, pictures=len(table))
    for path in building.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    building.rename(folder)


def _read_notes(folder: Path) -> dict[str, list[str]]:
    """Read what Pillow had to say of the pictures in a store, by the hash of each."""
    try:
        return dict(json.loads((folder / _NOTES).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def tell(notes: Sequence[str]) -> None:
    """Say what Pillow had to say of pictures."""
    if notes:
        logger.info(f"decoded, with a doubt: {listing(notes, most=2)} (striate check tells them all)")


def _refuse(outcomes: Sequence[Outcome]) -> None:
    """Raise DataError where pictures could not be decoded, naming the first of them."""
    failures = [outcome.failure.rstrip(".") for outcome in outcomes if outcome.failure]
    if failures:
        if "; " in failures[0] and not failures[0].endswith(")"):  # it tells the way out itself, at some length
            more = f" ({len(failures) - 1:,} more cannot be used: see striate check)" if failures[1:] else ""
            raise DataError(f"{failures[0]}{more}.")
        them = "it" if len(failures) == 1 else "them"
        raise DataError(f"{listing(failures, most=2)}. Repair, shrink or remove {them}.")
