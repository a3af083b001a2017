"""Occlusion: how an output of the network changes when a part of the image is covered.

Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.interpret.activations import preserve_state
from striate.system.progress import progress_bar
from striate.tasks.explaining import ExplainTarget

_BATCH, _BATCH_PIXELS = 16, 16 * 224**2  # images at once, at most


def occlusion(
    network: nn.Module,
    image: Float[Tensor, "1 channels height width"],
    target: ExplainTarget,
    *,
    cells: int = 8,
) -> Float[Tensor, "rows columns"]:
    """Return, for each cell of a grid, by how much a target falls when the cell is covered.

    The cover has the mean colour of the training images, and is twice as large as the cell. For a target that is not
    signed: by how much it changes.

    Args:
        network: network; its state is preserved.
        image: normalised image.
        target: number that is explained.
        cells: number of cells along the shorter side.
    """
    height, width = image.shape[2:]
    side = max(1.0, min(height, width) / cells)
    rows, columns = round(height / side), round(width / side)
    cell_height, cell_width = height / rows, width / columns
    grid = [(row, column) for row in range(rows) for column in range(columns)]
    batch_size = max(1, min(_BATCH, _BATCH_PIXELS // (height * width)))
    falls = torch.zeros(rows, columns)
    with preserve_state(network), torch.inference_mode(), progress_bar("covering", len(grid)) as advance:
        uncovered = float(target.value(network(image)))
        for begin in range(0, len(grid), batch_size):
            batch = grid[begin : begin + batch_size]
            images = image.repeat(len(batch), 1, 1, 1)
            for covered, (row, column) in zip(images, batch, strict=True):
                top, bottom = max(0, round((row - 0.5) * cell_height)), round((row + 1.5) * cell_height)
                left, right = max(0, round((column - 0.5) * cell_width)), round((column + 1.5) * cell_width)
                covered[:, top:bottom, left:right] = 0
            outputs = network(images)
            for index, (row, column) in enumerate(batch):
                falls[row, column] = uncovered - float(target.value(outputs[index : index + 1]))
            advance(len(batch))
    return falls.relu() if target.signed else falls.abs()
