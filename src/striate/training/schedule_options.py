"""What a user can choose about the learning rate's course. All lengths are in epochs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Literal, get_args

from striate.errors import ConfigError
from striate.system.options import Options, is_number, is_whole

ScheduleName = Literal["constant", "step", "triangular", "triangular2", "exp_range", "onecycle", "cosine", "polynomial"]

TAKEN_BY: dict[str, tuple[ScheduleName, ...]] = {
    "decay_at": ("step",),
    "decay": ("step",),
    "cycle_epochs": ("triangular", "triangular2", "exp_range"),
    "low": ("triangular", "triangular2", "exp_range"),
    "gamma": ("exp_range",),
    "cycles": ("cosine",),
    "cycle_growth": ("cosine",),
    "power": ("polynomial",),
}
"""Which schedules an option is for; the others would ignore it, and so refuse it."""


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions(Options):
    """How the learning rate goes from step to step, as a share of its peak.

    Raises:
        ConfigError: a value makes no sense, or is of another schedule.
    """

    schedule: ScheduleName = "onecycle"
    """Course of the learning rate: see striate schedule NAME."""

    warmup_epochs: float = 0
    """Epochs in which the learning rate rises to where its schedule begins, which has the rest of them: 0 or more."""

    decay_at: tuple[float, ...] = ()
    """Epochs at which step decays, such as 30,60 (warm-up included). auto: half-way and three quarters of the way."""

    decay: float = 0.1
    """What step multiplies the learning rate by: above 0, below 1."""

    cycle_epochs: float = 4
    """Epochs that triangular, triangular2 and exp_range take to rise and fall again: above 0."""

    low: float = 0.25
    """Where triangular, triangular2 and exp_range start, as a share of the peak: at least 0, below 1."""

    gamma: float = 0.9
    """What the rises of exp_range shrink to in an epoch: above 0, below 1."""

    cycles: int = 1
    """How often cosine falls from the peak, with a warm restart before each further time: 1 or more."""

    cycle_growth: float = 1
    """How many times as long as the one before each cycle of cosine is: 1 or more."""

    power: float = 0.9
    """Of polynomial: 1 falls along a line, more falls sooner. Above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = get_args(ScheduleName)
        self._require(
            ("schedule", self.schedule in names, f"one of {', '.join(names)}"),
            ("warmup_epochs", is_number(self.warmup_epochs) and self.warmup_epochs >= 0, "0 or more"),
            ("decay_at", _are_ascending(self.decay_at), "epochs above 0 in ascending order, such as 30,60"),
            ("decay", is_number(self.decay) and 0 < self.decay < 1, "above 0 and below 1"),
            ("cycle_epochs", is_number(self.cycle_epochs) and self.cycle_epochs > 0, "a positive number"),
            ("low", is_number(self.low) and 0 <= self.low < 1, "at least 0 and below 1"),
            ("gamma", is_number(self.gamma) and 0 < self.gamma < 1, "above 0 and below 1"),
            ("cycles", is_whole(self.cycles, 1), "a whole number, 1 or more"),
            ("cycle_growth", is_number(self.cycle_growth) and self.cycle_growth >= 1, "1 or more"),
            ("power", is_number(self.power) and self.power > 0, "a positive number"),
        )
        self._refuse_idle_options()

    def require_epochs(self, epochs: float) -> None:
        """Raise ConfigError where something would come after the end of a training of so many epochs."""
        last = max(self.decay_at, default=0)
        self._require(
            ("warmup_epochs", self.warmup_epochs < epochs, f"less than the {epochs:g} epochs of the training"),
            ("decay_at", last < epochs, f"epochs before the end of the training, after {epochs:g} epochs"),
            ("cycles", self.cycles <= max(1, epochs), f"at most the {epochs:g} epochs of the training"),
        )

    def _refuse_idle_options(self) -> None:
        """Raise ConfigError for an option that was given and would change nothing."""
        defaults = {field.name: field.default for field in fields(ScheduleOptions)}
        for name, takers in TAKEN_BY.items():
            if self.schedule not in takers and getattr(self, name) != defaults[name]:
                what = f"schedule{'s' if len(takers) > 1 else ''} {', '.join(takers)}"
                raise ConfigError(name, f"is for the {what}, not for {self.schedule}", "leave it out")
        if self.cycles == 1 and self.cycle_growth != 1:
            raise ConfigError("cycle_growth", "changes nothing where cycles is 1", "leave it out")
        self._require(
            ("decay_at", all(at > self.warmup_epochs for at in self.decay_at), "epochs after those of the warm-up")
        )


def _are_ascending(epochs: object) -> bool:
    """Tell whether these are numbers above 0, each greater than the one before."""
    if not isinstance(epochs, tuple) or not all(is_number(epoch) and epoch > 0 for epoch in epochs):
        return False
    return all(one < other for one, other in pairwise(epochs))
