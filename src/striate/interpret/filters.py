"""What the first layer looks for: its weights as pictures, as Krizhevsky et al. 2012 show those of AlexNet."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from torch import nn


def first_filters(network: nn.Module) -> Float[np.ndarray, "filters channels height width"] | None:
    """Return the weights of the first convolution; None where there is none."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            weights: Float[np.ndarray, "filters channels height width"] = module.weight.detach().float().cpu().numpy()
            return weights
    return None


def filter_images(
    weights: Float[np.ndarray, "filters channels height width"],
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Return each filter as a picture: grey is nothing, its strongest weight is full colour.

    Of other than one or three channels the mean over them is shown.
    """
    pictures = []
    for one in weights:
        shown = one if len(one) == 3 else np.repeat(one.mean(0, keepdims=True), 3, 0)
        scaled = shown / max(float(np.abs(shown).max()), 1e-12)
        pictures.append(np.round(127.5 + 127.5 * scaled).astype(np.uint8).transpose(1, 2, 0))
    return pictures
