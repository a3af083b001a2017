"""One step of training: the gradient of a batch, checked, and an update."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from striate.batching.targets import Batch
from striate.errors import NotFiniteError, TrainingError
from striate.tasks.task import Task
from striate.training.config import TrainConfig
from striate.training.distributed import DistributedContext
from striate.training.hardware import out_of_memory
from striate.training.optimisers import set_rate
from striate.training.precision import Precision
from striate.training.schedules import Schedule
from striate.training.state import TrainState, update_average

logger = logging.getLogger(__name__)

_MOST_SKIPPED = 10  # steps in a row


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """What stays the same from step to step.

    Attributes:
        task: gives the loss.
        config: clipping, accumulation, averaging, and what happens where a loss or gradient is not finite.
        lr: peak of the learning rate.
        schedule: from a step, counted from 0, to the factor of `lr`.
        precision: dtype and memory format of forward and backward passes.
        distributed: the processes that share a batch.
        compiled_model: the network as torch.compile made it; None where it is not compiled.
    """

    task: Task
    config: TrainConfig
    lr: float
    schedule: Schedule
    precision: Precision
    distributed: DistributedContext = DistributedContext()  # noqa: RUF009  # frozen
    compiled_model: Callable[[Tensor], Tensor] | None = None

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return self.lr * self.schedule(step)


class StepResult(NamedTuple):
    """Sums of a step over all processes.

    Attributes:
        loss_sum: sum of the losses of all valid targets; nan where the step was left out.
        targets: number of valid targets; 0 where the step was left out.
        images: number of images.
        stop: whether any process was asked to stop before the step.
    """

    loss_sum: float
    targets: int
    images: int
    stop: bool = False


def train_step(state: TrainState, context: StepContext, batch: Batch, *, stop: bool = False) -> StepResult:
    """Change the weights by one step down the gradient of a batch's mean loss.

    The gradient is that of the sum of all losses, of all parts and processes, divided by the number of valid
    targets in all of them: however many processes share the work, it is the same.

    Everything that the host has to know of a step is gathered in one tensor on the device and read once. That read is
    the only place where the host waits for the device: a step whose loss or gradient is not finite must change no
    weight, so it cannot come later.

    Args:
        state: weights, optimiser and counts; changed.
        context: what stays the same from step to step.
        batch: this process's share.
        stop: whether this process is asked to stop; told to all processes with the step's sums.

    Raises:
        NotFiniteError: the loss or the gradient is not finite; nothing has changed.
        TrainingError: a part of two images does not fit into memory, or another process has ended; likewise.
    """
    set_rate(state.optimiser, context.rate(state.progress.steps))
    statistics = state.running_statistics
    statistics.save()
    try:
        sums = _backward(state, context, batch)
        sums[3] = float(stop)
        gradients = [parameter.grad for parameter in state.model.parameters() if parameter.grad is not None]
        context.distributed.add_up([*gradients, *statistics.floating, sums])
    except TrainingError:
        statistics.restore()
        raise
    statistics.divide(context.distributed.size)
    norm_sum = torch.nn.utils.get_total_norm(gradients)
    # the only synchronisation with the device
    loss_sum, valid, image_count, stopped, norm_sum_value = torch.cat([sums, norm_sum.to(sums)[None]]).tolist()
    targets, images, stop = int(valid), int(image_count), stopped > 0
    norm = norm_sum_value / max(targets, 1)
    if not (math.isfinite(loss_sum) and math.isfinite(norm)):
        statistics.restore()
        _leave_out(state, context, loss_sum)
        return StepResult(math.nan, 0, images, stop)
    if targets:
        longest = context.config.clip or math.inf
        torch._foreach_mul_(gradients, min(1.0, longest / max(norm, 1e-30)) / targets)
        state.optimiser.step()
    state.progress.count_step()
    state.progress.norm_sum += norm
    state.progress.skipped = 0
    if state.average is not None:
        update_average(state.average, state.model, context.config.ema, state.progress.steps)
    return StepResult(loss_sum, targets, images, stop)


def _backward(state: TrainState, context: StepContext, batch: Batch) -> Tensor:
    """Leave the gradient of the summed losses in the parameters; returns the sums of `_in_parts`.

    Where memory runs out, the batch is cut into twice as many parts, for good, and tried again.
    """
    progress = state.progress
    while True:
        parts = max(context.config.accumulate, progress.parts)
        try:
            with _seeded(context.config.seed, progress.steps, context.distributed.rank):
                return _in_parts(state, context, batch, min(parts, max(1, len(batch.images) // 2)))
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        # not within `except`: the error holds what its frames hold
        if parts >= len(batch.images) // 2:
            raise TrainingError(
                f"a step on {-(-len(batch.images) // parts)} images does not fit into memory; "
                "choose a smaller --size or --model."
            )
        progress.parts = 2 * parts
        state.optimiser.zero_grad(set_to_none=True)
        state.running_statistics.restore()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        logger.info(f"out of memory: batches of {len(batch.images)} are now worked through in {2 * parts} parts")


def _in_parts(state: TrainState, context: StepContext, batch: Batch, parts: int) -> Tensor:
    """Run forward and backward passes over a batch, one part after the other.

    Returns:
        On the device, float64: the sum of the losses, the number of valid targets, the number of images, and a 0.
    """
    forward, device = context.compiled_model, batch.images.device
    if forward is None:
        forward = state.model
    sums = torch.zeros(4, dtype=torch.float64, device=device)
    sums[2] = len(batch.images)
    state.optimiser.zero_grad(set_to_none=True)
    for part in batch.parts(parts):
        with context.precision.passes(device):
            outputs = forward(context.precision.to_memory_format(part.images))
        loss_sum, targets = context.task.training.loss(outputs.float(), part.targets)
        loss_sum.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        sums[0] += loss_sum.detach()
        sums[1] += targets
    return sums


def _leave_out(state: TrainState, context: StepContext, loss_sum: float) -> None:
    """Leave a step out; raises NotFiniteError where that is not wanted, or was done too often in a row."""
    state.optimiser.zero_grad(set_to_none=True)
    progress = state.progress
    where = f"step {progress.steps + 1}, batch {progress.batches + 1} of epoch {progress.epochs + 1}"
    what = f"the gradient of {where} is not finite"
    if not math.isfinite(loss_sum):
        what = f"the loss became {loss_sum} at {where}"
    cause = rate_too_high(context) + ("" if context.config.clip else ", or --clip 1")
    if context.precision.dtype != "float32":
        cause += ", or --precision float32"
    if context.config.on_nonfinite == "stop":
        raise NotFiniteError(f"{what}; {cause}, in a new run. --resume --on-nonfinite skip leaves the batch out")
    if progress.skipped == _MOST_SKIPPED:
        raise NotFiniteError(f"{what}, after {_MOST_SKIPPED} steps in a row that were left out; {cause}.")
    logger.info(f"left out: {what}")
    progress.skipped += 1
    progress.count_step()


def rate_too_high(context: StepContext) -> str:
    """Return the most frequent cause of a loss that is not finite, and what to do about it."""
    lower = min(context.lr / 10, replace(context.config, lr="default").peak(0))
    return f"most often the learning rate is too high: try --lr {lower:.2g}"


@contextmanager
def _seeded(seed: int, step: int, rank: int) -> Iterator[None]:
    """Make the random numbers of a step (dropout, stochastic depth) a function of seed, step and process alone."""
    device = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=device):
        mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % 2**64
        torch.manual_seed(mixed)
        yield
