"""A figure is declared once, and written right wherever it is."""

from __future__ import annotations

import pytest

from striate.tasks import TASKS, create_task
from striate.tasks.figures import LOSS, SHARE, Figure, brief, describe, figure_heading, figure_table, meanings, score
from striate.tasks.skeleton import Skeleton
from striate.tasks.vocabulary import Vocabulary

LENGTH = Figure(name="error_mm", label="error", unit="mm", better="lower", meaning="how far off", interval="bootstrap")
NUMBER = Figure(name="dots", label="dots")
PART = Figure(name="accuracy", label="accuracy", unit=SHARE, better="higher", digits=0, interval="wilson")
FIGURES = (LENGTH, NUMBER, PART, LOSS)


@pytest.mark.parametrize(
    ("figure", "value", "text", "cell", "heading"),
    [
        (LENGTH, 3.2, "3.2 mm", "3.2", "error, mm"),
        (NUMBER, 3.2, "3.2", "3.2", "dots"),
        (PART, 0.32, "32%", "32.0%", "accuracy"),
        (LENGTH, 12345.67, "12,345.7 mm", "12,345.7", "error, mm"),
        (LOSS, 0.12345, "0.123", "0.123", "loss"),
        (NUMBER, 1234, "1,234", "1,234", "dots"),
        (LENGTH, None, "–", "–", "error, mm"),
        (PART, None, "–", "–", "accuracy"),
    ],
)
def test_numbers_are_written_with_their_unit(figure, value, text, cell, heading):
    assert (figure.text(value), figure.cell(value), figure.heading) == (text, cell, heading)


def test_lines_and_tables_read_the_declarations():
    values = {"error_mm": 3.2, "dots": 3.2, "accuracy": 0.32, "accuracy_interval": [0.2, 0.4], "loss": 1.0}
    assert brief(FIGURES, values) == "error 3.2 mm"
    assert describe(FIGURES, values) == "error 3.2 mm, dots 3.2, accuracy 32% (95% interval 20% to 40%), loss 1.000"
    rows = [{"name": "a"} | values, {"name": "b"} | values | {"accuracy": None, "accuracy_interval": None}]
    keys, cells = figure_table(FIGURES, rows)
    assert keys == ["name", "error_mm", "dots", "accuracy", "loss"]
    assert cells[0] == ["a", "3.2", "3.2", "32.0% (20%–40%)", "1.000"]
    assert cells[1][3] == "–"
    assert [figure_heading(FIGURES, key) for key in keys] == ["name", "error, mm", "dots", "accuracy", "loss"]
    assert figure_table(FIGURES, []) == ([], [])
    assert meanings(FIGURES, values) == "error: how far off."


def test_networks_are_ranked_by_the_headline_then_the_loss():
    better, worse = {"error_mm": 3.0, "loss": 9.0}, {"error_mm": 4.0, "loss": 1.0}
    assert score(FIGURES, better) > score(FIGURES, worse)
    assert score(FIGURES, better | {"loss": 8.0}) > score(FIGURES, better)
    share = (PART, LOSS)
    assert score(share, {"accuracy": 0.6, "loss": 2.0}) > score(share, {"accuracy": 0.5, "loss": 1.0})


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("unit", ["mm", "px"])
def test_every_figure_of_a_task_is_declared(name, unit):
    skeleton = Skeleton(joints=("root", "hand"), parents=(-1, 0), unit=unit)
    spec = create_task(name, Vocabulary(classes=tuple("abcdef"), skeleton=skeleton)).spec
    assert spec.figures[0].better
    assert spec.figures[0].interval
    assert spec.figures[-1] == LOSS
    for declared in (spec.figures, spec.row_figures, spec.columns):
        assert len({figure.name for figure in declared}) == len(declared)
