"""What a training tells of itself: a log message for each epoch, and each step to whoever listens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from striate.system.progress import TrainingObserver, training_progress
from striate.training.budget import Length
from striate.training.loop import EpochResult
from striate.training.state import TrainingProgress

logger = logging.getLogger(__name__)


class TrainingLog:
    """Logs epochs, and passes steps and epochs on to an observer.

    Args:
        length: number of steps, which may change on the way.
        progress: counts of the training.
        summarise: gives an epoch's figures in a few words.
        observer: is told of every step and epoch.
    """

    def __init__(
        self,
        length: Length,
        progress: TrainingProgress,
        summarise: Callable[[dict[str, Any]], str],
        observer: TrainingObserver,
    ) -> None:
        self.length = length
        self.progress = progress
        self.summarise = summarise
        self.observer = observer
        self.began = time.perf_counter()
        self.began_at = progress.steps

    def step(self, images: int, loss: float) -> None:
        """Tell of a step: its number of images and its mean loss."""
        self.observer.step(steps=self.length.steps, images=images, loss=loss)

    def end_epoch(self, result: EpochResult) -> None:
        """Log an epoch's losses, figures and speed, and how long the rest takes at this pace."""
        done, left = self.progress.steps - self.began_at, self.length.steps - self.progress.steps
        left_s = (time.perf_counter() - self.began) / max(done, 1) * left
        epochs, summary = self.length.epochs, self.summarise(result.metrics)
        logger.info(
            f"epoch {result.epoch:{len(str(epochs))}}/{epochs}  "
            f"loss {result.train_loss:.3f}, val {result.metrics['loss']:.3f}  {summary}  "
            f"{result.images_per_s:,.0f} images/s  {clock_time(left_s)} left"
        )
        self.observer.end_epoch(epoch=result.epoch, epochs=epochs, summary=summary)


@contextmanager
def training_log(
    length: Length, progress: TrainingProgress, summarise: Callable[[dict[str, Any]], str]
) -> Iterator[TrainingLog]:
    """Log a training, and tell the progress reporter of it, while a block runs."""
    with training_progress(epoch=progress.epochs + 1, done=progress.steps, steps=length.steps) as observer:
        yield TrainingLog(length, progress, summarise, observer)


def clock_time(seconds: float) -> str:
    """Write a time as a clock would.

    >>> clock_time(75.0), clock_time(3675.0)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
