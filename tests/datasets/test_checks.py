"""`striate check` says all that is wrong with data in one pass, and changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support import raises

from striate.cli import main
from striate.datasets import open_data
from striate.datasets.checks.problem import KINDS, Problem
from striate.datasets.checks.report import CheckReport, check_data, check_labels, contradictions
from striate.datasets.labels import ClassLabels
from striate.errors import DataError

JOINTS = ["pelvis", "l_hip", "r_hip", "l_knee", "r_knee", "l_shoulder", "r_shoulder"]
PARENTS = [-1, 0, 0, 1, 2, 0, 0]
MIRROR = [["l_hip", "r_hip"], ["l_knee", "r_knee"], ["l_shoulder", "r_shoulder"]]
STANDING = np.array(
    [[0, 0, 0], [120, 20, 0], [-120, 20, 0], [140, 420, 30], [-130, 400, -60], [180, -450, 0], [-180, -450, 10]], float
)


@pytest.fixture
def splits(tmp_path: Path, picture) -> Path:
    """Class folders in splits, with nothing wrong."""
    for split, images in {"train": 6, "val": 3}.items():
        for place, name in enumerate(("ant", "bee")):
            folder = tmp_path / "insects" / split / name
            folder.mkdir(parents=True)
            for index in range(images):
                picture((200, 40 * place, 40), seed=1000 * place + index + 100 * (split == "val")).save(
                    folder / f"{index}.png"
                )
    return tmp_path / "insects"


@pytest.fixture
def masked(tmp_path: Path, picture) -> Path:
    """Images with masks, with nothing wrong."""
    root = tmp_path / "street"
    for split, images in {"train": 4, "val": 2}.items():
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for index in range(images):
            picture(seed=index + 100 * (split == "val")).save(root / "images" / split / f"{index}.png")
            save_mask(root / "masks" / split / f"{index}.png", [0, 1, 2, 255])
    (root / "classes.txt").write_text("road\ncar\ntree\n")
    return root


def save_mask(path: Path, values: list[int], size: tuple[int, int] = (24, 20)) -> None:
    pixels = np.resize(np.array(values, dtype=np.uint8), (size[1], size[0]))
    Image.fromarray(pixels).save(path)


@pytest.fixture
def people(tmp_path: Path, picture) -> Callable[..., Path]:
    """A `joints.json` of twelve people, who stand a little differently, and what a function does to it."""

    def make(spoil: Callable[[dict[str, Any]], None] = lambda document: None) -> Path:
        root = tmp_path / "people"
        root.mkdir()
        samples = []
        for index in range(12):
            picture(seed=index, size=(100, 120)).save(root / f"{index}.png")
            xyz = STANDING * (0.9 + 0.02 * index)
            uv = 50 + 0.08 * xyz[:, :2] + [0, 10]
            samples.append(
                {
                    "image": f"{index}.png",
                    "split": "train" if index < 9 else "val",
                    "xyz": xyz.tolist(),
                    "uv": uv.tolist(),
                    "visible": [1] * len(JOINTS),
                }
            )
        document = {"joints": JOINTS, "parents": PARENTS, "mirror": MIRROR, "unit": "mm", "samples": samples}
        spoil(document)
        (root / "joints.json").write_text(json.dumps(document))
        return root

    return make


def found(report: CheckReport, kind: str) -> list[Problem]:
    return [problem for problem in report.problems if problem.kind == kind]


def only(report: CheckReport, kind: str) -> Problem:
    assert [problem.kind for problem in report.problems] == [kind], report.problems
    return report.problems[0]


# ---- nothing wrong ---------------------------------------------------------------------------------------------------


def test_clean_class_folders_are_ok(splits, capsys):
    report = check_data(splits)
    assert report.ok
    assert report.problems == ()
    assert report.summary["splits"] == {"train": 12, "val": 6}
    assert report.summary["classes"] == [
        {"class": "ant", "train": 6, "val": 3},
        {"class": "bee", "train": 6, "val": 3},
    ]
    assert report.summary["sizes_px"]["height"] == {"min": 20, "median": 20, "max": 20}
    assert report.summary["formats"] == {"PNG": 18}
    assert main(["check", str(splits)]) == 0
    assert capsys.readouterr().out.endswith("no problems\n")


def test_clean_masks_are_ok(masked):
    report = check_data(masked)
    assert report.problems == ()
    assert [row["class"] for row in report.summary["classes"]] == ["road", "car", "tree"]
    assert report.summary["classes"][0]["train"] == 4 * 120


def test_clean_joints_are_ok(people):
    assert check_data(people()).problems == ()


def test_a_clean_table_is_ok(splits):
    rows = [f"{path.relative_to(splits)},{path.parent.name}" for path in sorted(splits.glob("*/*/*.png"))]
    (splits / "labels.csv").write_text("\n".join(["image,label", *rows]))
    assert check_data(splits / "labels.csv").problems == ()


def test_clean_keypoints_of_several_people_an_image_are_ok(tmp_path, picture):
    for image in (1, 2):
        picture(size=(200, 120), seed=image).save(tmp_path / f"pair{image}.png")
    keypoints = {"keypoints": ["nose", "left_eye", "right_eye"], "skeleton": [[1, 2], [1, 3]]}
    people = [
        {
            "id": number,
            "image_id": image,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [left, 20, 60, 80],
            "num_keypoints": 3,
        }
        | {"keypoints": [left + 30, 40 + number, 2, left + 40, 35, 2, left + 20, 35, 2]}
        for number, (image, left) in enumerate((image, left) for image in (1, 2) for left in (10, 110))
    ]
    document = {
        "images": [{"id": n, "file_name": f"pair{n}.png", "width": 200, "height": 120} for n in (1, 2)],
        "categories": [{"id": 1, "name": "person", **keypoints}],
        "annotations": people,
    }
    (tmp_path / "keypoints.json").write_text(json.dumps(document))
    report = check_data(tmp_path / "keypoints.json")
    assert report.ok
    assert {problem.kind for problem in report.problems} <= {"near-leak"}


@pytest.mark.parametrize("task", ["pose", "segment"])
def test_figures_are_ok(task):
    assert check_data("figures:12", task=task).problems == ()


# ---- files -----------------------------------------------------------------------------------------------------------


def test_all_damaged_files_are_listed_and_the_rest_is_checked(splits):
    paths = [splits / "train" / "ant" / "0.png", splits / "val" / "bee" / "1.png"]
    for path in paths:
        path.write_bytes(path.read_bytes()[:200])
    shutil.copy(splits / "train" / "ant" / "1.png", splits / "val" / "ant" / "1.png")
    report = check_data(splits)
    damaged = found(report, "unreadable")
    assert [problem.where for problem in damaged] == [str(path) for path in paths]
    assert all("damaged image" in problem.what and problem.fix for problem in damaged)
    assert len(found(report, "leak")) == 1
    assert not report.ok


def test_images_of_too_many_pixels_are_unreadable(splits):
    report = check_data(splits, max_pixels=100)
    assert len(found(report, "unreadable")) == 18
    assert "--max-pixels" in report.problems[0].fix


def test_odd_and_very_small_images_are_noted(splits, picture):
    picture(size=(10, 9)).save(splits / "train" / "ant" / "0.png")
    report = check_data(splits)
    assert only(report, "small").what == "10x9 pixels"
    assert report.ok
    assert report.problems[0].severity == "note"


# ---- content ---------------------------------------------------------------------------------------------------------


def test_identical_images_across_splits_are_a_problem(splits):
    shutil.copy(splits / "train" / "ant" / "0.png", splits / "val" / "ant" / "0.png")
    problem = only(check_data(splits), "leak")
    assert problem.where == str(splits / "val" / "ant" / "0.png")
    assert str(splits / "train" / "ant" / "0.png") in problem.what
    assert problem.severity == "problem"


def test_identical_images_with_different_labels_are_a_problem(splits):
    shutil.copy(splits / "train" / "ant" / "0.png", splits / "train" / "bee" / "0.png")
    problem = only(check_data(splits), "contradiction")
    assert problem.where == str(splits / "train" / "bee" / "0.png")
    assert "labelled bee, not ant" in problem.what


def test_identical_images_with_different_masks_are_a_problem(masked):
    shutil.copy(masked / "images" / "train" / "0.png", masked / "images" / "train" / "1.png")
    save_mask(masked / "masks" / "train" / "1.png", [0, 0, 1, 2])
    assert "another mask" in only(check_data(masked), "contradiction").what


def test_identical_images_of_one_class_are_noted(colour_folders):
    root = colour_folders()
    for index in range(1, 4):
        shutil.copy(root / "red" / "0.png", root / "red" / f"{index}.png")
    report = check_data(root)
    assert [problem.severity for problem in found(report, "duplicate")] == ["note"]
    assert report.ok
    assert not found(report, "leak")


@pytest.mark.parametrize("ours", [True, False])
def test_what_we_set_aside_ourselves_is_no_leak(splits, ours):
    (splits / "val").rename(splits / "test")
    if not ours:
        shutil.copytree(splits / "test", splits / "val")
    for index in range(1, 6):
        shutil.copy(splits / "train" / "ant" / "0.png", splits / "train" / "ant" / f"{index}.png")
    report = check_data(splits)
    assert report.summary["val_is_ours"] is ours
    assert (len(found(report, "duplicate")), len(found(report, "leak"))) == (1, 0 if ours else 6)


def test_the_same_photograph_in_another_size_is_noted(splits):
    rng = np.random.default_rng(0)
    photograph = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((160, 120), 2)
    photograph.save(splits / "train" / "ant" / "0.png")
    photograph.resize((100, 76)).save(splits / "val" / "bee" / "0.jpg", quality=60)
    (splits / "val" / "bee" / "0.png").unlink()
    report = check_data(splits)
    problem = only(report, "near-leak")
    assert problem.where.endswith("val/bee/0.jpg")
    assert "train/ant/0.png" in problem.what
    assert report.ok


def test_contradictions_are_found_from_hashes_alone():
    labels = ClassLabels(np.array([0, 0, 1, 1]))
    problems = contradictions(["a", "b", "c", "d"], ["x", "x", "x", ""], labels, ["ant", "bee"])
    assert [(problem.kind, problem.where) for problem in problems] == [("contradiction", "c")]


# ---- classes ---------------------------------------------------------------------------------------------------------


def test_classes_of_very_different_size_are_noted(splits, picture):
    for index in range(100, 200):
        picture(seed=5000 + index).save(splits / "train" / "ant" / f"{index}.png")
    problem = only(check_data(splits), "imbalance")
    assert problem.where == "train: bee"
    assert "106 of ant" in problem.what
    assert problem.severity == "note"


def test_a_class_that_a_split_lacks_is_noted(splits):
    shutil.rmtree(splits / "val" / "bee")
    problem = only(check_data(splits), "class-missing")
    assert (problem.where, problem.what, problem.severity) == ("val", "no images of bee", "note")


def test_a_class_that_no_mask_shows_is_noted(masked):
    for path in (masked / "masks").glob("*/*.png"):
        save_mask(path, [0, 1])
    report = check_data(masked)
    assert [problem.where for problem in found(report, "class-missing")] == ["train", "val"]


def test_one_class_is_nothing_to_learn(colour_folders):
    assert "one class only" in only(check_data(colour_folders(classes=("red",))), "layout").what


# ---- masks -----------------------------------------------------------------------------------------------------------


def test_values_without_a_class_are_found_in_every_mask(masked):
    paths = [masked / "masks" / "train" / "1.png", masked / "masks" / "val" / "0.png"]
    for path in paths:
        save_mask(path, [0, 1, 2, 7])
    report = check_data(masked)
    assert [problem.where for problem in found(report, "mask-value")] == [str(path) for path in paths]
    assert "value 7 (120 pixels) has no class" in report.problems[0].what
    assert "--ignore" in report.problems[0].fix
    assert check_data(masked, ignore=("7",)).ok


def test_a_mask_of_another_size_is_found(masked):
    path = masked / "masks" / "train" / "2.png"
    save_mask(path, [0, 1, 2], size=(20, 24))
    problem = only(check_data(masked), "mask-size")
    assert problem.where == str(path)
    assert "20x24" in problem.what
    assert "24x20" in problem.what
    assert "turn" in problem.fix


def test_a_damaged_mask_does_not_hide_a_damaged_image(masked):
    for kind in ("images", "masks"):
        path = masked / kind / "train" / "3.png"
        path.write_bytes(path.read_bytes()[:45])
    wheres = [problem.where for problem in found(check_data(masked), "unreadable")]
    assert wheres == [str(masked / kind / "train" / "3.png") for kind in ("images", "masks")]


def test_a_mask_without_any_label_is_noted(masked):
    save_mask(masked / "masks" / "train" / "0.png", [255])
    problem = only(check_data(masked), "unlabelled")
    assert problem.where.endswith("masks/train/0.png")
    assert problem.severity == "note"


def test_training_masks_without_any_label_are_a_problem(masked):
    for index in range(4):
        save_mask(masked / "masks" / "train" / f"{index}.png", [255])
    problem, *notes = found(check_data(masked), "unlabelled")
    assert (problem.where, problem.what, problem.severity) == ("train", "in 4 masks no pixel has a class", "problem")
    assert [note.severity for note in notes] == ["note"] * 4


def test_training_masks_that_show_one_class_alone_are_a_problem(masked):
    for index in range(4):
        save_mask(masked / "masks" / "train" / f"{index}.png", [1, 255])
    problem = only(check_data(masked), "class-missing")
    assert (problem.where, problem.severity) == ("train", "problem")
    assert problem.what == "masks show car alone, and no road, tree"


def test_jpeg_masks_are_a_problem_of_layout_with_a_way_out(masked, capsys):
    for path in (masked / "masks").glob("*/*.png"):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    problem = only(check_data(masked), "layout")
    assert "JPEG does not keep values" in problem.what
    assert "or save masks as PNG" in problem.fix
    assert main(["check", str(masked), "--threshold", "256"]) == 2
    assert main(["check", str(masked), "--threshold", "100", "--ignore", "1"]) == 2


# ---- joints ----------------------------------------------------------------------------------------------------------


def spoiled(sample: int, key: str, joint: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def spoil(document: dict[str, Any]) -> None:
        document["samples"][sample][key][JOINTS.index(joint)] = value

    return spoil


@pytest.mark.parametrize("uv", [[-20, 50], [50, 300]])
def test_a_joint_off_its_image_is_found(people, uv):
    problem = only(check_data(people(spoiled(3, "uv", "pelvis", uv))), "joints-off-image")
    assert problem.where.endswith("3.png")
    assert "pelvis" in problem.what
    assert "100x120" in problem.what
    assert problem.severity == "note"  # of its xyz the network learns all the same


def test_many_joints_off_their_images_are_problems(people):
    def most_of_one(document: dict[str, Any]) -> None:
        for place, joint in enumerate(JOINTS[:4]):
            spoiled(3, "uv", joint, [-20 - place, 50])(document)

    problem = found(check_data(people(most_of_one)), "joints-off-image")[0]
    assert (problem.where.rpartition("/")[2], problem.severity) == ("3.png", "problem")


def test_keypoints_off_their_image_are_a_problem(people):
    def flatten(document: dict[str, Any]) -> None:
        for sample in document["samples"]:
            del sample["xyz"]
        spoiled(3, "uv", "pelvis", [-20, 50])(document)

    assert only(check_data(people(flatten)), "joints-off-image").severity == "problem"


@pytest.mark.parametrize(
    ("place", "severity"), [([140, 2500, 30], "problem"), ([111, 23, 0], "problem"), ([140, 100, 30], "note")]
)
def test_limbs_of_impossible_and_odd_length_are_found(people, place, severity):
    root = people(spoiled(4, "xyz", "l_knee", place))
    limbs = found(check_data(root), "limb-length")
    assert [(problem.where.endswith("4.png"), problem.severity) for problem in limbs] == [(True, severity)]
    assert "l_hip to l_knee" in limbs[0].what
    assert limbs == [problem for problem in check_labels(open_data(root)) if problem.kind == "limb-length"]


@pytest.mark.parametrize(
    ("mirror", "named"),
    [
        ([["l_hip", "r_knee"], ["l_knee", "r_hip"], ["l_shoulder", "r_shoulder"]], "mirror: l_hip, r_knee"),
        ([["l_hip", "r_hip"], ["l_shoulder", "r_shoulder"]], "mirror: l_knee, r_knee"),
    ],
)
def test_wrong_pairs_are_found_by_name(people, mirror, named):
    report = check_data(people(lambda document: document.update(mirror=mirror)))
    assert named in [problem.where.partition("people: ")[2] for problem in found(report, "left-right")]
    assert not report.ok


def test_wrong_pairs_are_found_by_what_they_hang_on(people):
    joints = ["a", "b", "c", "d", "e", "f", "g"]
    mirror = [["b", "e"], ["d", "c"], ["f", "g"]]
    report = check_data(people(lambda document: document.update(joints=joints, mirror=mirror)))
    where = {problem.where.partition("people: ")[2] for problem in found(report, "left-right")}
    assert where == {"mirror: b, e", "mirror: c, d"}


def test_both_of_a_pair_in_one_position_are_found(people):
    def spoil(document: dict[str, Any]) -> None:
        sample = document["samples"][2]
        sample["xyz"][3], sample["uv"][3] = sample["xyz"][4], sample["uv"][4]

    problem = only(check_data(people(spoil)), "left-right")
    assert problem.where.endswith("2.png")
    assert "l_knee and r_knee have the same xyz" in problem.what


def test_swapped_and_mirrored_coordinates_are_found(people):
    def spoil(document: dict[str, Any]) -> None:
        samples = document["samples"]
        samples[1]["xyz"] = [samples[1]["xyz"][joint] for joint in (0, 2, 1, 4, 3, 6, 5)]
        samples[5]["xyz"] = [[x, -y, z] for x, y, z in samples[5]["xyz"]]

    problems = found(check_data(people(spoil)), "left-right")
    assert [problem.where.rpartition("/")[2] for problem in problems] == ["1.png", "5.png"]
    assert "swapped" in problems[0].what or "x mirrored" in problems[0].what
    assert "upside down" in problems[1].what


# ---- layout, command -------------------------------------------------------------------------------------------------


def test_all_faults_of_a_layout_are_problems(splits, capsys):
    (splits / "train" / "ant" / "notes.txt").write_text("these are no ants")
    (splits / "val" / "wasp").mkdir()
    report = check_data(splits)
    assert {problem.kind for problem in report.problems} == {"layout"}
    assert {Path(problem.where).name for problem in report.problems} == {"notes.txt", "wasp"}
    assert main(["check", str(splits)]) == 1
    assert "could not be scanned" in capsys.readouterr().out


def test_an_image_without_a_mask_is_a_problem_of_layout(masked):
    (masked / "masks" / "train" / "0.png").unlink()
    assert only(check_data(masked), "layout").where == str(masked / "images" / "train" / "0.png")


def test_what_is_no_data_is_wrong_input(tmp_path, splits, masked, capsys):
    for words in ([str(tmp_path / "nowhere")], ["figures:no"], [str(splits), "--task", "pose"]):
        assert main(["check", *words]) == 2
    assert main(["check", str(masked), "--ignore", "lorry"]) == 2
    with raises(DataError, what="no such folder"):
        check_data(tmp_path / "nowhere")
    assert capsys.readouterr().out == ""


def test_the_document_holds_every_problem(splits, capsys):
    for index in range(6):
        (splits / "train" / "ant" / f"{index}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main(["check", str(splits), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"ok", "problems", "summary"}
    assert document["ok"] is False
    assert len(document["problems"]) == 6
    for problem in document["problems"]:
        assert set(problem) == {"kind", "where", "what", "fix", "severity"}
        assert problem["kind"] in KINDS
        assert all(isinstance(text, str) and text for text in problem.values())
    assert document["summary"]["kinds"] == {"unreadable": 6}
    assert main(["check", str(splits)]) == 1
    out = capsys.readouterr().out
    assert "and 1 more" in out
    assert out.endswith("6 problems\n")


def test_notes_alone_are_ok(splits, capsys):
    shutil.rmtree(splits / "val" / "bee")
    assert main(["check", str(splits), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert [problem["severity"] for problem in document["problems"]] == ["note"]


def test_nothing_is_changed_and_nothing_is_written(splits, masked, people):
    for root in (splits, masked, people()):
        (root / "beside").mkdir()
        before = _state(root)
        check_data(root)
        assert _state(root) == before


def _state(root: Path) -> dict[str, tuple[int, bytes]]:
    paths = [root, *root.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in paths}


def test_real_photographs_raise_no_false_alarm(unpacked):
    assert check_data(unpacked("ants-bees.tar") / "ants-bees").problems == ()


def test_flowers_that_are_in_two_classes_are_found(unpacked):
    report = check_data(unpacked("flowers.tar", lambda name: "/tulip/" in name or "/rose/" in name) / "flowers")
    assert report.summary["kinds"].get("contradiction") == 4
    assert {problem.kind for problem in report.problems} <= {"contradiction", "near-leak", "duplicate"}
