"""Images in different splits that look alike: the same photograph in another size, or one of the same moment.

Candidates are found by perceptual hashes (imagehash) that differ in 8 of 64 bits or fewer, and confirmed by the
correlation of thumbnails: without that, every second pair of handwritten digits would be taken for copies. On
CIFAR-10 (test against training images) pairs down to a correlation of 0.95 are what people call near-duplicates, all
of 60 that a person looked at; drawings on an even ground need 0.99.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float32, Int64

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import THUMBNAIL_PX, DatasetScan

_MOST_BITS = 8
_ALIKE, _ALIKE_ON_EVEN_GROUND = 0.95, 0.99  # correlation of thumbnails
_EVEN = 0.4  # of a thumbnail is of one grey value, or within 3 of it
_FLAT = 2.0  # standard deviation of grey values: what is below shows nothing
_BLOCK = 1024  # images at a time: a block of distances to 50,000 others takes 200 MB
_CLOSEST = 16  # candidates per image that are compared by thumbnails


def look_alikes(scan: DatasetScan) -> Iterator[Problem]:
    """Find for each image of a later split the one of the earlier splits that looks like it."""
    rows = np.flatnonzero(scan.decoded)
    thumbnails = np.frombuffer(b"".join(scan.scans[row].thumbnail for row in rows), dtype=np.uint8)
    thumbnails = thumbnails.reshape(len(rows), THUMBNAIL_PX**2).astype(np.float32)
    patterns = np.frombuffer(b"".join(scan.scans[row].perceptual for row in rows), dtype=np.uint8).reshape(-1, 8)
    signs = np.unpackbits(patterns, axis=1).astype(np.float32) * 2 - 1
    shows = thumbnails.std(axis=1) > _FLAT
    middle = np.median(thumbnails, axis=1, keepdims=True)
    alike = np.where((np.abs(thumbnails - middle) <= 3).mean(axis=1) > _EVEN, _ALIKE_ON_EVEN_GROUND, _ALIKE)
    unit = thumbnails - thumbnails.mean(axis=1, keepdims=True)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-6)
    splits = list(scan.dataset.splits)
    split = np.array([splits.index(scan.split_of[row]) for row in rows], dtype=np.int64)
    for later in range(1, len(splits)):
        new, old = np.flatnonzero(shows & (split == later)), np.flatnonzero(shows & (split < later))
        for first, second, bits in _closest(signs, unit, new, old):
            row, known = int(rows[first]), int(rows[second])
            likeness = float(unit[first] @ unit[second])
            copies = scan.digests.images[row] == scan.digests.images[known]
            if not copies and likeness >= max(alike[first], alike[second]):
                yield _suspicion(scan, row, known, bits)


def _closest(
    signs: Float32[np.ndarray, "images 64"],
    unit: Float32[np.ndarray, "images pixels"],
    new: Int64[np.ndarray, " new"],
    old: Int64[np.ndarray, " old"],
) -> Iterator[tuple[int, int, int]]:
    """Yield for each new image the most similar old one of the closest hashes, and the bits that differ.

    All distances, as products of matrices: 45,000 x 10,000 take three seconds.
    """
    if len(old) == 0:
        return
    for begin in range(0, len(new), _BLOCK):
        block = new[begin : begin + _BLOCK]
        agreement = signs[block] @ signs[old].T  # 64 where all bits agree, 2 less for each that differs
        close: Bool[np.ndarray, "block old"] = agreement >= 64 - 2 * _MOST_BITS
        for row in np.flatnonzero(close.any(axis=1)):
            candidates = np.flatnonzero(close[row])
            candidates = candidates[np.argsort(-agreement[row, candidates], kind="stable")[:_CLOSEST]]
            best = candidates[np.argmax(unit[old[candidates]] @ unit[block[row]])]
            yield int(block[row]), int(old[best]), round((64 - float(agreement[row, best])) / 2)


def _suspicion(scan: DatasetScan, row: int, known: int, bits: int) -> Problem:
    splits, where = scan.split_of, scan.where
    return Problem(
        kind="near-leak",
        where=where[row],
        what=f"looks like {where[known]} ({splits[row]} and {splits[known]}; {bits} of 64 bits differ)",
        fix="look at both; images of one thing or moment belong into one split"
        + (": make a val split yourself, in the data" if scan.dataset.val_is_held_out else ""),
        severity="note",
    )
