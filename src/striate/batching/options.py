"""What images become, and in which batches they come: options of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from striate.datasets.options import CacheChoice
from striate.images.resize import Fit
from striate.system.options import Options, Wanted

PolicyName = Literal["none", "light", "standard", "strong"]


@dataclass(frozen=True, kw_only=True)
class BatchOptions(Options):
    """What images become, and in which batches they come.

    Raises:
        ConfigError: a value makes no sense.
    """

    batch_size: Annotated[int | Literal["auto"], Ge(2)] = "auto"
    """Images per step, over all processes: 2 or more. auto: 64; 8 for segmentation."""

    size: Annotated[int | Literal["auto"], Ge(1)] = "auto"
    """Side of the network's input in pixels, for segmentation the shorter side. auto: that of the images, at most what
    the model was designed for; for segmentation at most 512."""

    fit: Literal["auto", Fit] = "auto"
    """How images of another aspect ratio are resized: cropped to fill the input, padded to be shown whole, or
    stretched. auto: crop; pad for poses."""

    augment: Literal["auto", PolicyName] = "auto"
    """Augmentation of training images: see striate data DATA --sheet. auto: light; never mirror images of digits."""

    mixup: Annotated[float | Literal["auto"], Ge(0), Le(1)] = "auto"
    """Probability that an image is mixed with another (mixup, CutMix). auto: that of --augment."""

    cache: CacheChoice = "auto"
    """Where decoded images are kept. none: nowhere; they are decoded again in every epoch. auto: on disk if they
    fit."""

    seed: Annotated[int, Ge(0), Le(2**64 - 1), Wanted("a whole number from 0 to 2^64 - 1")] = 0
    """Seed of the random initialisation and of the order of the images: the same seed gives the same network."""
