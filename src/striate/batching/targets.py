"""What a network is taught with: a batch of images and what they show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from striate.batching.augmentation import SampledAugmentation
from striate.datasets.labels import ClassLabels, JointLabels, Labels, MaskLabels
from striate.images.planes import NO_LABEL

__all__ = ["NO_LABEL", "Batch", "JointTargets", "Targets", "make_targets"]


@dataclass(frozen=True, kw_only=True)
class JointTargets:
    """Where joints are; what is not known is 0 and not visible.

    Attributes:
        xyz_mm: relative to the root joint: x right, y down, z away from the camera.
        uv_px: in the image, the top left pixel's centre at (0.5, 0.5); what was cut off lies outside of it.
        visible: joints that count.
        placed: those of them whose place in the image is known.
        image_px: height and width of the images.
    """

    xyz_mm: Float[Tensor, "batch joints 3"]
    uv_px: Float[Tensor, "batch joints 2"]
    visible: Bool[Tensor, "batch joints"]
    placed: Bool[Tensor, "batch joints"]
    image_px: tuple[int, int]

    def __getitem__(self, samples: slice) -> JointTargets:
        """Return those of some samples."""
        return JointTargets(
            xyz_mm=self.xyz_mm[samples],
            uv_px=self.uv_px[samples],
            visible=self.visible[samples],
            placed=self.placed[samples],
            image_px=self.image_px,
        )


Targets = Int[Tensor, " batch"] | Float[Tensor, "batch classes"] | Int[Tensor, "batch height width"] | JointTargets


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Normalised images and what they show.

    Attributes:
        images: float32, NCHW in shape and channels-last in memory.
        targets: the index of a class for each image (int64), or the share of every class where images are mixed
            (float32); an index for each pixel (int64, 255 where there is none); or joints.
    """

    images: Float[Tensor, "batch channels height width"]
    targets: Targets

    def parts(self, count: int) -> Iterator[Batch]:
        """Cut the batch into so many parts, whose sizes differ by one at most."""
        size = len(self.images)
        for part in range(count):
            samples = slice(size * part // count, size * (part + 1) // count)
            yield Batch(images=self.images[samples], targets=self.targets[samples])


@singledispatch
def make_targets(
    labels: Labels,
    moves: SampledAugmentation | None,
    masks: Tensor | None,
    image_px: tuple[int, int],
    device: torch.device,
) -> Targets:
    """Return what the network is taught of some samples.

    Args:
        labels: of the samples.
        moves: what has happened to their pictures.
        masks: theirs, already moved, on the device.
        image_px: height and width of the images, after that.
        device: where targets are wanted.
    """
    raise NotImplementedError(type(labels))


@make_targets.register
def _(
    labels: ClassLabels,
    moves: SampledAugmentation | None,
    masks: Tensor | None,
    image_px: tuple[int, int],
    device: torch.device,
) -> Targets:
    return torch.from_numpy(labels.targets).to(device)


@make_targets.register
def _(
    labels: MaskLabels,
    moves: SampledAugmentation | None,
    masks: Tensor | None,
    image_px: tuple[int, int],
    device: torch.device,
) -> Targets:
    assert masks is not None
    return masks.to(torch.int64)


@make_targets.register
def _(
    labels: JointLabels,
    moves: SampledAugmentation | None,
    masks: Tensor | None,
    image_px: tuple[int, int],
    device: torch.device,
) -> Targets:
    xyz, uv, visible = labels.xyz_mm.astype(np.float64), labels.uv_px.astype(np.float64), labels.visible
    if moves is not None:
        matrices = moves.matrices
        uv = uv @ matrices[:, :2, :2].transpose(0, 2, 1) + matrices[:, None, :2, 2]
        # a mirror image: x changes its sign, and left and right their names
        swapped, root = labels.skeleton.mirrored, labels.skeleton.root
        where = moves.flipped[:, None, None]
        xyz = np.where(where, xyz[:, swapped] * (-1, 1, 1), xyz)
        if swapped[root] != root:  # a hip, say: what was relative to the left one is to be so to the right one
            xyz = xyz - xyz[:, [root]]
        uv = np.where(where, uv[:, swapped], uv)
        visible = np.where(moves.flipped[:, None], visible[:, swapped], visible)
        if labels.skeleton.unit == "mm":  # where the new root is not known, nothing is
            visible = visible & np.isfinite(xyz).all(-1)
        cos, sin = np.cos(moves.angle_rad)[:, None], np.sin(moves.angle_rad)[:, None]
        x, y, z = np.moveaxis(xyz, -1, 0)
        xyz = np.stack([cos * x - sin * y, sin * x + cos * y, z], -1)
    placed = visible & np.isfinite(uv).all(-1)
    return JointTargets(
        xyz_mm=torch.from_numpy(np.nan_to_num(xyz).astype(np.float32)).to(device),
        uv_px=torch.from_numpy(np.nan_to_num(uv).astype(np.float32)).to(device),
        visible=torch.from_numpy(visible).to(device),
        placed=torch.from_numpy(placed).to(device),
        image_px=image_px,
    )
