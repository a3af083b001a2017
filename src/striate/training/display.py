"""What a person sees of training: a line an epoch and, on a terminal, a live one for the steps."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from striate.progress import say
from striate.training.loop import EpochResult

if TYPE_CHECKING:
    from rich.progress import Progress


class EpochLines:
    """A line an epoch, and nothing of single steps; `brief` says an epoch's figures in a few words."""

    def __init__(self, epochs: int, brief: Callable[[dict[str, Any]], str]) -> None:
        self.epochs = epochs
        self.brief = brief
        self.began = time.perf_counter()

    def step(self, images: int, loss: float) -> None:
        """Take note of a step: its number of images, its loss."""

    def end_epoch(self, result: EpochResult) -> None:
        """Write an epoch's losses, figures and speed, and how long the rest takes at this pace."""
        if result.epoch == 0:
            return
        left_s = (time.perf_counter() - self.began) / result.epoch * (self.epochs - result.epoch)
        self.write(
            f"epoch {result.epoch:{len(str(self.epochs))}}/{self.epochs}  "
            f"loss {result.train_loss:.3f}, val {result.metrics['loss']:.3f}  {self.brief(result.metrics)}  "
            f"{result.images_per_s:,.0f} images/s  {duration(left_s)} left"
        )

    def write(self, line: str) -> None:
        """Put a line on stderr."""
        say(line)


class LiveLines(EpochLines):
    """The same lines and, under them, a bar over all steps with epoch, loss, speed and time left."""

    def __init__(self, epochs: int, brief: Callable[[dict[str, Any]], str], progress: Progress, steps: int) -> None:
        super().__init__(epochs, brief)
        self.progress = progress
        self.bar = progress.add_task("epoch 1", total=steps, loss=0.0, images_per_s=0.0, figures="")
        self.images = 0
        self.epoch_began = self.began

    def step(self, images: int, loss: float) -> None:
        """Move the bar by one step."""
        self.images += images
        seconds = time.perf_counter() - self.epoch_began
        self.progress.update(self.bar, advance=1, loss=loss, images_per_s=self.images / seconds)

    def end_epoch(self, result: EpochResult) -> None:
        """Write the epoch's line above the bar."""
        super().end_epoch(result)
        description = f"epoch {min(result.epoch + 1, self.epochs)}"
        self.progress.update(self.bar, description=description, figures=f"  {self.brief(result.metrics)}")
        self.images, self.epoch_began = 0, time.perf_counter()

    def write(self, line: str) -> None:
        """Put a line above the bar."""
        self.progress.console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def training_display(epochs: int, steps_per_epoch: int, brief: Callable[[dict[str, Any]], str]) -> Iterator[EpochLines]:
    """Show training while a block runs; the bar goes when the block ends, the lines stay."""
    if not sys.stderr.isatty():
        yield EpochLines(epochs, brief)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.3f}{task.fields[figures]}  {task.fields[images_per_s]:,.0f} images/s "),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield LiveLines(epochs, brief, progress, epochs * steps_per_epoch)


def duration(seconds: float) -> str:
    """Write a time as a clock would.

    >>> duration(75.0), duration(3675.0)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
