"""COCO's files of keypoints are read as they are meant, and what is wrong with them is said."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image
from tests.datasets.joint_documents import NAN, Document, change, rename, without, write
from tests.support import raises

from striate.datasets.layouts import coco, joints
from striate.errors import DataError, ImageError
from striate.images.crops import CroppedFiles
from striate.images.resize import ImageSpec
from striate.images.sources import ImageFiles

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


def test_people_are_cropped_with_their_joints(tmp_path, people):
    data = coco.read(write(tmp_path, people, "people.json"))
    labels, images = data.samples.labels, data.samples.images
    assert data.samples.names == ("7.png#1", "7.png#2", "8.png")
    assert images.boxes_px.tolist() == [[20, 12, 40, 50], [64, 0, 80, 38], [0, 0, 24, 20]]
    assert labels.visible.tolist() == [[True] * 3, [True, False, True], [True] * 3]
    assert np.isnan(labels.xyz_mm).all()
    for index in range(3):
        left, top, right, bottom = images.boxes_px[index].tolist()
        form = ImageSpec(height_px=bottom - top, width_px=right - left, channels=3)
        decoded = images.decode(index, form)
        assert decoded.source_size_px == (bottom - top, right - left)
        assert images.header(index).size == (right - left, bottom - top)
        fitted = labels.take(np.array([index])).resized(partial(np.array, [decoded.source_size_px]), form, images.where)
        known = fitted.uv_px[0][fitted.visible[0]]
        columns, rows = np.floor(known).astype(int).T
        np.testing.assert_array_equal(known % 1, 0.5)
        np.testing.assert_array_equal(decoded.pixels[rows, columns], np.tile(DOT, (len(known), 1)))
        assert (decoded.pixels[..., 0] > 0).sum() == len(known)


def test_a_crop_holds_all_labelled_keypoints(tmp_path, people):
    """A box is of what is seen; a hidden foot may be far below it, and one may be beyond the image."""
    first, second = people["annotations"][:2]
    first["keypoints"][3:6] = [33, 48, 1]
    second["keypoints"][3:6] = [60, 60, 1]
    boxes = coco.read(write(tmp_path, people, "people.json")).samples.images.boxes_px
    assert boxes[:2].tolist() == [[20, 12, 40, 50], [60, 0, 80, 50]]
    first["bbox"] = [22, 16, 16, 20]
    data = coco.read(write(tmp_path, people, "people.json"))
    assert data.samples.images.boxes_px[0].tolist() == [20, 13, 40, 49]
    np.testing.assert_array_equal(data.samples.labels.uv_px[0, 1], [13.5, 35.5])


def test_two_people_of_one_image_are_two_images(tmp_path, people):
    images = coco.read(write(tmp_path, people, "people.json")).samples.images
    assert isinstance(images, CroppedFiles)
    assert images.content(0).file == images.content(1).file == tmp_path / "7.png"
    assert images.content(0) != images.content(1)
    assert images.content(1) == images.take(np.array([1])).content(0)
    assert images.where(1).endswith("7.png (64,0 to 80,38)")
    grey = images.decode(1, ImageSpec(height_px=8, width_px=8, channels=1))
    assert grey.pixels.shape == (8, 8, 1)


def test_one_person_an_image_is_the_whole_image(tmp_path, people):
    people["annotations"] = people["annotations"][1:]
    data = coco.read(write(tmp_path, people, "people.json"))
    assert isinstance(data.samples.images, ImageFiles)
    assert data.samples.names == ("7.png", "8.png")
    np.testing.assert_array_equal(data.samples.labels.uv_px[0], [[70.5, 10.5], [np.nan, np.nan], [79.5, 30.5]])
    assert (data.skeleton.parents, data.skeleton.mirror, data.mirror_safe) == ((-1, 0, 1), ((1, 2),), True)


def test_crowds_and_people_without_keypoints_are_no_samples(tmp_path, people, capsys):
    people["annotations"][0]["iscrowd"] = 1
    people["annotations"].append({"id": 1, "image_id": 8, "category_id": 1, "keypoints": [0] * 9, "num_keypoints": 0})
    people["annotations"].append({"id": 2, "image_id": 8, "category_id": 2, "bbox": [1, 2, 3, 4]})
    data = coco.read(write(tmp_path, people, "people.json"))
    assert data.samples.names == ("7.png#1", "8.png#1")
    assert data.samples.images.boxes_px.tolist() == [[64, 0, 80, 38], [0, 0, 13, 16]]
    assert "passed over 2 people" in capsys.readouterr().err


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path, people):
    images = coco.read(write(tmp_path, people, "people.json")).samples.images
    Image.new("RGB", (40, 25)).save(tmp_path / "7.png")
    form = ImageSpec(height_px=8, width_px=8, channels=3)
    for attempt in (lambda: images.header(1), lambda: images.decode(1, form)):
        with raises(ImageError, where=r"7\.png", what="its 40x25 pixels do not hold the part 64,0 to 80,38"):
            attempt()
    (tmp_path / "7.png").write_bytes(b"x")
    with raises(ImageError, where=r"7\.png", what="no image"):
        images.decode(1, form)


def test_a_turned_image_is_cut_upright(tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[3, 25] = 255
    exif = Image.Exif()
    exif[274] = 6  # stored turned to the left: a quarter to the right makes it upright
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "a.png", exif=exif)
    images = CroppedFiles([tmp_path / "a.png"], np.array([[20, 0, 30, 10]]))
    decoded = images.decode(0, ImageSpec(height_px=10, width_px=10, channels=3))
    assert decoded.pixels[3, 5].tolist() == [255, 255, 255]


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
    with raises(DataError, what="keypoints of train and val differ"):
        coco.read(str(tmp_path))
    write(tmp_path, people, "annotations/person_keypoints_train2014.json")
    with raises(DataError, what=r"train2014\.json, person_keypoints_train2017\.json are all there", fix="keep one"):
        coco.read(str(tmp_path))


def test_a_folder_without_training_annotations_is_refused(tmp_path, people):
    write(tmp_path, people, "annotations/person_keypoints_val2017.json")
    with raises(DataError, what="there is no annotations/person_keypoints_train"):
        coco.read(str(tmp_path))


FIRST = r"the annotation of the id 130"


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (without("images"), {"where": r"people\.json, images", "what": "must be a list"}),
        (
            rename("categories", "category"),
            {"where": "categories", "what": r"must be a list of one object or more \(did you mean category"},
        ),
        (change("annotations", [1]), {"where": "annotations", "what": "must be a list of one object"}),
        (change("annotations", []), {"where": "annotations", "what": "must be a list of one object"}),
        (
            change("categories.0.keypoints", []),
            {"where": "categories", "what": "none has keypoints", "fix": "give COCO's annotations of keypoints"},
        ),
        (change("categories.0.keypoints", "nose"), {"what": "keypoints must be a list of names"}),
        (change("categories.0.keypoints.1", "nose"), {"what": "joints must be a list of different names"}),
        (
            change("categories.0.skeleton.1", [0, 1]),
            {"what": r"skeleton has the edge \[0, 1\]", "fix": "wanted: .* 1 to 3"},
        ),
        (change("categories.0.skeleton", 5), {"what": "skeleton has the edge 5"}),
        (
            change("categories.1", {"id": 2, "name": "person", "keypoints": ["x"]}),
            {"where": "categories", "what": r"several have keypoints \(person, person"},
        ),
        (change("categories.0.id", 5), {"what": "nobody has keypoints"}),
        (change("images.1.id", 7), {"where": "images", "what": "two have the id 7"}),
        (change("images.1.id", [7]), {"what": r"an entry has the id \[7\]", "fix": "wanted: a number"}),
        (change("images.1.file_name", None), {"what": "that of the id 8 has no file_name"}),
        (change("images.1.file_name", "x.png"), {"what": r"1 of 2 images are not there: x\.png", "fix": "relative to"}),
        (change("images.1.file_name", "people.json"), {"where": r"people\.json", "what": "no image"}),
        (change("images.1.file_name", "7.png"), {"where": "images", "what": r"two are the same file, 7\.png"}),
        (
            change("images.0.width", None),
            {"where": r"image 7\.png", "what": "width and height must be numbers of pixels"},
        ),
        (change("images.0.height", 0), {"where": r"image 7\.png", "what": "width and height"}),
        (change("annotations.0.image_id", 70), {"where": FIRST, "what": "there is no image of the id 70"}),
        (change("annotations.0.image_id", None), {"what": "an entry has the image_id None"}),
        (
            change("annotations.0.keypoints", [1, 2, 2]),
            {"where": FIRST, "what": "keypoints must be 9 finite numbers, three for each"},
        ),
        (change("annotations.0.keypoints.0", NAN), {"where": FIRST, "what": "keypoints must be 9 finite"}),
        (change("annotations.0.keypoints.0", True), {"where": FIRST, "what": "keypoints must be 9 finite"}),
        (
            change("annotations.0.keypoints.5", 3),
            {"where": FIRST, "what": "left_hip has v = 3", "fix": "wanted: 0, 1 or 2"},
        ),
        (
            change("annotations.0.bbox", None),
            {"where": FIRST, "what": "bbox is None", "fix": r"wanted: \[x, y, width, height\], in the image"},
        ),
        (change("annotations.0.bbox", [200, 5, 10, 10]), {"where": FIRST, "what": r"bbox is \[200, 5, 10, 10\]"}),
        (change("annotations.0.bbox", [20, 5, -10, 10]), {"where": FIRST, "what": "bbox is"}),
    ],
)
def test_mistakes_in_coco_files_are_named(tmp_path, people, spoil, error):
    spoil(people)
    with raises(DataError, **error) as caught:
        coco.read(write(tmp_path, people, "people.json"))
    assert len(str(caught.value).splitlines()) == 1


def test_a_coco_file_is_told_by_its_keys_however_late_they_come(tmp_path, people):
    people["images"] += [{"id": number, "file_name": f"{number}.png"} for number in range(100, 4000)]
    location = write(tmp_path, people, "people.json")
    assert coco.matches(location)
    assert not joints.matches(location)


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
