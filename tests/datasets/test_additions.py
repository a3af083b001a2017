"""A new check, a new layout and a new kind of label are one file and one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli import main
from striate.datasets import open_data
from striate.datasets.checks import CHECKS
from striate.datasets.checks.report import check_data, check_labels, contradictory
from striate.datasets.layouts import LAYOUTS
from striate.datasets.store import open_store
from striate.images.resize import ImageSpec


@pytest.fixture
def numbers(tmp_path, picture, monkeypatch) -> Path:
    """A folder of the added layout: twelve images with numbers, the first of which is black."""
    monkeypatch.setitem(LAYOUTS, "numbers", "tests.datasets.added_layout")
    folder = tmp_path / "numbers"
    folder.mkdir()
    for index in range(12):
        picture(seed=index).save(folder / f"{index:02d}.{index}.png")
    Image.new("RGB", (24, 20)).save(folder / "00.0.png")
    return folder


def test_an_added_layout_is_read_checked_and_decoded(numbers):
    data = open_data(numbers)
    assert (data.task, len(data.samples), data.val_is_held_out) == ("number", 12, True)
    assert {"train", "val"} == set(data.splits)
    store = open_store(data.split("train"), ImageSpec(height_px=8, width_px=8, channels=3), name="n", location="n")
    assert store.gather(np.array([1, 0])).images.shape == (2, 8, 8, 3)
    assert store.labelled().all()


def test_added_labels_have_checks_of_their_own(numbers):
    problems = check_labels(open_data(numbers))
    assert [(problem.kind, problem.where) for problem in problems[:2]] == [
        ("odd-number", "01.1.png"),
        ("odd-number", "03.3.png"),
    ]
    report = check_data(numbers)
    assert report.ok
    assert report.summary["kinds"] == {"odd-number": 6}


def test_added_labels_contradict_each_other(numbers):
    labels = open_data(numbers).samples.labels
    assert contradictory(["a", "b", "a", "c", *"defghijk"], labels) == [0, 2]


def test_an_added_check_is_run_and_shown(numbers, monkeypatch, capsys):
    monkeypatch.setitem(CHECKS, "dark_images", "tests.datasets.added_checks:dark_images")
    report = check_data(numbers)
    assert [problem.where for problem in report.problems if problem.kind == "dark-image"] == [str(numbers / "00.0.png")]
    assert main(["check", str(numbers)]) == 1
    assert "problem: dark image (1)" in capsys.readouterr().out
