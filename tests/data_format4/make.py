"""Make the older runs that `tests/test_older_runs.py` goes on using, with the data that they were trained on.

    OMP_NUM_THREADS=1 python tests/data_format4/make.py

It was run with striate at commit 46c6929, whose `run.json` says format 4 and whose checkpoints say format 1, and is
kept to show how these folders came about: what a later striate makes is not what they are for.

Of each task there are

    TASK/data/           a dozen small pictures, and what is to be learned of them
    TASK/complete/       a run that came to its end
    TASK/interrupted/    one with the same options, to which Ctrl-C came in its third epoch, with its last checkpoint
    TASK/expected.json   the options, what `striate evaluate --json` said of the complete run, and what the other one
                         became when it was gone on with, with the hash of its weights: those of the complete run

All trainings were in float32 on one thread, from inside the task's folder: their data are `data`. Left out are
reports, and what `run.json` says of the operating system.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import platform
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.optim.optimizer import register_optimizer_step_post_hook

from striate.cli import main

HERE = Path(__file__).resolve().parent
SIDE = 16
LINE = "conv 4@3x3 pad=1 | bn | relu | maxpool 2 | conv 6@3x3 pad=1 | bn | relu | gap | fc classes"
COMMON = ["--epochs", "6", "--batch-size", "4", "--precision", "float32"]
OPTIONS = {
    "classify": [*COMMON, "--model", LINE, "--ema", "0.5", "--augment", "standard", "--lr", "0.2"],
    "segment": [*COMMON, "--model", LINE, "--dice", "1.0", "--lr", "0.05"],
    "pose": [*COMMON, "--model", LINE.replace("gap", "maxpool 2 | flatten"), "--augment", "none", "--lr", "0.01"],
}
INTERRUPTED_IN = 8  # of 18 steps
FIGURES = ("metrics", "baselines", "metrics_split", "best_epoch", "epochs", "status")


def save(pixels: np.ndarray[Any, Any], path: Path) -> None:
    """Write a picture, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, optimize=True)


def drawn(seed: int, blobs: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Draw a red square, and a blue one; returns pixels, the class of each, and the squares' middles."""
    rng = np.random.default_rng(seed)
    pixels, mask = np.full((SIDE, SIDE, 3), 90), np.zeros((SIDE, SIDE), np.uint8)
    corners = np.stack([rng.integers(0, 4, blobs) + np.arange(blobs) * 8, rng.integers(0, SIDE - 5, blobs)], axis=1)
    for place, (left, top) in enumerate(corners):
        pixels[top : top + 5, left : left + 5] = ((220, 50, 50), (50, 50, 220))[place]
        mask[top : top + 5, left : left + 5] = place + 1
    return pixels + 8 * rng.integers(-1, 2, (SIDE, SIDE, 1)), mask, corners + 2.5


def make_data(task: str, root: Path) -> None:
    """Make a task's pictures: twelve to train on, and four more."""
    samples = []
    for number in range(16):
        split = "train" if number < 12 else "val"
        if task == "classify":
            pixels, _, _ = drawn(number, 1)
            label = ("blue", "red")[number % 2]
            save(pixels if number % 2 else pixels[..., ::-1], root / split / label / f"{number:02}.png")
            continue
        pixels, mask, middles = drawn(number, 2)
        if task == "segment":
            save(pixels, root / "images" / split / f"{number:02}.png")
            save(mask, root / "masks" / split / f"{number:02}.png")
            continue
        save(pixels, root / f"{number:02}.png")
        right, down = (middles[1] - middles[0]).tolist()
        away = {"xyz": [[0, 0, 900], [20 * right, 20 * down, 900 + 30 * (number % 3)]]}
        samples.append({"image": f"{number:02}.png", "split": split, "uv": middles.tolist(), **away})
    if task == "segment":
        (root / "classes.txt").write_text("ground\nred\nblue\n")
    if task == "pose":
        document = {"joints": ["red", "blue"], "parents": [-1, 0], "unit": "mm", "samples": samples}
        (root / "joints.json").write_text(json.dumps(document) + "\n")


def striate(*words: str, wanted: int = 0) -> str:
    """Run a command; returns what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(words)
    assert code == wanted, f"striate {' '.join(words)} returned {code}"
    return printed.getvalue()


def make_interrupted(*words: str) -> None:
    """Train, until Ctrl-C comes in a step."""
    steps = itertools.count(1)
    hook = register_optimizer_step_post_hook(
        lambda *_: os.kill(os.getpid(), signal.SIGINT) if next(steps) == INTERRUPTED_IN else None
    )
    try:
        striate(*words, wanted=130)
    finally:
        hook.remove()


def tidy(folder: Path) -> None:
    """Remove reports and the checkpoint before the last, and what names this machine."""
    (before, _) = sorted((folder / "interrupted/checkpoints").glob("*.json"))
    for path in (*folder.glob("*/report.html"), before, before.with_suffix(".safetensors")):
        path.unlink()
    for path in folder.glob("*/run.json"):
        path.write_text(path.read_text().replace(platform.platform(), platform.system()))


def make(task: str) -> None:
    """Make a task's folder anew."""
    folder = HERE / task
    shutil.rmtree(folder, ignore_errors=True)
    make_data(task, folder / "data")
    os.chdir(folder)
    command = ["train", "data", *OPTIONS[task]]
    striate(*command, "--out", "complete")
    make_interrupted(*command, "--out", "interrupted")
    evaluated = json.loads(striate("evaluate", "complete", "data", "--json"))
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(folder, Path(place, task))
        os.chdir(Path(place, task))
        striate(*command, "--resume", "--out", "interrupted")
        record = json.loads(Path("interrupted/run.json").read_text())
        weights = Path("interrupted/model.safetensors").read_bytes()
        os.chdir(folder)
    assert weights == (folder / "complete/model.safetensors").read_bytes(), f"{task}: not what it is in one go"
    finished = {name: record[name] for name in FIGURES} | {"sha256": hashlib.sha256(weights).hexdigest()}
    expected = {"options": OPTIONS[task], "evaluated": evaluated, "finished": finished}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    tidy(folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["STRIATE_CACHE"] = cache
        for task in OPTIONS:
            make(task)
