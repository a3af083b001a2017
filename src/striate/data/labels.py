"""What pictures show, as numbers: a class each, masks that come with the pictures, or joints. Without torch."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from striate.data.fitting import Form, fit_box
from striate.errors import DataError


@runtime_checkable
class Labels(Protocol):
    """The labels of some samples."""

    @property
    def sized(self) -> bool:
        """Whether they depend on the pictures' size in pixels, as coordinates do."""

    @property
    def may_shear(self) -> bool:
        """Whether a sheared picture has labels."""

    @property
    def may_mix(self) -> bool:
        """Whether a mixture of two pictures has labels."""

    def __len__(self) -> int:
        """Count the samples."""

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> Labels:
        """Return those of some of the samples."""

    def strata(self) -> Int64[np.ndarray, " samples"]:
        """Return the group of each sample, of which a split should hold its share."""

    def content(self) -> bytes:
        """Return all that is in them and not in the pictures, to tell whether something has changed."""

    def fitted(self, sizes_px: Int64[np.ndarray, "samples 2"], form: Form) -> Labels:
        """Return the labels of pictures, of these heights and widths, that have been brought into a form."""


@dataclass(frozen=True)
class ClassLabels:
    """The index of a class for each sample."""

    targets: Int64[np.ndarray, " samples"]
    sized = False
    may_shear = True
    may_mix = True

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.targets)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> ClassLabels:
        """Return those of some of the samples."""
        return ClassLabels(self.targets[indices])

    def strata(self) -> Int64[np.ndarray, " samples"]:
        """Return the classes."""
        return self.targets

    def content(self) -> bytes:
        """Return the classes."""
        return self.targets.astype("<i8").tobytes()

    def fitted(self, sizes_px: Int64[np.ndarray, "samples 2"], form: Form) -> ClassLabels:
        """Return the same: a class has no place."""
        return self


@dataclass(frozen=True)
class MaskLabels:
    """As many samples whose classes, one a pixel, come with their pictures."""

    samples: int
    sized = False
    may_shear = True
    may_mix = False

    def __len__(self) -> int:
        """Count the samples."""
        return self.samples

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> MaskLabels:
        """Return those of some of the samples."""
        return MaskLabels(len(indices))

    def strata(self) -> Int64[np.ndarray, " samples"]:
        """Return one group: a picture shows many classes."""
        return np.zeros(self.samples, dtype=np.int64)

    def content(self) -> bytes:
        """Return nothing: masks come with their pictures."""
        return b""

    def fitted(self, sizes_px: Int64[np.ndarray, "samples 2"], form: Form) -> MaskLabels:
        """Return the same: masks are fitted with their pictures."""
        return self


@dataclass(frozen=True, kw_only=True)
class JointLabels:
    """The joints of one person a sample.

    Attributes:
        xyz_mm: camera coordinates (x right, y down, z away), millimetres; not a number where they are not known.
        uv_px: place in the picture, the top left pixel's centre at (0.5, 0.5); not a number where it is not known.
        visible: joints that count.
        skeleton: what they are called and how they hang together.
    """

    xyz_mm: Float32[np.ndarray, "samples joints 3"]
    uv_px: Float32[np.ndarray, "samples joints 2"]
    visible: Bool[np.ndarray, "samples joints"]
    skeleton: Skeleton
    sized = True
    may_shear = False  # no camera sees a sheared skeleton
    may_mix = False

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.visible)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> JointLabels:
        """Return those of some of the samples."""
        return replace(self, xyz_mm=self.xyz_mm[indices], uv_px=self.uv_px[indices], visible=self.visible[indices])

    def strata(self) -> Int64[np.ndarray, " samples"]:
        """Return one group."""
        return np.zeros(len(self), dtype=np.int64)

    def content(self) -> bytes:
        """Return places and what is visible."""
        return b"".join(np.ascontiguousarray(part).tobytes() for part in (self.xyz_mm, self.uv_px, self.visible))

    def fitted(self, sizes_px: Int64[np.ndarray, "samples 2"], form: Form) -> JointLabels:
        """Move the places in the pictures; millimetres, which are relative to the root joint, stay."""
        boxes = [fit_box(int(height), int(width), form) for height, width in sizes_px]
        scale = np.array([(box.scale_x, box.scale_y) for box in boxes], dtype=np.float32)
        offset = np.array([(box.offset_x, box.offset_y) for box in boxes], dtype=np.float32)
        return replace(self, uv_px=self.uv_px * scale[:, None] + offset[:, None])


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """What joints are called and how they hang together.

    Attributes:
        joints: their names.
        parents: for each the index of the joint that it hangs on; -1 for the root.
        mirror: pairs of indices that a mirror image swaps.

    Raises:
        DataError: names or indices make no sense; the message says which, its caller where.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        count = len(self.joints)
        if count == 0 or len(set(self.joints)) != count:
            raise DataError("joints must be a list of different names.")
        if len(self.parents) != count:
            raise DataError(f"there are {count} joints, but {len(self.parents)} parents; give one for each.")
        for joint, parent in enumerate(self.parents):
            if not -1 <= parent < count:
                raise DataError(f"the parent of {self.joints[joint]} is {parent}; wanted: -1 to {count - 1}.")
        if self.parents.count(-1) != 1:
            raise DataError(f"{self.parents.count(-1)} joints have the parent -1; wanted: one, the root.")
        for joint in range(count):
            if self._is_in_a_loop(joint):
                raise DataError(f"the parents of {self.joints[joint]} lead in a loop; each must lead to the root.")
        for pair in self.mirror:
            if len(set(pair)) != 2 or not all(0 <= joint < count for joint in pair):
                raise DataError(f"mirror has the pair {pair}; wanted: two different joints.")

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

    def _is_in_a_loop(self, joint: int) -> bool:
        for _ in self.joints:
            joint = self.parents[joint]
            if joint == -1:
                return False
        return True


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What labels are about.

    Attributes:
        classes: their names, which labels and masks are indices of; none where joints are the labels.
        colours: of the classes in masks, RGB from 0 to 255; none where the data give none.
        skeleton: the joints, where they are the labels.
    """

    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    skeleton: Skeleton | None = None

    @property
    def drawn_in(self) -> tuple[tuple[int, int, int], ...]:
        """The colours of the classes: their own, or some that can be told apart."""
        return self.colours or class_colours(len(self.classes))


def class_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return colours for classes whose data give none: neighbours in number are far apart in hue."""
    golden = 0.618033988749895
    wheel = ((index * golden % 1, 0.55 + 0.35 * (index % 2), 0.95 - 0.2 * (index % 3)) for index in range(count))
    return tuple(
        (round(255 * r), round(255 * g), round(255 * b)) for r, g, b in (colorsys.hsv_to_rgb(*at) for at in wheel)
    )
