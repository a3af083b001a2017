"""The learning-rate range test: train for a moment at an ever greater rate, and see where the loss falls and rises.

L. N. Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from torch import nn

from striate.batching.targets import Batch
from striate.errors import NotFiniteError, TrainingError
from striate.system.progress import progress_bar
from striate.training.state import start_state, train_mode
from striate.training.step import StepContext, train_step

STEPS, LOWEST, HIGHEST = 100, 1e-5, 10.0
_SMOOTHING = 0.9  # of the moving average of the losses
_TOO_FAR = 3.0  # times the lowest loss: the test is over


@dataclass(frozen=True)
class RangeTest:
    """What a range test found.

    Attributes:
        rates: of its steps, ascending.
        losses: the mean losses of these steps, as a moving average.
        suggestion: a peak for the learning rate.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float


def range_test(
    model: nn.Module, context: StepContext, train_batches: Callable[[int, int], Iterable[Batch]], *, steps: int = STEPS
) -> RangeTest:
    """Train a copy of a network at rates that rise exponentially from 1e-5 to 10, until its loss is far off.

    Args:
        model: left as it is.
        context: what stays the same from step to step.
        train_batches: from an epoch, counted from 0, and a number of batches to pass over, to its batches.
        steps: how many there are at most.

    Raises:
        TrainingError: the loss is not finite from the beginning.
    """
    growth = (HIGHEST / LOWEST) ** (1 / (steps - 1))
    state = start_state(train_mode(copy.deepcopy(model)), context.config)
    context = replace(
        context,
        config=replace(context.config, on_nonfinite="stop"),
        lr=1.0,
        schedule=lambda step: LOWEST * growth**step,
        compiled_model=None,
    )
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    with progress_bar("range test", steps) as advance:
        for batch in _cycle(train_batches, steps):
            try:
                step = train_step(state, context, batch)
            except NotFiniteError:
                if len(losses) < 2:
                    raise TrainingError(
                        "the loss is not finite at the lowest of rates: the network, or its input, is at fault."
                    ) from None
                break  # the rate is far too high; all that the test needs to know
            if step.targets:
                rates.append(context.rate(state.progress.steps - 1))
                average = _SMOOTHING * average + (1 - _SMOOTHING) * step.loss_sum / step.targets
                losses.append(average / (1 - _SMOOTHING ** (len(losses) + 1)))  # as if it had begun at the first loss
            advance(1)
            if losses and losses[-1] > _TOO_FAR * min(losses):
                break
    return RangeTest(rates, losses, suggest(rates, losses))


def suggest(rates: list[float], losses: list[float]) -> float:
    """Return half of the rate at which nine tenths of the fall of the loss are done, rounded to two digits.

    Half, as the average trails behind the losses. Where the lowest loss lies tells little: a few images are soon known
    by heart, and then it may come at any rate, some at which a training does not converge among them.
    """
    lowest = min(losses)
    fallen = lowest + 0.1 * (max(losses[: losses.index(lowest) + 1]) - lowest)
    best = next(rate for rate, loss in zip(rates, losses, strict=True) if loss <= fallen) / 2
    return round(best, 1 - math.floor(math.log10(best)))


def _cycle(train_batches: Callable[[int, int], Iterable[Batch]], steps: int) -> Iterator[Batch]:
    """Yield so many batches, from as many epochs as that takes."""
    epoch = 0
    while True:
        for batch in train_batches(epoch, 0):
            if steps == 0:
                return
            yield batch
            steps -= 1
        epoch += 1
