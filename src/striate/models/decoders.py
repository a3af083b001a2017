"""Decoders: from feature maps back to the image's resolution. Of an encoder they know that it is a `Backbone`.

There are two ways to enlarge maps, `upsample` (bilinear upsampling, then convolution) and `transposed` (transposed
convolution, which begins as bilinear upsampling), and three ways to use the finer maps (skip connections):

concat   they are concatenated with the enlarged coarser maps: U-Net (Ronneberger et al. 2015)
sum      scores are computed at every resolution, and added up: FCN (Long et al. 2015)
none     they are not used: a plain encoder-decoder
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError
from striate.layers.upward import deconv
from striate.models.backbone import Backbone, backbone_of
from striate.models.plan import Stride

Way = Literal["upsample", "transposed"]
Skips = Literal["concat", "sum", "none"]
Factor = tuple[Fraction, Fraction]

_LEAST_WIDTH = 16


class EncoderDecoder(nn.Module):
    """A network from images to scores for every pixel, exactly as large as the images, whatever their size.

    Images are padded to a multiple of the encoder's coarsest stride, and to the smallest size that it takes, below and
    on the right, by repeating their border; the output is cut to their size. So units lie on one grid that begins in
    the top left corner, and a window of an image whose corner lies on it gives the same scores as the full image, but
    for the influence of the window's border.

    Args:
        encoder: A module that is a `Backbone`.
        outputs: Number of scores for each pixel: the number of classes.
        way: How maps are enlarged.
        skips: How the finer maps are used.
        reduce: Factor by which images are downsampled before the encoder (by averaging squares of so many pixels) and
            scores upsampled after the decoder (bilinearly). A network for large images costs a quarter with 2.
        least_px: Height and width of the smallest images that the encoder takes.

    Raises:
        ModelError: The encoder has no feature maps, or `way` cannot enlarge by the factor between two of them.
    """

    def __init__(
        self,
        encoder: nn.Module,
        outputs: int,
        *,
        way: Way = "upsample",
        skips: Skips = "concat",
        reduce: int = 1,
        least_px: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        backbone = backbone_of(encoder)
        self.encoder = encoder
        self.decoder = Decoder(backbone.channels, backbone.strides, outputs, way=way, skips=skips)
        self.reduce = reduce
        down, across = common_stride(backbone.strides)
        self.unit = (reduce * down, reduce * across)
        self.least = (reduce * least_px[0], reduce * least_px[1])

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch outputs height width"]:
        """Map images to scores for every pixel."""
        height, width = images.shape[2:]
        x = pad_to_multiple(images, self.unit, self.least)
        if self.reduce > 1:
            x = F.avg_pool2d(x, self.reduce)
        x = center_crop_or_pad(self.decoder(cast(Backbone, self.encoder).features(x)), x.shape[2], x.shape[3])
        if self.reduce > 1:
            x = F.interpolate(x, scale_factor=self.reduce, mode="bilinear")
        return x[:, :, :height, :width]


class Decoder(nn.Module):
    """Maps feature maps to scores at the resolution of the image, up to a border that the encoder has cut off.

    Each enlargement gives half as many channels as the next finer map has, or `least_width`; then batch norm and ReLU.

    Args:
        channels: Number of channels of each feature map, the finest map first.
        strides: Strides of the feature maps, in pixels of the image.
        outputs: Number of scores for each pixel.
        way: How maps are enlarged.
        skips: How the finer maps are used.
        least_width: Smallest number of channels of an enlarged map.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Stride],
        outputs: int,
        *,
        way: Way = "upsample",
        skips: Skips = "concat",
        least_width: int = _LEAST_WIDTH,
    ) -> None:
        super().__init__()
        self.skips = skips
        pairs = [stride_pair(stride) for stride in strides]
        factors = [(below[0] / above[0], below[1] / above[1]) for above, below in pairwise(pairs)]
        if skips == "sum":
            widths = [outputs] * len(channels)
            self.scores = nn.ModuleList(nn.Conv2d(width, outputs, 1) for width in channels)
        else:
            widths = [max(finer // 2, least_width) for finer in channels[:-1]] + [channels[-1]]
            self.merge = nn.ModuleList(
                _block(width + (finer if skips == "concat" else 0), width)
                for width, finer in zip(widths[:-1], channels[:-1], strict=True)
            )
            self.classifier = nn.Conv2d(widths[0], outputs, 1)
        self.up = nn.ModuleList(
            Up(below, above, factor, way, plain=skips == "sum")
            for (above, below), factor in zip(pairwise(widths), factors, strict=True)
        )
        self.last = (
            Up(outputs, outputs, pairs[0], way, plain=True) if max(pairs[0]) > 1 or min(pairs[0]) < 1 else nn.Identity()
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map feature maps, the finest first, to scores for every pixel."""
        if self.skips == "sum":
            maps = [score(feature_map) for score, feature_map in zip(self.scores, maps, strict=True)]
        x = maps[-1]
        for index in reversed(range(len(maps) - 1)):
            finer = maps[index]
            x = center_crop_or_pad(self.up[index](x), finer.shape[2], finer.shape[3])
            if self.skips == "sum":
                x = x + finer
            else:
                x = self.merge[index](torch.cat([x, finer], 1) if self.skips == "concat" else x)
        scores: Tensor = self.last(x if self.skips == "sum" else self.classifier(x))
        return scores


class Up(nn.Module):
    """One enlargement of feature maps, by a factor down and across.

    Args:
        channels_in: Number of channels of the input.
        channels: Number of output channels.
        factor: Factors down and across; whole numbers for transposed convolutions.
        way: Upsampling and a 3x3 convolution, or a transposed convolution.
        plain: Whether the maps are scores: without batch norm and ReLU, and without weights if they are upsampled.
    """

    def __init__(self, channels_in: int, channels: int, factor: Factor, way: Way, *, plain: bool = False) -> None:
        super().__init__()
        self.scale = (float(factor[0]), float(factor[1]))
        self.upsamples = way == "upsample"
        parts: list[nn.Module] = []
        if way == "transposed":
            if factor[0].denominator != 1 or factor[1].denominator != 1:
                text = "x".join(map(str, factor))
                raise ModelError("", f"a transposed convolution cannot enlarge by {text}", "take --decoder upsample")
            parts = [deconv(channels_in, channels, (int(factor[0]), int(factor[1])))]
        elif not plain:
            parts = [_convolution(channels_in, channels)]
        if not plain:
            parts += [nn.BatchNorm2d(channels), nn.ReLU()]
        self.then = nn.Sequential(*parts)

    def forward(self, x: Float[Tensor, "batch _ _ _"]) -> Float[Tensor, "batch _ _ _"]:
        """Enlarge feature maps."""
        if self.upsamples:
            x = F.interpolate(x, scale_factor=self.scale, mode="bilinear")
        y: Tensor = self.then(x)
        return y


def padded_size(sides: tuple[int, int], unit: tuple[int, int], least: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """Return the height and width that images are padded to: a multiple of a unit, and at least `least`.

    >>> padded_size((360, 480), (32, 32))
    (384, 480)
    """
    down, across = (
        max(-(-side // step) * step, smallest) for side, step, smallest in zip(sides, unit, least, strict=True)
    )
    return down, across


def pad_to_multiple(
    images: Float[Tensor, "batch channels _ _"], unit: tuple[int, int], least: tuple[int, int] = (1, 1)
) -> Float[Tensor, "batch channels _ _"]:
    """Pad images below and on the right to a multiple of a unit, at least to `least`, by repeating their border."""
    height, width = images.shape[2], images.shape[3]
    down, across = padded_size((height, width), unit, least)
    more = (0, across - width, 0, down - height)
    return F.pad(images, more, mode="replicate") if any(more) else images


def center_crop_or_pad(
    x: Float[Tensor, "batch channels _ _"], height: int, width: int
) -> Float[Tensor, "batch channels _ _"]:
    """Crop feature maps about their centre to a size, or pad them by repeating their borders."""
    down, across = height - x.shape[2], width - x.shape[3]
    if down == 0 and across == 0:
        return x
    sides = (across // 2, across - across // 2, down // 2, down - down // 2)
    x = F.pad(x, [max(0, side) for side in sides], mode="replicate")
    top, left = max(0, -sides[2]), max(0, -sides[0])
    return x[:, :, top : top + height, left : left + width]


def common_stride(strides: Sequence[Stride]) -> tuple[int, int]:
    """Return the smallest height and width, in pixels, that are multiples of all strides.

    >>> common_stride((2, 4, 8)), common_stride((1, (2, 1)))
    ((8, 8), (2, 1))
    """
    pairs = [stride_pair(stride) for stride in strides]
    return math.lcm(*(down.numerator for down, _ in pairs)), math.lcm(*(across.numerator for _, across in pairs))


def stride_pair(stride: Stride) -> Factor:
    """Return a stride as two numbers, down and across."""
    down, across = stride if isinstance(stride, tuple) else (stride, stride)
    return Fraction(down), Fraction(across)


def _convolution(channels_in: int, channels: int) -> nn.Conv2d:
    """Build a 3x3 convolution that batch norm and ReLU follow: initialised as in He et al. 2015, without bias."""
    layer = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def _block(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(_convolution(channels_in, channels), nn.BatchNorm2d(channels), nn.ReLU())
