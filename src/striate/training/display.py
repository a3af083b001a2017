"""What a person sees of training: a line an epoch and, on a terminal, a live one for the steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from striate.system.progress import progress_reporter
from striate.training.budget import Length
from striate.training.loop import EpochResult
from striate.training.state import TrainingProgress as Counts

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger(__name__)


class EpochLines:
    """A line an epoch, and nothing of single steps; `brief` says an epoch's figures in a few words."""

    def __init__(self, length: Length, counts: Counts, brief: Callable[[dict[str, Any]], str]) -> None:
        self.length = length
        self.counts = counts
        self.brief = brief
        self.began = time.perf_counter()
        self.began_at = counts.steps

    def step(self, images: int, loss: float) -> None:
        """Take note of a step: its number of images, its loss."""

    def end_epoch(self, result: EpochResult) -> None:
        """Write an epoch's losses, figures and speed, and how long the rest takes at this pace."""
        done, left = self.counts.steps - self.began_at, self.length.steps - self.counts.steps
        left_s = (time.perf_counter() - self.began) / max(done, 1) * left
        epochs = self.length.epochs
        self.write(
            f"epoch {result.epoch:{len(str(epochs))}}/{epochs}  "
            f"loss {result.train_loss:.3f}, val {result.metrics['loss']:.3f}  {self.brief(result.metrics)}  "
            f"{result.images_per_s:,.0f} images/s  {duration(left_s)} left"
        )

    def write(self, line: str) -> None:
        """Put a line on stderr."""
        logger.info(line)


class LiveLines(EpochLines):
    """The same lines and, under them, a bar over all steps with epoch, loss, speed and time left."""

    def __init__(
        self, length: Length, counts: Counts, brief: Callable[[dict[str, Any]], str], progress: Progress
    ) -> None:
        super().__init__(length, counts, brief)
        self.progress = progress
        self.bar = progress.add_task(
            f"epoch {counts.epochs + 1}",
            total=length.steps,
            completed=counts.steps,
            now="",
            figures="",
        )
        self.images = 0
        self.epoch_began = self.began

    def step(self, images: int, loss: float) -> None:
        """Move the bar by one step."""
        self.images += images
        seconds = time.perf_counter() - self.epoch_began
        now = f"loss {loss:.3f}  {self.images / seconds:,.0f} images/s"
        self.progress.update(self.bar, total=self.length.steps, advance=1, now=now)

    def end_epoch(self, result: EpochResult) -> None:
        """Write the epoch's line above the bar."""
        super().end_epoch(result)
        description = f"epoch {min(result.epoch + 1, self.length.epochs)}"
        self.progress.update(self.bar, description=description, figures=f"  {self.brief(result.metrics)}")
        self.images, self.epoch_began = 0, time.perf_counter()

    def write(self, line: str) -> None:
        """Put a line above the bar."""
        self.progress.console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def training_display(length: Length, counts: Counts, brief: Callable[[dict[str, Any]], str]) -> Iterator[EpochLines]:
    """Show training while a block runs; the bar goes when the block ends, the lines stay."""
    if progress_reporter() is None:
        yield EpochLines(length, counts, brief)
        return
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
        yield LiveLines(length, counts, brief, progress)


def duration(seconds: float) -> str:
    """Write a time as a clock would.

    >>> duration(75.0), duration(3675.0)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
