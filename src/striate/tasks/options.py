"""Options that several tasks take, and which options of a training are for which tasks."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pkgutil import resolve_name
from typing import Annotated, Any

from annotated_types import Ge, Lt

from striate.errors import ConfigError
from striate.system.options import Options
from striate.tasks import TASKS, find_task


@dataclass(frozen=True, kw_only=True)
class SmoothingOptions(Options):
    """Options of a cross-entropy.

    Raises:
        ConfigError: a value makes no sense.
    """

    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of each target that is spread over all classes (Szegedy et al. 2016): at least 0, below 1."""


def option_classes() -> tuple[type[Options], ...]:
    """Return the options of every task in the table."""
    return tuple(resolve_name(find_task(task).options) for task in TASKS)


def options_of_task(config: Any, task: str) -> dict[str, Any]:
    """Return what a task itself takes of a training's options.

    Raises:
        ConfigError: an option was chosen that is for other tasks.
    """
    defaults = {option.name: option.default for option in fields(config) if option.default is not MISSING}
    own = _option_names(task)
    taken = own + find_task(task).training_options
    for other in TASKS:
        for name in _option_names(other) + find_task(other).training_options:
            if name in defaults and name not in taken and getattr(config, name) != defaults[name]:
                users = [user for user in TASKS if name in _option_names(user) + find_task(user).training_options]
                raise ConfigError(name, f"is for {' and '.join(users)}, not for {task}", "leave it out")
    return {name: getattr(config, name) for name in own if name in defaults}


def _option_names(task: str) -> tuple[str, ...]:
    """Return the names of the options that a task itself takes."""
    return tuple(option.name for option in fields(resolve_name(find_task(task).options)))
