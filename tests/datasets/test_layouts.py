"""Every layout, and every sample, keeps the contract of sources."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
from PIL import Image

import striate as st
from striate.datasets.dataset import Dataset
from striate.datasets.labels import Labels
from striate.datasets.layouts import LAYOUTS
from striate.datasets.samples import SAMPLES
from striate.datasets.store import open_store
from striate.images.resize import ImageSpec
from striate.images.sources import SourceImages

COUNT = 12


def save_images(folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"{index}.png" for index in range(COUNT)]
    for index, path in enumerate(paths):
        Image.new("RGB", (20, 16), (20 * index, 90, 40)).save(path)
    return paths


def save_masks(folder: Path) -> None:
    folder.mkdir()
    for index in range(COUNT):
        Image.fromarray(np.repeat([[0, 1], [1, index % 2]], 8, 0).repeat(10, 1).astype(np.uint8)).save(
            folder / f"{index}.png"
        )


def make_class_folders(root: Path) -> Path:
    for name in ("a", "b"):
        save_images(root / name)
    return root


def make_table(root: Path) -> Path:
    rows = [f"files/{path.name},{'ab'[index % 2]}" for index, path in enumerate(save_images(root / "files"))]
    (root / "table.csv").write_text("image,label\n" + "\n".join(rows) + "\n")
    return root / "table.csv"


def make_image_masks(root: Path) -> Path:
    save_images(root / "images")
    save_masks(root / "masks")
    (root / "classes.txt").write_text("sky\nroad\n")
    return root


def make_camvid(root: Path) -> Path:
    save_images(root / "train")
    save_masks(root / "trainannot")
    (root / "classes.txt").write_text("sky\nroad\n")
    return root


def make_joints(root: Path) -> Path:
    names = [f"files/{path.name}" for path in save_images(root / "files")]
    places = {"xyz": [[0, 0, 900], [200, 0, 900]], "uv": [[9, 8], [12, 8]]}
    document = {"joints": ["root", "hand"], "parents": [-1, 0], "unit": "mm"}
    (root / "joints.json").write_text(json.dumps(document | {"samples": [{"image": name} | places for name in names]}))
    return root


def make_coco(root: Path) -> Path:
    paths = save_images(root / "files")
    person = {
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [2, 2, 14, 12],
        "num_keypoints": 2,
        "keypoints": [9, 8, 2, 12, 8, 2],
    }
    document = {
        "images": [
            {"id": n, "file_name": f"files/{path.name}", "width": 20, "height": 16} for n, path in enumerate(paths)
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": ["root", "hand"], "skeleton": [[1, 2]]}],
        "annotations": [{"id": n, "image_id": n} | person for n in range(COUNT)],
    }
    (root / "people.json").write_text(json.dumps(document))
    return root / "people.json"


MAKE: dict[str, Callable[[Path], Path]] = {
    "class_folders": make_class_folders,
    "table": make_table,
    "image_masks": make_image_masks,
    "camvid": make_camvid,
    "joints": make_joints,
    "coco": make_coco,
}
CASES = [(name, task) for name, home in {**LAYOUTS, **SAMPLES}.items() for task in resolve_name(home).TASKS]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def opened(request, tmp_path) -> tuple[str, Dataset]:
    name, task = request.param
    location = {"figures": "figures:12"}.get(name, name) if name in SAMPLES else MAKE[name](tmp_path / "data")
    return task, st.open_data(location, task=task if name in SAMPLES else "auto")


def test_every_layout_gives_images_labels_and_splits(opened):
    task, data = opened
    samples = data.samples
    assert data.task == task
    assert isinstance(samples.images, SourceImages)
    assert isinstance(samples.labels, Labels)
    assert len(set(samples.names)) == len(samples) >= COUNT
    assert {"train", "val"} <= set(data.splits)
    assert sorted(np.concatenate(list(data.splits.values())).tolist()) == list(range(len(samples)))
    assert bool(data.classes) == (data.skeleton is None)
    assert (samples.labels.planes is not None) == (task == "segment")


def test_stored_images_are_those_that_are_decoded(opened):
    _, data = opened
    some = data.samples.take(np.array([3, 1, 8]))
    form = ImageSpec(height_px=10, width_px=14, channels=3, fit="pad")
    kept = open_store(some, form, name="a", location="b").gather(np.arange(3))
    assert kept.images.shape == (3, 10, 14, 3)
    for place, index in enumerate((3, 1, 8)):
        image, plane = data.samples.sources.decode(index, form)
        np.testing.assert_array_equal(kept.images[place], image.pixels)
        assert (kept.planes is None) == (plane is None)
        if kept.planes is not None:
            np.testing.assert_array_equal(kept.planes[place], plane.indices)
            assert set(plane.indices.ravel().tolist()) <= {*range(len(data.classes)), 255}


def test_every_layout_is_found_among_all_and_is_told_apart(tmp_path):
    assert set(MAKE) == set(LAYOUTS)
    for name, make in MAKE.items():
        location = str(make(tmp_path / name))
        found = [other for other, home in LAYOUTS.items() if resolve_name(home).matches(location)]
        assert name in found
        assert set(found) - {name} <= {"class_folders"}, name  # which gives way
