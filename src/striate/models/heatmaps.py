"""A head for places: a heatmap a joint, whose mean place is the joint's (soft-argmax)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError
from striate.models.backbone import Backbone
from striate.models.decoders import Decoder, center_crop_or_pad, common_stride, pad_to_multiple, stride_pair
from striate.models.plan import Stride

_STRIDE = 4  # pixels of the image that a unit of a heatmap stands for, as in Xiao et al. 2018
_LEAST_WIDTH = (
    128  # channels on the way up: more than maps come of it. Xiao et al. take 256, at twice the time on a CPU
)


class HeatmapNetwork(nn.Module):
    """A network from images to the places of joints, by transposed convolutions up to a quarter of the resolution.

    Each joint has a heatmap, whose softmax over all units weighs them (Xiao et al. 2018, "Simple baselines for human
    pose estimation"). The mean of the units' places is the joint's place in the image (Sun et al. 2018, "Integral human
    pose regression"); where more is to be found at it, such as x, y and z in millimetres, each joint has as many maps
    more, and their mean under the same weights is what is found there: location maps, as in Mehta et al. 2017 (VNect),
    read softly. So no camera is needed to come from pixels to millimetres, nor need joints lie within the image.

    Feature maps that are finer than a quarter are not used. Where the coarsest one is no coarser than that, there is
    nothing to transpose: a 1x1 convolution makes heatmaps of it.

    Images are extended to a multiple of the encoder's coarsest stride, as `EncoderDecoder` does. A unit's place is the
    middle of the pixels that it stands for. Where the encoder does not pad, maps end before the image does: they lie in
    its middle, and are extended by repeating their border until they cover it.

    Args:
        encoder: gives feature maps.
        joints: how many.
        found: how many numbers are found at each place.

    Raises:
        ModelError: the encoder has no feature maps, or one is not a whole number of times as fine as the next.
    """

    def __init__(self, encoder: nn.Module, joints: int, found: int) -> None:
        super().__init__()
        known: Backbone = encoder  # type: ignore[assignment]  # a Network is one
        if not known.channels:
            raise ModelError("a network without feature maps cannot tell places apart; begin the line with conv.")
        pairs = [stride_pair(stride) for stride in known.strides]
        first = next((place for place, sides in enumerate(pairs) if min(sides) >= _STRIDE), len(pairs) - 1)
        above = pairs[first]
        relative: list[Stride] = [(down / above[0], across / above[1]) for down, across in pairs[first:]]
        self.encoder = encoder
        self.first = first
        self.joints = joints
        self.found = found
        self.unit = common_stride(known.strides)
        self.unit_px = (float(above[0]), float(above[1]))
        try:
            self.decoder = Decoder(
                known.channels[first:],
                relative,
                joints * (1 + found),
                way="transposed",
                skips="none",
                least_width=_LEAST_WIDTH,
            )
        except ModelError as error:
            raise ModelError(f"{str(error).partition(';')[0]}; take --head vector, or other strides.") from None

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch numbers"]:
        """Map images to numbers for each joint: what is found there, then x and y, from -2 at one side to 2."""
        extended = pad_to_multiple(images, self.unit)
        features: list[Tensor] = self.encoder.features(extended)  # type: ignore[operator]  # the contract of a backbone
        maps = self.decoder(features[self.first :]).float()
        down, across = (
            _Units(maps.shape[side], self.unit_px[side - 2], extended.shape[side], images.shape[side])
            for side in (2, 3)
        )
        maps = center_crop_or_pad(maps, down.covering, across.covering)[:, :, : down.kept, : across.kept]
        heat, read = maps[:, : self.joints], maps[:, self.joints :]
        weights = heat.flatten(2).softmax(2).view_as(heat)
        # sums of products, and no matrix product, which mixed precision would compute from bfloat16: half a pixel off
        x = (weights.sum(2) * across.places(maps)).sum(2)
        y = (weights.sum(3) * down.places(maps)).sum(2)
        found = (read.reshape(len(maps), self.joints, self.found, *maps.shape[2:]) * weights[:, :, None]).sum((3, 4))
        return torch.cat([found, x[..., None], y[..., None]], 2).flatten(1)


class _Units:
    """Where the units of maps lie along one side of an image.

    Args:
        units: of the maps, which lie in the middle of the extended image.
        unit_px: from one to the next.
        extended_px: the side that the network was given.
        image_px: the image's part of it, from its beginning.
    """

    def __init__(self, units: int, unit_px: float, extended_px: int, image_px: int) -> None:
        self.unit_px = unit_px
        self.extended_px = extended_px
        self.image_px = image_px
        self.covering = units + 2 * max(0, math.ceil((extended_px / unit_px - units) / 2))
        self.kept = min(self.covering, math.ceil(self.covering / 2 + (image_px - extended_px / 2) / unit_px))

    def places(self, like: Tensor) -> Float[Tensor, " kept"]:
        """Return the middles of those that are kept, from -2 at the image's beginning to 2 at its end."""
        order = torch.arange(self.kept, dtype=like.dtype, device=like.device)
        middles_px = (order + 0.5 - self.covering / 2) * self.unit_px + self.extended_px / 2
        return 4 * middles_px / self.image_px - 2
