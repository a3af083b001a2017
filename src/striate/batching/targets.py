"""What a network learns from: a batch of images and their targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.batching.augmentation import SampledAugmentation
from striate.batching.transfer import to_device
from striate.datasets.labels import Labels
from striate.images.planes import NO_LABEL

__all__ = ["NO_LABEL", "Batch", "Targets", "one_tensor", "take_targets", "to_targets"]

Targets = Tensor | dict[str, Tensor]
"""What is true of the samples of a batch, of all tensors along the first axis."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Normalised images and their targets.

    Attributes:
        images: float32, NCHW in shape and channels-last in memory.
        targets: as the labels make them: the index of a class for each image (int64), or the share of every class
            where images are mixed (float32); an index for each pixel (int64, 255 where there is none); or several
            tensors by name.
    """

    images: Float[Tensor, "batch channels height width"]
    targets: Targets

    def parts(self, count: int) -> Iterator[Batch]:
        """Split the batch into so many parts, whose sizes differ by one at most."""
        size = len(self.images)
        for part in range(count):
            samples = slice(size * part // count, size * (part + 1) // count)
            yield Batch(images=self.images[samples], targets=take_targets(self.targets, samples))


def take_targets(targets: Targets, samples: slice) -> Targets:
    """Return the targets of some samples."""
    if isinstance(targets, dict):
        return {name: tensor[samples] for name, tensor in targets.items()}
    return targets[samples]


def one_tensor(targets: Targets) -> Tensor:
    """Return targets that are one tensor."""
    assert isinstance(targets, Tensor)
    return targets


def to_targets(
    labels: Labels,
    motion: SampledAugmentation | None,
    planes: Tensor | None,
    image_px: tuple[int, int],
    device: torch.device,
) -> Targets:
    """Return the targets of some samples.

    Args:
        labels: of the samples.
        motion: how their images have been moved.
        planes: theirs, already moved, on the device; None where the labels have none.
        image_px: height and width of the images, after that.
        device: where targets are wanted.
    """
    if planes is not None:
        targets = planes.to(torch.int64)
        if labels.plane_values is None:
            return targets
        return to_device(labels.plane_values, device)[targets]
    made = labels.make_targets(motion, image_px)
    assert made is not None, "labels without planes have targets of their own"
    if isinstance(made, np.ndarray):
        return to_device(made, device)
    return {name: to_device(array, device) for name, array in made.items()}
