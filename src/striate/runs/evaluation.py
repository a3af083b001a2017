"""How good a network is on some held-out images, one by one and as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from striate.datasets.splits import SplitName
from striate.interpret.activations import preserve_state
from striate.interpret.calibration import Calibration, calibrate
from striate.runs.run_images import RunImages
from striate.system.progress import progress_bar
from striate.tasks.base import Metrics, SampleResult, Targets, Task

_ANSWERS = 50_000  # at most that calibration counts
_MOST_NUMBERS = 20_000_000  # logits of these, for the memory that they take
_RESAMPLES = 200  # of the bootstrap
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
    """How good a network is on images of a split, as a whole and one by one.

    Attributes:
        split: split that the images are of.
        indices: their indices in it.
        total: number of images of the split.
        sample_results: result of each image.
        metrics: metrics over all images.
        calibration: what probabilities are worth; None where the network gives none.
        interval: 95 % interval of the headline figure, over other images; None where the metrics have their own.
    """

    split: SplitName
    indices: list[int]
    total: int
    sample_results: list[SampleResult]
    metrics: Metrics
    calibration: Calibration | None
    interval: tuple[float, float] | None

    @property
    def scope(self) -> str:
        """Which images these are, in words: "200 of 1,000 validation images"."""
        images = f"{'test' if self.split == 'test' else 'validation'} images"
        count = len(self.indices)
        return f"all {count:,} {images}" if count == self.total else f"{count:,} of {self.total:,} {images}"


def evaluate_sample(run_images: RunImages, task: Task, network: nn.Module, most: int) -> SplitEvaluation:
    """Evaluate a network on at most `most` held-out images, evenly spread over their split.

    Args:
        run_images: images of the run; those of the test split, if that gave the run's figures, else those of the
            validation split.
        task: task of the run.
        network: trained network; its state is preserved.
        most: number of images at most.
    """
    split: SplitName = "test" if run_images.record.metrics_split == "test" else "val"
    indices = run_images.spread(split, most)
    known = run_images.record.metrics
    wants_interval = bool(known) and f"{task.headline}_interval" not in known
    sample_results: list[SampleResult] = []
    metrics, answers = task.metrics(), _CalibrationInputs(task, len(indices))
    sums: list[list[Tensor]] = []  # of each image
    batches = run_images.batches(split, indices, min(32, task.batch_size))
    with preserve_state(network), torch.inference_mode(), progress_bar("evaluating", len(indices)) as advance:
        for batch in batches.in_order():
            outputs = network(batch.images).float()
            metrics.update(outputs, batch.targets)
            if wants_interval:
                sums += _sums_per_image(task, outputs, batch.targets)
            sample_results += task.sample_results(outputs, batch.targets)
            answers.add(outputs, batch.targets)
            advance(len(batch.images))
    interval = _bootstrap_interval(task, sums) if sums else None
    return SplitEvaluation(
        split=split,
        indices=indices.tolist(),
        total=len(run_images.stores[split]),
        sample_results=sample_results,
        metrics=metrics,
        calibration=answers.calibrate(),
        interval=interval,
    )


class _CalibrationInputs:
    """Collects the logits and classes of answers, as many per image as memory has room for."""

    def __init__(self, task: Task, images: int) -> None:
        self._task = task
        self._per_image = max(1, min(_ANSWERS, _MOST_NUMBERS // task.outputs) // max(1, images))
        self._logits: list[Tensor] = []
        self._classes: list[Tensor] = []

    def add(self, outputs: Tensor, targets: Targets) -> None:
        """Collect the answers of a batch."""
        if answers := self._task.answers(outputs, targets):
            logits, classes = answers
            step = max(1, len(logits) // (self._per_image * len(outputs)))
            self._logits.append(logits[::step].cpu())
            self._classes.append(classes[::step].cpu())

    def calibrate(self) -> Calibration | None:
        """Compare probabilities with shares of right answers; None where there are none."""
        if not sum(map(len, self._logits)):
            return None
        return calibrate(torch.cat(self._logits), torch.cat(self._classes))


def _sums_per_image(task: Task, outputs: Tensor, targets: Targets) -> list[list[Tensor]]:
    """Return the sums of the metrics of each image by itself."""
    sums = []
    for index in range(len(outputs)):
        metrics = task.metrics()
        metrics.update(outputs[index : index + 1], targets[index : index + 1])
        sums.append([part.clone() for part in metrics.sums()])
    return sums


def _bootstrap_interval(task: Task, sums: list[list[Tensor]]) -> tuple[float, float] | None:
    """Return the 95 % interval of the headline figure by drawing images anew, with replacement (Efron 1979)."""
    random, values = torch.Generator().manual_seed(0), []
    stacked = [torch.stack(parts) for parts in zip(*sums, strict=True)]
    for _ in range(_RESAMPLES):
        times = torch.bincount(torch.randint(len(sums), (len(sums),), generator=random), minlength=len(sums))
        resampled = task.metrics()
        for own, parts in zip(resampled.sums(), stacked, strict=True):
            own.copy_(torch.tensordot(times.to(parts.dtype), parts, dims=1))
        if resampled.targets:
            values.append(float(resampled.compute()[task.headline]))
    if len(values) < _RESAMPLES // 2:
        return None
    low, high = torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
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
