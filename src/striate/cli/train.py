"""striate train DATA."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from striate.cli.output import Data, JsonFlag, print_baselines, print_json
from striate.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Command:
    """Train a network on labelled images, and keep it as a run: a folder that predict and evaluate take."""

    data: Data
    training: TrainConfig
    json: JsonFlag = False

    def run(self) -> None:
        """Train, and say how good the network is and where it is."""
        from striate.runs import train

        run = train(self.data, self.training)
        if self.json:
            print_json(run.summary())
            return
        record = run.record
        print(run.task.describe(record.metrics))
        print_baselines(run.task, record.baselines)
        images = f"{record.data[record.metrics_split]:,} {record.metrics_split} images"
        if record.epochs == 1:
            print(f"on the {images}")
        elif record.metrics_split == "val":
            print(f"on the {images} that also chose the best epoch, {record.best_epoch} of {record.epochs}")
        else:
            print(f"on the {images}, with the weights of epoch {record.best_epoch} of {record.epochs}")
        print(f"{record.seconds:.1f} s in all; {record.images_per_s:,.0f} images/s while training")
        print(f"saved: {run.folder}")
        print(f"next:  striate predict {shlex.quote(str(run.folder))} IMAGE")
