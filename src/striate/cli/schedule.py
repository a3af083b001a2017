"""striate schedule NAME."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, get_args

import tyro
from annotated_types import Ge, Gt, Le

from striate.cli.output import JsonFlag, PlotFile, bar_mark, print_json, print_table
from striate.reports import plots
from striate.system import atomic
from striate.training.options import TAKEN_BY, ScheduleName, ScheduleOptions
from striate.training.schedules import Schedule, Span, build_schedule

_BAR = 40  # characters for the peak
_POINTS = 20_000  # of a plotted curve: more than an image has pixels
_MOST = 10_000  # epochs: a row each


@dataclass(frozen=True, kw_only=True)
class Command(ScheduleOptions):
    """Show a learning rate schedule, epoch by epoch. Needs no data."""

    schedule: Annotated[
        tyro.conf.Positional[ScheduleName],
        tyro.conf.arg(metavar="NAME", help=f"One of: {', '.join(get_args(ScheduleName))}."),
    ] = field()  # no default: it has to be named
    epochs: Annotated[int, Ge(1), Le(_MOST)] = 20
    """Length of the training in epochs: 1 to 10,000."""
    steps_per_epoch: Annotated[int, Ge(1)] = 100
    """Steps (batches) per epoch: 1 or more."""
    lr: Annotated[float, Gt(0)] = 0.1
    """Peak learning rate: above 0."""
    plot: PlotFile = None
    json: JsonFlag = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_epochs(self.epochs)

    def run(self) -> None:
        """Print the rates, and plot them if --plot is given."""
        path = Path(self.plot) if self.plot else None
        if path:
            atomic.check_writable(path)
        span = Span(steps=self.epochs * self.steps_per_epoch, steps_per_epoch=self.steps_per_epoch)
        schedule = build_schedule(self, span)
        if path:
            self._plot(schedule, span, path)
        rows = [
            {"epoch": step // span.steps_per_epoch + 1, "first_lr": self.lr * schedule(step), "last_lr": self.lr * last}
            for step in range(0, span.steps, span.steps_per_epoch)
            for last in [schedule(step + span.steps_per_epoch - 1)]
        ]
        if self.json:
            print_json(self._choice() | {"lr": self.lr, "steps_per_epoch": self.steps_per_epoch, "epochs": rows})
            return
        self._print(rows)
        if path:
            print(f"plotted: {path}")

    def _choice(self) -> dict[str, object]:
        """Return the schedule and the options that it takes."""
        taken = [name for name, takers in TAKEN_BY.items() if self.schedule in takers]
        return {name: getattr(self, name) for name in ("schedule", "warmup_epochs", *taken)}

    def _print(self, rows: list[dict[str, float]]) -> None:
        """Print a row per epoch, with a bar for the rate at its first step."""
        mark = bar_mark()
        print_table(
            ["epoch", "first step", "last step", ""],
            [
                [epoch, f"{first:#.3g}", f"{last:#.3g}", mark * round(_BAR * first / self.lr)]
                for epoch, first, last in (row.values() for row in rows)
            ],
        )

    def _plot(self, schedule: Schedule, span: Span, path: Path) -> None:
        """Plot the rate of every step, or of evenly spaced ones if there are very many."""
        steps = [*range(0, span.steps - 1, max(1, span.steps // _POINTS)), span.steps - 1]
        curve = ([step / span.steps_per_epoch for step in steps], [self.lr * schedule(step) for step in steps])
        figure = plots.curve_figure({self.schedule: curve}, x_label="epoch", y_label="learning rate")
        plots.save_plot(figure, path)
