"""What is wrong with data: one problem, and what the kinds of problems are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from striate.errors import InputError

Severity = Literal["problem", "note"]

# titles, the worst first; a kind that is not here comes last, and its name is its title
KINDS: dict[str, str] = {
    "layout": "data that cannot be read as they are laid out",
    "unreadable": "files that cannot be decoded",
    "contradiction": "identical images with different labels",
    "leak": "identical images in different splits",
    "mask-value": "masks with values that have no class",
    "mask-size": "masks of another size than their image",
    "non-finite": "joints without a position",
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
        kind: such as one of `KINDS`.
        where: a file, a class, a split or a joint.
        what: what is wrong there.
        fix: what to do about it.
        severity: a `problem` spoils training, or makes figures untrue; a `note` is worth a look.
    """

    kind: str
    where: str
    what: str
    fix: str
    severity: Severity = "problem"

    @classmethod
    def of(cls, error: InputError, kind: str, *, where: str, fix: str) -> Problem:
        """Make a problem of an error; `where` and `fix` are for errors that do not say."""
        return cls(kind=kind, where=error.where or where, what=error.what, fix=error.fix or fix)

    @property
    def title(self) -> str:
        """What problems of this kind are called."""
        return KINDS.get(self.kind, self.kind.replace("-", " "))

    @property
    def rank(self) -> tuple[bool, int]:
        """How bad it is: the worst have the lowest rank."""
        kinds = list(KINDS)
        return self.severity == "note", kinds.index(self.kind) if self.kind in KINDS else len(kinds)
