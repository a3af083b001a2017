"""Charts as marks of SVG, whose colours are the page's: light or dark, on paper, on a phone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int64

from striate.interpret.calibration import Calibration

Curve = tuple[Sequence[float], Sequence[float]]

MOST_NAMED_CLASSES = 28  # that a confusion matrix has room to name
HUES = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
"""CSS classes of the colours that tell things apart, in their order."""

_WIDTH, _HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 14, 40
_MOST_DOTS = 30  # points of a curve that are drawn as dots
_CELL_WITH_COUNT = 26  # side of a cell that has room for a number


@dataclass(frozen=True)
class Mark:
    """An element of SVG.

    Attributes:
        tag: name of the element.
        style: CSS classes of the element; empty: none.
        attributes: other attributes of the element.
        title: text that is shown while the mouse is over it; empty: none.
        text: text within it.
    """

    tag: str
    style: str
    attributes: Mapping[str, str | float]
    title: str = ""
    text: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing that a template turns into SVG.

    Attributes:
        name: what is read out in its place.
        width: width of the drawing, in its own units.
        height: height of the drawing.
        marks: elements, the lowest first.
        legend: names of the colours that are used, in the order of `HUES`; none where a name goes without saying.
    """

    name: str
    width: float
    height: float
    marks: Sequence[Mark]
    legend: Sequence[str] = field(default=())


def line_chart(curves: Mapping[str, Curve], *, x_label: str, y_label: str, percent: bool = False) -> Chart | None:
    """Draw curves in one pair of axes; None where no y is finite.

    Args:
        curves: from a name to x and y; a single point becomes a dot.
        x_label: label of x, with its unit.
        y_label: label of y, with its unit.
        percent: whether y is a share that is written as a percentage.
    """
    xs = [float(x) for curve in curves.values() for x in curve[0]]
    ys = [float(y) for curve in curves.values() for y in curve[1] if math.isfinite(y)]
    if not ys:
        return None
    frame = _Frame(_span(xs, exact=True), _span(ys), _WIDTH, _HEIGHT)
    marks = frame.axes(x_label, y_label, "{:.0%}" if percent else "{:g}")
    for index, (name, (x, y)) in enumerate(curves.items()):
        hue = hue_of(index)
        points = [frame.at(*point) for point in zip(x, y, strict=True) if math.isfinite(point[1])]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        marks.append(Mark("polyline", f"line {hue}", {"points": path}, title=name))
        if len(points) < _MOST_DOTS:
            marks += [Mark("circle", f"dot {hue}", {"cx": left, "cy": top, "r": 2.2}) for left, top in points]
    return Chart(", ".join(curves), _WIDTH, _HEIGHT, marks, tuple(curves) if len(curves) > 1 else ())


def reliability_diagram(calibration: Calibration) -> Chart:
    """Draw the share of right answers against the probability given; a calibrated network is on the diagonal."""
    side = 260
    frame = _Frame((0.0, 1.0), (0.0, 1.0), side + _LEFT + _RIGHT, side + _TOP + _BOTTOM)
    marks = frame.axes("probability that the network gave", "share that was right", "{:.0%}", x_format="{:.0%}")
    bins, most = len(calibration.counts), max(calibration.counts)
    for index, (count, accuracy) in enumerate(zip(calibration.counts, calibration.accuracy, strict=True)):
        if not count:
            continue
        (left, top), (right, bottom) = frame.at(index / bins, accuracy), frame.at((index + 1) / bins, 0.0)
        opacity = 0.35 + 0.65 * math.sqrt(count / most)
        title = f"{count:,} answers given with {index / bins:.0%} to {(index + 1) / bins:.0%}: {accuracy:.0%} right"
        marks.append(_bar("a", left + 1, top, right - left - 2, bottom - top, title, opacity=opacity))
    (left, bottom), (right, top) = frame.at(0, 0), frame.at(1, 1)
    marks.append(Mark("line", "guide", {"x1": left, "y1": bottom, "x2": right, "y2": top}))
    return Chart("reliability diagram", frame.width, frame.height, marks)


def confusion_chart(counts: Int64[np.ndarray, "classes classes"], names: Sequence[str]) -> Chart:
    """Draw a confusion matrix: true classes down, predicted ones across; shades are shares of the row."""
    classes = len(names)
    cell = 34 if classes <= 12 else max(6, 400 // classes)
    labelled = classes <= MOST_NAMED_CLASSES
    margin = min(150, 12 + 7 * max(map(len, names))) if labelled else 8
    side = classes * cell
    marks = _class_labels(names, cell, margin) if labelled else []
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        marks += _confusion_cell(int(counts[row, column]), float(shares[row, column]), row, column, names, cell, margin)
    marks.append(Mark("rect", "frame", {"x": margin, "y": margin, "width": side - 1, "height": side - 1}))
    return Chart("confusion matrix", margin + side + 4, margin + side + 4, marks)


def bar_chart(values: Sequence[float], *, x_label: str, y_label: str) -> Chart:
    """Draw numbers as bars, in their order."""
    frame = _Frame((0.0, float(max(1, len(values)))), (0.0, max(*values, 1e-12)), _WIDTH, _HEIGHT)
    marks = frame.axes(x_label, y_label, "{:g}")
    for index, value in enumerate(values):
        (left, top), (right, bottom) = frame.at(index, value), frame.at(index + 1, 0.0)
        marks.append(_bar("a", left, top, max(0.6, 0.9 * (right - left)), bottom - top, f"{value:.4g}"))
    return Chart(y_label, _WIDTH, _HEIGHT, marks)


def scatter_chart(points: Float[np.ndarray, "images 2"], groups: Sequence[int], titles: Sequence[str]) -> Chart:
    """Draw images as points; the page shows the thumbnail of the one that is pointed at.

    Args:
        points: x and y of each image, y upwards.
        groups: for each image the number of its colour.
        titles: for each image what is written below its thumbnail.
    """
    side = 300
    low, high = points.min(0), points.max(0)
    scaled = (points - (low + high) / 2) / max(float((high - low).max()), 1e-12) * (side - 20) + side / 2
    marks = [Mark("rect", "frame", {"width": side, "height": side})]
    for index, ((x, y), group, title) in enumerate(zip(scaled, groups, titles, strict=True)):
        circle = {"cx": _round(x), "cy": _round(side - y), "r": 4, "data-thumbnail": index}
        marks.append(Mark("circle", f"dot {hue_of(group)}", circle, title=title))
    return Chart("images as points", side, side, marks)


def hue_of(index: int) -> str:
    """Return the CSS class of the colour with a number; after the last one the first comes again."""
    return HUES[index % len(HUES)]


class _Frame:
    """Axes: from numbers to positions in a drawing.

    Args:
        x: least and greatest x.
        y: least and greatest y.
        width: width of the drawing.
        height: height of the drawing.
    """

    def __init__(self, x: tuple[float, float], y: tuple[float, float], width: int, height: int) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the position of a point: to the right, and down."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        right, bottom = self.width - _RIGHT, self.height - _BOTTOM
        return round(_LEFT + across * (right - _LEFT), 1), round(bottom - up * (bottom - _TOP), 1)

    def axes(self, x_label: str, y_label: str, y_format: str, x_format: str = "{:g}") -> list[Mark]:
        """Draw both axes, with round numbers and labels."""
        marks = []
        y_ticks = _ticks(*self.y)
        if y_format == "{:.0%}" and len(y_ticks) > 1 and y_ticks[1] - y_ticks[0] < 0.01:
            y_format = "{:.1%}"
        for value in y_ticks:
            left, down = self.at(self.x[0], value)
            marks.append(Mark("line", "grid", {"x1": left, "y1": down, "x2": self.width - _RIGHT, "y2": down}))
            marks.append(_text("end", left - 6, down + 4, y_format.format(value)))
        for value in _ticks(*self.x, integers=x_label == "epoch"):
            across, bottom = self.at(value, self.y[0])
            marks.append(_text("middle", across, bottom + 16, x_format.format(value)))
        marks.append(_text("middle label", (_LEFT + self.width - _RIGHT) / 2, self.height - 6, x_label))
        turned = f"translate(11,{(_TOP + self.height - _BOTTOM) / 2}) rotate(-90)"
        marks.append(Mark("text", "middle label", {"transform": turned}, text=y_label))
        return marks


def _ticks(low: float, high: float, *, integers: bool = False) -> list[float]:
    """Return a few round numbers between two others."""
    least_step = max((high - low) / 4, 1.0 if integers else 0.0)
    power = 10.0 ** math.floor(math.log10(least_step))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least_step * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _span(values: Sequence[float], *, exact: bool = False) -> tuple[float, float]:
    """Return the least and the greatest number, with some room; for equal ones, room around them."""
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    room = 0.0 if exact else (high - low) * 0.06
    return (low - room if low < 0 or low - room >= 0 else 0.0), high + room


def _class_labels(names: Sequence[str], cell: int, margin: int) -> list[Mark]:
    """Name the classes, left of the rows and above the columns of a confusion matrix."""
    marks = []
    for index, name in enumerate(names):
        middle, short = margin + (index + 0.5) * cell, name if len(name) <= 18 else f"{name[:17]}…"
        marks.append(_text("end", margin - 6, middle + 4, short))
        turned = f"translate({middle + 4:.1f},{margin - 6}) rotate(-90)"
        marks.append(Mark("text", "", {"transform": turned}, text=short))
    return marks


def _confusion_cell(
    count: int, share: float, row: int, column: int, names: Sequence[str], cell: int, margin: int
) -> list[Mark]:
    left, top = margin + column * cell, margin + row * cell
    title = f"{count:,} of {names[row]} called {names[column]} ({share:.0%})"
    marks = [_bar("a" if row == column else "b", left, top, cell - 1, cell - 1, title, opacity=0.12 + 0.88 * share)]
    if cell >= _CELL_WITH_COUNT:
        style = "middle on" if share > 0.5 else "middle"
        marks.append(_text(style, left + cell / 2, top + cell / 2 + 4, _short_count(count)))
    return marks


def _bar(
    hue: str, left: float, top: float, width: float, height: float, title: str, *, opacity: float | None = None
) -> Mark:
    box = {"x": _round(left), "y": _round(top), "width": _round(width), "height": _round(height)}
    shade = {} if opacity is None else {"opacity": round(opacity, 2)}
    return Mark("rect", f"bar {hue}", {**box, **shade}, title=title)


def _text(style: str, x: float, y: float, text: str) -> Mark:
    return Mark("text", style, {"x": _round(x), "y": _round(y)}, text=text)


def _round(value: float) -> float:
    return round(float(value), 1)


def _short_count(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
