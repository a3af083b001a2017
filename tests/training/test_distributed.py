"""Several processes train as one does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from PIL import Image

from striate import models
from striate.batching.batches import own_share

ROOT = Path(__file__).resolve().parents[2]
LINE = "conv 8@3x3 | relu | maxpool 2 | conv 8@3x3 | relu | gap | fc classes"  # no batch norm: shares do not matter
OPTIONS = {
    "model": LINE,
    "size": 12,
    "epochs": 4,
    "batch_size": 8,
    "lr": 0.05,
    "augment": "none",
    "precision": "float32",
}

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes"),
    pytest.mark.usefixtures("cache_of_the_tests"),
]


def in_processes(count: int, what: str, **arguments: object) -> list[dict]:
    """Do something in so many processes that belong together; returns what each one answers."""
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests/training/several_processes.py")],
        input=json.dumps({"processes": count, "what": what, "arguments": arguments}),
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def alone() -> dict:
    """Take three steps in one process."""
    return in_processes(1, "gradients", accumulate=1)[0]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_gradients_of_uneven_shares_are_those_of_one_process(accumulate, alone):
    both = in_processes(2, "gradients", accumulate=accumulate)
    for answer in both:
        assert [targets for _, targets in answer["steps"]] == [8, 8, 8]
        np.testing.assert_allclose(answer["steps"], alone["steps"], rtol=1e-5)
        np.testing.assert_allclose(answer["weights"], alone["weights"], rtol=1e-4, atol=1e-6)
    assert both[0]["weights"] == both[1]["weights"]


@pytest.mark.parametrize("accumulate", [2])
def test_uneven_pixels_with_labels_are_those_of_one_process(accumulate):
    (alone,) = in_processes(1, "pixels", accumulate=1)
    both = in_processes(2, "pixels", accumulate=accumulate)
    assert both[0] == both[1]
    np.testing.assert_allclose(both[0]["steps"], alone["steps"], rtol=1e-5)
    np.testing.assert_allclose(both[0]["weights"], alone["weights"], rtol=1e-4, atol=1e-6)
    for name, figure in alone["figures"].items():
        assert both[0]["figures"][name] == pytest.approx(figure, rel=1e-5), name
    assert both[0]["per_class"] == alone["per_class"]


@pytest.mark.parametrize(("accumulate", "hidden"), [(2, False), (1, True)])
def test_uneven_visible_joints_are_those_of_one_process(accumulate, hidden):
    """Where they are hidden, one process has none at all."""
    (alone,) = in_processes(1, "joints", accumulate=1, hidden=hidden)
    both = in_processes(2, "joints", accumulate=accumulate, hidden=hidden)
    assert both[0] == both[1]
    np.testing.assert_allclose(both[0]["steps"], alone["steps"], rtol=1e-5)
    np.testing.assert_allclose(both[0]["weights"], alone["weights"], rtol=1e-4, atol=1e-6)
    for name, figure in alone["figures"].items():
        assert both[0]["figures"][name] == pytest.approx(figure, rel=1e-5), name
    for ours, theirs in zip(both[0]["rows"], alone["rows"], strict=True):
        assert ours.keys() == theirs.keys()
        for name, figure in theirs.items():
            assert ours[name] == (pytest.approx(figure, rel=1e-5) if isinstance(figure, float) else figure), name


def test_a_number_that_is_not_finite_in_one_process_stops_all_before_the_update():
    answers = in_processes(2, "gradients", accumulate=1, bad=1)
    (alone,) = in_processes(1, "gradients", accumulate=1, bad=0)
    for answer in answers:
        assert len(answer["steps"]) == 1
        assert "at step 2" in answer["error"]
        np.testing.assert_allclose(answer["weights"], alone["weights"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("samples", "processes"), [(7, 2), (2, 3)])
def test_metrics_are_those_of_one_process(samples, processes):
    (alone,) = in_processes(1, "metrics", samples=samples)
    for answer in in_processes(processes, "metrics", samples=samples):
        losses = answer["figures"].pop("loss"), alone["figures"].get("loss")
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)
        assert answer["figures"] == {name: value for name, value in alone["figures"].items() if name != "loss"}
        assert answer["per_class"] == alone["per_class"]


@pytest.mark.parametrize("samples", range(2, 20))
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_batch_is_shared_out_without_gaps_or_repeats_and_pairs_stay_together(samples, processes):
    shares = [own_share(np.arange(samples), process, processes) for process in range(processes)]
    assert sorted(np.concatenate(shares)) == list(range(samples))
    for share in shares:
        np.testing.assert_array_equal(share[::-1], samples - 1 - share)  # mixed with whom it would be alone


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Make 28 pictures that are told apart by their sums."""
    place = tmp_path_factory.mktemp("two") / "data"
    for label, colour in {"red": (200, 40, 40), "green": (40, 200, 40)}.items():
        (place / label).mkdir(parents=True)
        for index in range(14):
            noise = np.random.default_rng([index, colour[0]]).integers(-40, 41, (12, 12, 3))
            Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(place / label / f"{index}.png")
    return place


def images_of_steps(log: Path, processes: int) -> dict[int, list[float]]:
    """Return which images were in each step, over all processes."""
    steps: dict[int, list[float]] = {}
    for rank in range(processes):
        for line in Path(f"{log}-{rank}").read_text().splitlines():
            noted = json.loads(line)
            steps.setdefault(noted["step"], []).extend(noted["images"])
    return {step: sorted(images) for step, images in sorted(steps.items())}


def test_two_processes_begin_with_the_last_layer_that_one_would_fit(data, tmp_path):
    weights = tmp_path / "first.safetensors"
    weights.write_bytes(safetensors.torch.save(models.create(LINE, classes=3, size_px=12, seed=3).state_dict()))
    logs = []
    for processes in (1, 2):
        options = (
            OPTIONS
            | {"out": str(tmp_path / str(processes)), "epochs": 1, "pretrained": str(weights)}
            | {"last_layer": "fitted"}
        )
        in_processes(processes, "training", data=str(data), options=options, log=str(tmp_path / f"log{processes}"))
        text = (tmp_path / str(processes) / "metrics.jsonl").read_text()
        logs.append([json.loads(line)["metrics"] for line in text.splitlines()])
    assert len(logs[0]) == len(logs[1]) == 2
    for one, two in zip(*logs, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)


def test_saved_by_two_and_gone_on_with_by_one_and_back_it_is_one_training(data, tmp_path):
    out = {"data": str(data), "options": OPTIONS | {"out": str(tmp_path / "run")}}
    (whole,) = in_processes(
        1,
        "training",
        data=str(data),
        options=OPTIONS | {"out": str(tmp_path / "whole")},
        log=str(tmp_path / "whole"),
    )
    first = in_processes(2, "training", **out, stop_at=5, log=str(tmp_path / "a"))
    assert all("to go on: the same command with --resume" in answer["interrupted"] for answer in first)
    second = in_processes(1, "training", **out, stop_at=8, log=str(tmp_path / "b"))
    assert "interrupted" in second[0]
    last = in_processes(2, "training", **out, log=str(tmp_path / "c"))
    assert last[0] == last[1]
    assert last[0]["epochs"] == whole["epochs"] == 4
    assert last[0]["metrics"]["accuracy"] == whole["metrics"]["accuracy"]
    assert last[0]["metrics"]["loss"] == pytest.approx(whole["metrics"]["loss"], rel=1e-3)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {line["images"] for line in lines} == {record["data"]["train"]}
    expected = images_of_steps(tmp_path / "whole", 1)
    pieces = [
        images_of_steps(tmp_path / "a", 2),
        images_of_steps(tmp_path / "b", 1),
        images_of_steps(tmp_path / "c", 2),
    ]
    # two learn of the interrupt with the sums of the step after it
    assert [list(piece) for piece in pieces] == [[0, 1, 2, 3, 4, 5], [6, 7], list(range(8, len(expected)))]
    joined = {step: images for piece in pieces for step, images in piece.items()}
    assert joined.keys() == expected.keys()
    for step, images in joined.items():
        assert images == pytest.approx(expected[step], abs=0.02)


def children(process: int) -> list[int]:
    """List the processes that a process has started."""
    stats = {
        path.parent.name: path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")
    }
    return sorted(int(name) for name, fields in stats.items() if fields[1] == str(process))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes of torchrun in /proc")
def test_a_process_that_is_killed_is_started_again_and_the_training_goes_on(data, tmp_path):
    """With torchrun itself, from the command line."""
    out = tmp_path / "run"
    options = OPTIONS | {"model": "resnet20", "epochs": 30, "checkpoint_minutes": 1e-6, "out": str(out)}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=2"]
    process = subprocess.Popen(
        [*command, "-m", "striate", "train", str(data), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoints/step-*1?.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.kill(children(process.pid)[-1], signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    assert re.search(r"run: goes on after step \d+ of 90, in epoch \d+", stderr), stderr
    assert stdout.count("saved:") == 1
    record = json.loads((out / "run.json").read_text())
    assert (record["status"], record["epochs"]) == ("complete", 30)
