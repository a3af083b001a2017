"""What a person sees of long work, on stderr: messages as plain lines and, on a terminal, bars and live figures."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from striate.system.progress import Advance, TrainingObserver, report_progress

if TYPE_CHECKING:
    from rich.progress import Progress


class StderrHandler(logging.Handler):
    """Writes messages to stderr, a line each, beside any bar that is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        print(record.getMessage(), file=sys.stderr, flush=True)


class TerminalProgress:
    """Bars on a terminal; each disappears when its block ends."""

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[Advance]:
        """Show a bar while a block runs; yields a function that moves it on by some items, or a part of one."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(description, total=total)
            yield lambda items: progress.advance(task, items)

    @contextmanager
    def training(self, *, epoch: int, done: int, steps: int) -> Iterator[TrainingObserver]:
        """Show a bar over all steps of a training, with epoch, loss, speed and time left."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[now]}{task.fields[figures]} "),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield TrainingBar(progress, epoch=epoch, done=done, steps=steps)


class TrainingBar:
    """A bar over all steps of a training: a `TrainingObserver`."""

    def __init__(self, progress: Progress, *, epoch: int, done: int, steps: int) -> None:
        self.progress = progress
        self.bar = progress.add_task(f"epoch {epoch}", total=steps, completed=done, now="", figures="")
        self.images = 0
        self.epoch_began = time.perf_counter()

    def step(self, *, steps: int, images: int, loss: float) -> None:
        """Move the bar by one step."""
        self.images += images
        seconds = time.perf_counter() - self.epoch_began
        now = f"loss {loss:.3f}  {self.images / seconds:,.0f} images/s"
        self.progress.update(self.bar, total=steps, advance=1, now=now)

    def end_epoch(self, *, epoch: int, epochs: int, summary: str) -> None:
        """Show the next epoch, and the figures of the one that has ended."""
        self.progress.update(self.bar, description=f"epoch {min(epoch + 1, epochs)}", figures=f"  {summary}")
        self.images, self.epoch_began = 0, time.perf_counter()


@contextmanager
def terminal_output() -> Iterator[None]:
    """Show messages and progress on stderr while a block runs; of the processes of one training the first one does."""
    logger = logging.getLogger("striate")
    handler, level = StderrHandler(), logger.level
    shown = is_first_process() and not any(isinstance(other, StderrHandler) for other in logger.handlers)
    if shown:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        with report_progress(TerminalProgress() if on_terminal() else None):
            yield
    finally:
        if shown:
            logger.removeHandler(handler)
            logger.setLevel(level)


def on_terminal() -> bool:
    """Tell whether there is somebody to show moving things to."""
    return sys.stderr.isatty() and is_first_process()


def is_first_process() -> bool:
    """Tell whether this process speaks: torchrun gives each of a training's a rank."""
    return os.environ.get("RANK", "0") == "0"
