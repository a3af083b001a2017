"""Progress of long work: told to whoever listens; by default nobody does.

Nothing here prints. The command line listens with bars on a terminal (`cli/terminal.py`); from Python anything that
keeps `ProgressReporter` can:

    with report_progress(reporter):
        run = st.train(data, config)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol, runtime_checkable

Advance = Callable[[float], None]


@runtime_checkable
class TrainingObserver(Protocol):
    """Whoever follows a training."""

    def step(self, *, steps: int, images: int, loss: float) -> None:
        """Take note of a step.

        Args:
            steps: number of steps of the whole training, which a budget of time may change on the way.
            images: number of images of this step.
            loss: their mean loss; nan where the step was left out.
        """

    def end_epoch(self, *, epoch: int, epochs: int, summary: str) -> None:
        """Take note of an epoch, counted from 1, of so many, with its figures in a few words."""


class ProgressReporter(Protocol):
    """Whoever shows progress."""

    def bar(self, description: str, total: int) -> AbstractContextManager[Advance]:
        """Show some work of `total` items while a block runs; yields what is called with the items that are done."""

    def training(self, *, epoch: int, done: int, steps: int) -> AbstractContextManager[TrainingObserver]:
        """Show a training while a block runs; yields who is told of its steps and epochs.

        Args:
            epoch: the epoch that is under way, counted from 1.
            done: steps that are done already, where a training is resumed.
            steps: steps of the whole training.
        """


_reporter: ContextVar[ProgressReporter | None] = ContextVar("progress reporter", default=None)


@contextmanager
def report_progress(reporter: ProgressReporter | None) -> Iterator[None]:
    """Tell a reporter of all progress while a block runs; None: nobody."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


def progress_reporter() -> ProgressReporter | None:
    """Return who is told of progress; None where nobody is."""
    return _reporter.get()


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Advance]:
    """Tell the reporter of some work while a block runs; yields a function that counts items, or a part of one."""
    reporter = _reporter.get()
    if reporter is None:
        yield lambda items: None
        return
    with reporter.bar(description, total) as advance:
        yield advance


class _NoObserver:
    """Takes note of nothing."""

    def step(self, *, steps: int, images: int, loss: float) -> None:
        """Do nothing."""

    def end_epoch(self, *, epoch: int, epochs: int, summary: str) -> None:
        """Do nothing."""


@contextmanager
def training_progress(*, epoch: int, done: int, steps: int) -> Iterator[TrainingObserver]:
    """Tell the reporter of a training while a block runs; yields what is told (see `ProgressReporter.training`)."""
    reporter = _reporter.get()
    if reporter is None:
        yield _NoObserver()
        return
    with reporter.training(epoch=epoch, done=done, steps=steps) as observer:
        yield observer
