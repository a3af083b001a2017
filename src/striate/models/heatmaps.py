"""A head for positions: one heatmap for each joint, whose mean position is the joint's (soft-argmax)."""

from __future__ import annotations

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError
from striate.models.backbone import Backbone, backbone_of
from striate.models.decoders import Decoder, center_crop_or_pad, common_stride, pad_to_multiple, stride_pair
from striate.models.plan import Stride

_STRIDE = 4  # pixels of the image for each unit of a heatmap, as in Xiao et al. 2018
_LEAST_WIDTH = 128  # channels of enlarged maps: more than there are heatmaps. Xiao et al. take 256, in twice the time


class HeatmapNetwork(nn.Module):
    """A network from images to the positions of joints, by transposed convolutions up to a quarter of the resolution.

    Each joint has a heatmap, whose softmax over all units gives their weights (Xiao et al. 2018, "Simple baselines for
    human pose estimation"). The weighted mean of the units' positions is the joint's position in the image (Sun et al.
    2018, "Integral human pose regression"). For values such as x, y and z in millimetres each joint has one more map
    for each value, and the mean of that map under the same weights is the value: location maps, as in Mehta et al. 2017
    (VNect), read by a soft-argmax. So no camera is needed to get from pixels to millimetres, and joints may lie outside
    of the image.

    Feature maps that are finer than a quarter are not used. If the coarsest one is no coarser than that, nothing is
    enlarged: a 1x1 convolution computes heatmaps from it.

    Images are padded to a multiple of the encoder's coarsest stride, as in `EncoderDecoder`. A unit's position is the
    centre of the pixels that it stands for. If the encoder does not pad, maps end before the image does: they lie in
    its centre, and are padded by repeating their border until they cover it.

    Args:
        encoder: A module that is a `Backbone`.
        joints: Number of joints.
        values: Number of values for each joint, besides its position in the image.

    Raises:
        ModelError: The encoder has no feature maps, or a stride is no multiple of the one before it.
    """

    def __init__(self, encoder: nn.Module, joints: int, values: int) -> None:
        super().__init__()
        backbone = backbone_of(encoder)
        strides = [stride_pair(stride) for stride in backbone.strides]
        first = next((index for index, stride in enumerate(strides) if min(stride) >= _STRIDE), len(strides) - 1)
        finest = strides[first]
        relative: list[Stride] = [(down / finest[0], across / finest[1]) for down, across in strides[first:]]
        self.encoder = encoder
        self.first = first
        self.joints = joints
        self.values = values
        self.unit = common_stride(backbone.strides)
        self.unit_px = (float(finest[0]), float(finest[1]))
        try:
            self.decoder = Decoder(
                backbone.channels[first:],
                relative,
                joints * (1 + values),
                way="transposed",
                skips="none",
                least_width=_LEAST_WIDTH,
            )
        except ModelError as error:
            raise ModelError(error.where, error.what, "take --head vector, or other strides") from None

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch numbers"]:
        """Map images to the numbers of each joint: its values, then x and y, from -2 at one side of the image to 2."""
        extended = pad_to_multiple(images, self.unit)
        features = cast(Backbone, self.encoder).features(extended)
        maps = self.decoder(features[self.first :]).float()
        down, across = (
            _Units(maps.shape[side], self.unit_px[side - 2], extended.shape[side], images.shape[side])
            for side in (2, 3)
        )
        maps = center_crop_or_pad(maps, down.covering, across.covering)[:, :, : down.kept, : across.kept]
        heat, value_maps = maps[:, : self.joints], maps[:, self.joints :]
        weights = heat.flatten(2).softmax(2).view_as(heat)
        # sums of products, and no matrix product, which mixed precision would compute from bfloat16: half a pixel off
        x = (weights.sum(2) * across.positions(maps)).sum(2)
        y = (weights.sum(3) * down.positions(maps)).sum(2)
        shape = (len(maps), self.joints, self.values, *maps.shape[2:])
        values = (value_maps.reshape(shape) * weights[:, :, None]).sum((3, 4))
        return torch.cat([values, x[..., None], y[..., None]], 2).flatten(1)


class _Units:
    """Positions of the units of maps along one side of an image.

    Args:
        units: Number of units of the maps, which lie in the centre of the padded image.
        unit_px: Pixels from one unit to the next.
        extended_px: Side of the padded image.
        image_px: Side of the image, which begins where the padded image does.
    """

    def __init__(self, units: int, unit_px: float, extended_px: int, image_px: int) -> None:
        self.unit_px = unit_px
        self.extended_px = extended_px
        self.image_px = image_px
        self.covering = units + 2 * max(0, math.ceil((extended_px / unit_px - units) / 2))
        self.kept = min(self.covering, math.ceil(self.covering / 2 + (image_px - extended_px / 2) / unit_px))

    def positions(self, like: Tensor) -> Float[Tensor, " kept"]:
        """Return the centres of the units that are kept, from -2 at the image's beginning to 2 at its end."""
        order = torch.arange(self.kept, dtype=like.dtype, device=like.device)
        middles_px = (order + 0.5 - self.covering / 2) * self.unit_px + self.extended_px / 2
        return 4 * middles_px / self.image_px - 2
