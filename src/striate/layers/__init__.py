"""The bricks that torch.nn lacks, and a look inside those that it has: layers as matrices."""

from striate.layers.inverted import InvertedResidual
from striate.layers.matrix import LinearMap, as_matrix, offset
from striate.layers.padding import Pad2d, SamePad2d
from striate.layers.residual import (
    BasicBlock,
    Bottleneck,
    PadShortcut,
    StochasticDepth,
    conv_bn_activation,
    set_stochastic_depth,
)
from striate.layers.upward import CheckerboardWarning, ConvTranspose2d, deconv, up

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "CheckerboardWarning",
    "ConvTranspose2d",
    "InvertedResidual",
    "LinearMap",
    "Pad2d",
    "PadShortcut",
    "SamePad2d",
    "StochasticDepth",
    "as_matrix",
    "conv_bn_activation",
    "deconv",
    "offset",
    "set_stochastic_depth",
    "up",
]
