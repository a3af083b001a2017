"""A head for places: a heatmap a joint, whose mean place is the joint's (soft-argmax)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError
from striate.models.decoders import Decoder, pair
from striate.models.network import Stride

_STRIDE = 4  # pixels of the image that a unit of a heatmap stands for, as in Xiao et al. 2018


class HeatmapNetwork(nn.Module):
    """A network from images to the places of joints, by transposed convolutions up to a quarter of the resolution.

    Each joint has a heatmap, whose softmax over all units weighs them (Xiao et al. 2018, "Simple baselines for human
    pose estimation"). The mean of the units' places is the joint's place in the image (Sun et al. 2018, "Integral human
    pose regression"); where more is to be found at it, such as x, y and z in millimetres, each joint has as many maps
    more, and their mean under the same weights is what is found there: location maps, as in Mehta et al. 2017 (VNect),
    read softly. So no camera is needed to come from pixels to millimetres, nor need joints lie within the image.

    Args:
        encoder: gives feature maps.
        joints: how many.
        found: how many numbers are found at each place.

    Raises:
        ModelError: the encoder has no feature maps, or one is not a whole number of times as fine as the next.
    """

    def __init__(self, encoder: nn.Module, joints: int, found: int) -> None:
        super().__init__()
        channels: tuple[int, ...] = encoder.channels  # type: ignore[assignment]  # the contract of a backbone
        strides: tuple[Stride, ...] = encoder.strides  # type: ignore[assignment]
        if not channels:
            raise ModelError("a network without feature maps cannot tell places apart; begin the line with conv.")
        pairs = [pair(stride) for stride in strides]
        first = next((place for place, sides in enumerate(pairs) if min(sides) >= _STRIDE), len(pairs) - 1)
        above = pairs[first]
        relative: list[Stride] = [(down / above[0], across / above[1]) for down, across in pairs[first:]]
        self.encoder = encoder
        self.first = first
        self.joints = joints
        self.found = found
        try:
            self.decoder = Decoder(channels[first:], relative, joints * (1 + found), way="transposed", skips="none")
        except ModelError as error:
            raise ModelError(f"{str(error).partition(';')[0]}; take --head vector, or other strides.") from None

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch numbers"]:
        """Map images to numbers for each joint: what is found there, then x and y, from -2 at one side to 2."""
        features: Callable[[Tensor], list[Tensor]] = self.encoder.features  # type: ignore[assignment]
        maps = self.decoder(features(images)[self.first :]).float()
        height, width = maps.shape[2:]
        weights = maps[:, : self.joints].flatten(2).softmax(2)
        rows = weights.new_tensor([(row + 0.5) / height for row in range(height)])
        columns = weights.new_tensor([(column + 0.5) / width for column in range(width)])
        units = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), 2).flatten(0, 1)
        places = 4 * (weights @ units.flip(1)) - 2
        read = maps[:, self.joints :].unflatten(1, (self.joints, self.found)).flatten(3)
        numbers = torch.cat([(read * weights[:, :, None]).sum(3), places], 2)
        return numbers.flatten(1)
