"""Padding: what stands beyond the borders of an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError
from striate.geometry import PADDING_MODES, same_padding
from striate.layers.axes import padded_sources, reach

Sides = tuple[tuple[int, int], tuple[int, int]]


class Pad2d(nn.Module):
    """Extends images at their borders, by any number of pixels on each side, in any of four modes.

    torch mirrors no farther than the image is large, and goes round a circle once; here a mirror image is
    mirrored again, and a circle gone round again, as `numpy.pad` has it.

    Args:
        sides: ((above, below), (left, right)), each 0 or more; one number for all four.
        mode: `zeros`; `reflect`, mirrored, the border itself once; `replicate`, the border copied; or
            `circular`, the opposite side.
        fill: what stands there in mode `zeros`. (Max pooling takes minus infinity.)

    Raises:
        ModelError: the mode is unknown, or the sides are no such numbers.

    The lecture's padding of (2, 1):

    >>> image = torch.arange(6.0).view(1, 1, 2, 3)
    >>> Pad2d(((2, 2), (1, 1)), "replicate")(image)[0, 0].int().tolist()
    [[0, 0, 1, 2, 2], [0, 0, 1, 2, 2], [0, 0, 1, 2, 2], [3, 3, 4, 5, 5], [3, 3, 4, 5, 5], [3, 3, 4, 5, 5]]
    """

    def __init__(self, sides: int | Sides, mode: str = "zeros", *, fill: float = 0.0) -> None:
        super().__init__()
        if isinstance(sides, int):
            sides = ((sides, sides), (sides, sides))
        if [len(pair) for pair in sides] != [2, 2] or min(map(min, sides)) < 0:
            raise ModelError(f"sides (={sides}) must be ((above, below), (left, right)), each 0 or more.")
        if mode not in PADDING_MODES:
            raise ModelError(f"unknown padding mode {mode!r}; there are: {', '.join(PADDING_MODES)}.")
        self.sides = sides
        self.mode = mode
        self.fill = fill

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels _ _"]:
        """Extend images."""
        rows, columns = self.sides_for((x.shape[2], x.shape[3]))
        flat = [*columns, *rows]  # the last axis first, as torch has it
        if self.mode == "zeros":
            return F.pad(x, flat, value=self.fill)
        if max(rows) > reach(x.shape[2], self.mode) or max(columns) > reach(x.shape[3], self.mode):
            for axis, pair in ((2, rows), (3, columns)):
                sources = torch.from_numpy(padded_sources(x.shape[axis], pair, self.mode))
                x = x.index_select(axis, sources.to(x.device))
            return x
        return F.pad(x, flat, mode=self.mode)

    def sides_for(self, size: tuple[int, int]) -> Sides:
        """Return the padding for images of a height and a width."""
        return self.sides

    def extra_repr(self) -> str:
        """Describe the layer in its printed form."""
        return f"{self.sides}, {self.mode}" + (f", fill={self.fill}" if self.fill else "")


class SamePad2d(Pad2d):
    """Extends images so that a window with stride s behind it gives ceil(height / s) x ceil(width / s).

    How much that takes depends on the image: `geometry.same_padding`.

    Args:
        kernel: of the window, height and width.
        stride: likewise.
        dilation: likewise.
        mode: as for `Pad2d`.
        fill: as for `Pad2d`.
    """

    def __init__(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int] = (1, 1),
        mode: str = "zeros",
        *,
        fill: float = 0.0,
    ) -> None:
        super().__init__(((0, 0), (0, 0)), mode, fill=fill)
        self.windows = tuple(zip(kernel, stride, dilation, strict=True))

    def sides_for(self, size: tuple[int, int]) -> Sides:
        """Return the padding for images of a height and a width."""
        rows, columns = (
            same_padding(length, kernel, stride=stride, dilation=dilation)
            for length, (kernel, stride, dilation) in zip(size, self.windows, strict=True)
        )
        return rows, columns

    def extra_repr(self) -> str:
        """Describe the layer in its printed form."""
        return f"same for {', '.join(map(str, self.windows))}, {self.mode}"
