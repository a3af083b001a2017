"""What one can say without looking: beside every figure stands what that would reach."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def log_shares(counts: Sequence[int]) -> Float[Tensor, " classes"]:
    """Return the logarithms of shares, which are the logits of one who knows nothing else.

    What was never counted gets half a count.
    """
    counted = torch.tensor(counts, dtype=torch.float32).clamp(min=0.5)
    return (counted / counted.sum()).log()
