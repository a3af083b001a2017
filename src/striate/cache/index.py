"""The stores of one image size in the cache: finding images in them, and building a new one.

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
from striate.cache.digests import SETTLED_S, source_digests
from striate.cache.folder import StoreInfo
from striate.cache.pixels import HeldPixels, PixelStore
from striate.cache.workers import Outcome, array_bytes, array_shapes, create_arrays, fill
from striate.errors import DataError, ImageError, OutputError, listing
from striate.images.planes import Sources
from striate.images.resize import ImageSpec
from striate.system.progress import progress_bar

logger = logging.getLogger(__name__)

_VERSION = 1  # raise it when decoding changes: older stores are not used any more
_WARNINGS = "notes.json"
_ROWS_PER_COPY = 256
_ITEM = np.dtype([("item", np.uint64), ("row", np.int64), ("size_px", np.int64, (2,))])

StoredImages = tuple[Int64[np.ndarray, " samples"], PixelStore, Int64[np.ndarray, "samples 2"]]


class StoreIndex:
    """The stores of one image size, and of sources that are read in one way."""

    def __init__(self, spec: ImageSpec, sources: Sources) -> None:
        self.spec = spec
        self.sources = sources
        self.planes = sources.planes is not None
        self.since_ns = time.time_ns() - SETTLED_S * 10**9
        made_by = (_VERSION, PIL.__version__, spec, *sources.reading)
        self.key = hashlib.blake2b(repr(made_by).encode(), digest_size=6).hexdigest()

    def find(self, items: Sequence[str]) -> StoredImages | None:
        """Return rows, pixels and source sizes from a store that has all items; None where there is none."""
        wanted = _numbers(items)
        for folder in cache.folders_of(self.key):
            table = _read_items(folder)
            positions = _positions(table, wanted)
            if (positions >= 0).all() and (pixels := _map_pixels(folder, planes=self.planes)):
                cache.touch(folder)
                warnings = _read_warnings(folder)
                log_warnings([text for item in dict.fromkeys(items) for text in warnings.get(item, ())])
                return table["row"][positions], pixels, table["size_px"][positions]
        return None

    def build(
        self, items: Sequence[str], *, name: str, location: str, max_pixels: int, stores: Sequence[StoreInfo]
    ) -> StoredImages:
        """Decode the sources into a new store; of two processes that need the same one, the second waits.

        Args:
            items: the sources' hashes.
            name: of their data set, for people who look at the cache.
            location: of their data set, likewise.
            max_pixels: files of more pixels are refused.
            stores: those that are there; the longest unused make room.
        """
        digest = hashlib.blake2b("".join(sorted(set(items))).encode(), digest_size=8).hexdigest()
        folder = cache.stores_folder() / f"{self.key}-{digest}"
        waited = False

        def on_wait() -> None:
            nonlocal waited
            waited = True
            logger.info("another striate is decoding images; waiting for it")

        try:
            with cache.lock(on_wait):
                stored = self.find(items)
                if not stored:
                    cache.remove_store(folder)  # if it is there, it is damaged
                    room = array_bytes(len(set(items)), self.spec, planes=self.planes)
                    cache.make_room(room, cache.list_stores() if waited else stores)
                    self._decode(folder, items, name=name, location=location, max_pixels=max_pixels)
                    stored = self.find(items)
        except OSError as error:
            raise OutputError(
                str(cache.folder()),
                f"the cache cannot be written ({error.strerror})",
                "set STRIATE_CACHE to another folder, or use --cache none",
            ) from None
        assert stored
        return stored

    def _decode(self, folder: Path, items: Sequence[str], *, name: str, location: str, max_pixels: int) -> None:
        """Fill a folder with the images, and give it its name; an interrupt keeps what is decoded by then."""
        numbers, first = np.unique(_numbers(items), return_index=True)
        building = folder.with_name(f".building-{folder.name}")
        for left in folder.parent.glob(".building-*"):  # by a process that was killed: we hold the lock
            shutil.rmtree(left, ignore_errors=True)
        building.mkdir()
        create_arrays(building, len(numbers), self.spec, planes=self.planes)
        table = np.zeros(len(numbers), dtype=_ITEM)
        table["item"], table["row"] = numbers, -1
        warnings: dict[str, list[str]] = {}
        swallowed = self._copy_known(building, table, warnings)
        missing = np.flatnonzero(table["row"] < 0)
        missing = missing[np.argsort(first[missing])]  # in the order of the samples, and so of messages
        outcomes: list[Outcome] = []
        try:
            with progress_bar("decoding", len(missing)) as advance:
                for part in fill(building, self.sources.take(first[missing]), missing, self.spec, max_pixels):
                    outcomes += [self._unchanged(outcome, int(first[outcome.row]), items) for outcome in part]
                    advance(len(part))
        finally:
            decoded = [outcome for outcome in outcomes if not outcome.failure]
            for outcome in decoded:
                table[outcome.row]["row"], table[outcome.row]["size_px"] = outcome.row, outcome.source_size_px
                index = int(first[outcome.row])
                where = self.sources.images.where(index)
                warnings[items[index]] = [f"{where}: {text}" for text in outcome.warnings]
            table = table[table["row"] >= 0]
            if len(table) < len(numbers):  # damaged files, or an interrupt: its name tells what it holds
                digest = hashlib.blake2b(table["item"].tobytes(), digest_size=8).hexdigest()
                folder = folder.with_name(f"{self.key}-{digest}")
            if len(table) and not folder.exists():
                _write_lists(building, table, warnings)
                cache.describe(building, name=name, location=location, spec=_describe(self.spec), images=len(table))
                _finish(building, folder)
            shutil.rmtree(building, ignore_errors=True)
        for other in swallowed:
            cache.remove_store(other)
        _raise_failures([outcome.failure for outcome in outcomes if outcome.failure])

    def _copy_known(
        self, building: Path, table: Shaped[np.ndarray, " rows"], warnings: dict[str, list[str]]
    ) -> list[Path]:
        """Copy the rows, and warnings, that other stores have; return those all of whose images are wanted here."""
        swallowed = []
        for folder in cache.folders_of(self.key):
            theirs = _read_items(folder)
            positions = _positions(theirs, table["item"])
            rows = np.flatnonzero((positions >= 0) & (table["row"] < 0))
            if len(rows) == 0 or not _map_pixels(folder, planes=self.planes):
                continue
            for array in array_shapes(1, self.spec, planes=self.planes):
                source = np.load(folder / f"{array}.npy", mmap_mode="r")
                target = np.lib.format.open_memmap(building / f"{array}.npy", mode="r+")
                for begin in range(0, len(rows), _ROWS_PER_COPY):
                    part = rows[begin : begin + _ROWS_PER_COPY]
                    target[part] = source[theirs["row"][positions[part]]]
            table["row"][rows], table["size_px"][rows] = rows, theirs["size_px"][positions[rows]]
            warnings |= _read_warnings(folder)
            if np.isin(theirs["item"], table["item"]).all():
                swallowed.append(folder)
        return swallowed

    def _unchanged(self, outcome: Outcome, index: int, items: Sequence[str]) -> Outcome:
        """Turn an outcome into a failure where the files have other content by now than their hash says."""
        changed = False
        for content in self.sources.contents(index):
            with contextlib.suppress(OSError):
                state = content.file.stat() if content.file else None
                changed = changed or (state is not None and max(state.st_mtime_ns, state.st_ctime_ns) > self.since_ns)
        if (
            not changed
            or outcome.failure
            or source_digests(self.sources.take(np.array([index]))).items == [items[index]]
        ):
            return outcome
        return outcome._replace(failure=ImageError(self.sources.images.where(index), "changed while it was read"))


def _numbers(items: Sequence[str]) -> UInt64[np.ndarray, " items"]:
    """Turn hashes in hexadecimal into numbers."""
    return np.array([int(item, 16) for item in items], dtype=np.uint64)


def _read_items(folder: Path) -> Shaped[np.ndarray, " rows"]:
    """Read which image is in which row of a store, in the order of their hashes; nothing where it is damaged."""
    try:
        table = np.load(folder / "items.npy")
    except (OSError, ValueError, EOFError):
        table = np.zeros(0, dtype=_ITEM)
    return table if table.dtype == _ITEM else np.zeros(0, dtype=_ITEM)


def _positions(
    table: Shaped[np.ndarray, " rows"], wanted: UInt64[np.ndarray, " wanted"]
) -> Int64[np.ndarray, " wanted"]:
    """Find hashes in a store's table: the position of each, or -1."""
    if len(table) == 0:
        return np.full(len(wanted), -1)
    positions = np.searchsorted(table["item"], wanted).clip(max=len(table) - 1)
    return np.where(table["item"][positions] == wanted, positions, -1)


def _map_pixels(folder: Path, *, planes: bool) -> PixelStore | None:
    """Map a store's arrays into memory; None where its files are damaged."""
    try:
        # plain arrays: each slice of a memmap would be one again, which costs time
        mapped = [
            np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray)
            for name in ("images", *(("planes",) if planes else ()))
        ]
    except (OSError, ValueError, EOFError):
        return None
    return HeldPixels(*mapped)


def _write_lists(building: Path, table: Shaped[np.ndarray, " rows"], warnings: dict[str, list[str]]) -> None:
    """Write down what is in which row of a store, and the warnings of it."""
    np.save(building / "items.npy", table)
    (building / _WARNINGS).write_text(json.dumps({item: texts for item, texts in warnings.items() if texts}))


def _finish(building: Path, folder: Path) -> None:
    """Have the disk take a store's files, and give it its name."""
    for path in building.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    building.rename(folder)


def _describe(spec: ImageSpec) -> str:
    """Say what a store's images are."""
    return f"{spec.width_px}x{spec.height_px} {'grey' if spec.channels == 1 else 'RGB'}, {spec.fit}"


def _read_warnings(folder: Path) -> dict[str, list[str]]:
    """Read what was odd about the images in a store, by the hash of each."""
    try:
        return dict(json.loads((folder / _WARNINGS).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def log_warnings(warnings: Sequence[str]) -> None:
    """Log what was odd about images."""
    if warnings:
        logger.info(f"decoded with warnings: {listing(warnings, most=2)} (striate check names all)")


def _raise_failures(failures: Sequence[ImageError]) -> None:
    """Raise DataError where images could not be decoded: the first of them, with the next ones as notes."""
    if not failures:
        return
    first, *others = failures
    notes = [f"{error.where}: {error.what}" for error in others[:1]]
    if len(others) > 1:
        notes.append(f"{len(others) - 1:,} more cannot be used: see striate check")
    fix = first.fix or f"repair, shrink or remove {'them' if others else 'it'}"
    raise DataError(first.where, first.what, fix, (*first.notes, *notes))
