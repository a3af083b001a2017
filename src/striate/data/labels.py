"""What pictures show, as numbers: a class each, masks that come with the pictures, or joints. Without torch."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from striate.data.fitting import Fit, Form, fit_box
from striate.data.left_right import left_joints
from striate.errors import DataError

__all__ = ["ClassLabels", "Fit", "JointLabels", "Labels", "MaskLabels", "Skeleton", "Vocabulary", "class_colours"]

Unit = Literal["mm", "px"]

OFF_IMAGE = 0.05  # of a picture's side, by which a joint may lie beyond it
_MOST_OFF, _MOST_OFF_ONE = 0.1, 0.5  # of all joints, and of one sample's, that lie off their pictures by chance


@runtime_checkable
class Labels(Protocol):
    """The labels of some samples."""

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

    def counts(self, kinds: int) -> Int64[np.ndarray, " kinds"] | None:
        """Return how many samples show each of so many classes, or joints; None where only the pictures tell."""

    def content(self) -> bytes:
        """Return all that is in them and not in the pictures, to tell whether something has changed."""


@dataclass(frozen=True)
class ClassLabels:
    """The index of a class for each sample."""

    targets: Int64[np.ndarray, " samples"]
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

    def counts(self, kinds: int) -> Int64[np.ndarray, " kinds"]:
        """Return how many samples are of each class."""
        return np.bincount(self.targets, minlength=kinds).astype(np.int64)

    def content(self) -> bytes:
        """Return the classes."""
        return self.targets.astype("<i8").tobytes()


@dataclass(frozen=True)
class MaskLabels:
    """As many samples whose classes, one a pixel, come with their pictures."""

    samples: int
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

    def counts(self, kinds: int) -> None:
        """Return None: masks come with their pictures."""

    def content(self) -> bytes:
        """Return nothing: masks come with their pictures."""
        return b""


@dataclass(frozen=True, kw_only=True)
class JointLabels:
    """The joints of one person a sample.

    Attributes:
        xyz_mm: relative to the root joint, along the camera's axes (x right, y down, z away), in millimetres; not a
            number where it is not known, and everywhere where the unit of the skeleton is px.
        uv_px: place in the picture, the top left pixel's centre at (0.5, 0.5); not a number where it is not known. It
            can lie off the picture.
        visible: joints that count: those that the file says are visible, and whose xyz is known, or uv where there is
            no xyz at all. One that is hidden behind something can be visible in this sense.
        skeleton: what they are called and how they hang together.
    """

    xyz_mm: Float32[np.ndarray, "samples joints 3"]
    uv_px: Float32[np.ndarray, "samples joints 2"]
    visible: Bool[np.ndarray, "samples joints"]
    skeleton: Skeleton
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

    def counts(self, kinds: int) -> Int64[np.ndarray, " kinds"]:
        """Return in how many samples each joint counts."""
        counts: Int64[np.ndarray, " kinds"] = self.visible.sum(axis=0).astype(np.int64)
        return counts

    def content(self) -> bytes:
        """Return places and what is visible."""
        return b"".join(np.ascontiguousarray(part).tobytes() for part in (self.xyz_mm, self.uv_px, self.visible))

    def in_order_of(self, skeleton: Skeleton) -> JointLabels:
        """Return the same joints in the order of a skeleton whose joints have the same names, and with that."""
        order = np.array([self.skeleton.joints.index(name) for name in skeleton.joints])
        return replace(
            self,
            xyz_mm=self.xyz_mm[:, order],
            uv_px=self.uv_px[:, order],
            visible=self.visible[:, order],
            skeleton=skeleton,
        )

    def strays(self, sizes_px: Int64[np.ndarray, "samples 2"]) -> Bool[np.ndarray, "samples joints"]:
        """Tell which joints that count lie off their picture (height, width) by more than a twentieth of its side."""
        sizes = sizes_px[:, None, ::-1]  # width and height, as u and v
        beyond = np.maximum(-self.uv_px, self.uv_px - sizes) > OFF_IMAGE * sizes  # false where it is not known
        strays: Bool[np.ndarray, "samples joints"] = beyond.any(axis=2) & self.visible
        return strays

    def misplaced(self, sizes_px: Int64[np.ndarray, "samples 2"]) -> Bool[np.ndarray, " samples"]:
        """Tell whose places seem to be in other pixels: most of a sample's are off its picture, or many of all are."""
        strays = self.strays(sizes_px)
        placed = self.visible & np.isfinite(self.uv_px).all(axis=2)
        off, most = strays.sum(axis=1), _MOST_OFF_ONE * placed.sum(axis=1)
        many = off.sum() > _MOST_OFF * placed.sum()
        misplaced: Bool[np.ndarray, " samples"] = off > (0 if many else most)
        return misplaced

    def fitted(self, sizes_px: Int64[np.ndarray, "samples 2"], form: Form) -> JointLabels:
        """Move the places in the pictures, without those off them; mm, which are relative to the root joint, stay."""
        boxes = [fit_box(int(height), int(width), form) for height, width in sizes_px]
        scale = np.array([(box.scale_x, box.scale_y) for box in boxes], dtype=np.float32)
        offset = np.array([(box.offset_x, box.offset_y) for box in boxes], dtype=np.float32)
        uv_px = np.where(self.strays(sizes_px)[..., None], np.float32(np.nan), self.uv_px)
        return replace(self, uv_px=uv_px * scale[:, None] + offset[:, None])


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """What joints are called and how they hang together.

    Attributes:
        joints: their names.
        parents: for each the index of the joint that it hangs on; -1 for the root.
        mirror: pairs of indices that a mirror image swaps, in order: two skeletons that mean the same are the same.
        unit: `mm` where their places in space are known; `px` where only those in the image are.

    Raises:
        DataError: names or indices make no sense; the message says which, its caller where.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[tuple[int, int], ...] = ()
    unit: Unit = "mm"

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
    def kind(self) -> Literal["class", "joint"]:
        """What labels tell apart."""
        return "joint" if self.skeleton else "class"

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, or the joints."""
        return self.skeleton.joints if self.skeleton else self.classes

    @property
    def size(self) -> str:
        """How many things labels tell apart, in words."""
        return f"{len(self.names)} {'joints' if self.skeleton else 'classes'}"

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
