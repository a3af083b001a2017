"""What a network is taught with: a batch of images and what they show."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Normalised images and, for each, the index of its class.

    `images` is float32, NCHW in shape and channels-last in memory; `targets` is int64.
    """

    images: Float[Tensor, "batch channels height width"]
    targets: Int[Tensor, " batch"]
