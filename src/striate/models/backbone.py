"""What decoders and heads know of a network that looks at images: the protocol of a backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

from striate.errors import ModelError
from striate.models.plan import Stride


@runtime_checkable  # for the checks of types in tests
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


def backbone_of(encoder: nn.Module) -> Backbone:
    """Return a module as the backbone that it is; raises ModelError if it gives no feature maps."""
    backbone = cast("Backbone", encoder)
    if not backbone.channels:
        raise ModelError(
            "", "a network without feature maps does not distinguish positions", "begin the line with conv"
        )
    return backbone
