"""What a network says of some images whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from striate.data.dataset import SplitName
from striate.explain.calibration import Calibration, calibrate
from striate.explain.taps import untouched
from striate.progress import progress_bar
from striate.runs.gallery import Gallery
from striate.tasks.base import Metrics, Task, Verdict

_ANSWERS = 50_000  # that calibration counts
_MOST_NUMBERS = 20_000_000  # of their logits


@dataclass(frozen=True)
class Measured:
    """What a network says of some images of a split.

    Attributes:
        split: that they are of.
        chosen: their places in it.
        verdicts: of each.
        metrics: summed.
        calibration: what probabilities are worth; None where there are none.
    """

    split: SplitName
    chosen: list[int]
    verdicts: list[Verdict]
    metrics: Metrics
    calibration: Calibration | None


def measure_some(gallery: Gallery, task: Task, network: nn.Module, most: int) -> Measured:
    """Have a network, which is as it was afterwards, say what it sees in some images that it was not trained on.

    Args:
        gallery: with the images; those of a test split, where that gave the run's figures, else those of validation.
        task: what outputs mean.
        network: says something.
        most: images, evenly spread over the split.
    """
    split: SplitName = "test" if gallery.record.metrics_split == "test" else "val"
    chosen = gallery.some(split, most)
    verdicts: list[Verdict] = []
    metrics, logits, classes = task.metrics(), [], []
    per_image = max(1, min(_ANSWERS, _MOST_NUMBERS // task.outputs) // max(1, len(chosen)))
    batches = gallery.batches(split, chosen, min(32, task.batch_size))
    with untouched(network), torch.inference_mode(), progress_bar("looking", len(chosen)) as advance:
        for batch in batches.in_order():
            outputs = network(batch.images).float()
            metrics.update(outputs, batch.targets)
            verdicts += task.verdicts(outputs, batch.targets)
            if answers := task.answers(outputs, batch.targets):
                every = max(1, len(answers[0]) // (per_image * len(batch.images)))
                logits.append(answers[0][::every].cpu())
                classes.append(answers[1][::every].cpu())
            advance(len(batch.images))
    return Measured(split, chosen.tolist(), verdicts, metrics, _calibrated(logits, classes))


def _calibrated(logits: list[Tensor], classes: list[Tensor]) -> Calibration | None:
    return calibrate(torch.cat(logits), torch.cat(classes)) if sum(map(len, logits)) else None


def as_table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Write the figures of classes, or joints, as the header and the cells of a table; intervals are left out."""
    columns = [name for name in rows[0] if not name.endswith("_interval")]
    return [name.replace("_", " ") for name in columns], [[_cell(name, row[name]) for name in columns] for row in rows]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.1f}" if name.endswith(("_mm", "_px")) else f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)
