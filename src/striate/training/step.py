"""One step of training: gradients of a batch, checked, and an update."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.errors import NotFiniteError, TrainingError
from striate.tasks.base import Batch, Task
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
        config: clipping, parts, averaging, and what happens where a number is not finite.
        lr: the peak of the learning rate.
        schedule: from a step to the factor of that.
        precision: of the passes.
        world: the processes that share a batch.
        program: the network as torch.compile made it, where it did.
    """

    task: Task
    config: TrainConfig
    lr: float
    schedule: Schedule
    precision: Precision
    world: DistributedContext = DistributedContext()  # noqa: RUF009  # frozen
    program: Callable[[Tensor], Tensor] | None = None

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return self.lr * self.schedule(step)


class StepResult(NamedTuple):
    """What a step was over, in all processes: the sum of the losses and their number (nan and 0 where it was left out)
    and the number of images.
    """

    loss_sum: float
    targets: int
    images: int


def train_step(state: TrainState, engine: StepContext, batch: Batch) -> StepResult:
    """Change the weights by one step down the gradient of a batch's mean loss.

    The gradient is that of the sum of all losses, of all parts and processes, divided by the number of valid
    targets in all of them: however many share the work, it is the same.

    Raises:
        NotFiniteError: the loss or the gradient is not finite; nothing has changed.
        TrainingError: a part of two images does not fit into memory, or another process has ended; likewise.
    """
    set_rate(state.optimiser, engine.rate(state.progress.steps))
    statistics = Statistics(state.model)
    try:
        totals = _gradients(state, engine, batch, statistics)
        gradients = [parameter.grad for parameter in state.model.parameters() if parameter.grad is not None]
        engine.world.add_up([*gradients, *statistics.now, totals])
    except TrainingError:
        statistics.restore()
        raise
    statistics.divide(engine.world.size)
    loss_sum, targets, images = float(totals[0]), int(totals[1]), int(totals[2])
    norm = float(torch.nn.utils.get_total_norm(gradients)) / max(targets, 1)
    if not (math.isfinite(loss_sum) and math.isfinite(norm)):
        statistics.restore()
        _leave_out(state, engine, loss_sum)
        return StepResult(math.nan, 0, images)
    if targets:
        longest = engine.config.clip or math.inf
        torch._foreach_mul_(gradients, min(1.0, longest / max(norm, 1e-30)) / targets)
        state.optimiser.step()
    state.progress.count_step()
    state.progress.norm_sum += norm
    state.progress.skipped = 0
    if state.average is not None:
        update_average(state.average, state.model, engine.config.ema, state.progress.steps)
    return StepResult(loss_sum, targets, images)


class Statistics:
    """The running statistics of batch norms, which a forward pass moves on: as they were before a step, and now."""

    def __init__(self, model: nn.Module) -> None:
        self.now = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self._counts = [buffer for buffer in model.buffers() if not buffer.is_floating_point()]
        self._before = [buffer.clone() for buffer in (*self.now, *self._counts)]

    def restore(self) -> None:
        """Go back to what they were."""
        for buffer, before in zip((*self.now, *self._counts), self._before, strict=True):
            buffer.copy_(before)

    def divide(self, processes: int) -> None:
        """Make the mean of a sum over several processes."""
        if processes > 1 and self.now:
            torch._foreach_div_(self.now, processes)


def _gradients(state: TrainState, engine: StepContext, batch: Batch, statistics: Statistics) -> Tensor:
    """Leave the gradient of the summed losses in the parameters; returns that sum and the number of targets.

    Where memory runs out the parts of the batch are halved, for good, and it is tried again.
    """
    progress = state.progress
    while True:
        parts = max(engine.config.accumulate, progress.parts)
        try:
            with _seeded(engine.config.seed, progress.steps, engine.world.rank):
                return _in_parts(state, engine, batch, min(parts, max(1, len(batch.images) // 2)))
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
        statistics.restore()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        logger.info(f"out of memory: batches of {len(batch.images)} are now worked through in {2 * parts} parts")


def _in_parts(state: TrainState, engine: StepContext, batch: Batch, parts: int) -> Tensor:
    """Go forward and backward through a batch, a part at a time."""
    forward, device = engine.program, batch.images.device
    if forward is None:
        forward = state.model
    totals = torch.zeros(3, dtype=torch.float64, device=device)
    totals[2] = len(batch.images)
    state.optimiser.zero_grad(set_to_none=True)
    for part in batch.parts(parts):
        with engine.precision.passes(device):
            outputs = forward(engine.precision.lay_out(part.images))
        loss_sum, targets = engine.task.loss(outputs.float(), part.targets)
        loss_sum.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        totals[0] += loss_sum.detach()
        totals[1] += targets
    return totals


def _leave_out(state: TrainState, engine: StepContext, loss_sum: float) -> None:
    """Leave a step out, or raise TrainingError where that is not wanted or has been done too often in a row."""
    state.optimiser.zero_grad(set_to_none=True)
    progress = state.progress
    where = f"step {progress.steps + 1}, batch {progress.batches + 1} of epoch {progress.epochs + 1}"
    what = f"the gradient of {where} is not finite"
    if not math.isfinite(loss_sum):
        what = f"the loss became {loss_sum} at {where}"
    cause = too_high(engine) + ("" if engine.config.clip else ", or --clip 1")
    if engine.precision.dtype != "float32":
        cause += ", or --precision float32"
    if engine.config.on_nonfinite == "stop":
        raise NotFiniteError(f"{what}; {cause}, in a new run. --resume --on-nonfinite skip leaves the batch out")
    if progress.skipped == _MOST_SKIPPED:
        raise NotFiniteError(f"{what}, after {_MOST_SKIPPED} steps in a row that were left out; {cause}.")
    logger.info(f"left out: {what}")
    progress.skipped += 1
    progress.count_step()


def too_high(engine: StepContext) -> str:
    """Say what most often makes numbers grow beyond all bounds, and what to do about it."""
    lower = min(engine.lr / 10, replace(engine.config, lr="default").peak(0))
    return f"most often the learning rate is too high: try --lr {lower:.2g}"


@contextmanager
def _seeded(seed: int, step: int, rank: int) -> Iterator[None]:
    """Make what a step draws (dropout, stochastic depth) a function of seed, step and process; nothing else moves."""
    device = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=device):
        mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % 2**64
        torch.manual_seed(mixed)
        yield
