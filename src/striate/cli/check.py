"""striate check DATA."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from striate.cli.output import Data, JsonFlag, print_json, print_table, printable
from striate.datasets.checks.report import CheckReport, Problem, check_data
from striate.datasets.options import DataOptions

_EXAMPLES = 5  # of a kind
_CLASSES = 30  # rows of the table


@dataclass(frozen=True, kw_only=True)
class Command:
    """Report all problems of a data set, and change nothing: the exit code is 0 if there are none, else 1."""

    data: Data
    options: DataOptions
    json: JsonFlag = False

    def run(self) -> int:
        """Check, and print the report."""
        report = check_data(self.data, **self.options.reading(), max_pixels=self.options.max_pixels)
        if self.json:
            print_json(report.as_json())
        else:
            if report.summary["task"]:
                _print_summary(self.data, report.summary)
            _print_problems(report, self.data)
        return 0 if report.ok else 1


def _print_summary(location: str, summary: dict[str, Any]) -> None:
    """Print an overview of the data."""
    classes, splits = summary["classes"], summary["splits"]
    what = f", {len(summary['joints'])} joints" if summary["joints"] else ""
    what = f", {len(classes)} class{'es' if len(classes) > 1 else ''}" if classes else what
    print(f"{location}: {summary['samples']:,} images{what}; task: {summary['task']}")
    if sizes := summary["sizes_px"]:
        height, width = sizes["height"], sizes["width"]
        shapes = [f"{width[name]}x{height[name]}" for name in ("min", "median", "max")]
        print("sizes: " + (shapes[0] if len(set(shapes)) == 1 else "from {0} to {2}, median {1}".format(*shapes)))
    if summary["formats"]:
        print("formats: " + ", ".join(f"{name} {count:,}" for name, count in summary["formats"].items()))
    print()
    if summary["counted"] == "pixels":  # as shares: no one reads counts of pixels
        totals = {split: sum(row[split] for row in classes) or 1 for split in splits}
        classes = [row | {split: row[split] / totals[split] for split in splits} for row in classes]
    rows = [list(row.values()) for row in classes]
    if len(rows) > _CLASSES:
        rows = rows[:_CLASSES]
        print(f"the first {_CLASSES} classes:")
    if rows:
        print_table([f"share of {summary['counted']}" if summary["counted"] == "pixels" else "class", *splits], rows)
        print()
    whose = "; val was held out (--split-seed)" if summary["val_is_ours"] else ""
    print(", ".join(f"{split} {count:,}" for split, count in splits.items()) + f" images{whose}\n")


def _print_problems(report: CheckReport, location: str) -> None:
    """Print problems by kind, a few examples of each; files by their path from the data's folder."""
    root = f"{location.rstrip('/')}/"
    by_kind = itertools.groupby(report.problems, lambda problem: (problem.severity, problem.title))
    for (severity, title), group in by_kind:
        _print_group(f"{severity}: {title}", list(group), root)
    if not report.summary["task"]:
        print("the images could not be scanned; correct this first, and check again")
    problems, notes = report.summary["problems"], report.summary["notes"]
    if not problems + notes:
        print("no problems")
        return
    parts = [f"{problems:,} problem{'' if problems == 1 else 's'}" if problems else "no problems"]
    parts += [f"{notes:,} note{'' if notes == 1 else 's'}"] if notes else []
    print(", ".join(parts))


def _print_group(title: str, group: list[Problem], root: str) -> None:
    """Print the problems of a kind; a fix that is the same for all is printed once."""
    print(f"{title} ({len(group):,})")
    fixes = dict.fromkeys(problem.fix for problem in group)
    for problem in group[:_EXAMPLES]:
        print(printable(f"  {problem.where}: {problem.what}".replace(root, "")))
        if len(fixes) > 1:
            print(f"    -> {problem.fix}")
    if len(group) > _EXAMPLES:
        print(f"  and {len(group) - _EXAMPLES:,} more")
    if len(fixes) == 1:
        print(f"  -> {next(iter(fixes))}")
    print()
