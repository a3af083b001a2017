"""What the groups of options of a training have in common: each checks its own values, in words a user can act on."""

from __future__ import annotations

import math

from striate.errors import ConfigError


class Options:
    """A group of options: a frozen, keyword-only dataclass, whose `__post_init__` calls that of the next group."""

    def __post_init__(self) -> None:
        """End the chain of groups."""

    def _require(self, *rules: tuple[str, bool, str]) -> None:
        """Raise ConfigError for the first option that does not fit: its name, whether it fits, what is wanted."""
        for name, fits, wanted in rules:
            if not fits:
                raise ConfigError(name, f"must be {wanted}, not {_written(getattr(self, name))}")


def _written(value: object) -> str:
    """Write a value as the command line takes it: several numbers are one word."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def is_whole(value: object, least: int) -> bool:
    """Tell whether a value is a whole number, and not too small a one."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
