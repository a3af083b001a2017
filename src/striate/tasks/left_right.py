"""Which joints are left and which are right, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_WORDS = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))
_LETTERS = (("l", "r"), ("L", "R"))
_SEPARATORS = r"[_\-. ]"


def mirror_pairs(joints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pair joints whose names differ in their side alone, the left one of each first.

    Sides are left and right anywhere, l and r at either end with a sign between, or at the beginning without one, and
    L and R at the end of a name in small letters.

    >>> mirror_pairs(["nose", "left_eye", "right_eye", "l_hip", "r_hip", "knee.L", "knee.R", "Rankle", "Lankle"])
    ((1, 2), (3, 4), (5, 6), (8, 7))
    """
    pairs = []
    for index, name in enumerate(joints):
        counterparts = [joints.index(other) for other in _as_right(name) if other in joints]
        if counterparts:
            pairs.append((index, counterparts[0]))
    return tuple(pairs)


def left_joints(joints: Sequence[str], mirror: Sequence[tuple[int, int]]) -> frozenset[int]:
    """Return the left one of each pair: by their names, or the first of the two where these do not tell."""
    by_name = set(mirror_pairs(joints))
    return frozenset(right if (right, left) in by_name else left for left, right in mirror)


def _as_right(name: str) -> Iterator[str]:
    """Yield what a left joint's counterpart may be called; nothing for names that have no side."""
    for left, right in _WORDS:
        if left in name:
            yield name.replace(left, right, 1)
    for left, right in _LETTERS:
        if re.match(f"{left}{_SEPARATORS}", name):
            yield right + name[1:]
        if re.search(f"{_SEPARATORS}{left}$", name):
            yield name[:-1] + right
    for left, right in _LETTERS:
        if re.match(f"{left}[A-Za-z]", name):
            yield right + name[1:]
    if re.search("[a-z]L$", name):
        yield f"{name[:-1]}R"
