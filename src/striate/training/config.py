"""All that a user can choose about a training: the flags of `striate train`. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Predicate

from striate.batching.options import BatchOptions, PolicyName
from striate.datasets.options import DataOptions
from striate.errors import ConfigError
from striate.models.options import NetworkOptions
from striate.system.options import Options, Wanted
from striate.tasks.options import option_classes, options_of_task
from striate.training.options import MachineOptions, OptimisationOptions, PrecisionOptions, ScheduleOptions

EPOCHS = 20
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(budget: str) -> float | None:
    """Read a time such as 90s, 10m or 1.5h; None where it is none.

    >>> seconds_of("1.5h")
    5400.0
    """
    time = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", budget)
    return (float(time[1]) * _SECONDS[time[2]] if time else 0.0) or None


def _is_budget(text: str) -> bool:
    return text == "" or seconds_of(text) is not None


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """How long a training is, and where it is kept.

    Raises:
        ConfigError: a value makes no sense.
    """

    epochs: Annotated[int, Ge(1)] = EPOCHS
    """Number of passes over the training images: 1 or more."""

    budget: Annotated[str, Predicate(_is_budget), Wanted("a time such as 90s, 10m or 1.5h")] = ""
    """Time budget in place of epochs, including decoding, validation and saving: 90s, 10m, 1.5h."""

    out: Annotated[str, Predicate(bool), Wanted("a folder, or auto")] = "auto"
    """The run's folder: a new one, or one to resume. auto: runs/TASK/DATA-MODEL, with a number appended if it
    exists."""

    resume: bool = False
    """Resume an interrupted training. Without --out: the latest one on this data (and of --model, if given)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.budget and self.epochs != EPOCHS:
            raise ConfigError("budget", "takes the place of epochs, and both are given", "leave one out")

    @property
    def budget_s(self) -> float | None:
        """The budget in seconds; None where there is none."""
        return seconds_of(self.budget)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(
    DataOptions,
    MachineOptions,
    ScheduleOptions,
    OptimisationOptions,
    *reversed(option_classes()),  # type: ignore[misc]  # those of the tasks in the table, whichever they are
    RunOptions,
    BatchOptions,
    PrecisionOptions,
    NetworkOptions,
):
    """How to train: the flags of the command, the last group first.

    Raises:
        ConfigError: a value makes no sense.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size != "auto":
            self.images_a_step(self.batch_size)
        if not self.budget:
            self.require_epochs(self.epochs)
        if self.probe and (self.budget or self.last_layer == "random"):
            raise ConfigError(
                "probe", "fits the last layer, and ends", "leave out --budget and --last-layer random, or it"
            )

    def of_task(self, task: str) -> dict[str, Any]:
        """Return what a task itself takes of these options; raises ConfigError where one is for other tasks alone."""
        return options_of_task(self, task)

    def images_a_step(self, default: int) -> int:
        """Return the batch size, where it is left to the task that of the task.

        Raises:
            ConfigError: it cannot be worked through in as many parts as are wanted.
        """
        images = default if self.batch_size == "auto" else self.batch_size
        self.require("accumulate", self.accumulate <= images // 2, f"at most half the batch size of {images}")
        return images

    @property
    def policy(self) -> PolicyName:
        """The name of the policy of augmentation."""
        return "light" if self.augment == "auto" else self.augment
