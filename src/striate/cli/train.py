"""striate train DATA."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.cli.output import Data, JsonFlag, print_baselines, print_json
from striate.tasks.figures import describe
from striate.training.config import TrainConfig

if TYPE_CHECKING:
    from striate.runs.record import RunRecord


@dataclass(frozen=True, kw_only=True)
class Command:
    """Train a network on labelled images, and save it as a run: a folder that predict and evaluate take."""

    data: Data
    training: TrainConfig
    json: JsonFlag = False

    def run(self) -> None:
        """Train, and print the metrics and where the run is."""
        from striate.api import train

        run = train(self.data, self.training)
        if self.json:
            print_json(run.summary())
            return
        record = run.record
        print(describe(run.task.spec.figures, record.metrics))
        print_baselines(run.task, record.baselines)
        print(f"on the {record.data[record.metrics_split]:,} {record.metrics_split} images{_chosen(record)}")
        speed = f"; {record.images_per_s:,.0f} images/s while training" if record.images_per_s else ""
        print(f"{record.seconds:.1f} s in total{speed}")
        print(f"saved: {run.folder}")
        print(f"next:  striate predict {shlex.quote(str(run.folder))} IMAGE")


def _chosen(record: RunRecord) -> str:
    """Return which epoch the weights are from, if there was a choice, and what chose it."""
    if record.candidates < 2:
        return ""
    chose = " that also chose the best epoch, " if record.metrics_split == "val" else ", with the weights of epoch "
    before = "" if record.best_epoch else " (the last layer fitted, before training)"
    return f"{chose}{record.best_epoch} of {record.epochs}{before}"
