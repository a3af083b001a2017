"""What `import striate` offers that takes more than one room: a training, and the report of what came of it."""

from __future__ import annotations

import logging
from pathlib import Path

from striate.datasets import Dataset
from striate.reports.report import write_report
from striate.runs import Run
from striate.sessions import session
from striate.training.config import TrainConfig

logger = logging.getLogger(__name__)


def train(data: Dataset | str | Path, config: TrainConfig | None = None) -> Run:
    """Train a network on labelled images, keep it as a run, and write its report.

    Under torchrun each of its processes calls this, and takes its share of every batch.

    Args:
        data: a data set, or where one is.
        config: the options.

    Raises:
        InputError: data, model or options cannot be used; nothing has been written.
        TrainingError: it cannot go on, as a loss is not finite, say. What there is can be resumed.
        Interrupted: a KeyboardInterrupt came; likewise.
    """
    return session.train_run(data, config, on_finish=report_on)


def report_on(run: Run) -> None:
    """Write a run's report, the quick parts of it; where that fails the run stays as it is, and a message says so."""
    logger.info("writing report.html")
    try:
        write_report(run, thorough=False)
    except Exception as error:  # whatever it is, the network is trained and kept
        logger.info(f"no report could be written: {error or type(error).__name__}")
