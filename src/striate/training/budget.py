"""How long a training is: so many epochs, or as many steps as fit into a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from striate.errors import ConfigError
from striate.training.config import TrainConfig
from striate.training.schedules import Schedule, Span, build_schedule

_NEAR = 0.02  # of the budget: a plan that misses it by more is made anew
_STEP_SHARE, _EPOCH_SHARE = 0.02, 0.5  # of the newest measurement in the averages of what steps and ends take
_ENOUGH = 0.8  # of what a report was thought to take
_OUTLIER = 10  # times the average: what a step counts for at most, one in which a checkpoint was saved, say


@dataclass
class Length:
    """How many steps a training has, and the learning rate's course over them.

    Attributes:
        config: the epochs, and the options of the schedule.
        steps_per_epoch: batches an epoch.
        steps: of the whole training; the last epoch may be a part of one.
    """

    config: TrainConfig
    steps_per_epoch: int
    steps: int
    _schedule: Schedule = field(init=False)

    def __post_init__(self) -> None:
        self.lay_out(self.steps)

    @property
    def epochs(self) -> int:
        """How many epochs there are, a part of one counted as one."""
        return -(-self.steps // self.steps_per_epoch)

    def lay_out(self, steps: int) -> None:
        """Lay the schedule out over so many steps; raises ConfigError where it does not fit into them."""
        self._schedule = build_schedule(self.config, Span(steps=steps, steps_per_epoch=self.steps_per_epoch))
        self.steps = steps

    def lay_out_anew(self, steps: int) -> None:
        """Change the number of steps on the way; a schedule that they are too few for goes on as it is."""
        try:
            self.lay_out(steps)
        except ConfigError:
            self.steps = steps

    def factor(self, step: int) -> float:
        """Return the factor of the peak learning rate at a step, counted from 0."""
        return self._schedule(step)


@dataclass
class Budget:
    """The steps that fit into a time, decoding, validation and saving included.

    Attributes:
        budget_s: the time in all.
        began: when it began, on the clock of `time.perf_counter`.
        step_s: what a step takes, data and update included.
        epoch_s: what the end of an epoch takes: validation and saving.
        end_s: what comes after the last epoch, the report included.
        report_s: what that takes; 0 where it has to be left out.
    """

    budget_s: float
    began: float
    step_s: float
    epoch_s: float
    end_s: float
    report_s: float = 0.0
    _last: tuple[int, float] | None = field(default=None, init=False)

    @property
    def has_time_to_report(self) -> bool:
        """Whether there is time for a report, now that all else is done."""
        left_s = self.budget_s - (time.perf_counter() - self.began)
        return self.report_s > 0 and left_s > _ENOUGH * self.report_s

    def observe(self, length: Length, done: int) -> None:
        """Learn from the step that has just been done, and from the end of an epoch where one was before it."""
        now = time.perf_counter()
        if self._last is not None and self._last[0] == done - 1:
            gone_s = now - self._last[1]
            if (done - 1) % length.steps_per_epoch:
                self.step_s += _STEP_SHARE * (min(gone_s, _OUTLIER * self.step_s) - self.step_s)
            else:
                self.epoch_s += _EPOCH_SHARE * (max(gone_s - self.step_s, 0.0) - self.epoch_s)
        self._last = done, now

    def steps(self, steps_per_epoch: int, done: int) -> int:
        """Return how many steps there can be in all, of which some are done; one at least is to come.

        The steps that are left take `left` seconds, each with its share of the ends of epochs, but the last epoch
        has an end of its own, however short it is.
        """
        left_s = self.budget_s - (time.perf_counter() - self.began) - self.end_s
        best = 1
        for ends in range(1, max(2, int(left_s / max(self.epoch_s, 1e-3)) + 2)):
            fitting = int((left_s - ends * self.epoch_s) / self.step_s)
            to_end = ends * steps_per_epoch - done % steps_per_epoch
            best = max(best, min(fitting, to_end))
            if fitting <= to_end:
                break
        return done + best

    def corrected(self, length: Length, done: int) -> int:
        """Return the steps of a new plan where the one that there is misses the budget; else those of the old one."""
        wanted = self.steps(length.steps_per_epoch, done)
        missed_s = abs(wanted - length.steps) * self.step_s
        return wanted if missed_s > _NEAR * self.budget_s else length.steps
