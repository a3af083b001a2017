"""The two ways up, from small feature maps to large ones: upsampling then convolution, or transposed convolution."""

from __future__ import annotations

import warnings
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError
from striate.geometry import PADDING_MODES, TransposedWindow, transposed_windows
from striate.layers.padding import Pad2d, Sides


class CheckerboardWarning(UserWarning):
    """A transposed convolution whose outputs overlap unevenly."""


class ConvTranspose2d(nn.ConvTranspose2d):
    """torch's transposed convolution, with what it lacks: padding per side, padding modes, a bilinear start.

    `sides` of the output are cut off, as torch's `padding`. What contributions from beyond the input's
    borders would add to the rest, the mode decides: none (`zeros`, torch's own), or those of the input
    extended as `Pad2d` does.

    Its first weights upsample bilinearly, in mode `replicate` up to the borders: along each axis a triangle
    as wide as two strides, whose contributions to an output unit average 1, as in Long, Shelhamer,
    Darrell, "Fully convolutional networks", 2015, section 3.3. Channels are passed on one by one where as
    many go in as come out, else mixed by weights drawn with variance 2 / inputs (He et al. 2015). The bias
    starts at zero.

    Args:
        channels_in: of the input.
        channels: of the output.
        kernel: height and width, or one number.
        stride: likewise.
        sides: ((above, below), (left, right)) of the output to cut off.
        mode: `zeros`, `reflect`, `replicate` or `circular`.
        output_padding: rows and columns added to the output after its last, below stride or dilation.
        dilation: height and width, or one number.
        groups: into how many the channels are parted.
        bias: whether there is one.

    Raises:
        ModelError: the mode is unknown.

    Warns:
        CheckerboardWarning: the kernel is no multiple of the stride, so that some output units get more
            contributions than others: Odena, Dumoulin, Olah, "Deconvolution and checkerboard artifacts",
            Distill 2016.

    A flat image stays flat up to its borders where the borders are extended:

    >>> up = ConvTranspose2d(1, 1, 4, 2, sides=((1, 1), (1, 1)), mode="replicate")
    >>> up(torch.ones(1, 1, 2, 2))[0, 0].tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """

    def __init__(  # noqa: PLR0913  # torch's own arguments, and the two that it lacks
        self,
        channels_in: int,
        channels: int,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        *,
        sides: Sides = ((0, 0), (0, 0)),
        mode: str = "zeros",
        output_padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if mode not in PADDING_MODES:
            raise ModelError(f"unknown padding mode {mode!r}; there are: {', '.join(PADDING_MODES)}.")
        even = all(before == after for before, after in sides)
        super().__init__(
            channels_in,
            channels,
            kernel,
            stride,
            padding=(sides[0][0], sides[1][0]) if even and mode == "zeros" else 0,
            output_padding=output_padding,
            groups=groups,
            bias=bias,
            dilation=dilation,
        )
        self.sides = sides
        self.mode = mode
        if any(window.overlaps_unevenly for window in self.windows()):
            warnings.warn(
                f"a transposed convolution with kernel {self.kernel_size} and stride {self.stride} draws "
                "checkerboards: take a kernel that is a multiple of the stride (Odena et al. 2016)",
                CheckerboardWarning,
                stacklevel=2,
            )

    def windows(self) -> list[TransposedWindow]:
        """Return the geometry along height and width."""
        return transposed_windows(self.kernel_size, self.stride, self.sides, self.output_padding, self.dilation)

    def reset_parameters(self) -> None:
        """Set the weights to bilinear upsampling, as the class describes."""
        inputs, outputs = self.weight.shape[:2]  # outputs of one group
        per_group = inputs // self.groups
        if per_group == outputs:
            mix = torch.eye(outputs).repeat(self.groups, 1)
        else:
            mix = torch.randn(inputs, outputs) * (2 / per_group) ** 0.5
        down, across = (triangle(k, s) for k, s in zip(self.kernel_size, self.stride, strict=True))
        with torch.no_grad():
            self.weight.copy_(mix[:, :, None, None] * (down[:, None] * across))
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], output_size: list[int] | None = None
    ) -> Float[Tensor, "batch _ _ _"]:
        """Map feature maps to larger ones."""
        if self.mode == "zeros" and all(before == after for before, after in self.sides):
            return super().forward(x, output_size)
        if output_size is not None:
            raise ModelError("output_size goes with zeros and even sides; give output_padding to the layer instead.")
        windows, sizes = self.windows(), (x.shape[2], x.shape[3])
        outputs = [window.output_size(size) for window, size in zip(windows, sizes, strict=True)]
        if self.mode != "zeros":
            rows, columns = (window.reaches_beyond(size) for window, size in zip(windows, sizes, strict=True))
            x = Pad2d((rows, columns), self.mode)(x)
        else:
            rows = columns = (0, 0)
        x = F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, 0, self.output_padding, self.groups, self.dilation
        )
        for axis, window, (before, _), output in zip((2, 3), windows, (rows, columns), outputs, strict=True):
            x = x.narrow(axis, window.padding[0] + window.stride * before, output)
        return x

    def extra_repr(self) -> str:
        """Describe the layer in its printed form."""
        return f"{nn.ConvTranspose2d.extra_repr(self)}, sides={self.sides}, mode={self.mode}"  # type: ignore[no-untyped-call]


def triangle(kernel: int, stride: int) -> Float[Tensor, " kernel"]:
    """Return the weights that upsample linearly along one axis: max(0, 1 - |x| / stride) around the middle.

    Scaled to the sum of the stride, so that the contributions to an output unit average 1.

    >>> triangle(4, 2).tolist(), triangle(2, 2).tolist()
    ([0.25, 0.75, 0.75, 0.25], [1.0, 1.0])
    """
    distance = (torch.arange(kernel) - (kernel - 1) / 2).abs()
    weights = (1 - distance / stride).clamp(min=0)
    return weights * (min(kernel, stride) / weights.sum())


def up(
    channels_in: int, channels: int, factor: int = 2, *, mode: Literal["nearest", "bilinear"] = "nearest"
) -> nn.Sequential:
    """Build the one way up: upsampling, then a 3x3 convolution.

    >>> up(8, 4)(torch.zeros(1, 8, 5, 6)).shape
    torch.Size([1, 4, 10, 12])
    """
    return nn.Sequential(nn.Upsample(scale_factor=factor, mode=mode), nn.Conv2d(channels_in, channels, 3, padding=1))


def deconv(channels_in: int, channels: int, factor: int | tuple[int, int] = 2) -> ConvTranspose2d:
    """Build the other way up: a transposed convolution that starts as bilinear upsampling, borders included.

    Its kernel is a multiple of its stride, so that it overlaps evenly: twice, and for odd factors, where
    that would lie half a pixel off, three times. A factor may be a pair, down and across.

    >>> deconv(8, 4)(torch.zeros(1, 8, 5, 6)).shape
    torch.Size([1, 4, 10, 12])
    """
    factors = factor if isinstance(factor, tuple) else (factor, factor)
    if min(factors) < 1:
        raise ModelError(f"factor (={factor}) must be 1 or more.")
    kernels = tuple((3 if each % 2 else 2) * each for each in factors)
    down, across = ((kernel - each) // 2 for kernel, each in zip(kernels, factors, strict=True))
    return ConvTranspose2d(
        channels_in,
        channels,
        (kernels[0], kernels[1]),
        factors,
        sides=((down, down), (across, across)),
        mode="replicate",
    )
