"""striate predict RUN IMAGE|FOLDER…."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from striate.cli.output import Images, JsonFlag, RunFolder, print_json, print_table
from striate.errors import ConfigError
from striate.system import atomic, strict_json

if TYPE_CHECKING:
    from PIL import Image

    from striate.runs import Run
    from striate.tasks.spec import Prediction


@dataclass(frozen=True, kw_only=True)
class Command:
    """Say what a trained network sees in images: classes, a class for every pixel, or a person's joints."""

    run_folder: RunFolder
    images: Images
    top: int | None = None
    """Classification: how many of the likeliest classes the JSON lists for an image: 5, unless said."""
    tile: bool = False
    """Segmentation: look at pictures window by window, at the scale of the training images, and not as a whole."""
    overlay: bool = False
    """Segmentation and pose: draw what was found upon the pictures, into --out FOLDER."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE|FOLDER",
            help="A .csv or .json of what was found, to write; or a new folder: of segmentation for a mask of each "
            "picture and areas.csv, of pose for joints.csv, and the drawings of --overlay.",
            help_behavior_hint="",
        ),
    ] = None
    json: JsonFlag = False

    def __post_init__(self) -> None:
        if not self.images:
            raise ConfigError("IMAGE|FOLDER…", "is missing", "name images, or folders of them")
        if self.out is not None and Path(self.out).suffix and Path(self.out).suffix.lower() not in _FORMATS:
            raise ConfigError("out", f"must end in {' or '.join(_FORMATS)}, or be a new folder, not {self.out}")
        if self.overlay and (self.out is None or Path(self.out).suffix):
            raise ConfigError("overlay", "drawings go into a folder", "name a new folder with --out")

    def run(self) -> None:
        """Predict, and print or write what was found."""
        from striate.runs import load
        from striate.runs.inputs import image_paths

        path = Path(self.out) if self.out else None
        into = path if path and not path.suffix else None
        if path and not into:
            atomic.check_writable(path)
        run = load(self.run_folder)
        if into and not run.task.spec.draws:
            wanted = f"must end in {' or '.join(_FORMATS)}, not {self.out}"
            raise ConfigError("out", f"{wanted}: {run.record.task} draws nothing")
        found = run.predictions(image_paths(self.images), top=self.top, tile=self.tile)
        if into:
            with atomic.new_folder(into), _all_or_none(into):
                documents, table = _collect(_drawn(run, found, into, overlay=self.overlay))
                atomic.write(into / run.task.spec.table, _csv(table))
        else:
            documents, table = _collect(found)
        if path and not into:
            content = _csv(table) if path.suffix.lower() == ".csv" else strict_json.dumps(documents) + "\n"
            atomic.write(path, content)
        if self.json:
            print_json(documents)
        elif path:
            print(f"{path}: {len(documents):,} predicted")
        else:
            print_table(list(table[0]), [list(row.values()) for row in table], run.task.spec.columns)


_FORMATS = (".csv", ".json")
_MOST_PX = 65_500  # a side of a JPEG


def _within(picture: Image.Image, most_px: int) -> Image.Image:
    """Make a picture smaller where one of its sides is longer than can be."""
    picture.thumbnail((most_px, most_px))
    return picture


def _collect(
    found: Iterator[tuple[Path, Prediction]] | Iterator[tuple[Path, Prediction, str]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Gather predictions as JSON objects, and as rows of a table; the predictions themselves are let go of."""
    documents: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    for path, prediction, *drawn in found:
        named = {"image": str(path), **({"mask": drawn[0]} if drawn and drawn[0] else {})}
        documents.append({**named, **prediction.document()})
        table += [{**named, **row} for row in prediction.rows()]
    return documents, table


@contextmanager
def _all_or_none(folder: Path) -> Iterator[None]:
    """Empty a folder again where a block does not come to its end."""
    try:
        yield
    except BaseException:  # an interrupt as well
        for path in folder.glob("[!.]*"):
            path.unlink()
        raise


def _drawn(
    run: Run, found: Iterator[tuple[Path, Prediction]], folder: Path, *, overlay: bool
) -> Iterator[tuple[Path, Prediction, str]]:
    """Pass predictions on, each with the name of its mask, after its pictures have been written into a folder."""
    taken: set[str] = set()
    for path, prediction in found:
        name = path.stem
        while name in taken:  # pictures of one name from several folders
            name += "_"
        taken.add(name)
        pictures = dict(prediction.images())
        if overlay:
            pictures["_overlay.jpg"] = _within(run.overlay(path, prediction), _MOST_PX)
        for ending, picture in pictures.items():
            file = io.BytesIO()
            picture.save(file, "JPEG" if ending.endswith(".jpg") else "PNG", quality=92)
            atomic.write(folder / (name + ending), file.getvalue())
        yield path, prediction, next((name + ending for ending in prediction.images()), "")


def _csv(table: list[dict[str, Any]]) -> str:
    """Write rows under a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
