"""Moving pixels, a batch at a time, on whatever device the batch is."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Complex64, Float, Float64, UInt8
from torch import Tensor

from striate.batching.transfer import to_device
from striate.images.planes import NO_LABEL


def sampling_grid(
    matrices: Float64[np.ndarray, "batch 3 3"],
    pictures_px: tuple[int, int],
    moved_px: tuple[int, int],
    device: torch.device,
) -> Float[Tensor, "batch height width 2"]:
    """Return for each pixel of moved pictures where it comes from, in the coordinates of `grid_sample`.

    Args:
        matrices: from a place in a picture to where it is afterwards, in pixels (see `Moves.matrices`).
        pictures_px: height and width of the pictures.
        moved_px: height and width of what becomes of them.
        device: where the grid is wanted.
    """
    back = np.linalg.inv(matrices)[:, :2]
    # from pixels to [-1, 1]: x -> 2 x / width - 1
    back = back * (2 / np.array([pictures_px[1], pictures_px[0]]))[:, None]
    back[:, :, 2] -= 1
    # x and y travel together as a complex number, which makes this one addition over contiguous rows
    across, down, start = (to_device(column, device) for column in _as_complex(back).T)
    x = torch.arange(moved_px[1], device=device) + 0.5
    y = torch.arange(moved_px[0], device=device) + 0.5
    along = across[:, None] * x + start[:, None]
    return torch.view_as_real(along[:, None, :] + (down[:, None] * y)[:, :, None])


def _as_complex(pairs: Float64[np.ndarray, "batch 2 columns"]) -> Complex64[np.ndarray, "batch columns"]:
    return (pairs[:, 0] + 1j * pairs[:, 1]).astype(np.complex64)


def move_images(
    images: UInt8[Tensor, "batch _ _ channels"], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch channels height width"]:
    """Resample images bilinearly; beyond their borders the border is repeated. Values stay 0 to 255."""
    planes = images.permute(0, 3, 1, 2).contiguous().to(torch.float32)  # faster than in one go
    return F.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)


def move_planes(
    planes: UInt8[Tensor, "batch _ _"], grid: Float[Tensor, "batch height width 2"]
) -> UInt8[Tensor, "batch height width"]:
    """Resample label planes by their nearest pixel; what comes from beyond their borders has no label."""
    # 0 is what grid_sample puts outside: labels move up by one, and down again
    raised = (planes[:, None].to(torch.float32) + 1) % (NO_LABEL + 1)
    moved = F.grid_sample(raised, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return ((moved[:, 0] + NO_LABEL) % (NO_LABEL + 1)).to(torch.uint8)
