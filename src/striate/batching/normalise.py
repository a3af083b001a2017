"""Normalisation of a batch, on whatever device it is."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from striate.batching.transfer import to_device
from striate.images.preprocessing import Preprocessing


def normalise(
    preprocessing: Preprocessing,
    images: Float[Tensor, "batch channels height width"],
    colours: tuple[Float64[np.ndarray, "batch 3 3"], Float64[np.ndarray, " batch"]] | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Turn values of 0 to 255 into what the network takes: (value / 255 - mean) / std, channels-last in memory.

    Args:
        preprocessing: mean, deviation and channels.
        images: written over.
        colours: of each image, a matrix and an offset that change its colours first (see
            `SampledAugmentation.colours`). Of grey images, what becomes of white counts.
    """
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    if colours is None:
        shift = to_device((mean * 255).astype(np.float32), images.device).view(-1, 1, 1)
        scale = to_device((std * 255).astype(np.float32), images.device).view(-1, 1, 1)
        return images.sub_(shift).div_(scale).contiguous(memory_format=torch.channels_last)
    matrices, offsets = colours
    if preprocessing.channels == 1:
        matrices = matrices[:, :1].sum(2, keepdims=True)
    matrices = matrices / (255 * std[:, None])
    added = (offsets[:, None] - mean) / std
    weights = to_device(matrices.astype(np.float32), images.device)
    bias = to_device(added.astype(np.float32), images.device)
    changed = torch.baddbmm(bias[:, :, None], weights, images.flatten(2))
    return changed.view(images.shape).contiguous(memory_format=torch.channels_last)
