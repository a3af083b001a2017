"""A new sample is one file and one line: this test adds one, as CONTRIBUTING.md tells."""

from __future__ import annotations

import json

import numpy as np
import pytest

from striate.cli import main
from striate.datasets.dataset import Dataset, Samples
from striate.datasets.labels import ClassLabels
from striate.datasets.samples import SAMPLES
from striate.images.sources import ImageArray

TASKS = ("classify",)


def read(location: str, task: str = "classify") -> Dataset:
    """Make images of stripes, across and down; every fourth one is held out."""
    stripes = np.tile(np.array([[0], [255]], dtype=np.uint8), (8, 16))
    indices = np.arange(40)
    pixels = np.stack([np.minimum(stripes if index % 2 else stripes.T, np.uint8(255 - index)) for index in indices])
    return Dataset(
        name="stripes",
        location=location,
        task=task,
        classes=("down", "across"),
        samples=Samples(
            names=tuple(f"stripes/{index}" for index in indices),
            images=ImageArray(pixels),
            labels=ClassLabels(indices % 2),
        ),
        splits={"train": indices[indices % 8 < 6], "val": indices[indices % 8 >= 6]},
    )


@pytest.fixture(autouse=True)
def _added(monkeypatch):
    monkeypatch.setitem(SAMPLES, "stripes", __name__)


def test_it_is_described_checked_and_trained_on(tmp_path, capsys):
    assert main(["data", "stripes", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["classes"], document["splits"]) == (["down", "across"], {"train": 30, "val": 10})
    assert main(["check", "stripes", "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["summary"]["samples"] == 40
    quick = ["--model", "conv 4@3x3 | relu | gap | fc classes", "--epochs", "1", "--batch-size", "10"]
    assert main(["train", "stripes", *quick, "--out", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "classify"


def test_it_is_suggested(capsys):
    assert main(["data", "stripe"]) == 2
    assert "stripes" in capsys.readouterr().err
