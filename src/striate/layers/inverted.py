"""Inverted residual blocks: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018, figure 3b.

The parts have timm's names, so that published weights load.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.layers.padding import SamePad2d
from striate.layers.residual import StochasticDepth

EPSILON = 1e-3  # in the batch norms' roots: that of the published weights


class InvertedResidual(nn.Module):
    """Widen, look around each channel by itself, narrow again: a residual block for processors with little to spare.

    1x1 convolution, depthwise convolution, 1x1 convolution, each with batch norm, the first two with ReLU6; the input
    is added where its shape is the output's. That is EfficientNet-Lite's MBConv: without squeeze-and-excitation,
    which EfficientNet itself has (Tan and Le 2019).

    Args:
        channels_in: of the input.
        channels: of the output.
        kernel: of the depthwise convolution, along height and width.
        stride: likewise; sizes are divided by it, rounded up.
        expand: how many times as many channels as the input there are inside. 1: the first convolution is left out.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        *,
        expand: int = 6,
    ) -> None:
        super().__init__()
        inside = expand * channels_in
        self.widens, self.adds = expand > 1, channels_in == channels and stride == (1, 1)
        if self.widens:
            self.conv_pw = nn.Conv2d(channels_in, inside, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(inside, EPSILON)
        self.pad = SamePad2d(kernel, stride)
        self.conv_dw = nn.Conv2d(inside, inside, kernel, stride, groups=inside, bias=False)
        # timm's names: where there is no first convolution, the others move up
        narrow, last = ("conv_pwl", "bn3") if self.widens else ("conv_pw", "bn2")
        self._parts = ("bn2" if self.widens else "bn1", narrow, last)
        self.add_module(self._parts[0], nn.BatchNorm2d(inside, EPSILON))
        self.add_module(narrow, nn.Conv2d(inside, channels, 1, bias=False))
        self.add_module(last, nn.BatchNorm2d(channels, EPSILON))
        if self.adds:
            self.drop = StochasticDepth()

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Return F(x), plus x where the shapes are equal."""
        norm, narrow, last = (getattr(self, name) for name in self._parts)
        inside = F.relu6(self.bn1(self.conv_pw(x))) if self.widens else x
        inside = F.relu6(norm(self.conv_dw(self.pad(inside))))
        residual: Tensor = last(narrow(inside))
        return x + self.drop(residual) if self.adds else residual
