"""striate evaluate RUN DATA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from striate.cli.output import Data, JsonFlag, RunFolder, print_baselines, print_json, print_table
from striate.tasks.figures import describe


@dataclass(frozen=True, kw_only=True)
class Command:
    """Measure a trained network on labelled images."""

    run_folder: RunFolder
    data: Data
    split: Literal["auto", "train", "val", "test"] = "auto"
    """auto: the split that the data's layout defines (test, else val), or all images if it defines none; images
    that the network was trained on are left out."""
    ignore: tuple[str, ...] | None = None
    """Classes in masks that count as no label. Default: those of the training."""
    threshold: int | None = None
    """Threshold that splits grey masks into two classes. Default: that of the training."""
    json: JsonFlag = False

    def run(self) -> None:
        """Evaluate, and print the metrics."""
        from striate.runs import load

        run = load(self.run_folder)
        result = run.evaluate(self.data, split=self.split, ignore=self.ignore, threshold=self.threshold)
        if self.json:
            print_json(result)
            return
        height, width = result["size_px"]
        print(
            f"{describe(run.task.spec.figures, result['metrics'])}, on {result['samples']:,} images of {width}x{height}"
        )
        print_baselines(run.task, result["baselines"])
        rows = result[f"per_{run.task.spec.row}"]
        if rows:
            print()
            columns = [name for name in rows[0] if not name.endswith("_interval")]
            print_table(columns, [[row[name] for name in columns] for row in rows], run.task.spec.row_figures)
