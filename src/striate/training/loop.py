"""The training loop: mini-batch stochastic gradient descent with back-propagation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from striate.batching.targets import Batch
from striate.errors import DataError, TrainingError
from striate.system.signals import hold_interrupt
from striate.tasks.task import Task
from striate.tasks.training import Metrics
from striate.training.distributed import DistributedContext
from striate.training.precision import Precision
from striate.training.state import TrainState, train_mode
from striate.training.step import StepContext, rate_too_high, train_step


class Stopped(KeyboardInterrupt):
    """An interrupt was heeded between two steps: the state is whole."""


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """An epoch, counted from 1: its mean training loss, how long its gradients were on average, the figures of the
    validation images, its speed.

    What the network was before training, with its last layer fitted, is epoch 0.
    """

    epoch: int
    lr: float
    train_loss: float
    gradient_norm: float
    metrics: dict[str, Any]
    images: int
    train_seconds: float

    @property
    def images_per_s(self) -> float:
        """Training images a second: gathering, forward, backward and update; validation is not in it."""
        return self.images / self.train_seconds


def fit(
    state: TrainState,
    context: StepContext,
    *,
    steps: Callable[[], int],
    steps_per_epoch: int,
    train_batches: Callable[[int, int], Iterable[Batch]],
    val_batches: Callable[[], Iterable[Batch]],
    on_step: Callable[[int, float], None],
) -> Iterator[EpochResult]:
    """Train epoch by epoch, yielding each one's result; the state moves on in between.

    An interrupt waits until a step, or a batch of validation, has ended; a second one does not. So it is while the
    caller deals with a result, too.

    Args:
        state: where to start, in the middle of an epoch or at its end as well; it is changed.
        context: what stays the same from step to step.
        steps: how many there are to be in all; the last epoch may be a part of one.
        steps_per_epoch: how many batches an epoch has.
        train_batches: from an epoch, counted from 0, and the number of batches to pass over, to its batches.
        val_batches: gives this process's validation images, each once.
        on_step: called after every step with its number of images and its mean loss.

    Raises:
        TrainingError: a loss, of training or validation, is not finite.
        DataError: the validation images have no valid target.
        Stopped: an interrupt came.
    """
    progress = state.progress
    with hold_interrupt() as held:
        while progress.steps < steps() or progress.batches:
            train_mode(state.model)
            began = time.perf_counter()
            unfinished = progress.batches < steps_per_epoch and progress.steps < steps()
            for batch in train_batches(progress.epochs, progress.batches) if unfinished else ():
                step = train_step(state, context, batch, stop=bool(held))
                progress.seconds += time.perf_counter() - began
                progress.images += step.images
                if step.targets:
                    progress.loss_sum += step.loss_sum
                    progress.targets += step.targets
                on_step(step.images, step.loss_sum / step.targets if step.targets else math.nan)
                # several processes learn of an interrupt with the next step's sums, all at once
                if step.stop or (held and context.distributed.size == 1):
                    raise Stopped
                if progress.steps >= steps():
                    break
                began = time.perf_counter()
            yield _end_epoch(state, context, val_batches, held)
            if context.distributed.any(bool(held)):
                raise Stopped


def _end_epoch(
    state: TrainState, context: StepContext, val_batches: Callable[[], Iterable[Batch]], held: list[int]
) -> EpochResult:
    """Measure the network on the validation images, and count the epoch."""
    progress = state.progress

    def heed(images: int) -> None:
        if held and context.distributed.size == 1:  # several have to come to the end together
            raise Stopped

    counted = evaluate_model(
        state.best, context.task, val_batches(), heed, precision=context.precision, distributed=context.distributed
    )
    if not counted.targets:
        raise DataError("", "no validation image shows anything that counts, so no epoch can be told to be the best")
    metrics = counted.compute()
    if not math.isfinite(metrics["loss"]):
        raise TrainingError(
            f"the validation loss became {metrics['loss']} in epoch {progress.epochs + 1}; {rate_too_high(context)}."
        )
    result = EpochResult(
        epoch=progress.epochs + 1,
        lr=context.rate(max(progress.steps - 1, 0)),
        train_loss=progress.loss_sum / max(progress.targets, 1),
        gradient_norm=progress.norm_sum / max(progress.batches, 1),
        images=progress.images,
        train_seconds=progress.seconds,
        metrics=metrics,
    )
    progress.end_epoch()
    return result


@torch.inference_mode()
def evaluate_model(
    model: nn.Module,
    task: Task,
    batches: Iterable[Batch],
    on_progress: Callable[[int], None] = lambda images: None,
    *,
    precision: Precision | None = None,
    distributed: DistributedContext | None = None,
) -> Metrics:
    """Count a network's outputs on every batch, in evaluation mode; the model's mode is restored.

    Args:
        model: the network.
        task: gives the metrics.
        batches: of this process.
        on_progress: called with each batch's number of images.
        precision: of the passes, float32 where it is left out.
        distributed: the processes whose counts are added up; this one alone where it is left out.
    """
    metrics = task.training.metrics()
    for batch, outputs in _passes(model, batches, precision or Precision()):
        metrics.update(outputs, batch.targets)
        on_progress(len(batch.images))
    if distributed is not None:
        distributed.add_up(metrics.sums())
    return metrics


@torch.inference_mode()
def evaluate_with_baselines(
    model: nn.Module, task: Task, batches: Iterable[Batch], on_progress: Callable[[int], None] = lambda images: None
) -> tuple[Metrics, dict[str, Metrics]]:
    """Count as `evaluate_model` does, in float32, and beside it what the task's baselines say of the same images."""
    metrics = task.training.metrics()
    baselines: dict[str, Metrics] = {}
    for batch, outputs in _passes(model, batches, Precision()):
        metrics.update(outputs, batch.targets)
        for name, guess in task.training.baselines(batch.images).items():
            baselines.setdefault(name, task.training.metrics()).update(guess, batch.targets)
        on_progress(len(batch.images))
    return metrics, baselines


def _passes(model: nn.Module, batches: Iterable[Batch], precision: Precision) -> Iterator[tuple[Batch, Tensor]]:
    """Yield batches and what the network makes of them in evaluation mode; the model's mode is restored."""
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            with precision.passes(batch.images.device):
                outputs = model(precision.to_memory_format(batch.images))
            yield batch, outputs.float()
    finally:
        model.train(was_training)
