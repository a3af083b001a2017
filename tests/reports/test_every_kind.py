"""Reports and explanations of every task and head, of images of any size, however few."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image
from tests.reports.test_pages import check

import striate as st
from striate.reports.report import write_report

LINE = "conv 4@3x3 pad=1 | bn | relu | conv 6@3x3 stride=4 pad=1 | bn | relu | conv 8@3x3 stride=4 pad=1 | relu"


@pytest.fixture
def few(tmp_path):
    """Make a data set of a few images of 40x40 pixels, which is no multiple of the network's stride."""

    def make(task: str, mode: str, count: int = 4, classes: int = 3):
        random, folder = np.random.default_rng(0), tmp_path / "data"
        folder.mkdir()
        shape = (40, 40) if mode == "L" else (40, 40, 3)
        names = [f"{index}.png" for index in range(count)]
        splits = ["train"] * (count - 2 if count > 3 else count - 1) + ["val"] * (2 if count > 3 else 1)
        if task == "segment":
            for part in ("images", "masks"):
                (folder / part).mkdir()
            (folder / "classes.txt").write_text("".join(f"class {index}\n" for index in range(classes)))
        for name in names:
            place = folder / "images" / name if task == "segment" else folder / name
            Image.fromarray(random.integers(0, 256, shape).astype(np.uint8)).save(place)
            if task == "segment":
                Image.fromarray(random.integers(0, classes, (40, 40)).astype(np.uint8)).save(folder / "masks" / name)
        if task == "classify":
            with (folder / "table.csv").open("w", newline="") as file:
                labels = [f"class {index % classes}" for index in range(count)]
                rows = zip(names, labels, splits, strict=True)
                csv.writer(file).writerows([("image", "label", "split"), *rows])
            return folder / "table.csv"
        if task in ("mm", "px"):
            samples = []
            for name, split in zip(names, splits, strict=True):
                sample = {"image": name, "split": split, "uv": random.uniform(5, 35, (3, 2)).tolist()}
                if task == "mm":
                    sample["xyz"] = [[0, 0, 0], *random.uniform(-200, 200, (2, 3)).tolist()]
                samples.append(sample)
            skeleton = {"joints": ["hip", "hand", "foot"], "parents": [-1, 0, 0], "mirror": []}
            (folder / "joints.json").write_text(json.dumps(skeleton | {"unit": task, "samples": samples}))
        return folder

    return make


@pytest.mark.parametrize(
    ("task", "mode", "options"),
    [
        ("classify", "L", {"classes": 2}),
        ("segment", "RGB", {"count": 8}),
        ("mm", "L", {"head": "heatmap"}),
        ("px", "RGB", {"head": "vector"}),
    ],
)
def test_every_task_is_reported_and_explained(few, tmp_path, task, mode, options):
    data = few(task, mode, **{name: options.pop(name) for name in ("count", "classes") if name in options})
    tail = "" if options.get("head") == "heatmap" else " | gap | fc classes"
    config = {"model": LINE + tail, "epochs": 2, "batch_size": 2, "precision": "float32", "augment": "none"}
    run = st.train(data, st.TrainConfig(**config, **options, out=str(tmp_path / "run")))
    text = check(write_report(run))
    assert "Its data" in text
    assert "It learned from" in text
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 57, 3)).astype(np.uint8)).save(tmp_path / "one.png")
    explanation = run.explain(tmp_path / "one.png")
    assert explanation.grad_cam
    assert all(np.isfinite(values).all() for values in explanation.grad_cam.values())
    assert explanation.image.shape[:2] == (40, 40) or task == "segment"
    assert all(len(patches) for patches in explanation.patches.values())
