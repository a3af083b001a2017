"""Progress on stderr: bars and live figures on a terminal, plain lines where there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[float], None]]:
    """Show a bar while a block runs; yields a function that moves it on by some items, or a part of one.

    Where stderr is no terminal there is no bar. A bar disappears when its block ends.
    """
    if not on_terminal():
        yield lambda items: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(description, total=total)
        yield lambda items: progress.advance(bar, items)


def say(line: str) -> None:
    """Write one line to stderr, beside any bar that is shown; of the processes of one training the first one does."""
    if speaks():
        print(line, file=sys.stderr, flush=True)


def on_terminal() -> bool:
    """Tell whether there is somebody to show moving things to."""
    return sys.stderr.isatty() and speaks()


def speaks() -> bool:
    """Tell whether this process speaks: torchrun gives each of a training's a rank."""
    return os.environ.get("RANK", "0") == "0"
