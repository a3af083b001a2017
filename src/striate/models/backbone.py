"""What decoders and heads know of a network that looks at images: the protocol of a backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from striate.models.plan import Stride


class Backbone(Protocol):
    """A module that makes feature maps of images. A `Network` is one; so is any `nn.Module` with these attributes.

    Attributes:
        channels: Number of channels of each feature map, the finest map first.
        strides: Pixels of the image from one unit of each feature map to the next: a number, or a pair (down, across)
            where the two differ.
        features: Maps images `[batch, channels, height, width]` to the feature maps, the finest first.
        input_shape: Channels, height and width of the images that it was built for. The number of channels is
            binding; other sizes are taken where they fit.
    """

    channels: tuple[int, ...]
    strides: tuple[Stride, ...]
    features: Callable[[Tensor], list[Tensor]]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Channels, height and width of the images that it was built for."""
