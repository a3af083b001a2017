"""striate predict RUN IMAGE|FOLDER…."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from striate import atomic, strict_json
from striate.cli.output import JsonFlag, RunFolder, print_json, print_table
from striate.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Command:
    """Name the classes of images with a trained network."""

    run_folder: RunFolder
    images: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(
            metavar="IMAGE|FOLDER…",
            help="Image files, or folders of them (at any depth).",
            help_behavior_hint="(one or more)",
        ),
    ]
    top: int = 5
    """How many of the likeliest classes the JSON lists for an image."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE", help="A .csv (image, class, probability) or .json to write.", help_behavior_hint=""
        ),
    ] = None
    json: JsonFlag = False

    def __post_init__(self) -> None:
        if not self.images:
            raise ConfigError("no image is given: striate predict RUN IMAGE|FOLDER….")
        if self.out is not None and Path(self.out).suffix.lower() not in _FORMATS:
            raise ConfigError(f"out (={self.out}) must end in {' or '.join(_FORMATS)}.")

    def run(self) -> None:
        """Predict, and print or write what was found."""
        from striate.runs import load

        path = Path(self.out) if self.out else None
        if path:
            atomic.check_writable(path)
        predictions = load(self.run_folder).predict(self.images, top=self.top)
        if path:
            atomic.write(path, _FORMATS[path.suffix.lower()](predictions))
        if self.json:
            print_json(predictions)
        elif path:
            print(f"{path}: {len(predictions):,} predicted")
        else:
            header, rows = _table(predictions)
            print_table(header, rows)


def _table(predictions: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Put what is one value a prediction into columns."""
    columns = [name for name, value in predictions[0].items() if isinstance(value, str | int | float)]
    return columns, [[prediction[name] for name in columns] for prediction in predictions]


def _csv(predictions: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    header, rows = _table(predictions)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _json(predictions: list[dict[str, Any]]) -> str:
    return strict_json.dumps(predictions) + "\n"


_FORMATS = {".csv": _csv, ".json": _json}
