"""Trainings that were begun before, and are gone on with."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path

from striate import models
from striate.data import Dataset
from striate.errors import ConfigError, OutputError, RunError
from striate.runs.record import FILE as RECORD
from striate.runs.record import RunRecord
from striate.training import checkpoint
from striate.training.config import TrainConfig


@dataclass(frozen=True)
class Begun:
    """A training that is gone on with.

    Attributes:
        folder: of its run.
        record: what it was about.
        has_weights: there are checkpoints, so that it needs no first weights any more.
    """

    folder: Path
    record: RunRecord
    has_weights: bool

    @classmethod
    def read(cls, folder: Path) -> Begun:
        """Read what is there to go on with; raises RunError where it is damaged."""
        return cls(folder, RunRecord.read(folder), checkpoint.exists(folder))


def find_begun(dataset: Dataset, config: TrainConfig) -> Begun | None:
    """Find the training to go on with; None where a new one begins.

    Raises:
        ConfigError: torchrun is to start it again where it fails, and could not find it.
        OutputError: the run has come to its end.
        RunError: there is no training to go on with, or it is damaged.
    """
    if config.out != "auto":
        path = Path(config.out)
        if (path / RECORD).exists():
            begun = Begun.read(path)
            if begun.record.status == "complete" and not restarted():
                raise OutputError(f"{path}: its training has come to its end; choose another --out.")
            return begun
        if config.resume:
            raise RunError(f"{path}: no training to go on with; leave --resume out to begin one.")
        return None
    if int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0:
        raise ConfigError("out: torchrun --max-restarts has to find the run again; name its folder with --out.")
    if not config.resume:
        return None
    runs = place_of(dataset, "").parent
    found = [Begun.read(path.parent) for path in runs.glob(f"{glob.escape(dataset.name)}-*/{RECORD}")]
    found = [begun for begun in found if _is_sought(begun, dataset, config)]
    if not found:
        raise RunError(f"{runs / dataset.name}-…: no training to go on with; leave --resume out to begin one.")
    return max(found, key=lambda begun: (begun.folder / RECORD).stat().st_mtime_ns)


def _is_sought(begun: Begun, dataset: Dataset, config: TrainConfig) -> bool:
    """Tell whether a training of these data, under a name of ours, has not come to its end."""
    place = place_of(dataset, begun.record.model)
    return (
        begun.record.status != "complete"
        and re.fullmatch(rf"{re.escape(place.name)}(-\d+)?", begun.folder.name) is not None
        and (config.model == "auto" or place_of(dataset, config.model) == place)
    )


def place_of(dataset: Dataset, model: str) -> Path:
    """Return where runs of a model on data are kept, unless said; from the second on with a number."""
    return Path("runs", dataset.task, f"{dataset.name}-{model if model in models.MODELS else 'line'}")


def restarted() -> bool:
    """Tell whether torchrun has started this process in the place of one that ended."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
