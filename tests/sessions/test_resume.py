"""A training that was killed, anywhere, ends bit for bit as one that was not."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import QUICK

import striate as st
from striate.batching.batches import Batches
from striate.cache import workers
from striate.cli import main
from striate.datasets.store import Store
from striate.errors import Interrupted, OutputError, RunError, TrainingError, WorkerError
from striate.runs.writer import RunWriter
from striate.sessions import session as assembly
from striate.system import atomic
from striate.training import checkpoint

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = QUICK | {"epochs": 6, "ema": 0.9, "augment": "strong", "stochastic_depth": 0.2, "precision": "float32"}

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes")


def what_came_out(folder: Path) -> tuple[bytes, list[dict], dict]:
    """Return weights, epochs and figures of a run; times are not among them."""
    timed = {"train_seconds", "images_per_s", "seconds"}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    record = json.loads((folder / "run.json").read_text())
    figures = {name: record[name] for name in ("metrics", "best_epoch", "epochs", "status", "metrics_split")}
    plain = [{name: value for name, value in line.items() if name not in timed} for line in lines]
    return (folder / "model.safetensors").read_bytes(), plain, figures


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory) -> tuple[Path, tuple]:
    """Train once without a disturbance, in a process of its own as the others."""
    place = tmp_path_factory.mktemp("uninterrupted")
    data = make_data(place)
    ends = train_through(data, place / "run", [])
    assert ends == [0]
    return data, what_came_out(place / "run")


def make_data(place: Path) -> Path:
    import numpy as np
    from PIL import Image

    for label, colour in {"red": (200, 40, 40), "green": (40, 200, 40)}.items():
        (place / "data" / label).mkdir(parents=True)
        for index in range(16):
            noise = np.random.default_rng([index, colour[0]]).integers(-40, 41, (12, 12, 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / "data" / label / f"{index}.png")
    return place / "data"


def train_through(data: Path, out: Path, kills: list[dict], **options: object) -> list[int]:
    """Train with these kills to the end; returns how each process ended."""
    task = {"data": str(data), "options": OPTIONS | {"out": str(out)} | options, "kills": kills}
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests/sessions/killed_training.py")],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    ends = json.loads(result.stdout)
    assert ends[-1] == 0, result.stderr
    return ends


def draw(seed: int) -> dict:
    """Draw how a process is to be killed."""
    chance = random.Random(seed)
    return chance.choice(
        [
            {"after_s": chance.uniform(0.05, 1.2)},  # wherever it happens to be
            {"step": chance.randint(1, 5)},
            {"write": ".safetensors", "number": chance.randint(1, 4)},  # tensors of a checkpoint, or the weights
            {"write": "run.json", "number": chance.randint(1, 3)},
            {"write": ".json", "number": chance.randint(1, 6)},  # between the tensors and what points to them
        ]
    )


@needs_fork
@pytest.mark.parametrize("chain", range(2))
def test_killed_five_times_anywhere_it_ends_bit_for_bit_alike(chain, uninterrupted, tmp_path):
    data, expected = uninterrupted
    kills = [draw(10 * chain + number) for number in range(5)]
    often = 1e-6 if chain % 2 else 5  # a checkpoint after every step, or at the ends of epochs alone
    ends = train_through(data, tmp_path / "run", kills, checkpoint_minutes=often)
    assert ends[:-1] == [-signal.SIGKILL] * (len(ends) - 1)
    assert len(ends) == 6
    assert what_came_out(tmp_path / "run") == expected
    assert not (tmp_path / "run" / "checkpoints").exists()


@needs_fork
@pytest.mark.parametrize("kill", [{"write": ".safetensors", "number": 4}, {"write": "00000008.json", "number": 1}])
def test_killed_while_a_checkpoint_is_written_the_one_before_counts(kill, uninterrupted, tmp_path):
    data, expected = uninterrupted
    ends = train_through(data, tmp_path / "run", [kill], checkpoint_minutes=1e-6)
    assert ends == [-signal.SIGKILL, 0]
    assert what_came_out(tmp_path / "run") == expected


# --- within this process ---


@pytest.fixture
def stopped(colour_folders, tmp_path, stop_at, request) -> tuple[Path, dict]:
    """Make a run that was stopped in its second epoch; returns data and options."""
    options = QUICK | {"out": str(tmp_path / "run"), "checkpoint_minutes": 1e-6} | getattr(request, "param", {})
    stop_at(6)
    with pytest.raises(Interrupted, match="to go on: the same command with --resume --out"):
        st.train(colour_folders(), st.TrainConfig(**options))
    stop_at(10**9)
    return tmp_path / "colours", options


def test_ctrl_c_and_the_same_command_again_end_as_if_nothing_had_been(stopped, tmp_path, capsys):
    data, options = stopped
    whole = st.train(data, st.TrainConfig(**options | {"out": str(tmp_path / "whole")}))
    capsys.readouterr()
    st.train(data, st.TrainConfig(**options))
    assert "goes on after step 6 of 12, in epoch 2" in capsys.readouterr().err
    assert what_came_out(tmp_path / "run") == what_came_out(whole.folder)


def test_resume_without_out_finds_the_latest_interrupted_run(colour_folders, tmp_path, monkeypatch, stop_at):
    monkeypatch.chdir(tmp_path)
    data, options = colour_folders(), QUICK | {"epochs": 2}
    with pytest.raises(RunError, match="no training to go on with; leave --resume out"):
        st.train(data, st.TrainConfig(**options, resume=True))
    first = st.train(data, st.TrainConfig(**options))
    stop_at(3)
    with pytest.raises(Interrupted, match="had not come to the end of its first epoch"):
        st.train(data, st.TrainConfig(**options))
    stop_at(10**9)
    with pytest.raises(RunError, match="has not come to the end of an epoch; resume it"):
        st.load("runs/classify/colours-resnet20-2")
    second = st.train(data, st.TrainConfig(**options, resume=True))
    assert second.folder == Path("runs/classify/colours-resnet20-2")
    assert what_came_out(first.folder) == what_came_out(second.folder)
    with pytest.raises(RunError, match="no training to go on with"):
        st.train(data, st.TrainConfig(**options, resume=True))
    with pytest.raises(RunError, match="no training to go on with"):  # of this network
        st.train(data, st.TrainConfig(**options | {"model": "resnet18"}, resume=True))
    with pytest.raises(OutputError, match="has come to its end; choose another --out"):
        st.train(data, st.TrainConfig(**options, resume=True, out=str(second.folder)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, r"seed \(was 0, is 1\)"),
        ({"lr": 0.02}, r"lr \(was 0.01, is 0.02\)"),
        ({"epochs": 4, "batch_size": 4}, r"batch_size \(was 8, is 4\), epochs \(was 3, is 4\)"),
        ({"model": "conv 4@3x3 | gap | fc classes"}, r"model \(was .*, is conv 4@3x3"),
        ({"size": 9}, r"images \(was 8x8x3 crop bilinear, is 9x9x3 crop bilinear\)"),
        ({"augment": "none"}, r"augment \(was light, is none\)"),
        ({"precision": "float32"}, r"precision \(was auto, is float32\)"),
    ],
)
def test_changed_options_are_named(stopped, change, named):
    data, options = stopped
    with pytest.raises(RunError, match=rf"cannot go on, as this has changed: {named}"):
        st.train(data, st.TrainConfig(**options | change))


def test_changed_data_are_named(stopped, picture):
    data, options = stopped
    name = next(iter(json.loads((Path(options["out"]) / "split.json").read_text())["train"]))
    content = (data / name).read_bytes()
    for spoil, named in (
        (lambda: picture((200, 40, 40), seed=99).save(data / name), f"{name} is another image"),
        (lambda: (data / name).unlink(), f"{name} is not in train any more"),
        (lambda: picture((200, 40, 40), seed=99).save(data / "red" / "new.png"), r"red/new.png is new in \w+"),
    ):
        spoil()
        with pytest.raises(RunError, match=rf"cannot go on, as the data have changed: {named}"):
            st.train(data, st.TrainConfig(**options))
        (data / name).write_bytes(content)
    (data / "red" / "new.png").unlink()
    st.train(data, st.TrainConfig(**options))


def test_changed_labels_are_noticed(colour_folders, tmp_path, stop_at):
    folder, table = colour_folders(), tmp_path / "labels.csv"
    splits = itertools.cycle(["train", "train", "train", "val"])
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in sorted(folder.rglob("*.png"))]
    rows = [f"{row},{split}" for row, split in zip(rows, splits, strict=False)]
    table.write_text("\n".join(["image,label,split", *rows]))
    stop_at(5)
    options = QUICK | {"out": str(tmp_path / "run")}
    with pytest.raises(Interrupted):
        st.train(table, st.TrainConfig(**options))
    stop_at(10**9)
    rows[0], rows[1] = rows[0].replace(",blue", ",red"), rows[1].replace(",blue", ",green")
    table.write_text("\n".join(["image,label,split", *rows]))
    with pytest.raises(RunError, match=r"the data have changed: the labels of train"):
        st.train(table, st.TrainConfig(**options))


@pytest.mark.parametrize("stopped", [{"precision": "float32"}], indirect=True)  # as the last figures are
def test_weights_of_an_epoch_that_no_checkpoint_knows_are_not_taken_for_another_ones(stopped, tmp_path):
    data, options = stopped
    out = Path(options["out"])
    (out / "model.safetensors").write_bytes(b"of a later epoch, written just before a kill")
    run = st.train(data, st.TrainConfig(**options))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert run.record.best_epoch > 1
    kept = lines[run.record.best_epoch - 1]["metrics"]
    assert run.record.metrics["loss"] == pytest.approx(kept["loss"], rel=1e-5)


def test_an_interrupt_on_a_full_disk_stays_an_interrupt(colour_folders, tmp_path, stop_at, monkeypatch, capsys):
    real, full = os.fsync, [False]

    def fsync(handle):
        if full[0]:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    real_stop = RunWriter.stop

    def stop(self, status):
        full[0] = True
        return real_stop(self, status)

    monkeypatch.setattr(RunWriter, "stop", stop)
    stop_at(6)
    with pytest.raises(Interrupted, match=r"best weights so far, epoch 1.* to go on: the same command with --resume"):
        st.train(colour_folders(), st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert "run.json: cannot be written (No space left on device)" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_refused_and_the_one_before_offered(stopped):
    data, options = stopped
    folder = Path(options["out"]) / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"step-0000000{step}.{kind}" for step in (5, 6) for kind in ("json", "safetensors")
    ]
    newest = folder / "step-00000006.safetensors", folder / "step-00000006.json"
    good = [path.read_bytes() for path in newest]
    for spoil, named in (
        (lambda: newest[0].write_bytes(good[0][:-50]), r"00000006.safetensors: damaged or edited"),
        (lambda: newest[0].write_bytes(good[0][:-1] + b"\x01"), r"00000006.safetensors: damaged or edited"),
        (lambda: newest[0].unlink(), r"00000006.safetensors: missing"),
        (lambda: newest[1].write_bytes(good[1][:40]), r"00000006.json: damaged or edited"),
        (lambda: newest[1].write_bytes(good[1].replace(b'"steps": 6', b'"steps": 7')), r"06.json: damaged or edited"),
    ):
        spoil()
        with pytest.raises(RunError, match=rf"{named}; remove .*6.json to resume from the one before, of step 5"):
            st.train(data, st.TrainConfig(**options))
        for path, content in zip(newest, good, strict=True):
            path.write_bytes(content)
    newest[1].unlink()
    run = st.train(data, st.TrainConfig(**options))
    whole = st.train(data, st.TrainConfig(**options | {"out": options["out"] + "-whole"}))
    assert what_came_out(run.folder) == what_came_out(whole.folder)


def test_a_checkpoint_without_another_is_refused_with_the_way_out(stopped):
    data, options = stopped
    for path in (Path(options["out"]) / "checkpoints").glob("*.safetensors"):
        path.write_bytes(b"x")
    with pytest.raises(RunError, match="start again with another --out, as there is no other checkpoint"):
        st.train(data, st.TrainConfig(**options))


def test_what_comes_from_the_disk_is_safetensors_and_json(stopped):
    _, options = stopped
    files = [path for path in Path(options["out"]).rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".jsonl", ".safetensors"}
    for path in files:
        if path.suffix != ".safetensors":
            [
                json.loads(text)
                for text in (path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()])
            ]
        assert not path.read_bytes().startswith((b"\x80", b"PK"))  # a pickle, a zip of torch's


def test_a_run_that_another_process_trains_is_left_alone(stopped, tmp_path):
    data, options = stopped
    with atomic.held_folder(tmp_path / "run"), pytest.raises(OutputError, match="another process is at work there"):
        st.train(data, st.TrainConfig(**options))


@pytest.fixture
def small_disk(tmp_path: Path):
    """Mount a file system of two megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a file system takes rights that are not there")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(colour_folders, small_disk, tmp_path, monkeypatch, capsys):
    data, options = colour_folders(), QUICK | {"checkpoint_minutes": 1e-6}
    whole = st.train(data, st.TrainConfig(**options, out=str(tmp_path / "whole")))
    filler, real = small_disk / "filler", assembly.fit

    def fit(*arguments, on_step, **others):
        steps = [0]

        def filling(images, loss):
            steps[0] += 1
            if steps[0] == 6:
                room = shutil.disk_usage(small_disk).free
                filler.write_bytes(b"x" * (room - 100_000))
            on_step(images, loss)

        return real(*arguments, on_step=filling, **others)

    monkeypatch.setattr(assembly, "fit", fit)
    with pytest.raises(
        TrainingError, match=r"No space left on device\); to go on: the same command with --resume --out"
    ):
        st.train(data, st.TrainConfig(**options, out=str(small_disk / "run")))
    assert "no checkpoint could be saved at step 6" in capsys.readouterr().err
    assert checkpoint.newest(small_disk / "run").facts["progress"]["steps"] == 5
    filler.unlink()
    monkeypatch.setattr(assembly, "fit", real)
    st.train(data, st.TrainConfig(**options, out=str(small_disk / "run")))
    assert what_came_out(small_disk / "run") == what_came_out(whole.folder)


def test_a_loss_that_is_not_finite_leaves_a_run_that_can_skip_it(colour_folders, tmp_path, monkeypatch, capsys):
    real = Batches.shuffled

    def poisoned(self, *arguments, passed=0, **others):
        for place, batch in enumerate(real(self, *arguments, passed=passed, **others), start=passed):
            if place == 2:
                batch.images.fill_(float("inf"))
            yield batch

    monkeypatch.setattr(Batches, "shuffled", poisoned)
    options = QUICK | {"out": str(tmp_path / "run"), "epochs": 2}
    with pytest.raises(
        TrainingError, match=r"the loss became nan at step 3, batch 3 of epoch 1; .*--resume --on-nonfinite skip"
    ):
        st.train(colour_folders(), st.TrainConfig(**options))
    run = st.train(tmp_path / "colours", st.TrainConfig(**options, resume=True, on_nonfinite="skip"))
    assert capsys.readouterr().err.count("left out: the loss became nan at step") == 2
    assert run.record.status == "complete"


def test_a_worker_that_is_killed_is_an_error_and_no_wait():
    with pytest.raises(WorkerError, match="a worker process that decodes images was killed"), workers._pool() as pool:
        pool.submit(os._exit, 9).result()


def test_a_worker_that_dies_is_named_and_leaves_a_run_to_go_on_with(colour_folders, tmp_path, monkeypatch):
    data, options = colour_folders(), QUICK | {"cache": "none"}
    whole = st.train(data, st.TrainConfig(**options, out=str(tmp_path / "whole")))
    real, calls = Store.gather, [0]

    def gather(self, samples):
        calls[0] += 1
        if calls[0] == 14:
            raise WorkerError("a worker process that decodes images was killed")
        return real(self, samples)

    monkeypatch.setattr(Store, "gather", gather)
    with pytest.raises(WorkerError, match=r"a worker process .* was killed .*to go on: the same command with --resume"):
        st.train(data, st.TrainConfig(**options, out=str(tmp_path / "run")))
    monkeypatch.setattr(Store, "gather", real)
    run = st.train(data, st.TrainConfig(**options, out=str(tmp_path / "run")))
    assert what_came_out(run.folder) == what_came_out(whole.folder)


def test_from_the_command_line(stopped, capsys):
    data, options = stopped
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    assert main(["train", str(data), *flags, "--resume"]) == 0
    assert main(["train", str(data), *flags, "--resume"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("choose another --out.")
