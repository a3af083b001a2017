"""striate find-lr: a rate as a table, as JSON, as a picture and as the next command."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.support import mistake

import striate as st
from striate.cli import find_command, main
from striate.sessions.lr_finder import find_lr
from striate.training.lr_range_test import RangeTest

SMALL = ["--model", "conv 8@3x3 | bn | relu | gap | fc classes", "--size", "8", "--batch-size", "8"]


@pytest.fixture
def data(colour_folders, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(colour_folders("a b"))


def test_a_table_a_suggestion_and_the_next_command(data, tmp_path, capsys):
    assert main(["find-lr", data, *SMALL]) == 0
    header, *rows, suggestion, following = capsys.readouterr().out.splitlines()
    assert header.split() == ["rate", "loss"]
    assert 5 <= len(rows) <= 10
    rates = [float(row.split()[0]) for row in rows]
    assert rates == sorted(rates)
    assert [row.endswith("<") for row in rows].count(True) == 1
    rate = suggestion.removeprefix("suggestion: ")
    assert rates[0] < float(rate) < rates[-1]
    options = ["--model", SMALL[1], "--batch-size", "8", "--size", "8"]
    assert shlex.split(following.removeprefix("next:")) == ["striate", "train", data, *options, "--lr", rate]
    assert [path.name for path in tmp_path.iterdir()] == ["a b"]


def test_the_next_command_is_one_that_train_understands(data, monkeypatch, capsys):
    found = RangeTest([0.001, 0.01, 0.1], [3.0, 2.0, 4.0], 0.005)
    monkeypatch.setattr("striate.sessions.lr_finder.find_lr", lambda data, config: found)
    given = ["--ignore", "x", "y", "--seed", "3", "--optimiser", "adamw", "--stem", "small", "--label-smoothing", "0.1"]
    assert main(["find-lr", data, *SMALL, *given]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("next:"))
    asked = []
    monkeypatch.setattr(find_command("train"), "run", lambda command: asked.append(command))
    assert main(words[1:]) == 0
    (command,) = asked
    assert command.data == data
    chosen = {"model": SMALL[1], "size": 8, "batch_size": 8, "seed": 3, "optimiser": "adamw", "stem": "small"}
    expected = st.TrainConfig(**chosen, ignore=("x", "y"), label_smoothing=0.1, lr=0.005)
    assert command.training == expected


def test_json_has_all_rates_and_losses_and_is_what_python_gives(data, capsys):
    assert main(["find-lr", data, *SMALL, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = find_lr(data, st.TrainConfig(model=SMALL[1], size=8, batch_size=8))
    assert document == {"rates": found.rates, "losses": found.losses, "suggestion": found.suggestion}


def test_train_at_auto_takes_the_same_rate(data, tmp_path):
    options = {"model": SMALL[1], "size": 8, "batch_size": 8}
    run = st.train(data, st.TrainConfig(**options, epochs=1, lr="auto", out=str(tmp_path / "run")))
    assert run.record.choices["lr"] == find_lr(data, st.TrainConfig(**options)).suggestion


def test_a_plot_is_a_picture(data, tmp_path, capsys):
    assert main(["find-lr", data, *SMALL, "--plot", "lr.png"]) == 0
    assert "plotted: lr.png" in capsys.readouterr().out.splitlines()
    with Image.open("lr.png") as picture:
        assert picture.format == "PNG"
    assert main(["find-lr", data, *SMALL, "--plot", "lr.svg", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plot"] == "lr.svg"
    marked, plain = Path("lr.svg").read_text(), re.sub("#c05020", "", Path("lr.svg").read_text())
    assert marked != plain  # the line at the suggestion


@pytest.mark.parametrize(
    ("words", "where", "what"),
    [
        (["nowhere"], "", "nowhere"),
        (["DATA", "--plot", "lr.jpg"], "--plot", "must be a file that ends in .png or .svg, not lr.jpg"),
        (["DATA", "--plot", "nowhere/lr.png"], "nowhere/lr.png", "cannot be written"),
        (["DATA", "--model", "resnet19"], "", "resnet19"),
        (["DATA", "--momentum", "1"], "--momentum", "must be at least 0 and below 1, not 1.0"),
        (
            ["DATA", "--batch-size", "4", "--accumulate", "3"],
            "--accumulate",
            "must be at most half the batch size of 4, not 3",
        ),
        (["DATA", "--epochs", "3"], "--epochs", "is not a known option"),
        (["DATA", "--lr", "0.1"], "--lr", "is not a known option"),
        (["DATA", "--out", "run"], "--out", "is not a known option"),
    ],
)
def test_a_mistake_is_answered_and_nothing_written(words, where, what, data, tmp_path, capsys):
    error = mistake(["find-lr", *(data if word == "DATA" else word for word in words)], capsys)
    assert where in error["where"]
    assert what in f"{error['where']}: {error['what']}"
    assert [path.name for path in tmp_path.iterdir()] == ["a b"]


def test_help_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys; from striate.cli import main\n"
        "try: main(['find-lr', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not {"--lr", "--epochs", "--budget", "--out", "--resume", "--ema", "--progressive"} & set(told.split())
    assert {"--model", "--precision", "--label-smoothing", "--plot"} <= set(told.split())
