"""A table of images and their classes: comma-, semicolon- or tab-separated values."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from natsort import natsorted

from striate.datasets.dataset import Dataset, Samples
from striate.datasets.files import find_listed, first_repeat
from striate.datasets.labels import ClassLabels
from striate.datasets.layouts.json_files import errors_in
from striate.datasets.splits import SplitName, group_by_split
from striate.errors import DataError, listing, nearest
from striate.images.sources import ImageFiles

logger = logging.getLogger(__name__)


DESCRIPTION = "a .csv or .tsv with the columns image,label[,split]"

TASKS = ("classify",)
_COLUMNS = ("image", "label", "split")
_IN_FOLDER = ("labels.csv", "labels.tsv")
_DELIMITERS = {".csv": ",;", ".tsv": "\t"}  # where the comma is for decimals, Excel writes .csv with semicolons


@dataclass(frozen=True)
class _Row:
    """What a line of a table says; `split` is None where the table has no such column."""

    line: int
    image: str
    label: str
    split: str | None


def matches(location: str) -> bool:
    """Tell whether this is a .csv or .tsv file, or a folder with a `labels.csv` or `labels.tsv` in it."""
    path = Path(location)
    return bool(_in_folder(path)) or (path.suffix.lower() in _DELIMITERS and path.is_file())


def read(location: str, task: str = "classify") -> Dataset:
    """List the images of a table.

    Paths are relative to the table's folder. Columns are in any order; those of other names are passed over, and
    rows with nothing in them. The file is UTF-8.

    Raises:
        DataError: a line that makes no sense, an image that is missing, no image, or there twice (whatever its
            labels), or a class that train lacks.
    """
    file = _table(Path(location))
    with errors_in(file):
        rows = _rows(file)
        paths, names = find_listed(file.parent, [row.image for row in rows])
        _check_repeats(rows, paths)
        splits: dict[SplitName, Int64[np.ndarray, " chosen"]] = {"train": np.arange(len(rows))}
        if rows[0].split is not None:
            splits = group_by_split([row.split or "" for row in rows], lambda index: f"line {rows[index].line}")
        classes = _classes(rows, splits)
    target_of = {name: target for target, name in enumerate(classes)}
    for split, chosen in splits.items():
        lacking = set(classes) - {rows[index].label for index in chosen}
        if lacking:
            logger.info(f"{file}: {split} has no images of {listing(name for name in classes if name in lacking)}")
    samples = Samples(
        names=tuple(names),
        images=ImageFiles(paths),
        labels=ClassLabels(np.array([target_of[row.label] for row in rows], dtype=np.int64)),
    )
    return Dataset(
        name=file.resolve().parent.name if file.name in _IN_FOLDER else file.stem,
        location=location,
        task=task,
        classes=classes,
        samples=samples,
        splits=splits,
    )


def _in_folder(folder: Path) -> list[Path]:
    """List the tables in a folder that are called as its table is."""
    return [folder / name for name in _IN_FOLDER if (folder / name).is_file()]


def _table(path: Path) -> Path:
    """Return the table that is meant by a location."""
    tables = _in_folder(path)
    if len(tables) > 1:
        raise DataError(str(path), f"{listing(_IN_FOLDER)} are both there", "keep one of them")
    return tables[0] if tables else path


def _rows(file: Path) -> list[_Row]:
    """Read and check what the lines of a table say by themselves."""
    text = _text(file)
    lines = _split_lines(text, _delimiter(text, _DELIMITERS[file.suffix.lower()]))
    if not lines:
        raise DataError("", "is empty", f"give the header {','.join(_COLUMNS)} and a line for each image")
    (header_line, header), *body = lines
    columns = _columns(header_line, header)
    passed_over = [name for index, name in enumerate(header) if index not in columns.values()]
    if any(passed_over):
        logger.info(f"{file}: passed over the columns {listing(name for name in passed_over if name)}")
    if not body:
        raise DataError("", "has a header and no images", "add a line for each image")
    rows: list[_Row] = []
    for line, fields in body:
        if len(fields) != len(header):
            raise DataError(
                f"line {line}",
                f"has {len(fields)} fields, the header {len(header)}",
                "put a field that holds the separator itself in double quotes",
            )
        values = {name: fields[column] for name, column in columns.items()}
        for name, value in values.items():
            if not value:
                raise DataError(f"line {line}", f"{name} is blank", "fill it in or remove the line")
        rows.append(_Row(line, values["image"], values["label"], values.get("split")))
    return rows


def _text(file: Path) -> str:
    """Return a table's text."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError("", f"cannot be read ({error.strerror})") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf_8(content[: error.start].count(b"\n")) from None
    if "\0" in text:  # UTF-16 without its mark
        raise _not_utf_8(text.partition("\0")[0].count("\n"))
    return text


def _not_utf_8(lines_before: int) -> DataError:
    """Say where a table's text goes wrong."""
    fix = "save the table as UTF-8 (Excel: CSV UTF-8)"
    return DataError(f"line {lines_before + 1}", "is not UTF-8 text", fix)


def _delimiter(text: str, delimiters: str) -> str:
    """Choose the delimiter at which most of the wanted columns, then most columns, are found in the first line."""
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")

    def fitness(delimiter: str) -> tuple[int, int]:
        header = [name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
        return len(set(_COLUMNS) & set(header)), len(header)

    return max(delimiters, key=fitness)


def _split_lines(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Split a table into fields, with the number of the line that each row begins in; blank rows are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[tuple[int, list[str]]] = []
    begin = 1
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if any(stripped):
                lines.append((begin, stripped))
            begin = reader.line_num + 1
    except csv.Error as error:
        what = f"the double quotes make no sense ({error})"
        raise DataError(f"line {begin}", what, "close or double them") from None
    return lines


def _columns(line: int, header: Sequence[str]) -> dict[str, int]:
    """Return the index of each column."""
    names = [name.lower() for name in header]
    columns: dict[str, int] = {}
    for name in _COLUMNS:
        if names.count(name) > 1:
            raise DataError(f"line {line}", f"there are {names.count(name)} columns {name}", "keep one of them")
        if name in names:
            columns[name] = names.index(name)
        elif name != "split":
            raise DataError(
                f"line {line}",
                f"there is no column {name}{nearest(name, header)}, but {listing(header)}",
                "give a header, such as image,label or image,label,split",
            )
    return columns


def _check_repeats(rows: Sequence[_Row], paths: Sequence[Path]) -> None:
    """Raise DataError where an image is there twice: it would count twice, or be learned before it is asked for."""
    repeat = first_repeat(paths)
    if repeat is None:
        return
    first, second = (rows[index] for index in repeat)
    differing = [name for name in ("label", "split") if getattr(first, name) != getattr(second, name)]
    how = f", with another {' and another '.join(differing)}" if differing else ""
    what = f"is of the same image as line {first.line}{how} ({second.image})"
    raise DataError(f"line {second.line}", what, "keep one of them")


def _classes(rows: Sequence[_Row], splits: dict[SplitName, Int64[np.ndarray, " chosen"]]) -> tuple[str, ...]:
    """Return the classes of the training samples in natural order; raises DataError where others have one more."""
    known = {rows[index].label for index in splits["train"]}
    classes = tuple(natsorted(sorted(known)))
    for index in np.sort(np.concatenate(list(splits.values()))):
        row = rows[index]
        if row.label not in known:
            what = f"train has no class {row.label!r}{nearest(row.label, classes)}"
            raise DataError(f"line {row.line}", what, "give it training images too, or remove it")
    return classes
