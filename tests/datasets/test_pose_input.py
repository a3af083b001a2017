"""What is wrong with poses, or with a run of them, is said in a line, with the file and the way out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.made_dots import LINE, QUICK, point
from tests.support import mistake, raises

import striate as st
from striate.cli import main
from striate.datasets.checks.report import check_data
from striate.errors import DataError, Interrupted, RunError
from striate.sessions import session as assembly

Spoil = Callable[[dict[str, Any]], Any]
NAMES = ("pelvis", "l_hip", "r_hip", "head")
STANDING = np.array([[0, 0, 3000], [110, 10, 3000], [-110, 10, 3000], [0, -600, 3000]])


@pytest.fixture
def people(tmp_path: Path, picture) -> Callable[[Spoil], Path]:
    """Make eight images and their `joints.json`, to which something is done."""

    def make(spoil: Spoil = lambda document: None) -> Path:
        folder, samples = tmp_path / "people", []
        folder.mkdir(exist_ok=True)
        for index in range(8):
            picture(seed=index, size=(40, 40)).save(folder / f"{index}.png")
            xyz = STANDING * (0.9 + 0.03 * index)
            uv = 20 + xyz[:, :2] / 40
            split = "val" if index > 5 else "train"
            samples.append({"image": f"{index}.png", "split": split, "xyz": xyz.tolist(), "uv": uv.tolist()})
        document = {"joints": list(NAMES), "parents": [-1, 0, 0, 0], "mirror": [["l_hip", "r_hip"]], "unit": "mm"}
        document["samples"] = samples
        spoil(document)
        (folder / "joints.json").write_text(json.dumps(document))
        return folder

    return make


def of_sample(key: str, value: Any, sample: int = 3) -> Spoil:
    return lambda document: document["samples"][sample].update({key: value})


def of_joint(key: str, value: Any, joint: int = 1, sample: int = 3) -> Spoil:
    return lambda document: document["samples"][sample][key].__setitem__(joint, value)


def flat(spoil: Spoil) -> Spoil:
    def both(document: dict[str, Any]) -> None:
        for entry in document["samples"]:
            del entry["xyz"]
        spoil(document)

    return both


def moved(document: dict[str, Any]) -> None:
    for entry in document["samples"]:
        entry["uv"] = (5 * np.array(entry["uv"])).tolist()


def shrunk(document: dict[str, Any]) -> None:
    document["samples"][3]["xyz"] = (0.1 * np.array(document["samples"][3]["xyz"])).tolist()


SAMPLE = r"joints.json, samples\[3\] \(3.png\)$"


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (
            flat(of_joint("uv", [60, 5])),
            {"where": "3.png$", "what": r"l_hip is at \(60, 5\), off the image, which has 40x40 pixels"},
        ),
        (
            moved,
            {
                "where": "0.png$",
                "what": r"off the image, .* so are \d+ joints, in 8 samples",
                "fix": "is uv in other pixels",
            },
        ),
        (
            of_sample("uv", [[20, 20], [90, 5], [90, 6], [91, 7]]),
            {"where": "3.png$", "what": "l_hip is at", "fix": "is uv in other pixels"},
        ),
        (
            lambda d: d.update(parents=[-1, 2, 1, 0]),
            {"where": "joints.json", "what": "the parents of l_hip lead in a loop"},
        ),
        (
            lambda d: d.pop("mirror"),
            {
                "where": "mirror: l_hip, r_hip",
                "what": "it is missing, .* would not swap them",
                "fix": "add them to mirror",
            },
        ),
        (lambda d: d.update(mirror=[]), {"where": "mirror: l_hip, r_hip", "what": "it is missing"}),
        (flat(lambda d: d.pop("mirror")), {"where": "mirror: l_hip, r_hip", "what": "it is missing"}),
        (shrunk, {"where": SAMPLE, "what": "limbs are .* looks like cm, not mm"}),
        (of_sample("unit", "m"), {"where": SAMPLE, "what": 'its unit is "m"'}),
        (of_joint("xyz", [float("nan"), 0, 0]), {"where": SAMPLE, "what": r"xyz of l_hip is \[NaN"}),
        (of_joint("uv", [float("nan"), 0]), {"where": SAMPLE, "what": r"uv of l_hip is \[NaN"}),
        (of_sample("xyz", [[0, 0, 0]] * 3), {"where": SAMPLE, "what": "xyz has 3 entries", "fix": "wanted: 4"}),
        (of_sample("visible", [0] * 4), {"where": SAMPLE, "what": "has no joint that is visible"}),
    ],
)
def test_bad_poses_are_refused_before_training(people, tmp_path, capsys, spoil, error):
    data = people(spoil)
    out = tmp_path / "run"
    told = mistake(["train", str(data), "--model", LINE, "--epochs", "1", "--out", str(out)], capsys)
    assert str(data) in told["where"]
    for field, pattern in error.items():
        assert re.search(pattern, told[field]), told
    assert not out.exists()


def test_the_poses_that_bad_ones_were_made_of_are_good(people, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", str(people()), "--model", LINE, "--epochs", "1", "--out", str(out)]) == 0
    assert "mirror" not in capsys.readouterr().err
    assert main(["evaluate", str(out), str(tmp_path / "people"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["metrics"]) == ["mpjpe_mm", "pa_mpjpe_mm", "pck150", "auc", "loss"]
    assert [list(row)[2:] for row in found["per_joint"]] == [["mpjpe_mm", "pa_mpjpe_mm", "pck150", "auc"]] * 4
    assert found["metrics"]["pa_mpjpe_mm"] >= 0


def test_a_skeleton_without_sides_is_not_mirrored(dots, tmp_path, capsys):
    options = QUICK | {"augment": "light", "epochs": 2}
    st.train(dots, st.TrainConfig(**options, out=str(tmp_path / "run")))
    assert capsys.readouterr().err.count("no mirror images: no joints are paired") == 1


def test_a_joint_that_was_never_taught_is_not_predicted(people, tmp_path, capsys):
    def hide(document: dict[str, Any]) -> None:
        for entry in document["samples"]:
            entry["visible"] = [1, 1, 1, 0]
            entry["uv"][2] = None

    data = people(hide)
    run = st.train(data, st.TrainConfig(**QUICK | {"epochs": 1}, out=str(tmp_path / "run")))
    assert "no training sample says where head is in space: the network will not tell" in capsys.readouterr().err
    found = run.predict(data / "0.png")[0]["joints"]
    assert {name: [key for key, place in joint.items() if place] for name, joint in found.items()} == {
        "pelvis": ["xyz_mm", "uv_px"],
        "l_hip": ["xyz_mm", "uv_px"],
        "r_hip": ["xyz_mm"],
        "head": [],
    }
    assert found["head"] == {"xyz_mm": None, "uv_px": None}
    out = tmp_path / "poses"
    assert main(["predict", str(run.folder), str(data / "0.png"), "--overlay", "--out", str(out)]) == 0
    assert (out / "joints.csv").read_text().splitlines()[-1].endswith("head,,,,,")


def hidden(*splits: str, shown: tuple[int, ...] = (1, 0, 0, 0)):
    def hide(document: dict[str, Any]) -> None:
        for entry in document["samples"]:
            if entry["split"] in splits:
                entry["visible"] = list(shown)

    return hide


def still(document: dict[str, Any]) -> None:
    for entry in document["samples"]:
        entry |= {key: document["samples"][0][key] for key in ("xyz", "uv")}


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (
            hidden("val"),
            {"where": "^val$", "what": "no joint besides the root, pelvis, is visible in any of its samples"},
        ),
        (hidden("train", "val"), {"where": "^train$", "what": "no joint besides the root, pelvis"}),
        (
            still,
            {"where": "^train$", "what": "every sample has the same pose", "fix": "give samples of different poses"},
        ),
    ],
)
def test_a_split_that_teaches_or_measures_nothing_is_refused(people, tmp_path, spoil, error):
    data = people(spoil)
    assert not check_data(data).ok
    with raises(DataError, **error):
        st.train(data, st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_root_that_is_never_visible_is_at_zero(people, tmp_path):
    data = people(hidden("train", "val", shown=(0, 1, 1, 1)))
    assert check_data(data).ok
    run = st.train(data, st.TrainConfig(**QUICK | {"epochs": 1}, out=str(tmp_path / "run")))
    assert run.predict(data / "0.png")[0]["joints"]["pelvis"]["xyz_mm"] == pytest.approx([0, 0, 0], abs=1.0)


def test_joints_that_training_never_shows_are_noted(people):
    report = check_data(people(hidden("train", "val", shown=(1, 1, 1, 0))))
    assert report.ok
    assert [problem.where for problem in report.problems if problem.kind == "nothing-to-learn"] == ["head"]


def test_joints_in_another_order_are_measured_by_name(people, tmp_path):
    data = people()
    run = st.train(data, st.TrainConfig(**QUICK | {"epochs": 1}, out=str(tmp_path / "run")))
    known = run.evaluate(data)
    order = [3, 2, 0, 1]

    def reorder(document: dict[str, Any]) -> None:
        document["joints"] = [NAMES[place] for place in order]
        document["parents"] = [2, 2, -1, 2]
        for entry in document["samples"]:
            entry |= {key: [entry[key][place] for place in order] for key in ("xyz", "uv")}

    found = run.evaluate(people(reorder))
    assert found["metrics"] == pytest.approx(known["metrics"])
    assert [row["joint"] for row in found["per_joint"]] == list(NAMES)

    def otherwise_rooted(document: dict[str, Any]) -> None:
        document["parents"] = [3, 0, 0, -1]

    with raises(DataError, what="its joints are relative to head, and the network's to pelvis"):
        run.evaluate(people(otherwise_rooted))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"parents": [-1, 0, 0, 1]}, r"parents \(was"),
        ({"joints": ["pelvis", "l_hip", "r_hip", "top"]}, r"joints \(was"),
    ],
)
def test_a_training_goes_on_with_the_same_skeleton_alone(people, tmp_path, monkeypatch, change, named):
    def interrupt(*arguments, **others):
        raise KeyboardInterrupt

    config = st.TrainConfig(**QUICK | {"epochs": 2}, resume=True, out=str(tmp_path / "run"))
    data = people()
    with monkeypatch.context() as patched:
        patched.setattr(assembly, "fit", interrupt)
        with pytest.raises(Interrupted):
            st.train(data, replace(config, resume=False))
    people(lambda document: document.update(change))
    with pytest.raises(RunError, match=named):
        st.train(data, config)
    swapped = {"mirror": [["r_hip", "l_hip"]]}  # which means the same
    people(lambda document: document.update(swapped))
    assert st.train(data, config).record.epochs == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda target_statistics: target_statistics.pop("mean_mm"),
        lambda target_statistics: target_statistics.update(deviation_uv=[1.0]),
        lambda target_statistics: target_statistics.update(mean_uv="nothing"),
        lambda target_statistics: target_statistics["placed"].__setitem__(0, None),
        lambda target_statistics: target_statistics.clear(),
    ],
)
def test_what_a_run_has_learned_is_whole_or_it_is_damaged(dots_run, tmp_path, capsys, spoil):
    shutil.copytree(dots_run.folder, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    document = json.loads(path.read_text())
    spoil(document["target_statistics"])
    path.write_text(json.dumps(document))
    assert main(["predict", str(tmp_path / "run"), "x.png"]) == 2
    assert f"{path}: damaged (" in capsys.readouterr().err


def test_keypoints_off_the_image_are_refused(tmp_path, capsys):
    flat = point(tmp_path, "flat", in_space=False, off=3)
    what = r"blue is at \(60, 5\), off the image, which has 32x32 pixels"
    with raises(DataError, where="3.png$", what=what, fix="correct uv, or say null"):
        st.train(flat, st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()
    space = point(tmp_path, "space", off=3)
    st.train(space, st.TrainConfig(**QUICK | {"epochs": 1}, out=str(tmp_path / "run")))
    assert "1 joints are off their image: only their xyz is learned" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"nothing",
        safetensors.torch.save({"thumbnails": torch.zeros(3, 256)}),
        safetensors.torch.save({"thumbnails": torch.zeros(3, 256), "poses": torch.zeros(2, 2, 5)}),
        safetensors.torch.save({"thumbnails": torch.zeros(3, 256), "poses": torch.zeros(3, 4, 5)}),
        safetensors.torch.save({"other": torch.zeros(())}),
    ],
)
def test_damaged_thumbnails_are_named(dots_run, tmp_path, content):
    folder = tmp_path / "run"
    shutil.copytree(dots_run.folder, folder)
    (folder / "learned.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"learned.safetensors: damaged"):
        st.load(folder)
