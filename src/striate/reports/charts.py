"""Figures as SVG that takes its colours from the page: light or dark, on paper, on a phone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Float, Int64

from striate.interpret.calibration import Calibration

Curve = tuple[Sequence[float], Sequence[float]]

_WIDTH, _HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 14, 40
MOST_NAMED = 28  # classes that a confusion matrix has room to name
_HUES = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")


def line_chart(curves: Mapping[str, Curve], *, x_label: str, y_label: str, share: bool = False) -> str:
    """Draw curves in one pair of axes.

    Args:
        curves: from a name to x and y; of a single point a dot is drawn.
        x_label: with its unit.
        y_label: likewise.
        share: y is a share, and is written as a percentage.
    """
    xs = [float(x) for curve in curves.values() for x in curve[0]]
    ys = [float(y) for curve in curves.values() for y in curve[1] if math.isfinite(y)]
    if not ys:
        return ""
    frame = _Frame(_span(xs, exact=True), _span(ys), _WIDTH, _HEIGHT)
    parts = frame.axes(x_label, y_label, "{:.0%}" if share else "{:g}")
    for place, (name, (x, y)) in enumerate(curves.items()):
        hue = _HUES[place % len(_HUES)]
        points = [frame.at(*point) for point in zip(x, y, strict=True) if math.isfinite(point[1])]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        parts.append(f'<polyline class="line {hue}" points="{path}"><title>{escape(name)}</title></polyline>')
        if len(points) < 30:
            parts += [
                f'<circle class="dot {hue}" cx="{across:.1f}" cy="{down:.1f}" r="2.2"/>' for across, down in points
            ]
    legend = _legend(list(curves)) if len(curves) > 1 else ""
    return _svg(parts, _WIDTH, _HEIGHT, ", ".join(curves)) + legend


def reliability_diagram(found: Calibration) -> str:
    """Draw how often answers were right against how sure the network was; on the diagonal it keeps its word."""
    side = 260
    frame = _Frame((0.0, 1.0), (0.0, 1.0), side + _LEFT + _RIGHT, side + _TOP + _BOTTOM)
    parts = frame.axes("probability that the network gave", "share that was right", "{:.0%}", x_form="{:.0%}")
    bins, most = len(found.counts), max(found.counts)
    for place, (count, accuracy) in enumerate(zip(found.counts, found.accuracy, strict=True)):
        if not count:
            continue
        (left, top), (right, bottom) = frame.at(place / bins, accuracy), frame.at((place + 1) / bins, 0.0)
        strength = 0.35 + 0.65 * math.sqrt(count / most)
        words = f"{count:,} answers given with {place / bins:.0%} to {(place + 1) / bins:.0%}: {accuracy:.0%} right"
        parts.append(
            f'<rect class="bar a" x="{left + 1:.1f}" y="{top:.1f}" width="{right - left - 2:.1f}" '
            f'height="{bottom - top:.1f}" opacity="{strength:.2f}"><title>{words}</title></rect>'
        )
    (left, bottom), (right, top) = frame.at(0, 0), frame.at(1, 1)
    parts.append(f'<line class="guide" x1="{left}" y1="{bottom}" x2="{right}" y2="{top}"/>')
    return _svg(parts, frame.width, frame.height, "reliability diagram")


def confusion_matrix(counts: Int64[np.ndarray, "classes classes"], names: Sequence[str]) -> str:
    """Draw how many of each class (a row) were called what (a column); shades are shares of the row."""
    classes = len(names)
    cell = 34 if classes <= 12 else max(6, 400 // classes)
    labelled = classes <= MOST_NAMED
    margin = min(150, 12 + 7 * max(map(len, names))) if labelled else 8
    side = classes * cell
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    parts = []
    for row, name in enumerate(names):
        top = margin + row * cell
        if labelled:
            middle = top + cell / 2
            parts.append(f'<text class="end" x="{margin - 6}" y="{middle + 4:.1f}">{_short(name)}</text>')
            parts.append(
                f'<text transform="translate({middle + 4:.1f},{margin - 6}) rotate(-90)">{_short(name)}</text>'
            )
        for column, other in enumerate(names):
            count, share = int(counts[row, column]), float(shares[row, column])
            if not count:
                continue
            left = margin + column * cell
            hue = "a" if row == column else "b"
            words = f"{count:,} of {name} called {other} ({share:.0%})"
            parts.append(
                f'<rect class="bar {hue}" x="{left}" y="{top}" width="{cell - 1}" height="{cell - 1}" '
                f'opacity="{0.12 + 0.88 * share:.2f}"><title>{escape(words)}</title></rect>'
            )
            if cell >= 26:
                at, tone = f'x="{left + cell / 2:.1f}" y="{top + cell / 2 + 4:.1f}"', "on" if share > 0.5 else ""
                parts.append(f'<text class="middle {tone}" {at}>{_count(count)}</text>')
    parts.append(f'<rect class="frame" x="{margin}" y="{margin}" width="{side - 1}" height="{side - 1}"/>')
    return _svg(parts, margin + side + 4, margin + side + 4, "confusion matrix")


def bar_chart(values: Sequence[float], *, x_label: str, y_label: str) -> str:
    """Draw numbers as bars, in their order."""
    frame = _Frame((0.0, float(max(1, len(values)))), (0.0, max(*values, 1e-12)), _WIDTH, _HEIGHT)
    parts = frame.axes(x_label, y_label, "{:g}")
    for place, value in enumerate(values):
        (left, top), (right, bottom) = frame.at(place, value), frame.at(place + 1, 0.0)
        wide = max(0.6, 0.9 * (right - left))
        parts.append(
            f'<rect class="bar a" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{bottom - top:.1f}">'
            f"<title>{value:.4g}</title></rect>"
        )
    return _svg(parts, _WIDTH, _HEIGHT, y_label)


def scatter(places: Float[np.ndarray, "images 2"], groups: Sequence[int], said: Sequence[str], first: int) -> str:
    """Draw images as points, coloured by group; the page's script shows the picture of the one that is pointed at.

    Args:
        places: of the images.
        groups: of each image, the number of its colour.
        said: of each image, what is written beside its picture.
        first: the index, on the page, of the first image's picture.
    """
    side = 300
    low, high = places.min(0), places.max(0)
    scaled = (places - (low + high) / 2) / max(float((high - low).max()), 1e-12) * (side - 20) + side / 2
    points = [
        f'<circle class="dot {_HUES[group % len(_HUES)]}" cx="{x:.1f}" cy="{side - y:.1f}" r="4" '
        f'data-picture="{first + place}"><title>{escape(words)}</title></circle>'
        for place, ((x, y), group, words) in enumerate(zip(scaled, groups, said, strict=True))
    ]
    return _svg([f'<rect class="frame" width="{side}" height="{side}"/>', *points], side, side, "images as points")


def legend(names: Sequence[str]) -> str:
    """Say which colour stands for what; of many names the first ones."""
    return _legend(list(names[: len(_HUES)])) + (
        f"<p class='note'>and {len(names) - len(_HUES)} more, in the same colours again</p>"
        if len(names) > len(_HUES)
        else ""
    )


class _Frame:
    """Axes: from numbers to places in the drawing.

    Args:
        x: the least and the greatest one.
        y: likewise.
        width: of the drawing.
        height: likewise.
    """

    def __init__(self, x: tuple[float, float], y: tuple[float, float], width: int, height: int) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a point."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        right, bottom = self.width - _RIGHT, self.height - _BOTTOM
        return round(_LEFT + across * (right - _LEFT), 1), round(bottom - up * (bottom - _TOP), 1)

    def axes(self, x_label: str, y_label: str, y_form: str, x_form: str = "{:g}") -> list[str]:
        """Draw both, with round numbers and labels."""
        parts = []
        y_ticks = _ticks(*self.y)
        if y_form == "{:.0%}" and len(y_ticks) > 1 and y_ticks[1] - y_ticks[0] < 0.01:
            y_form = "{:.1%}"
        for value in y_ticks:
            left, down = self.at(self.x[0], value)
            right = self.width - _RIGHT
            parts.append(f'<line class="grid" x1="{left}" y1="{down}" x2="{right}" y2="{down}"/>')
            parts.append(f'<text class="end" x="{left - 6}" y="{down + 4}">{y_form.format(value)}</text>')
        for value in _ticks(*self.x, whole=x_label == "epoch"):
            across, bottom = self.at(value, self.y[0])
            parts.append(f'<text class="middle" x="{across}" y="{bottom + 16}">{x_form.format(value)}</text>')
        middle, bottom = (_LEFT + self.width - _RIGHT) / 2, self.height - 6
        parts.append(f'<text class="middle label" x="{middle}" y="{bottom}">{escape(x_label)}</text>')
        turned = f"translate(11,{(_TOP + self.height - _BOTTOM) / 2}) rotate(-90)"
        parts.append(f'<text class="middle label" transform="{turned}">{escape(y_label)}</text>')
        return parts


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return some round numbers between two others; `whole`: without fractions."""
    raw = max((high - low) / 4, 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _span(values: Sequence[float], *, exact: bool = False) -> tuple[float, float]:
    """Return the least and the greatest number, with some room; of equal ones, room around them."""
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    room = 0.0 if exact else (high - low) * 0.06
    return (low - room if low < 0 or low - room >= 0 else 0.0), high + room


def _legend(names: Sequence[str]) -> str:
    items = "".join(
        f'<span><i class="{_HUES[place % len(_HUES)]}"></i>{escape(name)}</span>' for place, name in enumerate(names)
    )
    return f'<p class="legend">{items}</p>'


def _svg(parts: Sequence[str], width: float, height: float, name: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(name)}" '
        f'style="max-width:{width * 1.25:g}px">{"".join(parts)}</svg>'
    )


def _short(name: str) -> str:
    return escape(name if len(name) <= 18 else f"{name[:17]}…")


def _count(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
