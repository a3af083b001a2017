"""What pictures show, as numbers: a class each, masks that come with the pictures, or joints. Without torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from striate.images.resize import ImageSpec, resize_transform
from striate.tasks.skeleton import Skeleton

__all__ = ["ClassLabels", "JointLabels", "Labels", "MaskLabels"]

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

    def fitted(self, sizes_px: Int64[np.ndarray, "samples 2"], form: ImageSpec) -> JointLabels:
        """Move the places in the pictures, without those off them; mm, which are relative to the root joint, stay."""
        boxes = [resize_transform(int(height), int(width), form) for height, width in sizes_px]
        scale = np.array([(box.scale_x, box.scale_y) for box in boxes], dtype=np.float32)
        offset = np.array([(box.offset_x, box.offset_y) for box in boxes], dtype=np.float32)
        uv_px = np.where(self.strays(sizes_px)[..., None], np.float32(np.nan), self.uv_px)
        return replace(self, uv_px=uv_px * scale[:, None] + offset[:, None])
