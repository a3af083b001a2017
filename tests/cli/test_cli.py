"""The command line: one JSON document, exact exit codes, a line or two for a mistake, never a traceback."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from tests.support import mistake

from striate import cli
from striate.cli import COMMANDS, find_command, main
from striate.errors import ConfigError, DataError, Interrupted, TrainingError
from striate.models import MODELS
from striate.training.config import TrainConfig

QUICK = ["--model", "resnet20", "--epochs", "3", "--batch-size", "8", "--size", "8", "--lr", "0.01"]


def striate(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "striate", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def test_help_and_import_are_instant():
    code = (
        "import sys; import striate; import striate.cli\n"
        "try: striate.cli.main(['--help'])\n"
        "finally: assert not {'torch', 'numpy', 'PIL', 'tyro', 'rich'} & set(sys.modules), sorted(sys.modules)"
    )
    seconds = []
    for _ in range(3):  # of three, since a machine can hiccup
        began = time.perf_counter()
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.3
    assert all(command in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_says_what_it_does_without_torch(command):
    code = (
        f"import sys; from striate.cli import main\n"
        f"try: main(['{command}', '--help'])\n"
        f"except SystemExit as end: assert end.code == 0\n"
        f"assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--json" in result.stdout
    assert result.stdout.splitlines()[2].startswith(find_command(command).__doc__[:40])


def test_every_field_of_the_config_is_a_flag_of_train(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = capsys.readouterr().out
    for option in dataclasses.fields(TrainConfig):
        assert re.search(rf"--(no-)?{option.name.replace('_', '-')} ", told)


def test_train_evaluate_predict_end_to_end(colour_folders, tmp_path):
    folder = colour_folders()
    trained = striate("train", folder, *QUICK, "--json", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    summary = json.loads(trained.stdout)
    assert list(summary) == ["run", "task", "model", "metrics", "baselines", "epochs", "seconds", "images_per_s"]
    assert list(summary["metrics"]) == ["accuracy", "accuracy_interval", "top5_accuracy", "loss"]
    assert (summary["task"], summary["model"], summary["epochs"]) == ("classify", "resnet20", 3)
    assert summary["run"] == "runs/classify/colours-resnet20"
    lines = trained.stderr.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert "\x1b" not in trained.stderr

    evaluated = striate("evaluate", summary["run"], folder, "--json", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    figures = json.loads(evaluated.stdout)
    assert list(figures) == ["task", "samples", "size_px", "metrics", "baselines", "per_class", "seen"]
    low, high = figures["metrics"]["accuracy_interval"]
    assert 0 <= low <= figures["metrics"]["accuracy"] <= high <= 1
    assert set(figures["metrics"]) == {"accuracy", "accuracy_interval", "top5_accuracy", "loss"}

    images = sorted((folder / "red").glob("*.png"))[:2]
    predicted = striate("predict", summary["run"], *images, "--json", "--top", "2", cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    predictions = json.loads(predicted.stdout)
    assert [row["image"] for row in predictions] == [str(path) for path in images]
    assert all(set(row) == {"image", "class", "probability", "top"} and len(row["top"]) == 2 for row in predictions)

    written = striate("predict", summary["run"], folder, "--out", "predictions.csv", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    assert len(rows) == 36
    assert list(rows[0]) == ["image", "class", "probability"]
    assert sum(row["class"] in row["image"] for row in rows) >= 34

    for words in (["evaluate", summary["run"], folder], ["predict", summary["run"], images[0]]):
        told = striate(*words, cwd=tmp_path)
        assert told.returncode == 0, told.stderr
        assert "red" in told.stdout


def test_models_are_listed_with_their_published_sizes(capsys):
    assert main(["models", "--json"]) == 0
    rows = {row["model"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(MODELS)
    assert rows["resnet20"]["parameters"] == 269_722
    assert rows["lenet5"]["min_size_px"] == 16
    assert main(["models"]) == 0
    assert "resnet18" in capsys.readouterr().out


MISTAKES = {
    "no data": ["train"],
    "missing folder": ["train", "nowhere"],
    "empty class": ["train", "empty_class"],
    "one class": ["train", "one_class"],
    "no image": ["train", "with_text"],
    "broken image": ["train", "broken"],
    "class that train lacks": ["train", "split"],
    "unknown model": ["train", "good", "--model", "resnet81"],
    "size too small": ["train", "good", "--model", "lenet5", "--size", "8"],
    "size beyond memory": ["train", "good", "--model", "lenet5", "--size", "1000000"],
    "weights beyond memory": ["train", "good", "--model", "lenet5", "--size", "20000"],
    "name too long": ["train", "n" * 300],
    "output name too long": ["train", "good", *QUICK, "--out", "n" * 300],
    "image name too long": ["predict", "RUN", "n" * 300],
    "size of zero": ["train", "good", "--size", "0"],
    "no number": ["train", "good", "--epochs", "many"],
    "no epochs": ["train", "good", "--epochs", "0"],
    "rate of nan": ["train", "good", "--lr", "nan"],
    "masks in JPEG": ["train", "jpeg_masks"],
    "a threshold beyond all masks": ["train", "jpeg_masks", "--threshold", "255"],
    "a threshold without masks": ["train", "good", "--threshold", "128"],
    "a threshold, and something to ignore": ["train", "jpeg_masks", "--threshold", "9", "--ignore", "0"],
    "unknown option": ["train", "good", "--epoch", "3"],
    "unknown command": ["trian", "good"],
    "output under a file": ["train", "good", *QUICK, "--out", "file.txt/run"],
    "output is a file": ["train", "good", *QUICK, "--out", "file.txt"],
    "output is full": ["train", "good", *QUICK, "--out", "good"],
    "no run": ["evaluate", "nowhere", "good"],
    "run is no run": ["evaluate", "good", "good"],
    "nothing to predict": ["predict", "nowhere"],
    "predictions to nowhere": ["predict", "RUN", "good", "--out", "nowhere/predictions.csv"],
    "predictions over something": ["predict", "RUN", "good", "--out", "RUN/run.json"],
    "run inside its data": ["train", "good", *QUICK, "--out", "good/run"],
    "predictions in an unknown form": ["predict", "RUN", "good", "--out", "predictions.xyz"],
    "missing image": ["predict", "RUN", "nowhere.jpg"],
    "text for an image": ["predict", "RUN", "file.txt"],
    "broken image among good ones": ["predict", "RUN", "good", "broken", "--out", "predictions.csv"],
    "folder without images": ["predict", "RUN", "no_images"],
    "unknown classes": ["evaluate", "RUN", "other_classes"],
    "top of zero": ["predict", "RUN", "good", "--top", "0"],
    "line with a slip": ["train", "good", "--model", "conv 8@3x3 | rleu | gap | fc classes"],
    "line that does not fit": ["train", "good", "--model", "conv 8@3x3 | maxpool 2 | conv 8@99x99 | gap | fc classes"],
    "line without classes": ["train", "good", "--model", "conv 8@3x3 | relu"],
    "line beyond memory": ["train", "good", "--model", "flatten | fc 9000000 | fc 9000000 | fc classes"],
    "activations beyond memory": ["train", "good", "--model", "(up 2) x9 | gap | fc classes"],
    "maps beyond everything": ["inspect", "up 1000 | up 1000 | up 1000 | conv 9@3x3 | gap", "--input", "3x32x32"],
    "a parenthesis too many": ["inspect", "relu)"],
    "no name at all": ["inspect", ""],
    "no run of that name": ["inspect", "runs/classify/nope"],
    "channels of a run": ["inspect", "RUN", "--input", "1x8x8"],
    "a model with one stem": ["train", "good", "--model", "resnet20", "--stem", "small"],
    "nothing to inspect": ["inspect", "nowhere"],
    "no run to inspect": ["inspect", "good"],
    "classes of a run": ["inspect", "RUN", "--classes", "3"],
    "input of two numbers": ["inspect", "resnet18", "--input", "224x224"],
    "input too small": ["inspect", "vgg16", "--input", "3x8x8"],
    "classes of zero": ["inspect", "vgg16", "--classes", "0"],
    "drawing in another form": ["inspect", "vgg16", "--draw", "net.png"],
    "drawing to nowhere": ["inspect", "vgg16", "--draw", "nowhere/net.svg"],
    "drawing over something": ["inspect", "vgg16", "--draw", "good"],
}


@pytest.fixture
def workshop(colour_folders, colour_run, tmp_path, monkeypatch) -> Path:
    """A folder with something wrong of every kind in it."""
    colour_folders("good")
    colour_folders("empty_class")
    (tmp_path / "empty_class" / "violet").mkdir()
    colour_folders("one_class", classes=("red",))
    colour_folders("with_text")
    (tmp_path / "with_text" / "red" / "notes.txt").write_text("hello")
    colour_folders("broken")
    broken = tmp_path / "broken" / "red" / "1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    colour_folders("split/train", classes=("red", "green"))
    colour_folders("split/val")
    colour_folders("other_classes", classes=("cat", "dog"))
    for kind in ("images", "masks"):
        (tmp_path / "jpeg_masks" / kind).mkdir(parents=True)
        Image.linear_gradient("L").point(lambda value: value // 2).save(tmp_path / "jpeg_masks" / kind / "1.jpg")
    (tmp_path / "no_images").mkdir()
    (tmp_path / "file.txt").write_text("hello")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SLIPS = [
    (["train"], "DATA", "is missing"),
    (["train", "mnist", "--epoch", "3"], "--epoch", r"is not a known option \(did you mean --epochs\?\)"),
    (["train", "mnist", "--epochs", "x"], "--epochs", "'x' is not a whole number"),
    (["train", "mnist", "--epochs"], "--epochs", "a value is missing"),
    (["train", "mnist", "--fit", "x"], "--fit", "'x' is not one of auto, crop, pad, stretch"),
    (["train", "mnist", "--threshold", "x"], "--threshold", "'x' is not a whole number"),
    (["train", "mnist", "--size", "x"], "--size", "'x' is neither a number nor auto"),
    (["train", "mnist", "--lr", "x"], "--lr", "'x' is neither a number nor default or auto"),
    (["models", "x"], "x", "is not a known option"),
    (["find-lr"], "DATA", "is missing"),
]


@pytest.mark.parametrize(("words", "where", "what"), SLIPS, ids=[" ".join(words) for words, _, _ in SLIPS])
@pytest.mark.parametrize("utf8", [True, False])
def test_a_slip_is_answered_in_plain_words(words, where, what, utf8, capsys, monkeypatch):
    monkeypatch.setattr("tyro._fmtlib._should_use_utf8_drawing_chars", lambda: utf8)
    error = mistake(words, capsys)
    assert error["where"] == where
    assert re.fullmatch(what, error["what"])
    assert error["fix"] == f"see striate {words[0]} --help"


@pytest.mark.parametrize(
    ("words", "where", "what"),
    [
        (["train", "mnist", "--threshold", "256"], "--threshold", "must be a whole number from 1 to 255, not 256"),
        (["train", "mnist", "--batch-size", "1"], "--batch-size", "must be a whole number, 2 or more, or auto, not 1"),
        (["train", "mnist", "--lr", "0"], "--lr", "must be a positive number, default, or auto, not 0.0"),
        (["schedule", "step", "--decay-at", "5,3"], "--decay-at", "must be epochs above 0 in .*, not 5,3"),
    ],
)
def test_an_option_is_named_as_it_was_written(words, where, what, capsys):
    error = mistake(words, capsys)
    assert error["where"] == where
    assert re.fullmatch(what, error["what"])


def test_a_mistake_is_a_line_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "run", "a.jpg", "--out", "a.xyz"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "striate: --out: must end in .csv or .json, or be a new folder, not a.xyz.\n"


class Raising:
    """A command that ends with an error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "document"),
    [
        (TrainingError("the loss is nan."), 1, {"what": "the loss is nan"}),
        (Interrupted("interrupted; run has the best weights."), 130, {"what": "interrupted; run has the best weights"}),
        (KeyboardInterrupt(), 130, {"what": "interrupted"}),
        (
            DataError("a.csv", "has no rows", "add some", ["it is empty"]),
            2,
            {"where": "a.csv", "what": "has no rows", "fix": "add some", "notes": ["it is empty"]},
        ),
        (
            ConfigError("layer_lr_decay", "is too small", "leave it out"),
            2,
            {"where": "--layer-lr-decay", "what": "is too small", "fix": "leave it out"},
        ),
        (
            OSError(28, "No space left on device", "x.json"),
            2,
            {"where": "x.json", "what": "No space left on device", "fix": ""},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_with_json_an_error_is_the_document(error, code, document, monkeypatch, capsys):
    monkeypatch.setattr(cli, "_parse", lambda name, words: Raising(error))
    assert main(["models", "--json"]) == code
    told = capsys.readouterr()
    assert json.loads(told.out) == {"error": document}
    assert told.err.startswith("striate: ")
    assert told.err.count("\n") == 1


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("words", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_exit_2_and_nothing_half_written(words, workshop, colour_run, capsys):
    before = listing(workshop)
    error = mistake([word.replace("RUN", str(colour_run.folder)) for word in words], capsys)
    assert len("".join(error["where"] + error["what"] + error["fix"])) < 400
    assert not re.search(r"Traceback|\[Errno|\n", str(error))
    assert listing(workshop) == before


def test_json_is_json_whatever_the_terminal(colour_folders, tmp_path):
    folder = colour_folders(classes=("café", "🐱"))

    def striate(encoding, *arguments):
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        command = [sys.executable, "-m", "striate", *arguments]
        return subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True).stdout

    striate("ascii", "train", str(folder), *QUICK, "--epochs", "1", "--out", "run")
    predict = ["predict", "run", str(folder / "🐱")]
    for encoding in ("ascii", "cp1252"):
        answer = json.loads(striate(encoding, *predict, "--json", "--top", "2"))
        assert {name for row in answer for name, _ in row["top"]} == {"café", "🐱"}
        assert b"0.png" in striate(encoding, *predict)
    striate("ascii", "predict", "--help")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_an_output_where_nothing_can_be_made_is_refused(colour_folders, capsys):
    error = mistake(["train", str(colour_folders()), *QUICK, "--out", "/proc/run"], capsys)
    assert error["where"] == "/proc/run"
    assert "cannot be written" in error["what"]


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_usable_run_and_exit_code_130(number, colour_folders, tmp_path):
    folder = colour_folders()
    command = [sys.executable, "-m", "striate", "train", str(folder), *QUICK, "--epochs", "5000", "--out", "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr is not None
    told = ""
    while "epoch    2/5000" not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    process.send_signal(number)
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert out == ""
    assert "Traceback" not in rest
    assert "the best weights so far" in rest.splitlines()[-1]
    predicted = striate("predict", "run", folder, "--json", cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    assert len(json.loads(predicted.stdout)) == 36
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
