"""striate find-lr DATA."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Suppress

from striate.batching.options import BatchOptions
from striate.cli.output import Data, JsonFlag, PlotFile, bar_mark, print_json, print_table
from striate.datasets.options import DataOptions
from striate.models.options import NetworkOptions
from striate.reports import plots
from striate.system import atomic
from striate.tasks.options import option_classes
from striate.training.config import TrainConfig
from striate.training.options import OptimisationOptions, PrecisionOptions

if TYPE_CHECKING:
    from striate.training.lr_range_test import RangeTest

_BAR, _ROWS = 40, 10  # characters that stand for the highest loss; rates that are printed


@dataclass(frozen=True, kw_only=True)
class TriedOptions(
    DataOptions,
    PrecisionOptions,
    OptimisationOptions,
    *reversed(option_classes()),  # type: ignore[misc]  # those of the tasks in the table, whichever they are
    BatchOptions,
    NetworkOptions,
):
    """The options of `striate train` that a range test depends on."""

    lr: Suppress[Literal["default", "auto"]] = "default"
    ema: Suppress[float] = 0.0
    progressive: Suppress[bool] = False


@dataclass(frozen=True, kw_only=True)
class Command(TriedOptions):
    """Find a learning rate: train briefly at an increasing one, and see where the loss falls and rises.

    L. N. Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3. No run is written.
    """

    data: Data
    plot: PlotFile = None
    json: JsonFlag = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._config()  # which has rules of its own

    def run(self) -> None:
        """Test learning rates, and suggest one."""
        from striate.sessions.lr_finder import find_lr

        path = Path(self.plot) if self.plot else None
        if path:
            atomic.check_writable(path)
        found = find_lr(self.data, self._config())
        if path:
            curve = {"range test": (found.rates, found.losses)}
            figure = plots.curve_figure(
                curve, x_label="learning rate", y_label="loss", log_x=True, mark=found.suggestion
            )
            plots.save_plot(figure, path)
        if self.json:
            print_json(asdict(found) | ({"plot": str(path)} if path else {}))
            return
        _print(found)
        if path:
            print(f"plotted: {path}")
        print(f"suggestion: {found.suggestion:g}")
        print(f"next:  {shlex.join(['striate', 'train', self.data, *self._given(), '--lr', f'{found.suggestion:g}'])}")

    def _config(self) -> TrainConfig:
        """Return the options as those of a training."""
        return TrainConfig(**{option.name: getattr(self, option.name) for option in fields(TriedOptions)})

    def _given(self) -> list[str]:
        """Return the flags of the options that differ from their defaults: the rate is found for these."""
        words: list[str] = []
        for option in fields(TriedOptions):
            value = getattr(self, option.name)
            if value != option.default:
                values = value if isinstance(value, tuple) else (value,)
                words += [f"--{option.name.replace('_', '-')}", *map(str, values)]
        return words


def _print(found: RangeTest) -> None:
    """Print evenly spread steps, each with a bar for its loss, and mark the one next to the suggestion."""
    last = len(found.rates) - 1
    places = sorted({round(last * row / (_ROWS - 1)) for row in range(_ROWS)})
    nearest = min(places, key=lambda place: abs(found.rates[place] / found.suggestion - 1))
    highest = max(found.losses[place] for place in places)
    print_table(
        ["rate", "loss", "", ""],
        [
            [
                f"{found.rates[place]:.1e}",
                f"{found.losses[place]:#.3g}",
                bar_mark() * round(_BAR * found.losses[place] / highest),
                "<" if place == nearest else "",
            ]
            for place in places
        ],
    )
