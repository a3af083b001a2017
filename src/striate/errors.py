"""Everything that can go wrong for a user.

    StriateError
    ├── InputError (a ValueError)      what was given cannot be used: exit code 2
    │   ├── ConfigError                an option has a value that makes no sense
    │   ├── DataError                  a data set: its layout, its classes, its files
    │   │   └── ImageError             one image file
    │   ├── ModelError                 an architecture: unknown, or it cannot take this input
    │   │   └── GeometryError          a layer that the size of its input does not fit
    │   ├── RunError                   a run folder: missing, unfinished or damaged
    │   ├── WeightsError               weights to begin with: missing, damaged, or out of reach
    │   └── OutputError                a place that cannot be written
    ├── TrainingError (a RuntimeError) training cannot go on: exit code 1
    │   └── NotFiniteError             a loss or a gradient is infinite or no number
    └── WorkerError (a RuntimeError)   a worker process was killed: exit code 1
    Interrupted (a KeyboardInterrupt)  training was interrupted, and its best weights are kept: exit code 130

What an `InputError` has to say are fields (`where`, `what`, `fix`, `notes`), and `str()` puts them together in a line:
`where: what; fix.` Nobody reads a message back. Broken invariants of our own are `assert`s, never one of these.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Self


class StriateError(Exception):
    """Base of every error that striate raises on purpose."""


class InputError(StriateError, ValueError):
    """What the user gave cannot be used.

    Attributes:
        where: the file, the row or the option that is at fault; empty where that goes without saying.
        what: what was given, and what was wanted, in a clause without a full stop.
        fix: the way out, in a clause without a full stop; empty where `what` says it.
        notes: more that is known, a line each.

    >>> str(InputError("photos", "there is no image", "add some"))
    'photos: there is no image; add some.'
    """

    def __init__(self, where: str, what: str = "", fix: str = "", notes: Iterable[str] = ()) -> None:
        message = "" if what else where  # not yet given in fields
        if message:
            where, what = "", where.removesuffix(".")
        self.where, self.what, self.fix, self.notes = where, what, fix, tuple(notes)
        super().__init__(message or self._line())

    def _line(self) -> str:
        """Return all of it in a line, notes in brackets."""
        place = f"{self.where}: " if self.where else ""
        known = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{place}{self.what}{known}{f'; {self.fix}' if self.fix else ''}."

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str, tuple[str, ...]]]:
        """Return what a copy in another process is made of."""
        return type(self), (self.where, self.what, self.fix, self.notes)

    def at(self, where: str) -> Self:
        """Return the same error with a place before its own: the file, say, that a row is in."""
        place = f"{where}, {self.where}" if self.where else where
        return type(self)(place, self.what, self.fix, self.notes)

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object; notes where there are any."""
        known = {"notes": list(self.notes)} if self.notes else {}
        return {"where": self.where, "what": self.what, "fix": self.fix, **known}


class ConfigError(InputError):
    """An option has a value that makes no sense."""


class BudgetError(ConfigError):
    """A budget of time leaves none for a single step."""


class DataError(InputError):
    """A data set cannot be used: its layout, its classes or its files."""


class ImageError(DataError):
    """An image file cannot be decoded."""


class ModelError(InputError):
    """An architecture is unknown or cannot take the given input."""


class GeometryError(ModelError):
    """The size of a layer's input does not fit the layer."""


class RunError(InputError):
    """A run folder is missing, unfinished or damaged."""


class WeightsError(InputError):
    """Weights to begin with are missing, damaged, or out of reach."""


class OutputError(InputError):
    """A place cannot be written."""


class TrainingError(StriateError, RuntimeError):
    """Training cannot go on."""


class NotFiniteError(TrainingError):
    """A loss or a gradient is infinite, or no number."""


class WorkerError(StriateError, RuntimeError):
    """A worker process was killed."""


class Interrupted(KeyboardInterrupt):
    """Training was interrupted; the message says what is kept. Like any interrupt it is no `Exception`."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the known name nearest to `name`, or an empty string.

    >>> nearest("resnet81", ["lenet5", "resnet18"])
    ' (did you mean resnet18?)'
    """
    names = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), names, n=1)
    return f" (did you mean {names[found[0]]}?)" if found else ""


def listing(things: Iterable[object], most: int = 3) -> str:
    """Join the first few things for a message: `a, b, c and 4 more`."""
    names = [str(thing) for thing in things]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
