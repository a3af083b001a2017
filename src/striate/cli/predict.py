"""striate predict RUN IMAGE|FOLDER…."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from striate.cli.output import Images, JsonFlag, RunFolder, print_json, print_table
from striate.errors import ConfigError
from striate.system import atomic, strict_json

if TYPE_CHECKING:
    from striate.runs import Run
    from striate.tasks.spec import Prediction


@dataclass(frozen=True, kw_only=True)
class Command:
    """Apply a trained network to images: it predicts a class, a class for every pixel, or a person's joints."""

    run_folder: RunFolder
    images: Images
    top: int | None = None
    """Classification: number of classes listed per image in the JSON, most probable first; none: 5."""
    tile: bool = False
    """Segmentation: process images window by window, at the scale of the training images, not as a whole."""
    overlay: bool = False
    """Segmentation and pose: also draw the predictions over the images, into --out FOLDER."""
    out: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE|FOLDER",
            help="File for the predictions, .csv or .json; or a new folder: for segmentation it gets a mask of each "
            "image and areas.csv, for pose joints.csv, and the drawings of --overlay.",
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
            raise ConfigError("overlay", "needs a folder for the drawings", "name a new one with --out")

    def run(self) -> None:
        """Predict, and print or write the predictions."""
        from striate.runs import load
        from striate.runs.inputs import image_paths

        path = Path(self.out) if self.out else None
        folder = path if path and not path.suffix else None
        if path and not folder:
            atomic.check_writable(path)
        run = load(self.run_folder)
        if folder and not run.task.spec.draws:
            wanted = f"must end in {' or '.join(_FORMATS)}, not {self.out}"
            raise ConfigError("out", f"{wanted}: {run.record.task} draws nothing")
        predictions = run.predictions(image_paths(self.images), top=self.top, tile=self.tile)
        if folder:
            with atomic.new_folder(folder), _all_or_none(folder):
                documents, table = _collect(_write_images(run, predictions, folder, overlay=self.overlay))
                atomic.write(folder / run.task.spec.table, _csv(table))
        else:
            documents, table = _collect((path, prediction, "") for path, prediction in predictions)
        if path and not folder:
            content = _csv(table) if path.suffix.lower() == ".csv" else strict_json.dumps(documents) + "\n"
            atomic.write(path, content)
        if self.json:
            print_json(documents)
        elif path:
            print(f"{path}: {len(documents):,} predicted")
        else:
            print_table(list(table[0]), [list(row.values()) for row in table], run.task.spec.columns)


_FORMATS = (".csv", ".json")
_LARGEST_JPEG_PX = 65_500  # longest side


def _collect(
    predictions: Iterable[tuple[Path, Prediction, str]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Turn predictions, each with the name of its mask, into JSON objects and rows of a table, without keeping them."""
    documents: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    for path, prediction, mask in predictions:
        files = {"image": str(path), **({"mask": mask} if mask else {})}
        documents.append({**files, **prediction.document()})
        table += [{**files, **row} for row in prediction.rows()]
    return documents, table


@contextmanager
def _all_or_none(folder: Path) -> Iterator[None]:
    """Empty a folder again if a block fails."""
    try:
        yield
    except BaseException:  # an interrupt as well
        for path in folder.glob("[!.]*"):
            path.unlink()
        raise


def _write_images(
    run: Run, predictions: Iterable[tuple[Path, Prediction]], folder: Path, *, overlay: bool
) -> Iterator[tuple[Path, Prediction, str]]:
    """Write the images of predictions into a folder; yields each prediction with the name of its mask."""
    names: set[str] = set()
    for path, prediction in predictions:
        name = path.stem
        while name in names:  # images of the same name from several folders
            name += "_"
        names.add(name)
        images = dict(prediction.images())
        if overlay:
            images["_overlay.jpg"] = run.overlay(path, prediction)
            images["_overlay.jpg"].thumbnail((_LARGEST_JPEG_PX, _LARGEST_JPEG_PX))
        for ending, image in images.items():
            file = io.BytesIO()
            image.save(file, "JPEG" if ending.endswith(".jpg") else "PNG", quality=92)
            atomic.write(folder / (name + ending), file.getvalue())
        yield path, prediction, next((name + ending for ending in prediction.images()), "")


def _csv(table: list[dict[str, Any]]) -> str:
    """Write rows under a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
