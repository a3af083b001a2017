"""Splits: their names in folders and tables, and choosing the samples of one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

from striate.errors import DataError, nearest

SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
}


def split_named(name: str) -> SplitName | None:
    """Return the split that a folder's, or a table's, name for it means; None where it means none."""
    return next((split for split, aliases in SPLIT_NAMES.items() if name in aliases), None)


def group_by_split(words: Sequence[str], where: Callable[[int], str]) -> dict[SplitName, Int64[np.ndarray, " chosen"]]:
    """Return the indices of the samples of each split, from each sample's name for its split.

    Raises:
        DataError: a name means no split (`where` names the sample), or no sample is for training.
    """
    meant = {word: split_named(word.strip().lower()) for word in dict.fromkeys(words)}
    for word, split in meant.items():
        if split is None:
            known = [alias for aliases in SPLIT_NAMES.values() for alias in aliases]
            what = f"{word!r} is no split{nearest(word, known)}"
            raise DataError(where(words.index(word)), what, "call it train, val or test")
    if "train" not in meant.values():
        raise DataError("", "no sample is in the split train", "name samples to train on")
    of_sample = np.array([meant[word] for word in words])
    return {split: np.flatnonzero(of_sample == split) for split in SPLIT_NAMES if split in meant.values()}


def hold_out(
    names: Sequence[str], strata: Int64[np.ndarray, " samples"], fraction: float, seed: int = 0
) -> Bool[np.ndarray, " samples"]:
    """Choose samples to hold out, by the hash of each name and a seed.

    A name is held out where that hash, read as a number in [0, 1), is below `fraction`: files that are
    added later move none of the others. What chance does to small classes is bounded: of every class at
    least half of its due share is held out, and at most one and a half times that, the lowest hashes first;
    of two names or more at least one, and never all. Samples of one name stay together.

    Args:
        names: of the samples, or of the groups that they are in.
        strata: the class of each sample.
        fraction: share to hold out, 0 to 1.
        seed: another seed gives another choice.

    Returns: for each sample whether it is held out.
    """
    held = np.zeros(len(names), dtype=bool)
    for stratum in np.unique(strata):
        members: dict[str, list[int]] = {}
        for index in np.flatnonzero(strata == stratum).tolist():
            members.setdefault(names[index], []).append(index)
        position = {name: _unit_hash(f"{name}\0{seed}" if seed else name) for name in members}
        due, size = fraction * len(members), len(members)
        least, most = max(round(due / 2), min(1, size - 1)), min(round(due * 1.5), size - 1)
        count = sum(hashed < fraction for hashed in position.values())
        for name in sorted(members, key=lambda name: position[name])[: max(least, min(count, most))]:
            held[members[name]] = True
    return held


def _unit_hash(text: str) -> float:
    """Hash a text to a number in [0, 1)."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()) / 2**64
