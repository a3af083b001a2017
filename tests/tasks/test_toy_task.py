"""A task is one folder and one line: a toy task goes through every command, with no file of striate touched."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli import main
from striate.datasets.layouts import LAYOUTS
from striate.tasks import TASKS, create_task
from striate.tasks.explaining import TaskExplaining
from striate.tasks.spec import TaskSpec
from striate.tasks.training import TaskTraining
from striate.tasks.vocabulary import Vocabulary

OPTIONS = [
    *("--model", "conv 8@3x3 pad=1 | bn | relu | conv 8@3x3 stride=2 pad=1 | bn | relu | gap | fc classes"),
    *("--epochs", "4", "--batch-size", "16", "--precision", "float32", "--lr", "0.02", "--pretrained", "none"),
]


@pytest.fixture(scope="module", autouse=True)
def _lines():
    """Add the task and its layout: one line each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "count", "tests.tasks.toy:TASK")
        patch.setitem(LAYOUTS, "dots", "tests.tasks.toy.layout")
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Grey images of up to four bright dots."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("toy") / "dots"
    folder.mkdir()
    listed = {}
    for index in range(120):
        pixels = rng.integers(20, 60, (24, 24, 3)).astype(np.uint8)
        dots = int(rng.integers(0, 5))
        for cell in rng.permutation(9)[:dots]:
            y, x = 8 * (cell // 3) + rng.integers(1, 5), 8 * (cell % 3) + rng.integers(1, 5)
            pixels[y : y + 3, x : x + 3] = 240
        Image.fromarray(pixels).save(folder / f"{index}.png")
        listed[f"{index}.png"] = dots
    (folder / "dots.json").write_text(json.dumps(listed))
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """A training from the beginning to the end."""
    folder = tmp_path_factory.mktemp("toy") / "run"
    assert main(["train", str(data), "--out", str(folder), *OPTIONS]) == 0
    return folder


def document(capsys) -> dict | list:
    return json.loads(capsys.readouterr().out)


def test_the_toy_keeps_the_three_protocols():
    task = create_task("count", Vocabulary())
    assert isinstance(task.spec, TaskSpec)
    assert isinstance(task.training, TaskTraining)
    assert isinstance(task.explaining, TaskExplaining)


def test_training_that_was_interrupted_is_resumed(run, data, tmp_path, stop_at, capsys):
    stop_at(9)
    words = ["train", str(data), "--out", str(tmp_path / "run"), *OPTIONS]
    assert main(words) == 130
    assert "mean error" in capsys.readouterr().err
    assert main([*words, "--resume", "--json"]) == 0
    summary = document(capsys)
    assert summary["task"] == "count"
    assert list(summary["metrics"]) == ["mean_error", "right", "loss"]
    assert summary["metrics"]["mean_error"] < summary["baselines"]["mean number"]["mean_error"]
    weights = [(folder / "model.safetensors").read_bytes() for folder in (run, tmp_path / "run")]
    assert weights[0] == weights[1]


def test_a_number_is_evaluated(run, data, capsys):
    assert main(["evaluate", str(run), str(data)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mean error ")
    assert ", right " in lines[0]
    assert lines[1].startswith("mean number: mean error ")
    assert lines[3].split() == ["dots", "samples", "mean_error", "right"]
    assert "%" not in lines[4].split()[2]
    assert main(["evaluate", str(run), str(data), "--json"]) == 0
    result = document(capsys)
    assert result["task"] == "count"
    assert sum(row["samples"] for row in result["per_dots"]) == result["samples"]


def test_a_number_is_predicted(run, data, tmp_path, capsys):
    paths = [str(data / f"{index}.png") for index in range(3)]
    assert main(["predict", str(run), *paths]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["image", "number"]
    assert main(["predict", str(run), *paths, "--json"]) == 0
    predictions = document(capsys)
    assert [row.split()[1] for row in rows] == [f"{prediction['dots']:,.1f}" for prediction in predictions]
    assert main(["predict", str(run), *paths, "--out", str(tmp_path / "dots.csv")]) == 0
    table = list(csv.DictReader(io.StringIO((tmp_path / "dots.csv").read_text())))
    assert [float(row["number"]) for row in table] == [prediction["dots"] for prediction in predictions]
    capsys.readouterr()
    assert main(["predict", str(run), *paths, "--top", "2"]) == 2
    assert "--top: makes no sense for a number" in capsys.readouterr().err
    assert main(["predict", str(run), *paths, "--out", str(tmp_path / "drawn")]) == 2
    assert "count draws nothing" in capsys.readouterr().err


def test_a_number_is_reported(run, capsys):
    assert main(["report", str(run), "--json"]) == 0
    page = Path(document(capsys)["report"]).read_text()
    assert "counts bright dots" in page
    assert "By dots" in page
    assert "by how many dots the number is off" in page
    assert "counted " in page
    assert "KeyError" not in page


def test_a_number_is_explained(run, data, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["explain", str(run), str(data / "1.png"), "--out", str(page), "--json"]) == 0
    (explained,) = document(capsys)["images"]
    assert 0 < explained["dots"] < 5
    assert explained["like"]
    assert "What makes the number larger" in page.read_text()
    words = ["explain", str(run), str(data / "1.png")]
    assert main([*words, "--of", "dots", "--out", str(tmp_path / "dots.html")]) == 0
    assert main([*words, "--of", "dashes", "--out", str(tmp_path / "dashes.html")]) == 2
    assert "the network says nothing about dashes here" in capsys.readouterr().err


def test_toy_data_are_shown_and_checked(data, tmp_path, capsys):
    assert main(["check", str(data)]) == 0
    assert "task: count" in capsys.readouterr().out
    assert main(["check", str(data), "--json"]) == 0
    assert document(capsys)["summary"]["task"] == "count"
    assert main(["data", str(data), "--task", "count", "--sheet", str(tmp_path / "sheet.png")]) == 0
    assert "120 images; task: count" in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 100
    assert main(["data", str(data), "--task", "pose"]) == 2
    assert "its task is count, not pose" in capsys.readouterr().err


def test_options_of_other_tasks_are_refused(data, capsys):
    assert main(["train", str(data), "--head", "heatmap"]) == 2
    assert "--head: is for pose, not for count" in capsys.readouterr().err
    assert main(["train", str(data), "--label-smoothing", "0.1"]) == 2
    assert "is for classify and segment, not for count" in capsys.readouterr().err


def test_the_best_rate_is_looked_for(data, capsys):
    words = [word for pair in zip(OPTIONS[::2], OPTIONS[1::2], strict=True) if pair[0] == "--model" for word in pair]
    assert main(["find-lr", str(data), *words, "--json"]) == 0
    assert document(capsys)


def test_a_toy_runs_network_is_drawn(run, capsys):
    assert main(["inspect", str(run)]) == 0
    assert "fc" in capsys.readouterr().out
