"""How a run learned, epoch by epoch, on a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from striate.reports.charts import Curve, line_chart
from striate.reports.page import ChartFigure, Section, chart_figures
from striate.runs.record import LOG
from striate.tasks.figures import LOSS, SHARE
from striate.tasks.task import Task


def learning_section(folder: Path, task: Task) -> Section | None:
    """Draw the loss, the figures, the learning rate and the gradient of each epoch; None where nothing is logged."""
    try:
        rows = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    except (OSError, ValueError):
        return None
    trained = [row for row in rows if row["epoch"]]
    section = Section()
    if not trained:
        section.text("Only its last layer was fitted, and that exactly: there is no course of training.", "note")
        return section
    if len(rows) < 2:
        section.text("It was trained for one epoch, which makes no curve.", "note")
        return section
    val = [row | row["metrics"] for row in rows]
    losses = {"training images": _curve("train_loss", trained), "validation images": _curve("loss", val)}
    rate, gradient = {"learning rate": _curve("lr", trained)}, {"gradient": _curve("gradient_norm", trained)}
    section.heading = "How it learned"
    section.text("An epoch is one pass over all training images.")
    section.figures(
        [
            *chart_figures(
                (
                    line_chart(losses, x_label="epoch", y_label="loss"),
                    "The loss is what training makes smaller. Where the two separate, the network begins to know its "
                    "training images by heart.",
                )
            ),
            *_figures_by_epoch(val, task),
            *chart_figures(
                (
                    line_chart(rate, x_label="epoch", y_label="learning rate"),
                    "How large the steps are, at the end of each epoch.",
                ),
                (
                    line_chart(gradient, x_label="epoch", y_label="norm of the gradient"),
                    "How steep the loss is, on average; peaks are where training was shaken.",
                ),
            ),
        ]
    )
    return section


def _curve(key: str, rows: list[dict[str, Any]]) -> Curve:
    """Return a number of each epoch that has it."""
    kept = [row for row in rows if row.get(key) is not None]
    return [float(row["epoch"]) for row in kept], [float(row[key]) for row in kept]


def _figures_by_epoch(rows: list[dict[str, Any]], task: Task) -> list[ChartFigure]:
    """Draw the figures of each epoch: those of one unit in one chart, shares first."""
    last = rows[-1]["metrics"]
    figures = [figure for figure in task.spec.figures if isinstance(last.get(figure.name), float) and figure != LOSS]
    units = dict.fromkeys(figure.unit for figure in sorted(figures, key=lambda figure: not figure.is_share))
    words = f"On the validation images; {task.spec.figures[0].heading} is what counts, and the best is kept."
    charts = []
    for unit in units:
        group = [figure for figure in figures if figure.unit == unit]
        together = "share" if unit == SHARE else unit
        chart = line_chart(
            {figure.heading: _curve(figure.name, rows) for figure in group},
            x_label="epoch",
            y_label=group[0].heading if len(group) == 1 else together,
            percent=unit == SHARE,
        )
        charts.append(chart)
    return chart_figures(*((chart, words) for chart in charts))
