"""Learning rates as plain functions, `step -> factor` of the peak rate, that compose.

A schedule is a function here, a line in `SCHEDULES` and a name in `options.py`. Steps are counted from 0.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from striate.training.options import ScheduleName, ScheduleOptions

Schedule = Callable[[int], float]
"""From a step, counted from 0, to the factor of the peak learning rate, 0 to 1."""


def constant() -> Schedule:
    """Stay at the peak: factor(step) = 1.

    >>> constant()(7)
    1.0
    """
    return lambda step: 1.0


def step_decay(*, at: Sequence[int], decay: int | float) -> Schedule:
    """Fall by the same factor at given steps: decay^(how many of `at` are step or less).

    A. Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012; K. He et al.,
    "Deep residual learning for image recognition", 2016. The numbers are those of torch's MultiStepLR.

    Args:
        at: steps in ascending order, 0 or more.
        decay: above 0, at most 1.

    >>> [round(step_decay(at=(3, 5), decay=0.1)(step), 3) for step in (2, 3, 5)]
    [1.0, 0.1, 0.01]
    """
    return lambda step: decay ** bisect_right(at, step)


def triangular(*, half_cycle: int | float, low: int | float) -> Schedule:
    """Rise from `low` to the peak along a line and fall back, again and again.

    factor(step) = low + (1 - low) * max(0, 1 - |step / half_cycle - 2 * cycle - 1|) in the cycle'th cycle, from 0.
    L. N. Smith, "Cyclical learning rates for training neural networks", 2017 (arXiv 2015). The numbers of this
    one and the next two are those of torch's CyclicLR with a step_size_up of `half_cycle`.

    Args:
        half_cycle: steps of a rise, above 0; they need not be a whole number.
        low: at least 0, at most 1.

    >>> [triangular(half_cycle=2, low=0.5)(step) for step in range(5)]
    [0.5, 0.75, 1.0, 0.75, 0.5]
    """
    return lambda step: low + (1 - low) * _triangle(step, half_cycle)


def triangular2(*, half_cycle: int | float, low: int | float) -> Schedule:
    """Rise and fall as `triangular`, each time half as far above `low`: rise(step) / 2^cycle.

    L. N. Smith, 2017; values as for `triangular`.

    >>> [triangular2(half_cycle=1, low=0.5)(step) for step in range(4)]
    [0.5, 1.0, 0.5, 0.75]
    """
    return lambda step: low + (1 - low) * _triangle(step, half_cycle) * 0.5 ** (step // (2 * half_cycle))


def exp_range(*, half_cycle: int | float, low: int | float, gamma: int | float) -> Schedule:
    """Rise and fall as `triangular`, ever less far above `low`: rise(step) * gamma^step.

    L. N. Smith, 2017; values as for `triangular`, gamma above 0 and at most 1.

    >>> [round(exp_range(half_cycle=1, low=0.5, gamma=0.9)(step), 4) for step in range(4)]
    [0.5, 0.95, 0.5, 0.8645]
    """
    return lambda step: low + (1 - low) * _triangle(step, half_cycle) * gamma**step


def _triangle(step: int, half_cycle: int | float) -> float:
    """Go from 0 to 1 and back along lines in every cycle."""
    return max(0.0, 1 - abs((step / half_cycle) % 2 - 1))


def one_cycle(*, steps: int) -> Schedule:
    """Rise along a cosine for 30 % of the steps, then fall along another to almost nothing.

    Starts at 1/25, peaks at 1, ends at 1/250,000. L. N. Smith and N. Topin, "Super-convergence", 2018; the
    numbers are those of torch's OneCycleLR.

    Args:
        steps: of the whole training, 1 or more; a single one is taken at the peak.

    >>> [round(one_cycle(steps=10)(step), 3) for step in (0, 2, 9)]
    [0.04, 1.0, 0.0]
    """
    if steps == 1:
        return constant()
    first, last = 1 / 25, 1 / 250_000
    peak_at = 0.3 * steps - 1
    way_down = steps - 1 - peak_at

    def factor(step: int) -> float:
        if step <= peak_at:
            return _cosine(first, 1.0, step / peak_at)
        return _cosine(1.0, last, (step - peak_at) / way_down)

    return factor


def cosine(*, steps: int, cycles: int = 1, growth: int | float = 1) -> Schedule:
    """Fall from the peak along a cosine, and start again at the peak: warm restarts, of which the last ends at `steps`.

    factor = (1 + cos(pi * steps since the restart / steps of the cycle)) / 2, which reaches 0 where the next step
    would be. I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017. The
    numbers are those of torch's CosineAnnealingLR and, where cycles come out as whole steps,
    CosineAnnealingWarmRestarts; else the restarts are rounded to whole steps.

    Args:
        steps: of all cycles together, 1 or more.
        cycles: 1 or more.
        growth: how many times as long as the one before each cycle is, 1 or more.

    >>> [round(cosine(steps=8, cycles=2)(step), 2) for step in range(8)]
    [1.0, 0.85, 0.5, 0.15, 1.0, 0.85, 0.5, 0.15]
    """
    # as shares of the last one, which no number of cycles makes too large for a float
    ends = list(accumulate(growth ** (cycle + 1 - cycles) for cycle in range(cycles)))
    restarts = [0, *(round(steps * end / ends[-1]) for end in ends)]

    def factor(step: int) -> float:
        cycle = min(bisect_right(restarts, step), cycles)
        start, end = restarts[cycle - 1], restarts[cycle]
        return _cosine(1.0, 0.0, (step - start) / (end - start))

    return factor


def polynomial(*, steps: int, power: int | float) -> Schedule:
    """Fall from the peak to 0, where the next step would be: factor(step) = (1 - step / steps)^power.

    The "poly" policy of Caffe; L.-C. Chen et al., "DeepLab", 2017, take a power of 0.9. The numbers are those of
    torch's PolynomialLR.

    Args:
        steps: of the whole training, 1 or more.
        power: above 0.

    >>> [polynomial(steps=4, power=2)(step) for step in range(4)]
    [1.0, 0.5625, 0.25, 0.0625]
    """
    return lambda step: max(0.0, 1 - step / steps) ** power


def warm_up(schedule: Schedule, *, steps: int) -> Schedule:
    """Rise along a line to where a schedule begins, and only then begin with it.

    factor(step) = schedule(0) * (step + 1) / steps for the first `steps` steps, schedule(step - steps) afterwards:
    the schedule is delayed, so make it for the steps that are left. P. Goyal et al., "Accurate, large minibatch
    SGD", 2017. The numbers are those of torch's LinearLR from 1 / steps, and the schedule behind it in SequentialLR.

    Args:
        schedule: any.
        steps: of the rise, 0 or more; the last of them already is at schedule(0).

    >>> [round(warm_up(polynomial(steps=2, power=1), steps=4)(step), 2) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.5]
    """
    if steps == 0:
        return schedule
    return lambda step: schedule(0) * (step + 1) / steps if step < steps else schedule(step - steps)


def _cosine(start: float, end: float, share: float) -> float:
    """Go from start to end along half a cosine; `share` of the way, 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True, kw_only=True)
class Span:
    """How long a schedule lasts: its steps, how many of them are an epoch, and how many went before, in the warm-up."""

    steps: int
    steps_per_epoch: int
    before: int = 0

    @property
    def epochs(self) -> float:
        """Its length in epochs."""
        return self.steps / self.steps_per_epoch


def build_schedule(options: ScheduleOptions, span: Span) -> Schedule:
    """Return the schedule that was chosen, for a whole training, behind its warm-up.

    Raises:
        ConfigError: the warm-up or a decay would go beyond the end, or there are more cycles than epochs.
    """
    options.require_epochs(span.epochs)
    before = min(round(options.warmup_epochs * span.steps_per_epoch), span.steps - 1)  # some is left for the schedule
    rest = Span(steps=span.steps - before, steps_per_epoch=span.steps_per_epoch, before=before)
    return warm_up(SCHEDULES[options.schedule](rest, options), steps=before)


def _step(span: Span, options: ScheduleOptions) -> Schedule:
    """Decay at epochs of the whole training: they are counted from before the warm-up."""
    total = span.before + span.steps
    at = [epoch * span.steps_per_epoch for epoch in options.decay_at] or [total / 2, total * 3 / 4]
    return step_decay(at=[max(0, round(step) - span.before) for step in at], decay=options.decay)


def _cycle(span: Span, options: ScheduleOptions) -> dict[str, int | float]:
    half_cycle = options.cycle_epochs * span.steps_per_epoch / 2
    return {"half_cycle": max(1.0, half_cycle), "low": options.low}  # in less than a step nothing rises


def _exp_range(span: Span, options: ScheduleOptions) -> Schedule:
    return exp_range(**_cycle(span, options), gamma=options.gamma ** (1 / span.steps_per_epoch))


def _cosine_cycles(span: Span, options: ScheduleOptions) -> Schedule:
    return cosine(steps=span.steps, cycles=options.cycles, growth=options.cycle_growth)


SCHEDULES: dict[ScheduleName, Callable[[Span, ScheduleOptions], Schedule]] = {
    "constant": lambda span, options: constant(),
    "step": _step,
    "triangular": lambda span, options: triangular(**_cycle(span, options)),
    "triangular2": lambda span, options: triangular2(**_cycle(span, options)),
    "exp_range": _exp_range,
    "onecycle": lambda span, options: one_cycle(steps=span.steps),
    "cosine": _cosine_cycles,
    "polynomial": lambda span, options: polynomial(steps=span.steps, power=options.power),
}
"""The schedules by name, each made for a span of steps."""
