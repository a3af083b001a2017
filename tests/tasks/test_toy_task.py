"""A task is one folder and one line: a toy task goes through every command, with no file of striate touched."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.tasks import toy

from striate.tasks import Task
from striate.tasks.explaining import TaskExplaining
from striate.tasks.spec import TaskSpec
from striate.tasks.training import TaskTraining
from striate.tasks.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
LINE = "conv 8@3x3 pad=1 | bn | relu | conv 8@3x3 stride=2 pad=1 | bn | relu | gap | fc classes"
OPTIONS = [
    *("--model", LINE, "--epochs", "4", "--batch-size", "16", "--precision", "float32", "--lr", "0.02"),
    *("--pretrained", "none", "--outlier", "4"),  # the last one is the toy's own
]


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Session:
    """Commands that were run one after the other, and their folder."""

    folder: Path
    answers: dict[str, Answer]

    def __getitem__(self, name: str) -> Answer:
        return self.answers[name]


def draw_dots(folder: Path) -> None:
    """Make grey images of up to four bright dots."""
    rng, listed = np.random.default_rng(0), {}
    folder.mkdir()
    for index in range(120):
        pixels = rng.integers(20, 60, (24, 24, 3)).astype(np.uint8)
        dots = int(rng.integers(0, 5))
        for cell in rng.permutation(9)[:dots]:
            y, x = 8 * (cell // 3) + rng.integers(1, 5), 8 * (cell % 3) + rng.integers(1, 5)
            pixels[y : y + 3, x : x + 3] = 240
        Image.fromarray(pixels).save(folder / f"{index}.png")
        listed[f"{index}.png"] = dots
    (folder / "dots.json").write_text(json.dumps(listed))


def commands(folder: Path) -> dict[str, list[str]]:
    data, run, again = str(folder / "dots"), str(folder / "run"), str(folder / "again")
    images = [str(folder / "dots" / f"{index}.png") for index in range(3)]
    return {
        "train": ["train", data, "--out", run, *OPTIONS],
        "interrupted": ["train", data, "--out", again, *OPTIONS],
        "resumed": ["train", data, "--out", again, *OPTIONS, "--resume", "--json"],
        "evaluate": ["evaluate", run, data],
        "evaluate --json": ["evaluate", run, data, "--json"],
        "predict": ["predict", run, *images],
        "predict --json": ["predict", run, *images, "--json"],
        "predict --out": ["predict", run, *images, "--out", str(folder / "dots.csv")],
        "predict --top": ["predict", run, *images, "--top", "2"],
        "predict drawn": ["predict", run, *images, "--out", str(folder / "drawn")],
        "report": ["report", run, "--json"],
        "explain": ["explain", run, images[1], "--out", str(folder / "page.html"), "--json"],
        "explain --of": ["explain", run, images[1], "--of", "dots", "--out", str(folder / "dots.html")],
        "explain wrong": ["explain", run, images[1], "--of", "dashes", "--out", str(folder / "dashes.html")],
        "check": ["check", data],
        "check --json": ["check", data, "--json"],
        "data": ["data", data, "--task", "count", "--sheet", str(folder / "sheet.png")],
        "data as poses": ["data", data, "--task", "pose"],
        "others' options": ["train", data, "--head", "heatmap"],
        "shared options": ["train", data, "--label-smoothing", "0.1"],
        "its own option": ["train", "mnist", "--outlier", "2"],
        "find-lr": ["find-lr", data, "--model", LINE, "--json"],
        "inspect": ["inspect", run],
    }


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Session:
    """Run all commands in one process, whose tables have had the toy's lines from the beginning."""
    folder = tmp_path_factory.mktemp("toy")
    draw_dots(folder / "dots")
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.toy.commands"],
        input=json.dumps(commands(folder)),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Session(folder, {name: Answer(**answer) for name, answer in json.loads(done.stdout).items()})


def test_the_toy_keeps_the_three_protocols():
    task = Task("count", toy.TASK, Vocabulary())
    assert isinstance(task.spec, TaskSpec)
    assert isinstance(task.training, TaskTraining)
    assert isinstance(task.explaining, TaskExplaining)


def test_training_that_was_interrupted_is_resumed(session):
    assert session["train"].code == 0, session["train"].err
    assert session["interrupted"].code == 130
    assert "mean error" in session["interrupted"].err
    summary = session["resumed"].document()
    assert summary["task"] == "count"
    assert list(summary["metrics"]) == ["mean_error", "right", "loss"]
    assert summary["metrics"]["mean_error"] < summary["baselines"]["mean number"]["mean_error"]
    weights = [(session.folder / run / "model.safetensors").read_bytes() for run in ("run", "again")]
    assert weights[0] == weights[1]


def test_a_number_is_evaluated(session):
    lines = session["evaluate"].out.splitlines()
    assert lines[0].startswith("mean error ")
    assert ", right " in lines[0]
    assert lines[1].startswith("mean number: mean error ")
    assert lines[3].split() == ["dots", "samples", "mean_error", "right"]
    assert "%" not in lines[4].split()[2]
    result = session["evaluate --json"].document()
    assert result["task"] == "count"
    assert sum(row["samples"] for row in result["per_dots"]) == result["samples"]


def test_a_number_is_predicted(session):
    header, *rows = session["predict"].out.splitlines()
    assert header.split() == ["image", "number"]
    dots = [prediction["dots"] for prediction in session["predict --json"].document()]
    assert [row.split()[1] for row in rows] == [f"{number:,.1f}" for number in dots]
    table = csv.DictReader(io.StringIO((session.folder / "dots.csv").read_text()))
    assert [float(row["number"]) for row in table] == dots
    assert session["predict --top"].code == session["predict drawn"].code == 2
    assert "--top: makes no sense for a number" in session["predict --top"].err
    assert "count draws nothing" in session["predict drawn"].err


def test_a_number_is_reported(session):
    page = Path(session["report"].document()["report"]).read_text()
    for words in ("counts bright dots", "By dots", "by how many dots the number is off", "counted "):
        assert words in page


def test_a_number_is_explained(session):
    (explained,) = session["explain"].document()["images"]
    assert 0 < explained["dots"] < 5
    assert explained["like"]
    assert "What makes the number larger" in (session.folder / "page.html").read_text()
    assert session["explain --of"].code == 0
    assert session["explain wrong"].code == 2
    assert "the network says nothing about dashes here" in session["explain wrong"].err


def test_toy_data_are_shown_and_checked(session):
    assert session["check"].code == 0
    assert "task: count" in session["check"].out
    assert session["check --json"].document()["summary"]["task"] == "count"
    assert "120 images; task: count" in session["data"].out
    with Image.open(session.folder / "sheet.png") as sheet:
        assert sheet.width > 100
    assert session["data as poses"].code == 2
    assert "its task is count, not pose" in session["data as poses"].err


def test_options_are_for_the_task_that_declares_them(session):
    assert "--head: is for pose, not for count" in session["others' options"].err
    assert "is for classify and segment, not for count" in session["shared options"].err
    assert "--outlier: is for count, not for classify" in session["its own option"].err
    assert json.loads((session.folder / "run" / "run.json").read_text())["config"]["outlier"] == 4


def test_a_rate_is_found_and_the_network_drawn(session):
    assert session["find-lr"].document()["suggestion"] > 0
    assert "fc" in session["inspect"].out
