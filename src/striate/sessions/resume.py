"""Trainings that were begun before, and are gone on with."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from striate import models
from striate.datasets import Dataset
from striate.errors import ConfigError, OutputError, RunError
from striate.runs.record import FILE as RECORD
from striate.runs.record import RunRecord
from striate.training import checkpoint
from striate.training.config import TrainConfig

logger = logging.getLogger(__name__)

_LINE = "line"  # in the place of a model's name, where it has none


@dataclass(frozen=True)
class ResumableRun:
    """A training that is gone on with.

    Attributes:
        folder: of its run.
        record: what it was about.
        has_weights: there are checkpoints, or it has come to its end, so that it needs no first weights any more.
    """

    folder: Path
    record: RunRecord
    has_weights: bool

    @classmethod
    def read(cls, folder: Path) -> ResumableRun:
        """Read what is there to go on with; raises RunError where it is damaged."""
        record = RunRecord.read(folder)
        return cls(folder, record, checkpoint.exists(folder) or record.status == "complete")


def find_resumable(dataset: Dataset, config: TrainConfig) -> ResumableRun | None:
    """Find the training to go on with; None where a new one begins.

    Raises:
        ConfigError: torchrun is to start it again where it fails, and could not find it.
        OutputError: the run has come to its end.
        RunError: there is no training to go on with, or it is damaged.
    """
    if config.out != "auto":
        path = Path(config.out)
        if (path / RECORD).exists():
            begun = ResumableRun.read(path)
            if begun.record.status == "complete" and not restarted():
                raise OutputError(str(path), "its training has come to its end", "choose another --out")
            return begun
        if config.resume:
            raise RunError(str(path), "no training to go on with", "leave --resume out to begin one")
        return None
    if int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0:
        raise ConfigError("out", "torchrun --max-restarts has to find the run again", "name its folder with --out")
    if not config.resume:
        return None
    found, refused = _unfinished(dataset, config.model)
    for error in refused:
        logger.info(f"passed over: {error}")
    if not found:
        runs = place_of(dataset, config.model).parent
        raise RunError(f"{runs / dataset.name}-…", "no training to go on with", "leave --resume out to begin one")

    def nearness(begun: ResumableRun) -> tuple[bool, int]:
        return begun.record.config.model == config.model, (begun.folder / RECORD).stat().st_mtime_ns

    return max(found, key=nearness)


def _unfinished(dataset: Dataset, model: str) -> tuple[list[ResumableRun], list[RunError]]:
    """Find trainings of these data, and this model, that have not come to their end, and why some cannot be read."""
    names = [*models.MODELS, _LINE] if model == "auto" else [_short(model)]
    sought = re.compile(rf"{re.escape(dataset.name)}-({'|'.join(map(re.escape, names))})(-\d+)?")
    runs = place_of(dataset, model).parent
    found: list[ResumableRun] = []
    refused: list[RunError] = []
    for path in sorted(path.parent for path in runs.glob(f"*/{RECORD}") if sought.fullmatch(path.parent.name)):
        try:
            begun = ResumableRun.read(path)
        except RunError as error:
            refused.append(error)
        else:
            found += [begun] if begun.record.status != "complete" else []
    return found, refused


def place_of(dataset: Dataset, model: str) -> Path:
    """Return where runs of a model on data are kept, unless said; from the second on with a number."""
    return Path("runs", dataset.task, f"{dataset.name}-{_short(model)}")


def _short(model: str) -> str:
    return model if model in models.MODELS else _LINE


def restarted() -> bool:
    """Tell whether torchrun has started this process in the place of one that ended."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
