"""What is wrong with data: one problem, and what the kinds of problems are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["problem", "note"]

KINDS: dict[str, str] = {
    "layout": "data that cannot be read as they are laid out",
    "unreadable": "files that cannot be decoded",
    "contradiction": "identical images with different labels",
    "leak": "identical images in different splits",
    "mask-value": "masks with values that have no class",
    "mask-size": "masks of another size than their image",
    "non-finite": "joints without a place",
    "nothing-to-learn": "poses that teach or measure nothing",
    "joints-off-image": "joints off their image",
    "limb-length": "limbs that are too long or too short",
    "left-right": "left and right confused",
    "near-leak": "images in different splits that look alike",
    "duplicate": "identical images",
    "imbalance": "classes of very different size",
    "class-missing": "classes that a split lacks",
    "unlabelled": "masks without any label",
    "small": "very small images",
    "warning": "files that are odd, and can be read",
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is wrong with data, or a note of what may be.

    Attributes:
        kind: one of `KINDS`.
        where: a file, a class, a split or a joint.
        what: what is wrong there.
        fix: what to do about it.
        severity: a `problem` teaches nonsense, or makes figures untrue; a `note` is worth a look.
    """

    kind: str
    where: str
    what: str
    fix: str
    severity: Severity = "problem"

    def __post_init__(self) -> None:
        assert self.kind in KINDS
