"""What one can say without looking: beside every figure stands what that would reach."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

THUMBNAIL_PX = 16


def log_shares(counts: Sequence[int]) -> Float[Tensor, " classes"]:
    """Return the logarithms of shares, which are the logits of one who knows nothing else.

    What was never counted gets half a count.
    """
    counted = torch.tensor(counts, dtype=torch.float32).clamp(min=0.5)
    return (counted / counted.sum()).log()


def thumbnails(images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _"]:
    """Return grey images of 16x16 pixels, by which the most alike one is found."""
    return F.adaptive_avg_pool2d(images.float().mean(1, keepdim=True), THUMBNAIL_PX).flatten(1).cpu()
