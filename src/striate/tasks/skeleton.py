"""Joints: their names, and how they hang together. Without torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from jaxtyping import Int64

from striate.errors import DataError
from striate.tasks.left_right import left_joints

Unit = Literal["mm", "px"]


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """The names of joints, and how they hang together.

    Attributes:
        joints: their names.
        parents: for each the index of the joint that it hangs on; -1 for the root.
        mirror: pairs of indices that a mirror image swaps, in order: two skeletons that mean the same are the same.
        unit: `mm` where their places in space are known; `px` where only those in the image are.

    Raises:
        DataError: names or indices make no sense; the caller says where.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[tuple[int, int], ...] = ()
    unit: Unit = "mm"

    def __post_init__(self) -> None:
        count = len(self.joints)
        if count == 0 or len(set(self.joints)) != count:
            raise DataError("", "joints must be a list of different names")
        if len(self.parents) != count:
            raise DataError("", f"there are {count} joints, but {len(self.parents)} parents", "give one for each")
        for joint, parent in enumerate(self.parents):
            if not -1 <= parent < count:
                raise DataError("", f"the parent of {self.joints[joint]} is {parent}", f"wanted: -1 to {count - 1}")
        if self.parents.count(-1) != 1:
            raise DataError("", f"{self.parents.count(-1)} joints have the parent -1", "wanted: one, the root")
        for joint in range(count):
            if self._is_in_a_loop(joint):
                raise DataError("", f"the parents of {self.joints[joint]} lead in a loop", "each must lead to the root")
        for pair in self.mirror:
            if len(set(pair)) != 2 or not all(0 <= joint < count for joint in pair):
                raise DataError("", f"mirror has the pair {pair}", "wanted: two different joints")
        # as a frozen dataclass wants it
        object.__setattr__(self, "mirror", tuple(sorted((min(pair), max(pair)) for pair in self.mirror)))

    @property
    def root(self) -> int:
        """The index of the joint that the others hang on."""
        return self.parents.index(-1)

    @property
    def mirrored(self) -> Int64[np.ndarray, " joints"]:
        """For each joint the index of the one that takes its place in a mirror image."""
        order = np.arange(len(self.joints))
        for left, right in self.mirror:
            order[left], order[right] = right, left
        return order

    @property
    def left(self) -> frozenset[int]:
        """The left one of each pair."""
        return left_joints(self.joints, self.mirror)

    @property
    def right(self) -> frozenset[int]:
        """The right one of each pair."""
        return frozenset(chain.from_iterable(self.mirror)) - self.left

    def _is_in_a_loop(self, joint: int) -> bool:
        for _ in self.joints:
            joint = self.parents[joint]
            if joint == -1:
                return False
        return True
