"""Where, the slow check: what becomes of a statement when a part of the image is covered.

Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.interpret.activations import preserve_state
from striate.system.progress import progress_bar
from striate.tasks.explaining import ExplainTarget

_AT_ONCE, _PIXELS_AT_ONCE = 16, 16 * 224**2


def occlusion(
    network: nn.Module,
    image: Float[Tensor, "1 channels height width"],
    question: ExplainTarget,
    *,
    cells: int = 8,
) -> Float[Tensor, "rows columns"]:
    """Return, for each place of a grid, by how much the number that is asked about falls when it is covered.

    What covers it is the mean colour of the training images, twice as large as a cell of the grid. Of a question that
    is not signed, by how much it changes.

    Args:
        network: is as it was afterwards.
        image: normalised.
        question: says which number.
        cells: of the grid, along the shorter side.
    """
    height, width = image.shape[2:]
    side = max(1.0, min(height, width) / cells)
    rows, columns = round(height / side), round(width / side)
    tall, wide = height / rows, width / columns
    places = [(row, column) for row in range(rows) for column in range(columns)]
    at_once = max(1, min(_AT_ONCE, _PIXELS_AT_ONCE // (height * width)))
    falls = torch.zeros(rows, columns)
    with preserve_state(network), torch.inference_mode(), progress_bar("covering", len(places)) as advance:
        whole = float(question.value(network(image)))
        for begin in range(0, len(places), at_once):
            some = places[begin : begin + at_once]
            covered = image.repeat(len(some), 1, 1, 1)
            for one, (row, column) in zip(covered, some, strict=True):
                top, left = round((row - 0.5) * tall), round((column - 0.5) * wide)
                one[:, max(0, top) : round((row + 1.5) * tall), max(0, left) : round((column + 1.5) * wide)] = 0
            outputs = network(covered)
            for place, (row, column) in enumerate(some):
                falls[row, column] = whole - float(question.value(outputs[place : place + 1]))
            advance(len(some))
    return falls.relu() if question.signed else falls.abs()
