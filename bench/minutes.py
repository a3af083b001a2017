"""Accuracy against minutes, drawn from the results of bench/compare.py with budgets.

python bench/minutes.py OUT.png "TITLE=FILE.jsonl" …

A panel a file, a line a choice: the mean accuracy over the seeds and its standard deviation, at the mean time that the
trainings took.
"""

from __future__ import annotations

import argparse
import json
import statistics
from itertools import groupby
from pathlib import Path
from typing import Any

import made
from matplotlib.figure import Figure


def points(rows: list[dict[str, Any]]) -> list[tuple[float, float, float]]:
    """Return minutes, mean accuracy and its standard deviation, in per cent, of each budget, the shortest first."""

    def budget(row: dict[str, Any]) -> str:
        return str(row["options"].get("budget"))

    found = []
    for _, group in groupby(sorted(rows, key=budget), key=budget):
        trainings = list(group)
        shares = [100 * row["metrics"]["accuracy"] for row in trainings]
        minutes = statistics.mean(row["seconds"] for row in trainings) / 60
        found.append((minutes, statistics.mean(shares), statistics.stdev(shares) if shares[1:] else 0.0))
    return sorted(found)


def main(words: list[str]) -> None:
    """Draw the panels side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("panels", nargs="+", metavar="TITLE=FILE")
    given = parser.parse_args(words)
    figure = Figure(figsize=(4.2 * len(given.panels), 3.4), dpi=150, layout="constrained")
    titles, paths = zip(*(panel.split("=", 1) for panel in given.panels), strict=True)
    panels = [[json.loads(line) for line in Path(path).read_text().splitlines()] for path in paths]
    names = sorted({row["choice"] for rows in panels for row in rows})
    for axes, title, rows in zip(figure.subplots(1, len(panels), squeeze=False).flat, titles, panels, strict=True):
        for place, name in enumerate(names):
            chosen = [row for row in rows if row["choice"] == name]
            if not chosen:
                continue
            x, y, spread = zip(*points(chosen), strict=True)
            colour = f"C{place}"
            style = "o-" if len(x) > 1 else "D"
            axes.errorbar(x, y, spread, fmt=style, color=colour, markersize=5, capsize=3, linewidth=1.5, label=name)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("minutes on one core")
        axes.set_ylabel("accuracy, %")
        axes.set_xlim(0)
        axes.grid(color="#e0e0e0", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    figure.savefig(given.out)


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made results."""
    rows = [
        {"choice": name, "seconds": 60.0 * minutes, "metrics": {"accuracy": 0.5}, "options": {"budget": f"{minutes}m"}}
        for name in ("one", "other")
        for minutes in (1, 2)
    ]
    results = folder / "results.jsonl"
    results.write_text("\n".join(map(json.dumps, rows)))
    return [str(folder / "minutes.png"), f"made={results}"]


if __name__ == "__main__":
    made.run(main, tiny)
