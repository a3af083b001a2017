"""Made data for the benchmarks' `--tiny`, which shows in seconds that they run; its figures mean nothing."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import striate as st

CLASS_LINE = "conv 8@3x3 stride=2 pad=1 | bn | relu | gap | fc classes"
MASK_LINE = "conv 16@3x3 pad=1 | bn | relu | res 16 stride=2 | gap | fc classes"
_COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


def run(main: Callable[[list[str]], None], tiny: Callable[[Path], list[str]]) -> None:
    """Run a benchmark with the arguments of the command line.

    Args:
        main: the benchmark.
        tiny: makes data in an empty folder, and returns the arguments that `--tiny` stands for.
    """
    words = sys.argv[1:]
    if words != ["--tiny"]:
        main(words)
        return
    with tempfile.TemporaryDirectory() as folder:
        main(tiny(Path(folder)))


def class_folders(folder: Path, *, images: int = 12, side_px: int = 32) -> Path:
    """Make JPEGs in class folders, told apart by their colour."""
    random = np.random.default_rng(0)
    for label, colour in _COLOURS.items():
        (folder / label).mkdir(parents=True)
        for index in range(images):
            noise = random.integers(-30, 31, (side_px, side_px, 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{index}.jpg")
    return folder


def cifar10(folder: Path, *, images: int = 12) -> Path:
    """Make train/ and test/ with class folders."""
    class_folders(folder / "train", images=images)
    class_folders(folder / "test", images=images)
    return folder


def masks(folder: Path, *, images: int = 12) -> Path:
    """Make images of a rectangle on grey ground, with masks."""
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for index in range(images):
        mask = np.zeros((120, 160), np.uint8)
        top, left = random.integers(10, 60, 2)
        mask[top : top + 50, left : left + 50] = 1
        pixels = np.where(mask[..., None] == 1, (200, 40, 40), (90, 90, 90)) + random.integers(-20, 21, (120, 160, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"images/{index}.png")
        Image.fromarray(mask).save(folder / f"masks/{index}.png")
    (folder / "classes.txt").write_text("ground\nrectangle\n")
    return folder


def joints(folder: Path, *, images: int = 16) -> Path:
    """Make images of two dots, which are joints in space."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    y, x = np.mgrid[:32, :32] + 0.5
    samples = []
    for index in range(images):
        uv = np.array([random.uniform(6, 12, 2), random.uniform(18, 26, 2)]).round(2)
        pixels = np.full((32, 32, 3), 120, np.uint8)
        for (u, v), colour in zip(uv, ((230, 30, 30), (30, 30, 230)), strict=True):
            pixels[(x - u) ** 2 + (y - v) ** 2 < 12] = colour
        Image.fromarray(pixels).save(folder / f"{index}.png")
        xyz = [[0, 0, 900], [*(20 * (uv[1] - uv[0])).round(2).tolist(), 900]]
        split = "val" if index >= images - 6 else "train"
        samples.append({"image": f"{index}.png", "split": split, "uv": uv.tolist(), "xyz": xyz})
    document = {"joints": ["red", "blue"], "parents": [-1, 0], "unit": "mm", "samples": samples}
    (folder / "joints.json").write_text(json.dumps(document))
    return folder


def trained(data: Path, out: Path, line: str) -> Path:
    """Train a small network for an epoch; returns the run's folder."""
    st.train(data, st.TrainConfig(model=line, epochs=1, batch_size=4, precision="float32", out=str(out)))
    return out
