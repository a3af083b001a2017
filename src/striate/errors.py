"""Everything that can go wrong for a user.

    StriateError
    ├── InputError (a ValueError)      the input cannot be used: exit code 2
    │   ├── ConfigError                an option has a value that makes no sense; `where` is the option's field name
    │   │   └── BudgetError            a time budget leaves no time for a single step
    │   ├── DataError                  a data set: its layout, its classes, its files
    │   │   └── ImageError             one image file
    │   ├── ModelError                 an architecture: unknown, or it cannot take this input
    │   │   └── GeometryError          a layer that does not fit the size of its input
    │   ├── RunError                   a run folder: missing, unfinished or damaged
    │   ├── WeightsError               weights to start from: missing, damaged, or out of reach
    │   └── OutputError                a file or folder that cannot be written
    ├── TrainingError (a RuntimeError) training cannot continue: exit code 1
    │   └── NotFiniteError             a loss or a gradient is infinite or NaN
    └── WorkerError (a RuntimeError)   a worker process was killed: exit code 1
    Interrupted (a KeyboardInterrupt)  training was interrupted, and its best weights are kept: exit code 130

What an `InputError` says are fields (`where`, `what`, `fix`, `notes`), and `str()` makes a line of them:
`where: what (notes); fix.` Nobody parses a message. Broken invariants of our own are `assert`s, never one of these.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Self


class StriateError(Exception):
    """Base of every error that striate raises on purpose."""


class InputError(StriateError, ValueError):
    """The input cannot be used.

    Attributes:
        where: the file, row or option at fault; empty where that is obvious.
        what: what is wrong, as a clause without a full stop.
        fix: what to do about it, as a clause without a full stop; empty where `what` says it.
        notes: further details, a clause each.

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
        """Return everything as one line, with the notes in brackets."""
        place = f"{self.where}: " if self.where else ""
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{place}{self.what}{notes}{f'; {self.fix}' if self.fix else ''}."

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str, tuple[str, ...]]]:
        """Return what a copy in another process is made of."""
        return type(self), (self.where, self.what, self.fix, self.notes)

    def at(self, where: str) -> Self:
        """Return the same error with a place in front of its own: for example the file in front of the row."""
        place = f"{where}, {self.where}" if self.where else where
        return type(self)(place, self.what, self.fix, self.notes)

    def document(self) -> dict[str, Any]:
        """Return the fields as a JSON object, with `notes` only if there are any."""
        notes = {"notes": list(self.notes)} if self.notes else {}
        return {"where": self.where, "what": self.what, "fix": self.fix, **notes}


class ConfigError(InputError):
    """An option has a value that makes no sense."""


class BudgetError(ConfigError):
    """A time budget leaves no time for a single step."""


class DataError(InputError):
    """A data set cannot be used: its layout, its classes or its files."""


class ImageError(DataError):
    """An image file cannot be decoded."""


class ModelError(InputError):
    """An architecture is unknown or cannot take the given input."""


class GeometryError(ModelError):
    """A layer does not fit the size of its input."""


class RunError(InputError):
    """A run folder is missing, unfinished or damaged."""


class WeightsError(InputError):
    """Weights to start from are missing, damaged, or out of reach."""


class OutputError(InputError):
    """A file or folder cannot be written."""


class TrainingError(StriateError, RuntimeError):
    """Training cannot continue."""


class NotFiniteError(TrainingError):
    """A loss or a gradient is infinite or NaN."""


class WorkerError(StriateError, RuntimeError):
    """A worker process was killed."""


class Interrupted(KeyboardInterrupt):
    """Training was interrupted; the message says what is kept. Like every interrupt, not an `Exception`."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the known name most similar to `name`, or an empty string.

    >>> nearest("resnet81", ["lenet5", "resnet18"])
    ' (did you mean resnet18?)'
    """
    names = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), names, n=1)
    return f" (did you mean {names[matches[0]]}?)" if matches else ""


def listing(things: Iterable[object], most: int = 3) -> str:
    """Join the first few things into a phrase for a message: `a, b, c and 4 more`."""
    names = [str(thing) for thing in things]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
