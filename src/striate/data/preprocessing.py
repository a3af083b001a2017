"""What happens to an image between file and network: the same in training and ever after."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from striate.data.dataset import Samples
from striate.data.decode import MAX_PIXELS, is_grey, upright_size
from striate.data.fitting import FILTERS, FITS, Fit, Form, Interpolation
from striate.data.store import Store

_PEEKED = 64  # image headers looked at to learn what a data set is like
_COUNTED = 4096  # pictures whose values are counted
_AT_ONCE = 64  # of these


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Decoding and normalisation of a network's input; stored in its run.

    Attributes:
        height_px: of the input.
        width_px: likewise.
        channels: 1 for grey, 3 for RGB.
        fit: how a picture of another shape is brought to that size (see `fitting.Form`).
        mean: of the training images, a channel each, on a scale of 0 black to 1 white.
        std: standard deviation, likewise.
        scale: how large the training images were, as a share of the pictures that they came from.
        interpolation: the filter that pixels go through on the way.

    Raises:
        ValueError: the fields do not go together.
    """

    height_px: int
    width_px: int
    channels: int
    fit: Fit
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1.0
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        sides = (self.height_px, self.width_px)
        if not all(isinstance(side, int) and side > 0 for side in sides) or self.channels not in (1, 3):
            raise ValueError(f"no images are {self.height_px!r}x{self.width_px!r} of {self.channels!r} channels")
        if self.fit not in FITS:
            raise ValueError(f"no fit is called {self.fit!r}")
        if self.interpolation not in FILTERS:
            raise ValueError(f"no interpolation is called {self.interpolation!r}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std need a number a channel")

    @property
    def form(self) -> Form:
        """What pictures are decoded to."""
        return Form(
            height_px=self.height_px,
            width_px=self.width_px,
            channels=self.channels,
            fit=self.fit,
            interpolation=self.interpolation,
        )

    def normalise(
        self,
        images: Float[Tensor, "batch channels height width"],
        colours: tuple[Float64[np.ndarray, "batch 3 3"], Float64[np.ndarray, " batch"]] | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """Turn values of 0 to 255 into what the network takes: (value / 255 - mean) / std, channels-last in memory.

        Args:
            images: written over.
            colours: of each image, a matrix and an offset that change its colours first (see `Moves.colours`). Of
                grey images, what becomes of white counts.
        """
        mean, std = np.array(self.mean), np.array(self.std)
        if colours is None:
            shift = torch.from_numpy((mean * 255).astype(np.float32)).to(images.device).view(-1, 1, 1)
            scale = torch.from_numpy((std * 255).astype(np.float32)).to(images.device).view(-1, 1, 1)
            return images.sub_(shift).div_(scale).contiguous(memory_format=torch.channels_last)
        matrices, offsets = colours
        if self.channels == 1:
            matrices = matrices[:, :1].sum(2, keepdims=True)
        matrices = matrices / (255 * std[:, None])
        added = (offsets[:, None] - mean) / std
        weights = torch.from_numpy(matrices.astype(np.float32)).to(images.device)
        bias = torch.from_numpy(added.astype(np.float32)).to(images.device)
        changed = torch.baddbmm(bias[:, :, None], weights, images.flatten(2))
        return changed.view(images.shape).contiguous(memory_format=torch.channels_last)


def evenly_spread(count: int, most: int) -> Int64[np.ndarray, " chosen"]:
    """Return at most so many of the places 0 to count - 1, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def natural_form(samples: Samples, max_pixels: int = MAX_PIXELS) -> tuple[int, int, int]:
    """Return the middle height and width of the images, in pixels, and 3 channels if any has colour, else 1.

    Looks at the headers of at most 64 images, evenly spread; decodes none.

    Raises:
        ImageError: one of them is no image.
    """
    heights: list[int] = []
    widths: list[int] = []
    grey = True
    for index in evenly_spread(len(samples), _PEEKED).tolist():
        image = samples.pictures.header(index, max_pixels=max_pixels)
        height, width = upright_size(image)
        heights.append(height)
        widths.append(width)
        grey = grey and is_grey(image)
    return median_low(heights), median_low(widths), 1 if grey else 3


def channel_statistics(store: Store) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return each channel's mean and standard deviation over the pictures, on a scale of 0 to 1.

    Exact, from a count of each of the 256 values, for up to 4,096 pictures; of more, as many are looked at, evenly
    spread. A constant channel gets a standard deviation of 1.
    """
    looked_at = evenly_spread(len(store), _COUNTED)
    counts: Int64[np.ndarray, "channels 256"] | int = 0
    for begin in range(0, len(looked_at), _AT_ONCE):
        images = store.gather(looked_at[begin : begin + _AT_ONCE]).images
        counts = counts + np.stack([np.bincount(plane.ravel(), minlength=256) for plane in np.moveaxis(images, -1, 0)])
    values = np.arange(256) / 255
    share = counts / np.sum(counts, axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())
