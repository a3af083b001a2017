"""Figures that know themselves: name, label, unit, direction and format of a number, declared once by its task.

Terminal, JSON, report and page read the declaration, and know no figure by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SHARE = "%"
"""Unit of figures from 0 to 1 that are written as percentages."""

MISSING = "–"
"""What is written for a figure that nothing was counted for."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number that says how good a network is, or what it predicts.

    Attributes:
        name: key in JSON documents; an interval, where it has one, is at `name_interval`.
        label: what it is called.
        short: what it is called in a line; the label where this is empty.
        unit: mm, px, ..., or `SHARE`; empty: none.
        better: whether higher or lower is better; None: neither.
        meaning: what it says, in a few words; empty where the label does.
        digits: decimals, of a share those of the percentage.
        interval: of its 95 % interval: "wilson", that of a proportion, which comes with the figure; "bootstrap", found
            by drawing images anew; None: it has none.
        in_line: whether `describe` names it.
    """

    name: str
    label: str
    short: str = ""
    unit: str = ""
    better: Literal["higher", "lower"] | None = None
    meaning: str = ""
    digits: int = 1
    interval: Literal["wilson", "bootstrap"] | None = None
    in_line: bool = True

    @property
    def is_share(self) -> bool:
        """Whether it is written as a percentage."""
        return self.unit == SHARE

    @property
    def heading(self) -> str:
        """The label with the unit, for a column or an axis of numbers that come without it."""
        return f"{self.label}, {self.unit}" if self.unit and not self.is_share else self.label

    def text(self, value: float | int | None) -> str:
        """Write a value with its unit; a dash for None.

        >>> Figure(name="error_mm", label="error", unit="mm").text(3.2)
        '3.2 mm'
        >>> Figure(name="error", label="error").text(3.2)
        '3.2'
        >>> Figure(name="accuracy", label="accuracy", unit="%", digits=0).text(0.32)
        '32%'
        """
        written = self._written(value, self.digits)
        return f"{written} {self.unit}" if self.unit and not self.is_share and value is not None else written

    def cell(self, value: float | int | None) -> str:
        """Write a value for a column under `heading`: without its unit, and with one decimal at least."""
        return self._written(value, max(1, self.digits))

    def signed(self, value: float | int) -> float | int:
        """Return the value with a sign such that greater is better."""
        return -value if self.better == "lower" else value

    def _written(self, value: float | int | None, digits: int) -> str:
        if value is None:
            return MISSING
        if self.is_share:
            return f"{value:.{digits}%}"
        return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


LOSS = Figure(name="loss", label="loss", better="lower", digits=3)
"""The mean loss: every task has this figure, last of all."""


def brief(figures: Sequence[Figure], values: Mapping[str, Any]) -> str:
    """Write the headline, which is the first figure, in a few words."""
    headline = figures[0]
    return f"{headline.short or headline.label} {headline.text(values[headline.name])}"


def describe(figures: Sequence[Figure], values: Mapping[str, Any]) -> str:
    """Write all figures in a line."""
    said = []
    for figure in figures:
        if figure.in_line and figure.name in values:
            interval = values.get(f"{figure.name}_interval")
            span = f" (95% interval {' to '.join(map(figure.text, interval))})" if interval else ""
            said.append(f"{figure.short or figure.label} {figure.text(values[figure.name])}{span}")
    return ", ".join(said)


def score(figures: Sequence[Figure], values: Mapping[str, Any]) -> tuple[float | int, ...]:
    """Return what ranks one set of values above another: the headline; of two that are equal, the loss."""
    return tuple(figure.signed(values[figure.name]) for figure in (figures[0], LOSS))


def meanings(figures: Iterable[Figure], names: Iterable[str]) -> str:
    """Explain figures that are shown, for someone who does not know them."""
    known = {figure.name: figure for figure in figures}
    shown = [known[name] for name in names if name in known and known[name].meaning]
    return " ".join(f"{figure.label}: {figure.meaning}." for figure in shown)


def figure_table(figures: Sequence[Figure], rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Write rows of figures as the keys and the cells of a table, an interval behind its figure.

    Args:
        figures: the numbers in the rows; what is no figure is written as it is.
        rows: alike in their keys.
    """
    known = {figure.name: figure for figure in figures}
    keys = [key for key in rows[0] if not key.endswith("_interval")] if rows else []
    return keys, [[_cell(known.get(key), row[key], row.get(f"{key}_interval")) for key in keys] for row in rows]


def figure_heading(figures: Iterable[Figure], key: str) -> str:
    """Return the heading of a column by its key; the key itself, in words, where it is no figure."""
    return next((figure.heading for figure in figures if figure.name == key), key.replace("_", " "))


def _cell(figure: Figure | None, value: Any, interval: Sequence[float] | None) -> str:
    if figure is None:
        return MISSING if value is None else str(value)
    if not interval:
        return figure.cell(value)
    low, high = (f"{end:.0%}" if figure.is_share else figure.cell(end) for end in interval)
    return f"{figure.cell(value)} ({low}{MISSING}{high})"
