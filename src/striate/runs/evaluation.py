"""How good a network is on some held-out images, one by one and as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from striate.batching.targets import Targets, take_targets
from striate.datasets.splits import SplitName
from striate.interpret.activations import preserve_state
from striate.interpret.calibration import Calibration, calibrate
from striate.runs.run_images import RunImages, images_in_words
from striate.system.progress import progress_bar
from striate.tasks.explaining import SampleResult
from striate.tasks.task import Task
from striate.tasks.training import Metrics

_ANSWERS = 50_000  # at most that calibration counts
_MOST_NUMBERS = 20_000_000  # logits of these, for the memory that they take
_RESAMPLES = 200  # of the bootstrap


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
        return images_in_words(self.split, len(self.indices), self.total)


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
    wants_interval = bool(known) and task.spec.figures[0].interval == "bootstrap"
    sample_results: list[SampleResult] = []
    metrics, answers = task.training.metrics(), _CalibrationInputs(task, len(indices))
    sums: list[list[Tensor]] = []  # of each image
    batches = run_images.batches(split, indices, min(32, task.spec.batch_size))
    with preserve_state(network), torch.inference_mode(), progress_bar("evaluating", len(indices)) as advance:
        for batch in batches.in_order():
            outputs = network(batch.images).float()
            metrics.update(outputs, batch.targets)
            if wants_interval:
                sums += _sums_per_image(task, outputs, batch.targets)
            sample_results += task.explaining.sample_results(outputs, batch.targets)
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
        self._per_image = max(1, min(_ANSWERS, _MOST_NUMBERS // task.spec.outputs) // max(1, images))
        self._logits: list[Tensor] = []
        self._classes: list[Tensor] = []

    def add(self, outputs: Tensor, targets: Targets) -> None:
        """Collect the answers of a batch."""
        if answers := self._task.explaining.calibration_inputs(outputs, targets):
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
        metrics = task.training.metrics()
        metrics.update(outputs[index : index + 1], take_targets(targets, slice(index, index + 1)))
        sums.append([part.clone() for part in metrics.sums()])
    return sums


def _bootstrap_interval(task: Task, sums: list[list[Tensor]]) -> tuple[float, float] | None:
    """Return the 95 % interval of the headline figure by drawing images anew, with replacement (Efron 1979)."""
    random, values = torch.Generator().manual_seed(0), []
    stacked = [torch.stack(parts) for parts in zip(*sums, strict=True)]
    for _ in range(_RESAMPLES):
        times = torch.bincount(torch.randint(len(sums), (len(sums),), generator=random), minlength=len(sums))
        resampled = task.training.metrics()
        for own, parts in zip(resampled.sums(), stacked, strict=True):
            own.copy_(torch.tensordot(times.to(parts.dtype), parts, dims=1))
        if resampled.targets:
            values.append(float(resampled.compute()[task.spec.figures[0].name]))
    if len(values) < _RESAMPLES // 2:
        return None
    low, high = torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return float(low), float(high)
