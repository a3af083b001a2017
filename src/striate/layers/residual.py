"""Residual blocks: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015, figure 5.

Their parts have torchvision's names.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError

Pair = tuple[int, int]
Shortcut = Callable[[int, int, Pair], nn.Module]


def conv_bn_activation(
    channels_in: int,
    channels: int,
    kernel: int,
    *,
    stride: int | Pair = 1,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """Build convolution, batch norm and, where there is one, an activation.

    With an odd kernel sizes are kept but for the stride. The convolution has no bias: batch norm would
    take it away again.
    """
    convolution = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), *([activation] if activation else []))


def projection(channels_in: int, channels: int, stride: Pair) -> nn.Module:
    """Build option B of the paper's shortcuts: a 1x1 convolution with batch norm."""
    return conv_bn_activation(channels_in, channels, 1, stride=stride)


class PadShortcut(nn.Module):
    """Option A of the paper: every `stride`-th pixel, and zeros for the channels that are new. No parameters."""

    def __init__(self, channels_in: int, channels: int, stride: int | Pair) -> None:
        super().__init__()
        self.stride = _both(stride)
        new = channels - channels_in
        if new < 0:
            raise ModelError(
                f"channels (={channels}) must be at least channels_in (={channels_in}): none are taken away."
            )
        self.new_channels = (new // 2, new - new // 2)  # before and after, as the published weights expect

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Subsample the image and pad its channels."""
        return F.pad(x[:, :, :: self.stride[0], :: self.stride[1]], (0, 0, 0, 0, *self.new_channels))


class StochasticDepth(nn.Module):
    """Leave a block's residual out, for some images of a batch, while training; the others' are scaled to make up.

    Huang et al., "Deep networks with stochastic depth", 2016.

    Args:
        chance: of an image's residual to be left out: at least 0, below 1.
    """

    def __init__(self, chance: float = 0.0) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, residual: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Return the residual, zeros for the images whose is left out."""
        if not self.training or self.chance == 0:
            return residual
        kept = torch.rand(len(residual), 1, 1, 1, device=residual.device) >= self.chance
        return residual * (kept / (1 - self.chance)).to(residual.dtype)


def set_stochastic_depth(network: nn.Module, chance: float) -> int:
    """Give the last residual block this chance to be left out, and those before it less, in proportion to their depth.

    Returns:
        How many residual blocks the network has.
    """
    parts = [part for part in network.modules() if isinstance(part, StochasticDepth)]
    for place, part in enumerate(parts, start=1):
        part.chance = chance * place / len(parts)
    return len(parts)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, each with batch norm, added to the block's input: the left of figure 5.

    Args:
        channels_in: of the input.
        channels: of the output.
        stride: of the first convolution, along height and width.
        shortcut: builds what the input passes through where its shape is not the output's.
    """

    def __init__(
        self, channels_in: int, channels: int, stride: int | Pair = 1, shortcut: Shortcut = projection
    ) -> None:
        super().__init__()
        stride = _both(stride)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.drop = StochasticDepth()
        self.downsample = _shortcut(channels_in, channels, stride, shortcut)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Return relu(F(x) + shortcut(x))."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.drop(residual) + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, added to the block's input: the right of figure 5.

    The stride is that of the 3x3 convolution, as in torchvision ("ResNet V1.5"); the paper put it first.

    Args:
        channels_in: of the input.
        channels: of the convolutions inside; the output has four times as many.
        stride: of the 3x3 convolution, along height and width.
        shortcut: builds what the input passes through where its shape is not the output's.
    """

    def __init__(
        self, channels_in: int, channels: int, stride: int | Pair = 1, shortcut: Shortcut = projection
    ) -> None:
        super().__init__()
        stride = _both(stride)
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.drop = StochasticDepth()
        self.downsample = _shortcut(channels_in, 4 * channels, stride, shortcut)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Return relu(F(x) + shortcut(x))."""
        residual = F.relu(self.bn1(self.conv1(x)))
        residual = F.relu(self.bn2(self.conv2(residual)))
        return F.relu(self.drop(self.bn3(self.conv3(residual))) + self.downsample(x))


def _both(stride: int | Pair) -> Pair:
    return (stride, stride) if isinstance(stride, int) else stride


def _shortcut(channels_in: int, channels: int, stride: Pair, build: Shortcut) -> nn.Module:
    same_shape = stride == (1, 1) and channels_in == channels
    return nn.Identity() if same_shape else build(channels_in, channels, stride)
