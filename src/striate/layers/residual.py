"""What residual blocks are made of: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError

Pair = tuple[int, int]


def conv_bn_activation(
    channels_in: int,
    channels: int,
    kernel: int,
    *,
    stride: int | Pair = 1,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """Build a convolution, batch norm and, if one is given, an activation.

    With an odd kernel the output is as large as the input, divided by the stride. The convolution has no bias: batch
    norm would subtract it again.

    Args:
        channels_in: Number of channels of the input.
        channels: Number of output channels.
        kernel: Height and width of the kernel.
        stride: Stride, height first, or one number.
        groups: Number of groups of channels that are convolved separately.
        activation: Module that follows.
    """
    convolution = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), *([activation] if activation else []))


class PadShortcut(nn.Module):
    """Option A of the paper: every `stride`-th pixel, and zeros for the channels that are new. No parameters.

    Args:
        channels_in: Number of channels of the input.
        channels: Number of output channels; not fewer.
        stride: Stride, height first, or one number.

    Raises:
        ModelError: there would be fewer channels.
    """

    def __init__(self, channels_in: int, channels: int, stride: int | Pair) -> None:
        super().__init__()
        self.stride = _both(stride)
        new = channels - channels_in
        if new < 0:
            raise ModelError("channels", f"must be at least the {channels_in} of the input, not {channels}")
        self.new_channels = (new // 2, new - new // 2)  # before and after, as the published weights expect

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Subsample the image and pad its channels."""
        return F.pad(x[:, :, :: self.stride[0], :: self.stride[1]], (0, 0, 0, 0, *self.new_channels))


class StochasticDepth(nn.Module):
    """Leave a block's residual out for some images of a batch, in training; the others' are scaled to make up for it.

    Huang et al., "Deep networks with stochastic depth", 2016.

    Args:
        chance: Probability that an image's residual is left out, from 0, below 1.
    """

    def __init__(self, chance: float = 0.0) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, residual: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Return the residual, with zeros for the images whose residual is left out."""
        if not self.training or self.chance == 0:
            return residual
        kept = torch.rand(len(residual), 1, 1, 1, device=residual.device) >= self.chance
        return residual * (kept / (1 - self.chance)).to(residual.dtype)


def set_stochastic_depth(network: nn.Module, chance: float) -> int:
    """Give the last residual block this chance to be left out, and those before it less, in proportion to their depth.

    Returns:
        Number of residual blocks that the network has.
    """
    layers = [module for module in network.modules() if isinstance(module, StochasticDepth)]
    for depth, layer in enumerate(layers, start=1):
        layer.chance = chance * depth / len(layers)
    return len(layers)


class ResidualBlock(nn.Module):
    """Layers whose output is added to their input, or to what a shortcut makes of it: activation(F(x) + shortcut(x)).

    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015. The lines `res C`, `bottleneck C` and
    `mbconv C@KxK` are such blocks; `striate.models.build_element` builds one.

    Args:
        layers: The layers of F by name, in order. Their parameters begin with these names.
        shortcut: What the input passes through before it is added (named `downsample`, as torchvision has it):
            `nn.Identity()` adds it as it is. None: nothing is added.
        activation: What follows the sum, if anything does.
    """

    def __init__(
        self, layers: Mapping[str, nn.Module], shortcut: nn.Module | None, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self._names = tuple(layers)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.adds_input = shortcut is not None
        if shortcut is not None:
            self.drop = StochasticDepth()
            self.downsample = shortcut
        self.activation = activation

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Return activation(F(x) + shortcut(x))."""
        y = x
        for name in self._names:
            y = getattr(self, name)(y)
        if self.adds_input:
            y = self.drop(y) + self.downsample(x)
        return y if self.activation is None else self.activation(y)


def _both(stride: int | Pair) -> Pair:
    return (stride, stride) if isinstance(stride, int) else stride
