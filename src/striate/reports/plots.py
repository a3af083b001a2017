"""Curves in axes, as image files; matplotlib is loaded when one is drawn, and its global state is left alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from striate.system import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
"""Endings of the files that plots can be written to."""


def curve_figure(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    columns: int = 1,
    mark: float | None = None,
) -> Figure:
    """Draw curves, each in a panel of its own under its name; all panels have the same axes.

    Args:
        curves: x and y of each curve, by its name.
        x_label: label of x, with its unit, below the lowest panels.
        y_label: label of y, with its unit, left of the first panels.
        log_x: whether x is logarithmic.
        columns: number of panels side by side.
        mark: x of a vertical line; None: there is none.

    >>> figure = curve_figure({"halves": ([0, 1, 2], [1, 0.5, 0.25])}, x_label="epoch", y_label="learning rate")
    >>> len(figure.axes)
    1
    """
    from matplotlib.figure import Figure

    rows = -(-len(curves) // columns)
    width, height = (6.4, 3.6) if len(curves) == 1 else (2.8 * columns, 2.0 * rows)
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for axes, (name, (x, y)) in zip(panels, curves.items(), strict=False):
        axes.plot(x, y, color="#1f5fa8", linewidth=1.5)
        if mark is not None:
            axes.axvline(mark, color="#c05020", linewidth=1, linestyle="--")
        axes.set_title(name, fontsize=10, loc="left")
        axes.grid(color="#e0e0e0", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
        if log_x:
            axes.set_xscale("log")
        else:
            axes.locator_params(axis="x", steps=[1, 2, 5, 10])  # no tick at half an epoch where whole ones fit
    for axes in figure.axes[len(curves) :]:
        axes.set_axis_off()
    figure.supxlabel(x_label, fontsize=10)
    figure.supylabel(y_label, fontsize=10)
    return figure


def save_plot(figure: Figure, path: Path) -> None:
    """Write a figure to a file in one step, in the format of its ending; the same figure gives the same PNG.

    Args:
        figure: figure to write.
        path: path of the file, with one of `SUFFIXES`.

    Raises:
        OutputError: the file cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    # no date and no version in the file, so that a file changes only when the curve does
    metadata = {"png": {"Software": None}, "svg": {"Date": None}}[kind]
    content = io.BytesIO()
    figure.savefig(content, format=kind, metadata=metadata)
    atomic.write(path, content.getvalue())
