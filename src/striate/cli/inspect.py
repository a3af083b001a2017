"""striate inspect MODEL|LINE|RUN."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from striate import models
from striate.cli.output import JsonFlag, print_json, print_table
from striate.errors import ConfigError, RunError
from striate.geometry import Shape
from striate.models.plan import Plan
from striate.models.summary import layer_table, summarise_plan
from striate.system import atomic


@dataclass(frozen=True, kw_only=True)
class Command:
    """Show a network layer by layer: shapes, parameters, cost, and what each unit sees. No data are needed."""

    model: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(metavar="MODEL|LINE|RUN", help="A name (see striate models), a line of text, or a run's folder."),
    ]
    input: str = "auto"
    """Channels, height and width of the images, as 3x224x224. auto: what the model was made for."""
    classes: int | Literal["auto"] = "auto"
    """Number of classes. auto: as many as the model was published with (1,000 for ImageNet); 10 for a line."""
    stem: models.Stem = "auto"
    """First layers of the ResNets for photographs: small keeps the resolution. auto: small below 64 pixels."""
    draw: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE.svg", help="Drawing to write: the feature maps as stacked sheets.", help_behavior_hint=""
        ),
    ] = None
    json: JsonFlag = False

    def __post_init__(self) -> None:
        if self.input != "auto" and not re.fullmatch(r"[1-9]\d{0,6}(x[1-9]\d{0,6}){2}", self.input):
            raise ConfigError("input", f"must be channels, height and width, such as 3x224x224, not {self.input}")
        if self.classes != "auto" and self.classes < 1:
            raise ConfigError("classes", f"must be 1 or more, not {self.classes}")
        if self.draw is not None and Path(self.draw).suffix.lower() != ".svg":
            raise ConfigError("draw", f"must end in .svg, not {self.draw}")

    def run(self) -> None:
        """Work the network out; print it, and draw it if asked to."""
        path = Path(self.draw) if self.draw else None
        if path:
            atomic.check_writable(path)
        plan = self._plan()
        if path:
            from striate.models.drawing import draw_network

            atomic.write(path, draw_network(plan))
        notes = self._notes(plan)
        if self.json:
            document = summarise_plan(plan)
            print_json(document | {"notes": [*document["notes"], *notes]})
            return
        _print(plan)
        for note in notes:
            print(f"Note: {note}.")
        if path:
            print(f"saved: {path}")

    def _is_run(self) -> bool:
        """Tell whether a run's folder is meant, and not a name or a line."""
        named = self.model in models.MODELS or models.is_line(self.model) or not self.model
        return not named and ("/" in self.model or Path(self.model).exists())

    def _notes(self, plan: Plan) -> list[str]:
        """Return what the list does not show of a run's network."""
        notes: list[str] = []
        if self._is_run():
            from striate.runs.record import RunRecord

            if len(plan.output) > 1:
                notes.append("the encoder alone is listed; the decoder that follows it is not")
            if (reduce := RunRecord.read(Path(self.model)).config.reduce) > 1:
                notes.append(
                    f"images are downsampled by {reduce} before it (--reduce): it sees {reduce} times as much of them"
                )
        return notes

    def _plan(self) -> Plan:
        """Return the plan of a name, a line or a run."""
        shape: Shape | None = None if self.input == "auto" else tuple(map(int, self.input.split("x")))
        classes = None if self.classes == "auto" else self.classes
        if self._is_run():
            from striate.runs.record import RunRecord

            if classes or self.stem != "auto":
                raise RunError(
                    self.model, "is a run, which has its own classes and stem", "leave out --classes and --stem"
                )
            record = RunRecord.read(Path(self.model))
            channels = record.preprocessing.channels
            if shape and shape[0] != channels:
                raise ConfigError("input", f"must have the {channels} channels of this run's images, not {self.input}")
            return record.plan(shape)
        return models.plan_network(self.model, shape, classes=classes, stem=self.stem)


def _print(plan: Plan) -> None:
    """Print a row for each element, totals, and notes."""
    header, rows = layer_table(plan)
    cost = plan.cost
    image = "x".join(map(str, plan.input))
    print(f"input {image}\n")
    print_table(header, [*rows, ["total", "", "", "", cost.parameters, cost.macs, ""]])
    print(
        f"\nIn float32: {_amount(4 * cost.parameters)} of weights, {_amount(cost.activation_bytes)} of "
        "activations (the outputs of all layers) per image."
    )
    print("sees: how many pixels of the image a unit depends on, down and across (its receptive field).")
    for note in plan.notes():
        print(f"Note: {note}.")


def _amount(count: float) -> str:
    """Write a number of bytes in a unit that fits it."""
    power = min(4, int(math.log(max(1, count), 1000)))
    return f"{count / 1000**power:,.{min(power, 1)}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
