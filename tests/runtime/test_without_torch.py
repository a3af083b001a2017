"""What a shipped network needs runs where torch cannot be imported."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import striate.cache
import striate.datasets
import striate.images
import striate.runtime
import striate.system

ROOMS = (striate.cache, striate.datasets, striate.images, striate.runtime, striate.system)
MODULES = [
    *("geometry", "errors", "tasks", "tasks.task", "tasks.spec", "tasks.figures", "tasks.vocabulary", "tasks.skeleton"),
    *(f"tasks.{task}.{part}" for task in ("classification", "segmentation", "pose") for part in ("spec", "options")),
]
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
"""
DECODE = """
import numpy as np
from striate.tasks import create_task
from striate.tasks.skeleton import Skeleton
from striate.tasks.spec import Origin, PredictOptions, TargetStatistics
from striate.tasks.vocabulary import Vocabulary

origin = Origin(source_px=(9, 7), image_px=(6, 5), scale=(0.7, 0.7), offset=(0.0, 0.0))
known = {"visible": [3, 3], "placed": [3, 3], "mean_uv": [[0.0, 0.0]] * 2, "deviation_uv": [1.0, 1.0]}
skeleton = Skeleton(joints=("root", "hand"), parents=(-1, 0), unit="px")
vocabulary = Vocabulary(classes=("a", "b"), skeleton=skeleton)
for name, outputs, summary in (
    ("classify", np.array([[0.0, 9.0]], np.float32), "b 100%"),
    ("segment", np.stack([np.zeros((6, 5)), np.ones((6, 5))])[None].astype(np.float32), "b"),
    ("pose", np.zeros((1, 4), np.float32), "2 joints"),
):
    spec = create_task(name, vocabulary, TargetStatistics(known)).spec
    (prediction,) = spec.decode(outputs, [origin], PredictOptions())
    assert prediction.summary() == summary, (name, prediction.summary())
    assert prediction.document() and prediction.rows() is not None
    prediction.overlay(np.zeros((9, 7, 3), np.uint8))
"""


def run_blocked(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def names() -> list[str]:
    """Every module of the rooms that are to do without torch."""
    found = [
        module.name for room in ROOMS for module in pkgutil.walk_packages(room.__path__, prefix=f"{room.__name__}.")
    ]
    return [*found, *(f"striate.{name}" for name in MODULES)]


def test_rooms_without_torch_import_none(names):
    assert len(names) > 50
    run_blocked("\n".join(f"import {name}" for name in names))


def test_every_task_decodes_without_torch():
    run_blocked(DECODE)


def test_the_block_does_block():
    with pytest.raises(AssertionError, match="torch is blocked"):
        run_blocked("import striate.tasks.classification.training")
