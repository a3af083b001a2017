"""striate schedule: rates as a table, as JSON and as a picture."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from tests.support import mistake

from striate.cli import main
from striate.training.schedules import SCHEDULES, one_cycle


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_table_has_a_row_for_each_epoch(name, capsys):
    assert main(["schedule", name, "--epochs", "6"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["epoch", "first", "step", "last", "step"]
    assert [int(row.split()[0]) for row in rows] == list(range(1, 7))
    assert all(0 < float(rate) <= 0.1 for row in rows for rate in row.split()[1:3])


def test_json_has_the_first_and_last_rate_of_each_epoch(capsys):
    assert main(["schedule", "onecycle", "--epochs", "3", "--steps-per-epoch", "7", "--lr", "0.4", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schedule"], document["lr"], document["steps_per_epoch"]) == ("onecycle", 0.4, 7)
    factor = one_cycle(steps=21)
    assert [(row["first_lr"], row["last_lr"]) for row in document["epochs"]] == [
        (0.4 * factor(first), 0.4 * factor(first + 6)) for first in (0, 7, 14)
    ]


@pytest.mark.parametrize(("given", "kept"), [("2,4.5", [2, 4.5]), ("3", [3]), ("auto", [])])
def test_numbers_come_as_one_word(given, kept, capsys):
    assert main(["schedule", "step", "--decay-at", given, "--epochs", "6", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["decay_at"] == kept
    assert {"decay", "warmup_epochs"} <= set(document)
    assert "power" not in document


def test_a_terminal_without_utf_8_gets_plain_bars(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    command = [sys.executable, "-m", "striate", "schedule", "constant", "--epochs", "1"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.splitlines()[1].split() == ["1", "0.100", "0.100", "#" * 40]


def test_a_plot_is_a_picture_of_the_curve_and_always_the_same(tmp_path, capsys):
    paths = [tmp_path / "lr.png", tmp_path / "again.png"]
    for path in paths:
        assert main(["schedule", "cosine", "--cycles", "2", "--plot", str(path)]) == 0
        assert f"plotted: {path}" in capsys.readouterr().out
    with Image.open(paths[0]) as picture:
        assert picture.format == "PNG"
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_plot_can_be_svg(tmp_path):
    assert main(["schedule", "triangular2", "--plot", str(tmp_path / "lr.SVG"), "--json"]) == 0
    assert ElementTree.parse(tmp_path / "lr.SVG").getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize(
    ("words", "where", "what"),
    [
        ([], "NAME", "is missing"),
        (["warp"], "schedule", "'warp' is not one of constant"),
        (["step", "--decay-at", "5,x"], "--decay-at", "'x' is not a number; write numbers as 30,60"),
        (["step", "--decay-at", "5,"], "--decay-at", "'' is not a number; write numbers as 30,60"),
        (["step", "--decay-at", "5,inf"], "--decay-at", "epochs above 0 in ascending order, such as 30,60, not 5,inf"),
        (["step", "--decay-at", "25"], "--decay-at", "before the end of the training, after 20 epochs, not 25"),
        (["onecycle", "--gamma", "0.5"], "--gamma", "is for the schedule exp_range, not for onecycle"),
        (["onecycle", "--epochs", "0"], "--epochs", "a whole number from 1 to 10,000, not 0"),
        (["onecycle", "--lr", "0"], "--lr", "a positive number, not 0.0"),
        (["onecycle", "--steps-per-epoch", "0"], "--steps-per-epoch", "a whole number, 1 or more, not 0"),
        (["onecycle", "--plot", "lr.jpg"], "--plot", "a file that ends in .png or .svg, not lr.jpg"),
        (["onecycle", "--plot", "nowhere/lr.png"], "nowhere/lr.png", "cannot be written"),
        (["onecycle", "--plot", "there.png"], "there.png", "there is something already"),
    ],
)
def test_a_mistake_is_answered_and_nothing_written(words, where, what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").touch()
    error = mistake(["schedule", *words], capsys)
    assert error["where"] == where
    assert what in error["what"]
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]
    assert (tmp_path / "there.png").stat().st_size == 0


@pytest.mark.parametrize("words", [["schedule", "--help"], ["schedule", "cosine"]])
def test_help_and_table_load_neither_torch_nor_matplotlib(words):
    code = (
        f"import sys; from striate.cli import main\n"
        f"try: main({words})\n"
        f"except SystemExit as end: assert end.code == 0\n"
        f"assert not {{'torch', 'matplotlib'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
