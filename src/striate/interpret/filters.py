"""The weights of the first layer as images, as Krizhevsky et al. 2012 show those of AlexNet."""

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
    """Return each filter as an RGB image: grey is zero, its strongest weight has full colour.

    A filter of other than one or three channels is shown by the mean over them.
    """
    images = []
    for weight in weights:
        rgb = weight if len(weight) == 3 else np.repeat(weight.mean(0, keepdims=True), 3, 0)
        scaled = rgb / max(float(np.abs(rgb).max()), 1e-12)
        images.append(np.round(127.5 + 127.5 * scaled).astype(np.uint8).transpose(1, 2, 0))
    return images
