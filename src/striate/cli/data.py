"""striate data DATA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from striate.cli.output import Data, JsonFlag, print_json, print_table
from striate.datasets import open_data
from striate.datasets.dataset import Dataset
from striate.datasets.options import DataOptions
from striate.errors import ConfigError
from striate.images.resize import Fit
from striate.system import atomic


@dataclass(frozen=True, kw_only=True)
class Command:
    """Show how data are read: their task, splits and classes; and what augmentation does to them."""

    data: Data
    options: DataOptions
    sheet: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE", help="A .png to write: samples under every augmentation policy.", help_behavior_hint=""
        ),
    ] = None
    samples: int = 8
    """Number of samples on the sheet: 1 to 50."""
    size: int = 128
    """Side of the samples on the sheet, in pixels."""
    fit: Fit = "crop"
    """How images of another aspect ratio are resized on the sheet."""
    seed: int = 0
    """Seed of the sheet's augmentation."""
    json: JsonFlag = False

    def __post_init__(self) -> None:
        if self.sheet is not None and Path(self.sheet).suffix.lower() != ".png":
            raise ConfigError("sheet", f"must end in .png, not {self.sheet}")
        for name, most in (("samples", 50), ("size", 4096)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(name, f"must be from 1 to {most}, not {getattr(self, name)}")

    def run(self) -> None:
        """Print the overview, and write the sheet."""
        if self.sheet:
            atomic.check_writable(Path(self.sheet))
        dataset = open_data(self.data, **self.options.reading())
        card = _card(dataset)
        if self.sheet:
            card["sheet"] = self._write_sheet(dataset, Path(self.sheet))
        if self.json:
            print_json(card)
            return
        size = f", {dataset.vocabulary.size}" if dataset.vocabulary.size else ""
        print(f"{self.data}: {len(dataset.samples):,} images{size}; task: {dataset.task}\n")
        splits = list(dataset.splits)
        kind = dataset.vocabulary.kind
        rows = [list(row.values()) for row in card[f"per_{kind}"]]
        print_table([kind if rows else "", *splits], [*rows, ["in all", *(len(dataset.splits[s]) for s in splits)]])
        if dataset.val_is_held_out:
            share = "tenth" if "test" in dataset.splits else "fifth"
            print(f"\nval was held out: about a {share} of the images, by the hash of their names (--split-seed).")
        if self.sheet:
            print(f"\nsaved: {self.sheet}")

    def _write_sheet(self, dataset: Dataset, path: Path) -> str:
        import io

        from striate.datasets.statistics import typical_shape
        from striate.images.resize import ImageSpec
        from striate.reports.contact_sheet import contact_sheet

        max_pixels = self.options.max_pixels
        *_, channels = typical_shape(dataset.split("train"), max_pixels)
        form = ImageSpec(height_px=self.size, width_px=self.size, channels=channels, fit=self.fit)
        file = io.BytesIO()
        contact_sheet(dataset, form, samples=self.samples, seed=self.seed, max_pixels=max_pixels).save(file, "PNG")
        atomic.write(path, file.getvalue())
        return str(path)


def _card(dataset: Dataset) -> dict[str, Any]:
    """Return an overview of a data set."""
    kind, names = dataset.vocabulary.kind, dataset.vocabulary.names
    labels = {split: dataset.samples.take(rows).labels for split, rows in dataset.splits.items()}
    counted = {split: of_split.counts(len(names)) for split, of_split in labels.items()}
    counts = {split: counts.tolist() for split, counts in counted.items() if counts is not None}
    rows = [{kind: name} | {split: counts[split][index] for split in counts} for index, name in enumerate(names)]
    return {
        "task": dataset.task,
        "samples": len(dataset.samples),
        "splits": {split: len(rows) for split, rows in dataset.splits.items()},
        "published": dataset.official_split,
        "classes": list(dataset.classes),
        "joints": list(dataset.skeleton.joints) if dataset.skeleton else [],
        f"per_{kind}": rows if counts else [],
    }
