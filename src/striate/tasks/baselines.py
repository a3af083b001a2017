"""What one can predict without looking at the image: its figures stand beside those of every network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def log_shares(counts: Sequence[int]) -> Float[Tensor, " classes"]:
    """Return the logarithms of shares, the logits of one who knows nothing else.

    What was never counted gets half a count.
    """
    counted = torch.tensor(counts, dtype=torch.float32).clamp(min=0.5)
    return (counted / counted.sum()).log()


def thumbnails(images: Float[Tensor, "batch channels height width"], side_px: int) -> Float[Tensor, "batch _"]:
    """Return small grey images, by which the most similar one is found."""
    return F.adaptive_avg_pool2d(images.float().mean(1, keepdim=True), side_px).flatten(1).cpu()
