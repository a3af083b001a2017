"""What a network says of some images whose truth is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from striate.datasets.dataset import SplitName
from striate.interpret.activations import preserve_state
from striate.interpret.calibration import Calibration, calibrate
from striate.runs.run_images import RunImages
from striate.system.progress import progress_bar
from striate.tasks.base import Metrics, SampleResult, Task

_ANSWERS = 50_000  # that calibration counts
_MOST_NUMBERS = 20_000_000  # of their logits
_DRAWN = 200  # times, with replacement, that images are drawn for an interval
_WORDS = {
    "accuracy": ("accuracy", "the share that is right"),
    "top5_accuracy": ("top-5 accuracy", "the share whose true class is among the five likeliest"),
    "recall": ("recall", "of those that are of a class, the share that was called so"),
    "precision": ("precision", "of those that were called so, the share that is"),
    "mean_iou": ("mean IoU", "the mean of the classes' IoU"),
    "iou": ("IoU", "the area that is rightly called so, over all that is so or was called so; 100 % is perfect"),
    "pixel_accuracy": ("pixel accuracy", "the share of pixels that are right"),
    "class_accuracy": ("class accuracy", "the mean over classes of the share of their pixels that are right"),
    "boundary_f1": ("boundary F1", "how well borders lie where they are, within some pixels; 100 % is perfect"),
    "mpjpe_mm": ("MPJPE, mm", "how far joints are from where they were found, on average"),
    "pa_mpjpe_mm": (
        "PA-MPJPE, mm",
        "the same, once the whole pose is turned, scaled and moved as well as can be",
    ),
    "pck150": ("PCK@150mm", "the share of joints within 15 cm"),
    "mean_px": ("mean error, px", "how far joints are from where they were found, on average"),
    "pck10": ("PCK@10%", "the share of joints within a tenth of the person's size"),
    "auc": ("AUC", "the mean of that share over all smaller limits"),
    "samples": ("images", ""),
}


@dataclass(frozen=True)
class SplitEvaluation:
    """What a network says of some images of a split.

    Attributes:
        split: that they are of.
        chosen: their places in it.
        sample_results: of each.
        metrics: summed.
        calibration: what probabilities are worth; None where there are none.
        interval: of the headline figure, 95 %, had other images been drawn; None where the metrics have their own.
    """

    split: SplitName
    chosen: list[int]
    sample_results: list[SampleResult]
    metrics: Metrics
    calibration: Calibration | None
    interval: tuple[float, float] | None


def evaluate_sample(run_images: RunImages, task: Task, network: nn.Module, most: int) -> SplitEvaluation:
    """Have a network, which is as it was afterwards, say what it sees in some images that it was not trained on.

    Args:
        run_images: with the images; those of a test split, where that gave the run's figures, else those of validation.
        task: what outputs mean.
        network: says something.
        most: images, evenly spread over the split.
    """
    split: SplitName = "test" if run_images.record.metrics_split == "test" else "val"
    chosen = run_images.spread(split, most)
    sample_results: list[SampleResult] = []
    metrics, logits, classes = task.metrics(), [], []
    known = run_images.record.metrics
    wants_interval = bool(known) and f"{task.headline}_interval" not in known
    sums: list[list[Tensor]] = []  # of each image
    per_image = max(1, min(_ANSWERS, _MOST_NUMBERS // task.outputs) // max(1, len(chosen)))
    batches = run_images.batches(split, chosen, min(32, task.batch_size))
    with preserve_state(network), torch.inference_mode(), progress_bar("looking", len(chosen)) as advance:
        for batch in batches.in_order():
            outputs = network(batch.images).float()
            metrics.update(outputs, batch.targets)
            if wants_interval:
                for place in range(len(outputs)):
                    one = task.metrics()
                    one.update(outputs[place : place + 1], batch.targets[place : place + 1])
                    sums.append([part.clone() for part in one.sums()])
            sample_results += task.sample_results(outputs, batch.targets)
            if answers := task.answers(outputs, batch.targets):
                every = max(1, len(answers[0]) // (per_image * len(batch.images)))
                logits.append(answers[0][::every].cpu())
                classes.append(answers[1][::every].cpu())
            advance(len(batch.images))
    calibration = calibrate(torch.cat(logits), torch.cat(classes)) if sum(map(len, logits)) else None
    return SplitEvaluation(
        split, chosen.tolist(), sample_results, metrics, calibration, _interval(task, sums) if sums else None
    )


def _interval(task: Task, sums: list[list[Tensor]]) -> tuple[float, float] | None:
    """Draw images anew, with replacement, and see how far the headline figure moves (Efron 1979, the bootstrap)."""
    random, found = torch.Generator().manual_seed(0), []
    stacked = [torch.stack(parts) for parts in zip(*sums, strict=True)]
    for _ in range(_DRAWN):
        times = torch.bincount(torch.randint(len(sums), (len(sums),), generator=random), minlength=len(sums))
        drawn = task.metrics()
        for own, parts in zip(drawn.sums(), stacked, strict=True):
            own.copy_(torch.tensordot(times.to(parts.dtype), parts, dims=1))
        if drawn.targets:
            found.append(float(drawn.compute()[task.headline]))
    if len(found) < _DRAWN // 2:
        return None
    low, high = torch.tensor(found, dtype=torch.float64).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return float(low), float(high)


def label(key: str) -> str:
    """Return what a figure is called."""
    return _WORDS[key][0] if key in _WORDS else key.replace("_", " ")


def meanings(keys: Iterable[str]) -> str:
    """Say what figures mean, for someone who does not know their names."""
    return " ".join(f"{_WORDS[key][0]}: {_WORDS[key][1]}." for key in keys if key in _WORDS and _WORDS[key][1])


def is_share(key: str) -> bool:
    """Tell whether a figure is a share, which is written as a percentage."""
    return not key.endswith(("_mm", "_px")) and key != "loss"


def as_table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Write the figures of classes, or joints, as the keys and the cells of a table, an interval behind its figure."""
    keys = [key for key in rows[0] if not key.endswith("_interval")]
    return keys, [[_cell(key, row[key], row.get(f"{key}_interval")) for key in keys] for row in rows]


def _cell(key: str, value: Any, interval: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        text = f"{value:.1%}" if is_share(key) else f"{value:,.1f}"
        return f"{text} ({interval[0]:.0%}–{interval[1]:.0%})" if interval else text
    return f"{value:,}" if isinstance(value, int) else str(value)
