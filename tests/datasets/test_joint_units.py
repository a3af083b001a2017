"""One unit for all of a file: others are found by what they say, or by how long limbs are."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.datasets.joint_documents import SKELETON, Document, Spoil, write
from tests.support import raises

from striate.datasets.layouts import joints
from striate.errors import DataError


@pytest.fixture
def document(tmp_path: Path, picture) -> Document:
    """Make six images of people who differ in size, as adults and children do."""
    picture(seed=0).save(tmp_path / "0.png")
    samples = []
    for index, size in enumerate((1, 0.9, 1.1, 0.5, 0.45, 1.2)):
        picture(seed=index).save(tmp_path / f"{index}.png")
        xyz = (size * np.array([[10, 20, 3000], [130, 20, 3000], [-90, 20, 3050]])).tolist()
        samples.append({"image": f"{index}.png", "xyz": xyz, "uv": [[12.5, 8], [15, 8.5], [10, 8]]})
    return {**copy.deepcopy(SKELETON), "samples": samples}


def scaled(factor: float, *places: int, fewer: int = 6) -> Spoil:
    def spoil(document: Document) -> None:
        document["samples"] = document["samples"][:fewer]
        for place in places:
            entry = document["samples"][place]
            entry["xyz"] = (factor * np.array(entry["xyz"])).tolist()

    return spoil


def test_grown_ups_and_children_are_of_one_unit(tmp_path, document):
    assert len(joints.read(write(tmp_path, document)).samples) == 6


@pytest.mark.parametrize("unit", ["mm", "cm", "m"])
@pytest.mark.parametrize(("places", "fewer"), [((2,), 6), ((2,), 3), ((3, 4), 6), ((0, 2, 4), 6)])
@pytest.mark.parametrize("other", ["mm", "cm", "m"])
def test_samples_in_another_unit_are_named(tmp_path, document, unit, other, places, fewer):
    mm = {"mm": 1, "cm": 10, "m": 1000}
    scaled(1 / mm[unit], *range(6))(document)
    scaled(mm[unit] / mm[other], *places, fewer=fewer)(document)
    document["unit"] = unit
    location = write(tmp_path, document)
    if unit == other:
        joints.read(location)
        return
    with raises(DataError, where=r"joints.json, samples\[\d\] \(\d.png\)", what=f"looks like {other}, not {unit}"):
        joints.read(location)


def test_of_two_samples_none_is_the_odd_one(tmp_path, document):
    scaled(0.1, 1, fewer=2)(document)
    assert len(joints.read(write(tmp_path, document)).samples) == 2


def test_joints_that_are_not_visible_have_no_unit(tmp_path, document):
    scaled(0.1, 2)(document)
    document["samples"][2]["visible"] = [1, 0, 0]
    assert joints.read(write(tmp_path, document)).samples.labels.visible[2].tolist() == [True, False, False]


@pytest.mark.parametrize(("said", "unit"), [("cm", "mm"), ("mm", None), (1, "mm")])
def test_a_sample_that_names_another_unit_is_refused(tmp_path, document, said: Any, unit, capsys):
    document["samples"][1]["unit"] = unit
    document |= {"unit": unit}
    document["samples"][3]["unit"] = said
    document["samples"][1].pop("unit") if unit is None else None
    with raises(DataError, where=r"samples\[3\] \(3.png\)", what="its unit is", fix="use one unit for all"):
        joints.read(write(tmp_path, document))
    document["samples"][3].pop("unit")
    document["unit"] = "mm"
    joints.read(write(tmp_path, document))
    assert "passed over" not in capsys.readouterr().err


def test_fractions_are_refused_as_pixels(tmp_path, document):
    for entry in document["samples"]:
        entry["uv"] = [[u / 20, v / 10] for u, v in entry["uv"]]
    document["samples"][1]["uv"][1] = [1.2, -0.1]  # just off its image
    with raises(DataError, what="uv is not above 1: .* fractions of the image's sides", fix="give uv in pixels"):
        joints.read(write(tmp_path, document))
    document["samples"][0]["uv"][0] = [12.5, 8]
    joints.read(write(tmp_path, document))


def test_one_joint_alone_is_relative_to_nothing(tmp_path, document):
    for entry in document["samples"]:
        entry["xyz"], entry["uv"] = entry["xyz"][:1], entry["uv"][:1]
    document |= {"joints": ["head"], "parents": [-1], "mirror": []}
    with raises(DataError, where="joints", what="xyz is relative to the root", fix="give two joints or more"):
        joints.read(write(tmp_path, document))
    flat = json.loads(json.dumps(document))
    for entry in flat["samples"]:
        del entry["xyz"]
    assert joints.read(write(tmp_path, flat)).skeleton.unit == "px"
