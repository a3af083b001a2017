"""Labels: what images show, as numbers: a class per image, a class per pixel, or joints."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Int64

from striate.errors import DataError
from striate.images.planes import SourcePlanes
from striate.images.resize import ImageSpec, resize_transform
from striate.tasks.skeleton import Skeleton

__all__ = ["ClassLabels", "JointLabels", "Labels", "MaskLabels"]

logger = logging.getLogger(__name__)

OFF_IMAGE = 0.05  # of an image's side, by which a joint may lie beyond it
_MOST_OFF, _MOST_OFF_ONE = 0.1, 0.5  # of all joints, and of one sample's, that lie off their images by chance
_NEAR_PX, _NEAR_MM = 0.5, 1.0  # joints that differ by less are the same, rounded


class Labels(ABC):
    """The labels of samples; what a new kind leaves out is as it is here.

    Attributes:
        may_shear: whether a sheared image has labels.
        may_mix: whether a mixture of two images has labels.
        label_checks: checks of the labels alone, as "module:function", see `striate.datasets.checks`.
        scan_checks: checks that also need a scan of the images, likewise.
    """

    may_shear: ClassVar[bool] = True
    may_mix: ClassVar[bool] = False
    label_checks: ClassVar[tuple[str, ...]] = ()
    scan_checks: ClassVar[tuple[str, ...]] = ()

    @property
    def planes(self) -> SourcePlanes | None:
        """The label planes that are decoded with the images; None where labels are no planes."""
        return None

    @abstractmethod
    def __len__(self) -> int:
        """Count the samples."""

    @abstractmethod
    def take(self, indices: Int64[np.ndarray, " chosen"]) -> Labels:
        """Return the labels of a selection of the samples."""

    @abstractmethod
    def content(self) -> bytes:
        """Return everything in the labels but their planes, to tell whether something has changed."""

    @abstractmethod
    def same(self, first: int, second: int) -> bool:
        """Tell whether two samples have the same label, their planes aside."""

    def strata(self) -> Int64[np.ndarray, " samples"]:
        """Return the group of each sample, of which a split should hold its share; here one group."""
        return np.zeros(len(self), dtype=np.int64)

    def counts(self, kinds: int) -> Int64[np.ndarray, " kinds"] | None:
        """Return how many samples show each of so many classes, or joints; None where the labels do not tell."""
        return None

    def difference(self, first: int, second: int, classes: Sequence[str]) -> str:
        """Say how the label of the second sample differs from that of the first."""
        return "with another label"

    def resized(
        self,
        sizes_px: Callable[[], Int64[np.ndarray, "samples 2"]],
        spec: ImageSpec,
        where: Callable[[int], str],
    ) -> Labels:
        """Return the labels of the images as they are after resizing.

        Args:
            sizes_px: returns the height and width of every source image; called by labels that need it.
            spec: what images become.
            where: names a sample's image, for messages.

        Raises:
            DataError: the labels do not fit the source images.
        """
        return self


@dataclass(frozen=True)
class ClassLabels(Labels):
    """The index of a class for each sample."""

    targets: Int64[np.ndarray, " samples"]
    may_mix = True
    scan_checks = ("striate.datasets.checks.classes:imbalance",)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.targets)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> ClassLabels:
        """Return the labels of a selection of the samples."""
        return ClassLabels(self.targets[indices])

    def content(self) -> bytes:
        """Return the classes."""
        return self.targets.astype("<i8").tobytes()

    def same(self, first: int, second: int) -> bool:
        """Tell whether two samples are of the same class."""
        return bool(self.targets[first] == self.targets[second])

    def strata(self) -> Int64[np.ndarray, " samples"]:
        """Return the classes."""
        return self.targets

    def counts(self, kinds: int) -> Int64[np.ndarray, " kinds"]:
        """Return how many samples are of each class."""
        return np.bincount(self.targets, minlength=kinds).astype(np.int64)

    def difference(self, first: int, second: int, classes: Sequence[str]) -> str:
        """Name both classes."""
        if not classes:
            return super().difference(first, second, classes)
        return f"but labelled {classes[self.targets[second]]}, not {classes[self.targets[first]]}"


@dataclass(frozen=True)
class MaskLabels(Labels):
    """A class for every pixel: label planes, read from masks."""

    masks: SourcePlanes
    scan_checks = (
        "striate.datasets.checks.masks:size_differs",
        "striate.datasets.checks.masks:values_without_class",
        "striate.datasets.checks.masks:nothing_labelled",
    )

    @property
    def planes(self) -> SourcePlanes:
        """The masks."""
        return self.masks

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.masks)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> MaskLabels:
        """Return the labels of a selection of the samples."""
        return MaskLabels(self.masks.take(indices))

    def content(self) -> bytes:
        """Return nothing: there are the planes alone."""
        return b""

    def same(self, first: int, second: int) -> bool:
        """Return True: planes are compared by their content."""
        return True

    def difference(self, first: int, second: int, classes: Sequence[str]) -> str:
        """Name the masks."""
        return "with another mask"


@dataclass(frozen=True, kw_only=True)
class JointLabels(Labels):
    """The joints of one person per sample.

    Attributes:
        xyz_mm: relative to the root joint, along the camera's axes (x right, y down, z away), in millimetres; not a
            number where it is not known, and everywhere where the unit of the skeleton is px.
        uv_px: position in the image, the top left pixel's centre at (0.5, 0.5); not a number where it is not known. It
            can lie off the image.
        visible: joints that count: those that the file says are visible, and whose xyz is known, or uv where there is
            no xyz at all. A joint that is hidden behind something can be visible in this sense.
        skeleton: the joints' names, and how they hang together.
    """

    xyz_mm: Float32[np.ndarray, "samples joints 3"]
    uv_px: Float32[np.ndarray, "samples joints 2"]
    visible: Bool[np.ndarray, "samples joints"]
    skeleton: Skeleton
    may_shear = False  # no camera sees a sheared skeleton
    label_checks = (
        "striate.datasets.checks.joints:without_position",
        "striate.datasets.checks.joints:untaught",
        "striate.datasets.checks.joints:limbs",
        "striate.datasets.checks.sides:pairs",
        "striate.datasets.checks.sides:same_position",
        "striate.datasets.checks.sides:mirrored_coordinates",
    )
    scan_checks = ("striate.datasets.checks.joints:off_image",)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.visible)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> JointLabels:
        """Return the labels of a selection of the samples."""
        return replace(self, xyz_mm=self.xyz_mm[indices], uv_px=self.uv_px[indices], visible=self.visible[indices])

    def content(self) -> bytes:
        """Return coordinates and visibility."""
        return b"".join(np.ascontiguousarray(part).tobytes() for part in (self.xyz_mm, self.uv_px, self.visible))

    def same(self, first: int, second: int) -> bool:
        """Tell whether two samples have the same coordinates, but for rounding."""
        pairs = ((self.xyz_mm, _NEAR_MM), (self.uv_px, _NEAR_PX))
        return all(np.allclose(xy[first], xy[second], rtol=0, atol=near, equal_nan=True) for xy, near in pairs)

    def counts(self, kinds: int) -> Int64[np.ndarray, " kinds"]:
        """Return in how many samples each joint counts."""
        counts: Int64[np.ndarray, " kinds"] = self.visible.sum(axis=0).astype(np.int64)
        return counts

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
        """Tell which joints that count lie off their image (height, width) by more than a twentieth of its side."""
        sizes = sizes_px[:, None, ::-1]  # width and height, as u and v
        beyond = np.maximum(-self.uv_px, self.uv_px - sizes) > OFF_IMAGE * sizes  # false where it is not known
        strays: Bool[np.ndarray, "samples joints"] = beyond.any(axis=2) & self.visible
        return strays

    def misplaced(self, sizes_px: Int64[np.ndarray, "samples 2"]) -> Bool[np.ndarray, " samples"]:
        """Tell whose uv seems to be in other pixels: most of a sample's lie off its image, or many of all do."""
        strays = self.strays(sizes_px)
        located = self.visible & np.isfinite(self.uv_px).all(axis=2)
        off, most = strays.sum(axis=1), _MOST_OFF_ONE * located.sum(axis=1)
        many = off.sum() > _MOST_OFF * located.sum()
        mislocated: Bool[np.ndarray, " samples"] = off > (0 if many else most)
        return mislocated

    def resized(
        self,
        sizes_px: Callable[[], Int64[np.ndarray, "samples 2"]],
        spec: ImageSpec,
        where: Callable[[int], str],
    ) -> JointLabels:
        """Move uv with the pixels, without joints off the image; xyz, relative to the root joint, stays.

        Raises:
            DataError: many joints lie off their image, or any where uv is all that is known.
        """
        sizes = sizes_px()
        strays = self.strays(sizes)
        self._check_strays(strays, sizes, where)
        boxes = [resize_transform(int(height), int(width), spec) for height, width in sizes]
        scale = np.array([(box.scale_x, box.scale_y) for box in boxes], dtype=np.float32)
        offset = np.array([(box.offset_x, box.offset_y) for box in boxes], dtype=np.float32)
        uv_px = np.where(strays[..., None], np.float32(np.nan), self.uv_px)
        return replace(self, uv_px=uv_px * scale[:, None] + offset[:, None])

    def _check_strays(
        self,
        strays: Bool[np.ndarray, "samples joints"],
        sizes_px: Int64[np.ndarray, "samples 2"],
        where: Callable[[int], str],
    ) -> None:
        """Log how many joints lie off their image; raise DataError for many, or where uv is all that is known."""
        misplaced = self.misplaced(sizes_px)
        rows = np.flatnonzero(misplaced if misplaced.any() else strays.any(axis=1))
        if not len(rows):
            return
        row, joint = int(rows[0]), int(np.argmax(strays[rows[0]]))
        (u, v), (height, width) = self.uv_px[row, joint], sizes_px[row]
        what = (
            f"{self.skeleton.joints[joint]} is at ({u:.0f}, {v:.0f}), off the image, which has {width}x{height} pixels"
        )
        if self.skeleton.unit == "px":
            fix = "correct uv, or say null for what it does not show (striate check names all)"
            raise DataError(where(row), what, fix)
        if misplaced.any():
            raise DataError(
                where(row),
                f"{what}; so are {strays.sum():,} joints, in {strays.any(axis=1).sum():,} samples",
                "is uv in other pixels, before images were cropped or resized? Correct it, or say null for what they "
                "do not show",
            )
        logger.info(f"{where(row)}: {what}; {strays.sum():,} joints are off their image: only their xyz is learned")
