"""Runs that an older striate made are read, measured and gone on with: see `data_format4/make.py`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import striate as st
from striate.cli import main

OLDER = Path(__file__).parent / "data_format4"
RENAMED: dict[str, list[str]] = {"--store": ["--cache"], "--early-lr": ["--layer-lr-decay"], "--mix": ["--mixup"]}
"""Words of the command line that these runs were begun with, and what is to be said in their place by now."""


@pytest.fixture(params=("classify", "segment", "pose"))
def expected(request, tmp_path, monkeypatch) -> dict[str, Any]:
    """Have a copy of a task's older runs, and be where it is; returns what they gave."""
    shutil.copytree(OLDER / request.param, tmp_path / "older")
    monkeypatch.chdir(tmp_path / "older")
    return json.loads(Path("expected.json").read_text())


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, f"{path}.{key}")
    else:
        yield path, value


def assert_alike(found: Any, wanted: Any, tolerance: float) -> None:
    """Compare documents; numbers as nearly as processors agree."""
    ours, theirs = dict(leaves(found)), dict(leaves(wanted))
    assert ours.keys() == theirs.keys()
    for path, value in theirs.items():
        near = pytest.approx(value, rel=tolerance, abs=tolerance) if isinstance(value, float) else value
        assert ours[path] == near, path


def test_an_older_run_measures_as_it_did(expected, capsys):
    assert main(["evaluate", "complete", "data", "--json"]) == 0
    assert_alike(json.loads(capsys.readouterr().out), expected["evaluated"], 1e-5)


def test_an_older_run_says_how_it_was_trained(expected):
    record = st.load("complete").record
    assert (record.status, record.epochs, record.data["location"]) == ("complete", 6, "data")
    assert_alike(record.metrics, expected["finished"]["metrics"], 1e-6)


def test_an_older_run_that_was_interrupted_can_be_used(expected):
    run = st.load("interrupted")
    assert run.record.status == "interrupted"
    assert run.evaluate("data")["samples"] == expected["evaluated"]["samples"]


def test_an_older_training_goes_on_to_the_same_end(expected, capsys):
    words = [word for given in expected["options"] for word in RENAMED.get(given, [given])]
    assert main(["train", "data", *words, "--resume", "--out", "interrupted"]) == 0
    assert "goes on after step 8 of 18, in epoch 3" in capsys.readouterr().err
    record = json.loads(Path("interrupted/run.json").read_text())
    finished = {name: record[name] for name in expected["finished"] if name != "sha256"}
    assert_alike(finished, {name: expected["finished"][name] for name in finished}, 1e-3)
    assert not Path("interrupted/checkpoints").exists()
    ours, theirs = (safetensors.torch.load_file(f"{run}/model.safetensors") for run in ("interrupted", "complete"))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
