"""Files of joints, ours and COCO's, are read as they are meant, and what is wrong with them is said."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from striate.data.fitting import Form
from striate.data.pictures import ImageFiles
from striate.data.sources import coco, joints
from striate.data.sources._people import CroppedFiles
from striate.errors import DataError, ImageError

Document = dict[str, Any]
Spoil = Callable[[Document], Any]

SKELETON: Document = {
    "joints": ["pelvis", "l_hip", "r_hip"],
    "parents": [-1, 0, 0],
    "mirror": [["l_hip", "r_hip"]],
    "unit": "mm",
}


def sample(name: str, **more: Any) -> Document:
    xyz = [[10.0, 20, 3000], [110.0, 20, 3000], [-90.5, 20, 3000]]
    return {"image": name, "xyz": xyz, "uv": [[12.5, 8], [15, 8.5], [10, 8]], **more}


@pytest.fixture
def document(tmp_path: Path, picture) -> Document:
    """Make four pictures, and the document that a valid `joints.json` of them would hold."""
    for seed, name in enumerate("abcd"):
        picture(seed=seed).save(tmp_path / f"{name}.png")
    return {**copy.deepcopy(SKELETON), "samples": [sample(f"{name}.png") for name in "abcd"]}


def write(folder: Path, document: Document | str | bytes, name: str = "joints.json") -> str:
    text = json.dumps(document) if isinstance(document, dict) else document
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder / name)


def test_joints_are_read_relative_to_the_root_and_places_as_they_are(tmp_path, document):
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
    assert isinstance(data.samples.pictures, ImageFiles)
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


def test_without_xyz_the_data_are_in_the_image_alone_and_need_no_unit(tmp_path, document):
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


def change(path: str, value: Any) -> Spoil:
    """Return what sets the value at a path such as `samples.0.uv`."""
    *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]

    def spoil(document: Document) -> None:
        place: Any = document
        for step in way:
            place = place[step]
        place[last] = value

    return spoil


def without(*keys: str) -> Spoil:
    return lambda document: [document.pop(key) for key in keys]


def rename(old: str, new: str) -> Spoil:
    return lambda document: document.update({new: document.pop(old)})


def in_all(**more: Any) -> Spoil:
    return lambda document: [entry.update(copy.deepcopy(more)) for entry in document["samples"]]


NAN, INFINITY = float("nan"), float("inf")
B = r"samples\[1\] \(b\.png\)"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("joints"), r"joints\.json: there is no 'joints'; wanted: joints, parents, samples"),
        (rename("parents", "parnets"), r"there is no 'parents' \(did you mean parnets\?\)"),
        (rename("samples", "sample"), r"there is no 'samples' \(did you mean sample\?\)"),
        (change("samples", []), r"samples must be a list of one sample or more"),
        (change("samples", {"a": 1}), r"samples must be a list"),
        (change("samples.1", "b.png"), r"samples\[1\] is \"b\.png\"; wanted: an object"),
        (change("samples.1.image", None), r"samples\[1\] names no image; give"),
        (change("samples.1", {"img": "b.png", "imag": "b.png"}), r"names no image \(did you mean imag\?\)"),
        (change("joints", "pelvis"), r"joints must be a list of names"),
        (change("joints.0", 7), r"joints must be a list of names"),
        (change("joints.0", "r_hip"), r"joints must be a list of different names"),
        (change("parents", [-1, 0]), r"joints\.json: there are 3 joints, but 2 parents"),
        (change("parents.1", "pelvis"), r"parents must be a list of indices"),
        (change("parents.1", True), r"parents must be a list of indices"),
        (change("parents", [-1, 2, 1]), r"the parents of l_hip lead in a loop"),
        (change("mirror", [[1, 2]]), r"mirror must be a list of pairs of joints' names"),
        (change("mirror", ["l_hip", "r_hip"]), r"mirror must be a list of pairs"),
        (change("mirror.0.0", "left_hip"), r"mirror names 'left_hip', which is none of joints \(did you mean l_hip\?"),
        (change("mirror", [["l_hip", "r_hip"], ["l_hip", "pelvis"]]), r"mirror names 'l_hip' 2 times"),
        (without("unit"), r'xyz needs a "unit": one of mm, cm and m'),
        (change("unit", "inch"), r'xyz needs a "unit"'),
        (change("unit", ["mm"]), r'xyz needs a "unit"'),
        (change("unit", "m"), r"limbs are 100,250 mm long on average; is the unit mm\? Wanted: 5 to 2,000 mm"),
        (in_all(xyz=[[0, 0, 0], [0.4, 0, 0], [0, 0.4, 0]]), r"limbs are 0\.4 mm long on average; is the unit m\?"),
        (in_all(xyz=[[0, 0, 0]] * 3), r"limbs are 0 mm long on average; which unit is it\?"),
        (change("samples.1.xyz.2", [1, 2]), B + r": xyz of r_hip is \[1, 2\]; wanted: 3 finite numbers, or null"),
        (change("samples.1.xyz.2", [1, None, 3]), B + r": xyz of r_hip is \[1, null, 3\]"),
        (change("samples.1.xyz.2", 5), B + r": xyz of r_hip is 5;"),
        (change("samples.1.xyz.2", "123"), B + r": xyz of r_hip is \"123\""),
        (change("samples.1.uv.0", [True, 2]), B + r": uv of pelvis is \[true, 2\]; wanted: 2 finite"),
        (change("samples.1.uv.0", ["1", 2]), B + r": uv of pelvis is \[\"1\", 2\]"),
        (change("samples.1.uv.0", [[1], [2]]), B + r": uv of pelvis is \[\[1\], \[2\]\]"),
        (change("samples.1.uv.0", {"u": 1, "v": 2}), B + r": uv of pelvis is \{"),
        (change("samples.1.uv.0", [NAN, 2]), r"joints\.json: " + B + r": uv of pelvis is \[NaN, 2\]"),
        (change("samples.1.uv.0", [-INFINITY, 2]), B + r": uv of pelvis is \[-Infinity, 2\]"),
        (change("samples.1.uv.0", [10**400, 2]), B + r": uv of pelvis is \[1000"),
        (change("samples.1.uv.0", [1e300, 2]), B + r": uv of pelvis is \[1e\+300, 2\]"),
        (change("samples.1.xyz", [[1, 2, 3]] * 2), B + r": xyz has 2 entries; wanted: 3, one for each of joints"),
        (change("samples.1.uv", []), B + r": uv has 0 entries; wanted: 3"),
        (change("samples.1.uv", "none"), B + r": uv is \"none\"; wanted: 3, one for each"),
        (change("samples.1.visible", [1, 1]), B + r": visible has 2 entries"),
        (change("samples.1.visible", [1, 1, 2]), B + r": visible of r_hip is 2; wanted: 0 or 1"),
        (change("samples.1.visible", [1, None, 1]), B + r": visible of l_hip is null"),
        (change("samples.1.visible", [1, [1], 1]), B + r": visible of l_hip is \[1\]"),
        (change("samples.1.visible", ["yes", 1, 1]), B + r": visible of pelvis is \"yes\""),
        (change("samples.1.visible", [0, 0, 0]), B + r" has no joint that is visible and of known xyz; remove"),
        (change("samples.1.xyz", None), B + r" has no xyz, and others have; remove it, or the xyz of all"),
        (change("samples.1.xyz", [None] * 3), B + r" has no xyz, and others have"),
        (change("samples.1.xyz.0", None), B + r": xyz of the root, pelvis, is not known"),
        (in_all(xyz=None, uv=None), r"samples\[0\] \(a\.png\) has no joint that is visible and of known xyz or uv"),
        (
            change("samples.1.split", "val"),
            r"samples\[0\] \(a\.png\): its split is none; wanted: .* all samples, or none",
        ),
        (in_all(split=1), r"samples\[0\] \(a\.png\): its split is 1"),
        (in_all(split="trian"), r"samples\[0\] \(a\.png\): 'trian' is no split \(did you mean train\?\)"),
        (in_all(split="val"), r"no sample is in the split train"),
        (change("samples.1.image", "a.png"), r"samples\[0\] \(a\.png\) and samples\[1\] \(a\.png\) are of one image"),
        (change("samples.1.image", "./x/../a.png"), r"1 of 4 images are not there"),
        (change("samples.1.image", "x\0y"), r"1 of 4 images are not there"),
        (change("samples.1.image", "x\ud800y"), r"1 of 4 images are not there"),
        (change("samples.1.image", "joints.json"), r"joints\.json: joints\.json: no image; take"),
    ],
)
def test_what_is_wrong_is_named_with_the_way_out(tmp_path, document, spoil, message):
    spoil(document)
    with pytest.raises(DataError, match=message) as caught:
        joints.read(write(tmp_path, document))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value).replace(str(tmp_path), "")) < 240


def test_of_many_missing_images_three_are_named(tmp_path, document):
    document["samples"] += [sample(f"x{number}.png") for number in range(5)]
    with pytest.raises(DataError, match=r"5 of 9 images are not there: x0\.png, x1\.png, x2\.png and 2 more\. Paths"):
        joints.read(write(tmp_path, document))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"joints\.json: damaged JSON in line 1, column 1: Expecting value"),
        ('{"joints": [\n "a",]}', r"damaged JSON in line 2, column \d+: "),
        ('{"joints": ["pelvis"', r"damaged JSON in line 1, column 21"),
        ("[1]", r"wanted: a JSON object"),
        (b'{"joints": ["H\xfcfte"]}', r"is not UTF-8 text"),
        ('{"joints": ' + "[" * 100_000, r"damaged JSON \("),
        ('{"joints": ' + "1" * 10_000 + "}", r"damaged JSON \("),
    ],
)
def test_damaged_json_is_said_to_be_with_its_place(tmp_path, content, message):
    location = write(tmp_path, content)
    assert joints.matches(location)
    with pytest.raises(DataError, match=message):
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


# COCO

DOT = np.array([255, 0, 0])


def person(image: int, points: list[tuple[int, int, int]], bbox: list[float], **more: Any) -> Document:
    keypoints = [value for point in points for value in point]
    return {"id": 100 + points[0][0], "image_id": image, "category_id": 1, "keypoints": keypoints, "bbox": bbox, **more}


@pytest.fixture
def people(tmp_path: Path) -> Document:
    """Draw two people into one image and one into another, a red dot for each keypoint; return their document."""
    annotations = [
        person(7, [(30, 20, 2), (34, 41, 1), (26, 40, 2)], [22, 16, 16, 30]),
        person(7, [(70, 10, 2), (0, 0, 0), (79, 30, 2)], [66, 3, 14, 31]),
        person(8, [(5, 6, 2), (9, 12, 2), (2, 11, 2)], [1, 2, 10, 12]),
    ]
    for image, size in ((7, (80, 50)), (8, (24, 20))):
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        for entry in annotations:
            for x, y, v in np.reshape(entry["keypoints"], (3, 3)):
                if entry["image_id"] == image and v:
                    pixels[y, x] = DOT
        Image.fromarray(pixels).save(tmp_path / f"{image}.png")
    return {
        "images": [
            {"id": 7, "file_name": "7.png", "width": 80, "height": 50},
            {"id": 8, "file_name": "8.png", "width": 24, "height": 20},
            {"id": 9, "file_name": "not there, and nobody on it.png", "width": 24, "height": 20},
        ],
        "annotations": annotations,
        "categories": [
            {"id": 1, "name": "person", "keypoints": ["nose", "left_hip", "right_hip"], "skeleton": [[2, 3], [1, 2]]},
            {"id": 2, "name": "dog"},
        ],
    }


def test_people_of_one_image_are_cut_out_and_their_joints_fall_on_the_right_pixels(tmp_path, people):
    data = coco.read(write(tmp_path, people, "people.json"))
    labels, pictures = data.samples.labels, data.samples.pictures
    assert data.samples.names == ("7.png#1", "7.png#2", "8.png")
    assert pictures.boxes_px.tolist() == [[20, 12, 40, 50], [64, 0, 80, 38], [0, 0, 24, 20]]
    assert labels.visible.tolist() == [[True] * 3, [True, False, True], [True] * 3]
    assert np.isnan(labels.xyz_mm).all()
    for index in range(3):
        left, top, right, bottom = pictures.boxes_px[index].tolist()
        form = Form(height_px=bottom - top, width_px=right - left, channels=3)
        decoded = pictures.decode(index, form)
        assert decoded.source_size_px == (bottom - top, right - left)
        assert pictures.header(index).size == (right - left, bottom - top)
        fitted = labels.take(np.array([index])).fitted(np.array([decoded.source_size_px]), form)
        known = fitted.uv_px[0][fitted.visible[0]]
        columns, rows = np.floor(known).astype(int).T
        np.testing.assert_array_equal(known % 1, 0.5)
        np.testing.assert_array_equal(decoded.image[rows, columns], np.tile(DOT, (len(known), 1)))
        assert (decoded.image[..., 0] > 0).sum() == len(known)


def test_two_people_of_one_image_are_two_pictures(tmp_path, people):
    pictures = coco.read(write(tmp_path, people, "people.json")).samples.pictures
    assert isinstance(pictures, CroppedFiles)
    assert pictures.files(0) == ()
    assert pictures.content(0) != pictures.content(1)
    assert pictures.content(1) == pictures.take(np.array([1])).content(0)
    assert pictures.where(1).endswith("7.png (64,0 to 80,38)")
    grey = pictures.decode(1, Form(height_px=8, width_px=8, channels=1))
    assert grey.image.shape == (8, 8, 1)


def test_one_person_an_image_is_the_whole_image(tmp_path, people):
    people["annotations"] = people["annotations"][1:]
    data = coco.read(write(tmp_path, people, "people.json"))
    assert isinstance(data.samples.pictures, ImageFiles)
    assert data.samples.names == ("7.png", "8.png")
    np.testing.assert_array_equal(data.samples.labels.uv_px[0], [[70.5, 10.5], [np.nan, np.nan], [79.5, 30.5]])
    assert (data.skeleton.parents, data.skeleton.mirror, data.mirror_safe) == ((-1, 0, 1), ((1, 2),), True)


def test_crowds_and_people_without_keypoints_are_no_samples_but_others_are_cut_out_beside_them(
    tmp_path, people, capsys
):
    people["annotations"][0]["iscrowd"] = 1
    people["annotations"].append({"id": 1, "image_id": 8, "category_id": 1, "keypoints": [0] * 9, "num_keypoints": 0})
    people["annotations"].append({"id": 2, "image_id": 8, "category_id": 2, "bbox": [1, 2, 3, 4]})
    data = coco.read(write(tmp_path, people, "people.json"))
    assert data.samples.names == ("7.png#1", "8.png#1")
    assert data.samples.pictures.boxes_px.tolist() == [[64, 0, 80, 38], [0, 0, 13, 16]]
    assert "passed over 2 people" in capsys.readouterr().err


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path, people):
    pictures = coco.read(write(tmp_path, people, "people.json")).samples.pictures
    Image.new("RGB", (40, 25)).save(tmp_path / "7.png")
    form = Form(height_px=8, width_px=8, channels=3)
    for attempt in (lambda: pictures.header(1), lambda: pictures.decode(1, form)):
        with pytest.raises(ImageError, match=r"7\.png: its 40x25 pixels do not hold the part 64,0 to 80,38; wanted"):
            attempt()
    (tmp_path / "7.png").write_bytes(b"x")
    with pytest.raises(ImageError, match=r"7\.png: no image"):
        pictures.decode(1, form)


def test_a_turned_image_is_cut_upright(tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[3, 25] = 255
    exif = Image.Exif()
    exif[274] = 6  # stored turned to the left: a quarter to the right makes it upright
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "a.png", exif=exif)
    pictures = CroppedFiles([tmp_path / "a.png"], np.array([[20, 0, 30, 10]]))
    decoded = pictures.decode(0, Form(height_px=10, width_px=10, channels=3))
    assert decoded.image[3, 5].tolist() == [255, 255, 255]


@pytest.mark.parametrize("homes", [("train2017", "val2017"), ("images/train2017", "images/val2017"), ("images",) * 2])
def test_a_folder_as_coco_lays_it_out_has_its_splits(tmp_path, people, homes):
    write(tmp_path, people, "annotations/person_keypoints_train2017.json")
    val = copy.deepcopy(people)
    val["annotations"], val["images"] = val["annotations"][2:], [{**val["images"][1], "file_name": "v.png"}]
    write(tmp_path, val, "annotations/person_keypoints_val2017.json")
    for home in homes:
        (tmp_path / home).mkdir(parents=True, exist_ok=True)
    for name in ("7.png", "8.png"):
        (tmp_path / homes[0] / name).write_bytes((tmp_path / name).read_bytes())
    (tmp_path / homes[1] / "v.png").write_bytes((tmp_path / "8.png").read_bytes())
    assert coco.matches(str(tmp_path))
    assert not joints.matches(str(tmp_path))
    data = coco.read(str(tmp_path))
    assert {split: chosen.tolist() for split, chosen in data.splits.items()} == {"train": [0, 1, 2], "val": [3]}
    assert data.samples.names == (
        *(f"{homes[0]}/{name}" for name in ("7.png#1", "7.png#2", "8.png")),
        f"{homes[1]}/v.png",
    )
    assert data.name == tmp_path.name
    val["categories"][0]["keypoints"] = ["a", "b", "c"]
    write(tmp_path, val, "annotations/person_keypoints_val2017.json")
    with pytest.raises(DataError, match="keypoints of train and val differ"):
        coco.read(str(tmp_path))
    write(tmp_path, people, "annotations/person_keypoints_train2014.json")
    with pytest.raises(DataError, match=r"train2014\.json, person_keypoints_train2017\.json are all there; keep one"):
        coco.read(str(tmp_path))


def test_a_folder_without_training_annotations_is_refused(tmp_path, people):
    write(tmp_path, people, "annotations/person_keypoints_val2017.json")
    with pytest.raises(DataError, match="there is no annotations/person_keypoints_train"):
        coco.read(str(tmp_path))


FIRST = r"the annotation of the id 130"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("images"), r"people\.json: 'images' must be a list"),
        (
            rename("categories", "category"),
            r"'categories' must be a list of one object or more \(did you mean category",
        ),
        (change("annotations", [1]), r"'annotations' must be a list of one object"),
        (change("annotations", []), r"'annotations' must be a list of one object"),
        (change("categories.0.keypoints", []), r"no category has keypoints; wanted: COCO's annotations of keypoints"),
        (change("categories.0.keypoints", "nose"), r"keypoints must be a list of names"),
        (change("categories.0.keypoints.1", "nose"), r"joints must be a list of different names"),
        (change("categories.0.skeleton.1", [0, 1]), r"skeleton has the edge \[0, 1\]; wanted: .* 1 to 3"),
        (change("categories.0.skeleton", 5), r"skeleton has the edge 5"),
        (
            change("categories.1", {"id": 2, "name": "person", "keypoints": ["x"]}),
            r"several categories .*person, person",
        ),
        (change("categories.0.id", 5), r"nobody in it has keypoints"),
        (change("images.1.id", 7), r"two images have the id 7"),
        (change("images.1.id", [7]), r"an entry has the id \[7\]; wanted: a number"),
        (change("images.1.file_name", None), r"the image of the id 8 has no file_name"),
        (change("images.1.file_name", "x.png"), r"1 of 2 images are not there: x\.png\. Paths are relative to"),
        (change("images.1.file_name", "people.json"), r"people\.json: no image"),
        (change("images.1.file_name", "7.png"), r"two images are the same file, 7\.png"),
        (change("images.0.width", None), r"image 7\.png: width and height must be numbers of pixels"),
        (change("images.0.height", 0), r"image 7\.png: width and height"),
        (change("annotations.0.image_id", 70), FIRST + r": there is no image of the id 70"),
        (change("annotations.0.image_id", None), r"an entry has the image_id None"),
        (change("annotations.0.keypoints", [1, 2, 2]), FIRST + r": keypoints must be 9 finite numbers, three for each"),
        (change("annotations.0.keypoints.0", NAN), FIRST + r": keypoints must be 9 finite"),
        (change("annotations.0.keypoints.0", True), FIRST + r": keypoints must be 9 finite"),
        (change("annotations.0.keypoints.5", 3), FIRST + r": left_hip has v = 3; wanted: 0, 1 or 2"),
        (change("annotations.0.bbox", None), FIRST + r": bbox is None; wanted: \[x, y, width, height\], in the image"),
        (change("annotations.0.bbox", [200, 5, 10, 10]), FIRST + r": bbox is \[200, 5, 10, 10\]"),
        (change("annotations.0.bbox", [20, 5, -10, 10]), FIRST + r": bbox is"),
    ],
)
def test_what_is_wrong_with_coco_is_named_with_the_way_out(tmp_path, people, spoil, message):
    spoil(people)
    with pytest.raises(DataError, match=message) as caught:
        coco.read(write(tmp_path, people, "people.json"))
    assert len(str(caught.value).splitlines()) == 1


def test_a_coco_file_is_told_by_its_keys_however_late_they_come(tmp_path, people):
    people["images"] += [{"id": number, "file_name": f"{number}.png"} for number in range(100, 4000)]
    location = write(tmp_path, people, "people.json")
    assert coco.matches(location)
    assert not joints.matches(location)


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "left_eye", "right_eye"], ((1, 2),)),
        (["r_hip", "l_hip", "L_knee", "R_knee"], ((1, 0), (2, 3))),
        (["RightHand", "LeftHand", "upperarm_left", "upperarm_right"], ((1, 0), (2, 3))),
        (["knee.L", "knee.R", "eye l", "eye r", "left_over", "cleft"], ((0, 1), (2, 3))),
        (["head", "tail", "l_fin"], ()),
    ],
)
def test_left_and_right_are_told_by_names(names, pairs):
    assert coco.mirror_pairs(names) == pairs


@given(
    count=some.integers(1, 9),
    edges=some.lists(some.tuples(some.integers(0, 8), some.integers(0, 8)), max_size=20),
)
def test_any_edges_give_a_tree(count, edges):
    edges = [edge for edge in edges if max(edge) < count]
    parents = coco.spanning_tree(count, edges)
    assert parents[0] == -1
    undirected = {frozenset(edge) for edge in edges}
    reached, grown = {0}, True
    while grown:
        more = {joint for edge in undirected if edge & reached for joint in edge} - reached
        reached, grown = reached | more, bool(more)
    for joint in range(1, count):
        assert parents[joint] == 0 or frozenset((joint, parents[joint])) in undirected
        assert joint in reached or parents[joint] == 0
        way = [joint]
        while way[-1] != 0:
            way.append(parents[way[-1]])
            assert len(way) <= count


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
