"""Files of joints, ours and COCO's, are read as they are meant, and what is wrong with them is said."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.datasets.joint_documents import (
    INFINITY,
    NAN,
    SKELETON,
    B,
    Document,
    change,
    in_all,
    rename,
    sample,
    without,
    write,
)
from tests.support import raises

from striate.datasets.layouts import coco, joints
from striate.errors import DataError
from striate.images.sources import ImageFiles


@pytest.fixture
def document(tmp_path: Path, picture) -> Document:
    """Make four images, and the document that a valid `joints.json` of them would hold."""
    for seed, name in enumerate("abcd"):
        picture(seed=seed).save(tmp_path / f"{name}.png")
    return {**copy.deepcopy(SKELETON), "samples": [sample(f"{name}.png") for name in "abcd"]}


def test_xyz_is_relative_to_the_root_and_uv_is_not(tmp_path, document):
    document["samples"][1]["uv"][2] = None
    document["samples"][2]["xyz"][1] = None
    del document["samples"][3]["uv"]
    document["samples"][0]["uv"][0] = [-40, 900.25]
    data = joints.read(write(tmp_path, document))
    labels = data.samples.labels
    np.testing.assert_array_equal(labels.xyz_mm[0], np.float32([[0, 0, 0], [100, 0, 0], [-100.5, 0, 0]]))
    np.testing.assert_array_equal(labels.uv_px[0], np.float32([[-40, 900.25], [15, 8.5], [10, 8]]))
    assert np.isnan(labels.uv_px[1, 2]).all()
    assert np.isnan(labels.uv_px[3]).all()
    assert np.isnan(labels.xyz_mm[2, 1]).all()
    assert labels.visible.tolist() == [[True] * 3, [True] * 3, [True, False, True], [True] * 3]
    assert (data.task, data.classes, data.mirror_safe, data.name) == ("pose", (), True, tmp_path.name)
    assert (data.skeleton.joints, data.skeleton.parents) == (("pelvis", "l_hip", "r_hip"), (-1, 0, 0))
    assert data.skeleton.mirror == ((1, 2),)
    assert labels.skeleton == data.skeleton
    assert data.samples.names == ("a.png", "b.png", "c.png", "d.png")
    assert isinstance(data.samples.images, ImageFiles)
    assert {split: chosen.tolist() for split, chosen in data.splits.items()} == {"train": [0, 1, 2, 3]}


def test_the_location_is_the_file_or_its_folder(tmp_path, document):
    write(tmp_path, document)
    other = write(tmp_path, document, "people.json")
    for location in (str(tmp_path), str(tmp_path / "joints.json"), other):
        assert joints.matches(location)
        assert not coco.matches(location)
    assert joints.read(str(tmp_path)).name == tmp_path.name
    assert joints.read(other).name == "people"


@pytest.mark.parametrize(
    "content",
    ["", "[1, 2]", "{}", '{"name": "x", "images": [], "categories": []}', '{"joints": 3}', "no JSON", '"joints"'],
)
def test_other_json_files_are_neither(tmp_path, content):
    for name in ("other.json", "other.txt"):
        location = write(tmp_path, content, name)
        assert not joints.matches(location)
        assert not coco.matches(location)


def test_what_is_not_there_matches_nothing(tmp_path):
    for location in (str(tmp_path), str(tmp_path / "nowhere.json"), "no such place"):
        assert not joints.matches(location)
        assert not coco.matches(location)


def test_without_xyz_no_unit_is_needed(tmp_path, document):
    for entry in document["samples"]:
        del entry["xyz"]
    del document["unit"], document["mirror"]
    document["samples"][0]["uv"][0] = None
    data = joints.read(write(tmp_path, document))
    assert np.isnan(data.samples.labels.xyz_mm).all()
    assert data.samples.labels.visible[:2].tolist() == [[False, True, True], [True, True, True]]
    assert not data.mirror_safe


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1), ("cm", 10), ("m", 1000)])
def test_other_units_are_taken_in_mm_and_said_to_be(tmp_path, document, capsys, unit, mm):
    for entry in document["samples"]:
        entry["xyz"] = [[value / mm for value in place] for place in entry["xyz"]]
    labels = joints.read(write(tmp_path, {**document, "unit": unit})).samples.labels
    np.testing.assert_allclose(labels.xyz_mm[:, 1], [[100, 0, 0]] * 4, rtol=1e-6)
    assert ("taken in mm" in capsys.readouterr().err) is (unit != "mm")


def test_what_is_said_to_be_visible_counts_where_it_is_known(tmp_path, document):
    document["samples"][0] |= {"visible": [1, 0, 1]}
    document["samples"][1] |= {"visible": [True, False, True]}
    document["samples"][2] |= {"visible": [1, 1, 0], "xyz": [[0, 0, 0], None, [100, 0, 0]]}
    visible = joints.read(write(tmp_path, document)).samples.labels.visible
    assert visible.tolist() == [[True, False, True], [True, False, True], [True, False, False], [True] * 3]


def test_splits_go_by_their_words(tmp_path, document):
    for entry, word in zip(document["samples"], ["train", "valid", "test", "Train"], strict=True):
        entry["split"] = word
    splits = joints.read(write(tmp_path, document)).splits
    assert {split: chosen.tolist() for split, chosen in splits.items()} == {"train": [0, 3], "val": [1], "test": [2]}


def test_what_is_not_known_is_passed_over_and_said_to_be(tmp_path, document, capsys):
    document |= {"note": "mine", "mirrors": [], "licence": "CC0"}
    document["samples"][1]["visibel"] = [0, 0, 0]
    joints.read(write(tmp_path, document))
    said = capsys.readouterr().err
    assert "passed over 'mirrors' (did you mean mirror?), 'licence'\n" in said
    assert "passed over 'visibel' (did you mean visible?)\n" in said


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (
            without("joints"),
            {"where": r"joints\.json", "what": "there is no 'joints'", "fix": "wanted: joints, parents, samples"},
        ),
        (rename("parents", "parnets"), {"what": r"there is no 'parents' \(did you mean parnets\?\)"}),
        (rename("samples", "sample"), {"what": r"there is no 'samples' \(did you mean sample\?\)"}),
        (change("samples", []), {"where": "samples", "what": "must be a list of one sample or more"}),
        (change("samples", {"a": 1}), {"where": "samples", "what": "must be a list"}),
        (change("samples.1", "b.png"), {"where": r"samples\[1\]", "what": r'is "b\.png"', "fix": "wanted: an object"}),
        (change("samples.1.image", None), {"where": r"samples\[1\]", "what": "names no image", "fix": "give"}),
        (change("samples.1", {"img": "b.png", "imag": "b.png"}), {"what": r"names no image \(did you mean imag\?\)"}),
        (change("joints", "pelvis"), {"where": "joints", "what": "must be a list of names"}),
        (change("joints.0", 7), {"where": "joints", "what": "must be a list of names"}),
        (change("joints.0", "r_hip"), {"where": "joints", "what": "must be a list of different names"}),
        (change("parents", [-1, 0]), {"where": r"joints\.json", "what": "there are 3 joints, but 2 parents"}),
        (change("parents.1", "pelvis"), {"where": "parents", "what": "must be a list of indices"}),
        (change("parents.1", True), {"where": "parents", "what": "must be a list of indices"}),
        (change("parents", [-1, 2, 1]), {"what": "the parents of l_hip lead in a loop"}),
        (change("mirror", [[1, 2]]), {"where": "mirror", "what": "must be a list of pairs of joints' names"}),
        (change("mirror", ["l_hip", "r_hip"]), {"where": "mirror", "what": "must be a list of pairs"}),
        (
            change("mirror.0.0", "left_hip"),
            {"where": "mirror", "what": r"names 'left_hip', which is none of joints \(did you mean l_hip\?"},
        ),
        (
            change("mirror", [["l_hip", "r_hip"], ["l_hip", "pelvis"]]),
            {"where": "mirror", "what": "names 'l_hip' 2 times"},
        ),
        (without("unit"), {"where": "unit", "what": "xyz needs one", "fix": "give mm, cm or m"}),
        (change("unit", "inch"), {"where": "unit", "what": "xyz needs one"}),
        (change("unit", ["mm"]), {"where": "unit", "what": "xyz needs one"}),
        (
            change("unit", "m"),
            {
                "where": "unit",
                "what": "limbs are 100,250 mm long on average, not 5 to 2,000 mm",
                "fix": "correct it: mm$",
            },
        ),
        (
            in_all(xyz=[[0, 0, 0], [0.4, 0, 0], [0, 0.4, 0]]),
            {"what": r"limbs are 0\.4 mm long on average", "fix": "correct it: m$"},
        ),
        (in_all(xyz=[[0, 0, 0]] * 3), {"what": "limbs are 0 mm long on average", "fix": "correct it$"}),
        (
            change("samples.1.xyz.2", [1, 2]),
            {"where": B, "what": r"xyz of r_hip is \[1, 2\]", "fix": "wanted: 3 finite numbers, or null"},
        ),
        (change("samples.1.xyz.2", [1, None, 3]), {"where": B, "what": r"xyz of r_hip is \[1, null, 3\]"}),
        (change("samples.1.xyz.2", 5), {"where": B, "what": "xyz of r_hip is 5$"}),
        (change("samples.1.xyz.2", "123"), {"where": B, "what": r'xyz of r_hip is "123"'}),
        (
            change("samples.1.uv.0", [True, 2]),
            {"where": B, "what": r"uv of pelvis is \[true, 2\]", "fix": "wanted: 2 finite"},
        ),
        (change("samples.1.uv.0", ["1", 2]), {"where": B, "what": r'uv of pelvis is \["1", 2\]'}),
        (change("samples.1.uv.0", [[1], [2]]), {"where": B, "what": r"uv of pelvis is \[\[1\], \[2\]\]"}),
        (change("samples.1.uv.0", {"u": 1, "v": 2}), {"where": B, "what": r"uv of pelvis is \{"}),
        (
            change("samples.1.uv.0", [NAN, 2]),
            {"where": r"joints\.json, samples\[1\] \(b\.png\)", "what": r"uv of pelvis is \[NaN, 2\]"},
        ),
        (change("samples.1.uv.0", [-INFINITY, 2]), {"where": B, "what": r"uv of pelvis is \[-Infinity, 2\]"}),
        (change("samples.1.uv.0", [10**400, 2]), {"where": B, "what": r"uv of pelvis is \[1000"}),
        (change("samples.1.uv.0", [1e300, 2]), {"where": B, "what": r"uv of pelvis is \[1e\+300, 2\]"}),
        (
            change("samples.1.xyz", [[1, 2, 3]] * 2),
            {"where": B, "what": "xyz has 2 entries", "fix": "wanted: 3, one for each of joints"},
        ),
        (change("samples.1.uv", []), {"where": B, "what": "uv has 0 entries", "fix": "wanted: 3"}),
        (change("samples.1.uv", "none"), {"where": B, "what": r'uv is "none"', "fix": "wanted: 3, one for each"}),
        (change("samples.1.visible", [1, 1]), {"where": B, "what": "visible has 2 entries"}),
        (
            change("samples.1.visible", [1, 1, 2]),
            {"where": B, "what": "visible of r_hip is 2", "fix": "wanted: 0 or 1"},
        ),
        (change("samples.1.visible", [1, None, 1]), {"where": B, "what": "visible of l_hip is null"}),
        (change("samples.1.visible", [1, [1], 1]), {"where": B, "what": r"visible of l_hip is \[1\]"}),
        (change("samples.1.visible", ["yes", 1, 1]), {"where": B, "what": r'visible of pelvis is "yes"'}),
        (
            change("samples.1.visible", [0, 0, 0]),
            {"where": B, "what": "has no joint that is visible and of known xyz", "fix": "remove"},
        ),
        (
            change("samples.1.xyz", None),
            {"where": B, "what": "has no xyz, and others have", "fix": "remove it, or the xyz of all"},
        ),
        (change("samples.1.xyz", [None] * 3), {"where": B, "what": "has no xyz, and others have"}),
        (change("samples.1.xyz.0", None), {"where": B, "what": "xyz of the root, pelvis, is not known"}),
        (
            in_all(xyz=None, uv=None),
            {"where": r"samples\[0\] \(a\.png\)", "what": "has no joint that is visible and of known xyz or uv"},
        ),
        (
            change("samples.1.split", "val"),
            {
                "where": r"samples\[0\] \(a\.png\)",
                "what": "its split is none",
                "fix": "wanted: .* all samples, or in none",
            },
        ),
        (in_all(split=1), {"where": r"samples\[0\] \(a\.png\)", "what": "its split is 1"}),
        (
            in_all(split="trian"),
            {"where": r"samples\[0\] \(a\.png\)", "what": r"'trian' is no split \(did you mean train\?\)"},
        ),
        (in_all(split="val"), {"what": "no sample is in the split train"}),
        (
            change("samples.1.image", "a.png"),
            {"where": r"samples\[1\] \(a\.png\)", "what": r"of the same image as samples\[0\] \(a\.png\)"},
        ),
        (change("samples.1.image", "./x/../a.png"), {"what": "1 of 4 images are not there"}),
        (change("samples.1.image", "x\0y"), {"what": "1 of 4 images are not there"}),
        (change("samples.1.image", "x\ud800y"), {"what": "1 of 4 images are not there"}),
        (
            change("samples.1.image", "joints.json"),
            {"where": r"joints\.json, joints\.json", "what": "no image", "fix": "take"},
        ),
    ],
)
def test_mistakes_are_named_with_a_fix(tmp_path, document, spoil, error):
    spoil(document)
    with raises(DataError, **error) as caught:
        joints.read(write(tmp_path, document))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value).replace(str(tmp_path), "")) < 240


def test_of_many_missing_images_three_are_named(tmp_path, document):
    document["samples"] += [sample(f"x{number}.png") for number in range(5)]
    with raises(
        DataError, what=r"5 of 9 images are not there: x0\.png, x1\.png, x2\.png and 2 more", fix="relative to"
    ):
        joints.read(write(tmp_path, document))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", {"where": r"joints\.json, line 1, column 1$", "what": r"damaged JSON \(Expecting value"}),
        ('{"joints": [\n "a",]}', {"where": r"line 2, column \d+", "what": r"damaged JSON"}),
        ('{"joints": ["pelvis"', {"where": "line 1, column 21", "what": "damaged JSON"}),
        ("[1]", {"what": "is no JSON object"}),
        (b'{"joints": ["H\xfcfte"]}', {"what": "is not UTF-8 text"}),
        ('{"joints": ' + "[" * 100_000, {"what": r"damaged JSON \("}),
        ('{"joints": ' + "1" * 10_000 + "}", {"what": r"damaged JSON \("}),
    ],
)
def test_damaged_json_is_named_with_its_line(tmp_path, content, error):
    location = write(tmp_path, content)
    assert joints.matches(location)
    with raises(DataError, **error):
        joints.read(location)


def test_a_mark_and_doubled_names_do_no_harm(tmp_path, document):
    text = json.dumps(document).replace('"unit"', '"unit": "m", "unit"')
    assert len(joints.read(write(tmp_path, "\ufeff" + text)).samples) == 4


def test_real_people_are_read_whole(unpacked):
    data = joints.read(str(unpacked("people3d.tar") / "people3d"))
    labels, document = data.samples.labels, json.loads(Path(data.location, "joints.json").read_text())
    assert {split: len(chosen) for split, chosen in data.splits.items()} == {"train": 2700, "val": 300}
    assert len(data.skeleton.joints) == 13
    assert data.skeleton.parents == tuple(document["parents"])
    assert (len(data.skeleton.mirror), data.mirror_safe, data.name) == (6, True, "people3d")
    given_uv = np.array([[place is not None for place in entry["uv"]] for entry in document["samples"]])
    np.testing.assert_array_equal(np.isfinite(labels.uv_px).all(axis=2), given_uv)
    np.testing.assert_array_equal(labels.visible, [entry["visible"] for entry in document["samples"]])
    assert np.isfinite(labels.xyz_mm).all()
    assert not labels.xyz_mm[:, data.skeleton.root].any()
    np.testing.assert_allclose(labels.xyz_mm, [entry["xyz"] for entry in document["samples"]], rtol=1e-6)


@given(some.lists(some.lists(some.floats(-1e6, 1e6, width=32), min_size=2, max_size=2) | some.none(), max_size=12))
def test_places_come_back_as_they_were_written(tmp_path_factory, places):
    folder = tmp_path_factory.getbasetemp()
    (folder / "p.png").write_bytes(b"BM and more")
    places = [*places, [1.0, 2.0]]
    names = [f"j{index}" for index in range(len(places))]
    document = {"joints": names, "parents": [-1] + [0] * (len(names) - 1)}
    document["samples"] = [{"image": "p.png", "uv": places}]
    labels = joints.read(write(folder, document, "p.json")).samples.labels
    assert labels.visible[0].tolist() == [place is not None for place in places]
    expected = [[np.nan] * 2 if place is None else place for place in places]
    np.testing.assert_array_equal(labels.uv_px[0], np.array(expected, dtype=np.float32))
