"""Layers that torch.nn lacks, and layers as matrices."""

from striate.layers.matrix import LinearMap, as_matrix, offset
from striate.layers.padding import Pad2d, SamePad2d
from striate.layers.residual import (
    PadShortcut,
    ResidualBlock,
    StochasticDepth,
    conv_bn_activation,
    set_stochastic_depth,
)
from striate.layers.upward import CheckerboardWarning, ConvTranspose2d, deconv, up

__all__ = [
    "CheckerboardWarning",
    "ConvTranspose2d",
    "LinearMap",
    "Pad2d",
    "PadShortcut",
    "ResidualBlock",
    "SamePad2d",
    "StochasticDepth",
    "as_matrix",
    "conv_bn_activation",
    "deconv",
    "offset",
    "set_stochastic_depth",
    "up",
]
