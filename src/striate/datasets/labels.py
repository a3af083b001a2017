"""Labels: what images show, as numbers: a class per image, a class per pixel, or joints."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from striate.errors import DataError, listing, nearest
from striate.images.planes import NO_LABEL, SourcePlanes
from striate.images.resize import ImageSpec, resize_transform
from striate.tasks.skeleton import Skeleton
from striate.tasks.vocabulary import Vocabulary

__all__ = ["ClassLabels", "JointLabels", "LabelTargets", "Labels", "MaskLabels", "Motion"]

logger = logging.getLogger(__name__)

OFF_IMAGE = 0.05  # of an image's side, by which a joint may lie beyond it
_MOST_OFF, _MOST_OFF_ONE = 0.1, 0.5  # of all joints, and of one sample's, that lie off their images by chance
_NEAR_PX, _NEAR_MM = 0.5, 1.0  # joints that differ by less are the same, rounded


LabelTargets = np.ndarray | dict[str, np.ndarray]
"""What is true of samples, of all arrays along the first axis."""


@runtime_checkable
class Motion(Protocol):
    """How images of samples have been moved."""

    @property
    def matrices(self) -> Float64[np.ndarray, "batch 3 3"]:
        """From points of the images before to where they are now."""

    @property
    def flipped(self) -> Bool[np.ndarray, " batch"]:
        """Which ones are mirror images."""

    @property
    def angle_rad(self) -> Float64[np.ndarray, " batch"]:
        """By how much they have been rotated."""


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

    @property
    def plane_values(self) -> Int64[np.ndarray, " values"] | None:
        """What the values of label planes, which are the targets, stand for; None: for themselves."""
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

    @abstractmethod
    def make_targets(self, motion: Motion | None, image_px: tuple[int, int]) -> LabelTargets | None:
        """Return the targets of the samples; None where these are the label planes, which move with their images.

        Args:
            motion: how the images have been moved; None: not at all.
            image_px: height and width of the images, after that.
        """

    def aligned_to(self, own: Vocabulary, known: Vocabulary) -> Labels:
        """Return the same labels in the terms of a network; here, as they are.

        Args:
            own: what these labels are about.
            known: what the network's labels were about.

        Raises:
            DataError: the network does not know what they are about.
        """
        return self

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

    def make_targets(self, motion: Motion | None, image_px: tuple[int, int]) -> LabelTargets:
        """Return the classes."""
        return self.targets

    def aligned_to(self, own: Vocabulary, known: Vocabulary) -> ClassLabels:
        """Match classes by their names."""
        return ClassLabels(_index_of(own.classes, known.classes)[self.targets])

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
    """A class for every pixel: label planes, read from masks.

    Attributes:
        masks: the label planes.
        classes_of_values: which class each value in the planes stands for; None: that of its index.
    """

    masks: SourcePlanes
    classes_of_values: Int64[np.ndarray, " values"] | None = None
    scan_checks = (
        "striate.datasets.checks.masks:size_differs",
        "striate.datasets.checks.masks:values_without_class",
        "striate.datasets.checks.masks:nothing_labelled",
    )

    @property
    def planes(self) -> SourcePlanes:
        """The masks."""
        return self.masks

    @property
    def plane_values(self) -> Int64[np.ndarray, " values"] | None:
        """Which class each value stands for."""
        return self.classes_of_values

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.masks)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> MaskLabels:
        """Return the labels of a selection of the samples."""
        return replace(self, masks=self.masks.take(indices))

    def content(self) -> bytes:
        """Return nothing: there are the planes alone."""
        return b""

    def make_targets(self, motion: Motion | None, image_px: tuple[int, int]) -> None:
        """Return None: the label planes are the targets."""

    def aligned_to(self, own: Vocabulary, known: Vocabulary) -> MaskLabels:
        """Match classes by their names; pixels without a label stay so."""
        values = np.arange(NO_LABEL + 1)
        values[: len(own.classes)] = _index_of(own.classes, known.classes)
        return replace(self, classes_of_values=values)

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

    def make_targets(self, motion: Motion | None, image_px: tuple[int, int]) -> LabelTargets:
        """Return the joints where they are now; what is not known is 0 and not visible.

        Returns:
            `xyz_mm` relative to the root joint; `uv_px` in the image, the top left pixel's centre at (0.5, 0.5), what
            was cut off lies outside of it; `visible`, the joints that count; `placed`, those of them whose position in
            the image is known; `side_px`, width and height of the image.
        """
        xyz, uv, visible = self.xyz_mm.astype(np.float64), self.uv_px.astype(np.float64), self.visible
        if motion is not None:
            matrices = motion.matrices
            uv = uv @ matrices[:, :2, :2].transpose(0, 2, 1) + matrices[:, None, :2, 2]
            # a mirror image: x changes its sign, and left and right their names
            swapped, root = self.skeleton.mirrored, self.skeleton.root
            flipped = motion.flipped[:, None, None]
            xyz = np.where(flipped, xyz[:, swapped] * (-1, 1, 1), xyz)
            if swapped[root] != root:  # a hip, say: what was relative to the left one is to be so to the right one
                xyz = xyz - xyz[:, [root]]
            uv = np.where(flipped, uv[:, swapped], uv)
            visible = np.where(motion.flipped[:, None], visible[:, swapped], visible)
            if self.skeleton.unit == "mm":  # where the new root is not known, nothing is
                visible = visible & np.isfinite(xyz).all(-1)
            cos, sin = np.cos(motion.angle_rad)[:, None], np.sin(motion.angle_rad)[:, None]
            x, y, z = np.moveaxis(xyz, -1, 0)
            xyz = np.stack([cos * x - sin * y, sin * x + cos * y, z], -1)
        return {
            "xyz_mm": np.nan_to_num(xyz).astype(np.float32),
            "uv_px": np.nan_to_num(uv).astype(np.float32),
            "visible": visible,
            "placed": visible & np.isfinite(uv).all(-1),
            "side_px": np.full((len(uv), 2), image_px[::-1], dtype=np.float32),
        }

    def aligned_to(self, own: Vocabulary, known: Vocabulary) -> JointLabels:
        """Bring the joints into the network's order; raises DataError where these are other joints.

        What hangs on what, and what a mirror image swaps, changes neither coordinates nor figures.
        """
        mine, theirs = self.skeleton, known.skeleton
        assert theirs is not None
        if mine.unit != theirs.unit:
            raise DataError(
                "",
                f"its joints are in {mine.unit}, and the network finds them in {theirs.unit}",
                "measure it on data like those of its training",
            )
        if set(mine.joints) != set(theirs.joints):
            strange = [joint for joint in mine.joints if joint not in theirs.joints]
            missing = [joint for joint in theirs.joints if joint not in mine.joints]
            what = [f"the network does not know {listing(strange)}"] if strange else []
            what += [f"{listing(missing)} of the network's joints are not there"] if missing else []
            raise DataError("", ", and ".join(what), "give data with the joints of its training")
        root, their_root = mine.joints[mine.root], theirs.joints[theirs.root]
        if mine.unit == "mm" and root != their_root:
            raise DataError(
                "",
                f"its joints are relative to {root}, and the network's to {their_root}",
                "give that parent -1",
            )
        order = np.array([mine.joints.index(name) for name in theirs.joints])
        return replace(
            self,
            xyz_mm=self.xyz_mm[:, order],
            uv_px=self.uv_px[:, order],
            visible=self.visible[:, order],
            skeleton=theirs,
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


def _index_of(own: Sequence[str], known: Sequence[str]) -> Int64[np.ndarray, " classes"]:
    """Return for each class its index among a network's; raises DataError for one that the network does not have."""
    for name in own:
        if name not in known:
            raise DataError(
                "",
                f"the network has no class {name!r}{nearest(name, known)}",
                f"it knows: {listing(known, most=10)}",
            )
    return np.array([known.index(name) for name in own], dtype=np.int64)
