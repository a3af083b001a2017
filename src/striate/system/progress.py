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
from typing import Protocol

Advance = Callable[[float], None]


class ProgressReporter(Protocol):
    """Whoever shows progress."""

    def bar(self, description: str, total: int) -> AbstractContextManager[Advance]:
        """Show some work of `total` items while a block runs; yields what is called with the items that are done."""


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
