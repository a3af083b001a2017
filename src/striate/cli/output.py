"""What commands print on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from annotated_types import Predicate

from striate.reports import plots
from striate.system import strict_json
from striate.system.options import Wanted
from striate.tasks.figures import SHARE, Figure, describe

if TYPE_CHECKING:
    from striate.tasks.task import Task

JsonFlag = Annotated[
    bool,
    tyro.conf.arg(
        name="json", help='Print one JSON document on stdout, and nothing else there; an error is {"error": {…}}.'
    ),
]
RunFolder = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN", help="A run's folder.")]
MovedData = Annotated[
    str | None,
    tyro.conf.arg(metavar="DATA", help="Where its training images are now, if they have moved.", help_behavior_hint=""),
]
Images = Annotated[
    tyro.conf.Positional[tuple[str, ...]],
    tyro.conf.arg(
        metavar="IMAGE|FOLDER…",
        help="Image files, or folders of images (at any depth).",
        help_behavior_hint="(one or more)",
    ),
]
Data = Annotated[
    tyro.conf.Positional[str],
    tyro.conf.arg(
        metavar="DATA",
        help="A folder (class folders, images/ and masks/, CamVid's), a table (.csv, .tsv) or a .json of joints; "
        "or a sample: mnist, figures.",
    ),
]


def _is_plot(path: str | None) -> bool:
    return path is None or Path(path).suffix.lower() in plots.SUFFIXES


PlotFile = Annotated[
    str | None,
    tyro.conf.arg(metavar="FILE.png|FILE.svg", help="Image of the curve to write.", help_behavior_hint=""),
    Predicate(_is_plot),
    Wanted(f"a file that ends in {' or '.join(plots.SUFFIXES)}"),
]


def bar_mark() -> str:
    """Return the character that bars are made of: # on a terminal without UTF-8."""
    return "━" if (sys.stdout.encoding or "ascii").lower().startswith("utf") else "#"


def print_json(document: object) -> None:
    """Print one JSON document."""
    print(strict_json.dumps(document))


def print_baselines(task: Task, baselines: Mapping[str, Any]) -> None:
    """Print the metrics of the baselines, which need no network, on the same images."""
    for name, figures in baselines.items():
        print(f"{name}: {describe(task.spec.figures, figures)}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]], figures: Iterable[Figure] = ()) -> None:
    """Print rows under a header; columns of numbers are aligned to the right.

    Args:
        header: names of the columns.
        rows: their values.
        figures: say how the columns of their names are written; other numbers that are not whole are shares.
    """
    known = {figure.name: figure for figure in figures}
    columns = [known.get(name, Figure(name=name, label=name, unit=SHARE)) for name in header]
    cells = [list(header), *([_cell(*pair) for pair in zip(row, columns, strict=True)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(not isinstance(value, str) for value in column) for column in zip(*rows, strict=True)]
    for row in cells:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        print("  ".join(aligned).rstrip())


def _cell(value: Any, column: Figure) -> str:
    """Write a number as its column is written, whole ones with commas, and a dash for what there is not."""
    if isinstance(value, int):
        return f"{value:,}"
    return column.cell(value) if value is None or isinstance(value, float) else printable(str(value))


def printable(text: str) -> str:
    """Write control characters, which names of files and classes may hold, as escapes.

    >>> printable("a\\nb")
    'a\\\\nb'
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
