"""The training loop: mini-batch stochastic gradient descent with back-propagation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from striate.errors import TrainingError
from striate.interrupts import hold_interrupt
from striate.tasks.base import Batch, Metrics, Task
from striate.training.config import TrainConfig
from striate.training.schedules import one_cycle


@dataclass
class TrainState:
    """All that a step of training changes: weights, momentum, and how many steps were taken."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    steps_taken: int = 0


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """An epoch, counted from 1: its mean training loss, the figures of the validation images, its speed.

    Epoch 0 is a first one that was cut short.
    """

    epoch: int
    lr: float
    train_loss: float
    metrics: dict[str, Any]
    images: int
    train_seconds: float

    @property
    def images_per_s(self) -> float:
        """Training images a second: gathering, forward, backward and update; validation is not in it."""
        return self.images / self.train_seconds


def start(model: nn.Module, config: TrainConfig) -> TrainState:
    """Return the state before the first step: SGD with Nesterov momentum (Sutskever et al. 2013) and weight decay."""
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=config.lr,
        momentum=config.momentum,
        nesterov=config.momentum > 0,
        weight_decay=config.weight_decay,
    )
    return TrainState(model, optimiser)


def train_step(state: TrainState, task: Task, batch: Batch, lr: float) -> float:
    """Change the weights by one step down the gradient of a batch's mean loss, and return that loss.

    Raises:
        TrainingError: the loss is not finite; the weights are as they were.
    """
    for group in state.optimiser.param_groups:
        group["lr"] = lr
    loss_sum, count = task.loss(state.model(batch.images), batch.targets)
    loss = loss_sum / count
    value = loss.item()
    _check_finite(value, f"loss became {value} at step {state.steps_taken + 1}", state)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    state.optimiser.step()
    state.steps_taken += 1
    return value


def fit(
    state: TrainState,
    task: Task,
    config: TrainConfig,
    *,
    steps_per_epoch: int,
    train_batches: Callable[[int], Iterable[Batch]],
    val_batches: Callable[[], Iterable[Batch]],
    on_step: Callable[[int, float], None],
) -> Iterator[EpochResult]:
    """Train epoch by epoch, yielding each one's result; the state moves on in between.

    A KeyboardInterrupt in the first epoch is held back until its weights, the only ones there are, have
    been measured and yielded; a second one is not.

    Args:
        state: where to start; it is changed.
        task: gives loss and metrics.
        config: how many epochs, and the peak learning rate.
        steps_per_epoch: how many batches `train_batches` gives.
        train_batches: from an epoch, counted from 0, to its batches.
        val_batches: gives the validation images, each once.
        on_step: called after every step with its number of images and its loss.

    Raises:
        TrainingError: a loss, of training or validation, is not finite.
    """
    factor = one_cycle(steps=steps_per_epoch * config.epochs)
    for epoch in range(config.epochs):
        began = time.perf_counter()
        state.model.train()
        images, loss_sum, lr = 0, 0.0, 0.0
        cut_short = False
        try:
            for batch in train_batches(epoch):
                lr = config.lr * factor(state.steps_taken)
                loss = train_step(state, task, batch, lr)
                images += len(batch.images)
                loss_sum += loss * len(batch.images)
                on_step(len(batch.images), loss)
        except KeyboardInterrupt:
            if epoch > 0 or images == 0:
                raise
            cut_short = True
        train_seconds = time.perf_counter() - began
        with hold_interrupt(epoch == 0 and not cut_short) as held:
            metrics = evaluate(state.model, task, val_batches()).compute()
        _check_finite(metrics["loss"], f"validation loss became {metrics['loss']} in epoch {epoch + 1}", state)
        yield EpochResult(
            epoch=0 if cut_short else epoch + 1,
            lr=lr,
            train_loss=loss_sum / images,
            images=images,
            train_seconds=train_seconds,
            metrics=metrics,
        )
        if cut_short or held:
            raise KeyboardInterrupt


def _check_finite(loss: float, event: str, state: TrainState) -> None:
    """Raise TrainingError where a loss is infinite or not a number."""
    if not math.isfinite(loss):
        lower = min(state.optimiser.defaults["lr"] / 10, TrainConfig.lr)
        raise TrainingError(f"the {event}; most often the learning rate is too high: try --lr {lower:g}.")


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    task: Task,
    batches: Iterable[Batch],
    on_progress: Callable[[int], None] = lambda images: None,
) -> Metrics:
    """Count a network's outputs on every batch, in evaluation mode; the model's mode is restored.

    `on_progress` is called with each batch's number of images.
    """
    metrics = task.metrics()
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            metrics.update(model(batch.images), batch.targets)
            on_progress(len(batch.images))
    finally:
        model.train(was_training)
    return metrics
