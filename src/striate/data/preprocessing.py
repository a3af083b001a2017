"""What happens to an image between file and network: the same in training and ever after."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low

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

    Raises:
        ValueError: the fields do not go together.
    """

    size_px: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.size_px, int) or self.size_px < 1 or self.channels not in (1, 3):
            raise ValueError(f"no images have size_px={self.size_px!r}, channels={self.channels!r}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std need a number a channel")

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
    """Return the shorter side, in pixels, of the middle one of the images, and 3 channels if any has colour, else 1.

    Looks at the headers of at most 64 images, evenly spread; decodes none.

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
