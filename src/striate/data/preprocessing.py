"""What happens to an image between file and network: the same in training and ever after."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from striate.data.dataset import Samples
from striate.data.decode import is_grey

_PEEKED = 64  # image headers looked at to learn what a data set is like


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Decoding and normalisation of a network's input; stored in its run.

    Attributes:
        size_px: height and width: the largest central square, resized with antialiasing.
        channels: 1 for grey, 3 for RGB.
        mean: of the training images, a channel each, on a scale of 0 black to 1 white.
        std: standard deviation, likewise.
        fit: how a picture that is not square becomes one.
    """

    size_px: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: Literal["crop"] = "crop"

    def normalise(
        self, pixels: UInt8[np.ndarray, "batch height width channels"], device: torch.device
    ) -> Float[Tensor, "batch channels height width"]:
        """Turn uint8 pixels, 0 to 255, into what the network takes: (pixel / 255 - mean) / std.

        NHWC in memory is torch's channels-last NCHW: nothing is copied but the conversion itself.
        """
        images = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).to(torch.float32)
        mean = torch.tensor(self.mean, device=device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=device).view(-1, 1, 1)
        return images.sub_(mean * 255).div_(std * 255)


def natural_form(samples: Samples) -> tuple[int, int]:
    """Return what most of the images are like: the shorter side in pixels, and 1 (grey) or 3 channels.

    Looks at the headers of a few images, evenly spread; decodes none.

    Raises:
        ImageError: one of them is no image.
    """
    sides: list[int] = []
    grey = True
    for index in np.unique(np.linspace(0, len(samples) - 1, _PEEKED).astype(int)):
        image = samples.header(int(index))
        sides.append(min(image.size))
        grey = grey and is_grey(image)
    return median_low(sides), 1 if grey else 3


def channel_statistics(
    images: UInt8[np.ndarray, "samples height width channels"],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return each channel's mean and standard deviation over all pixels, on a scale of 0 to 1.

    Exact: from a count of each of the 256 values. A constant channel gets a standard deviation of 1.
    """
    means: list[float] = []
    stds: list[float] = []
    values = np.arange(256) / 255
    for channel in range(images.shape[-1]):
        counts = np.zeros(256, dtype=np.int64)
        for image in images:
            counts += np.bincount(image[..., channel].ravel(), minlength=256)
        share = counts / counts.sum()
        mean = float(share @ values)
        means.append(mean)
        stds.append(float(np.sqrt(share @ (values - mean) ** 2)) or 1.0)
    return tuple(means), tuple(stds)
