"""Poses from pictures to joints: trained, measured, predicted, interrupted, by the same engine as all tasks."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.made_dots import LINE, QUICK, point

import striate as st
from striate.cli import main
from striate.errors import ConfigError, DataError, Interrupted, RunError, WeightsError
from striate.runs import Run
from striate.sessions import session as assembly


@pytest.mark.parametrize("head", ["vector", "heatmap"])
@pytest.mark.parametrize("in_space", [True, False])
def test_joints_are_learnt(tmp_path, head, in_space):
    seeing = "conv 24@3x3 stride=2 pad=1 | bn | relu"  # twice more: a unit sees both dots
    line = LINE.replace("gap", f"{seeing} | {seeing} | flatten")
    options = {"head": head, "model": line, "epochs": 30, "lr": 0.02}
    data = point(tmp_path, "data", in_space=in_space)
    run = st.train(data, st.TrainConfig(**QUICK | options, out=str(tmp_path / "run")))
    key = "mpjpe_mm" if in_space else "mean_px"
    assert run.record.metrics[key] < 0.7 * run.record.baselines["mean pose"][key]
    found = run.evaluate(data)
    assert found["metrics"][key] == pytest.approx(run.record.metrics[key], rel=1e-5)
    assert found["baselines"].keys() == {"mean pose", "nearest training image"}
    for name, figure in run.record.baselines["nearest training image"].items():
        again = found["baselines"]["nearest training image"][name]
        assert again == (None if figure is None else pytest.approx(figure, rel=1e-5)), name
    names = ["mpjpe_mm", "pa_mpjpe_mm", "pck150", "auc"] if in_space else ["mean_px", "pck10", "auc"]
    assert list(found["metrics"]) == [*names, "loss"]
    assert [row["joint"] for row in found["per_joint"]] == ["red", "blue"]
    assert all(list(row) == ["joint", "samples", *names] for row in found["per_joint"])


def test_figures_and_baselines_are_printed(dots, dots_run, capsys):
    assert main(["evaluate", str(dots_run.folder), str(dots)]) == 0
    first, mean, nearest, _, header, *rows = capsys.readouterr().out.splitlines()
    assert first.startswith("MPJPE ")
    assert first.endswith(", on 12 images of 32x32")
    assert ", PA-MPJPE –, PCK@150mm " in first
    assert mean.startswith("mean pose: MPJPE ")
    assert nearest.startswith("nearest training image: MPJPE ")
    assert header.split() == ["joint", "samples", "mpjpe_mm", "pa_mpjpe_mm", "pck150", "auc"]
    assert [row.split()[0] for row in rows] == ["red", "blue"]
    assert rows[0].split()[2:] == ["0.0", "–", "–", "–"]  # the root is where it is, and two joints are not aligned


def test_joints_are_written_and_drawn(dots, dots_run, tmp_path, capsys):
    pictures = [str(dots / f"{index}.png") for index in (50, 51)]
    assert main(["predict", str(dots_run.folder), *pictures, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == dots_run.predict(pictures)
    assert document[0]["joints"].keys() == {"red", "blue"}
    assert document[0]["joints"]["red"]["xyz_mm"] == [0, 0, 0]
    assert len(document[0]["joints"]["blue"]["uv_px"]) == 2
    out = tmp_path / "poses"
    assert main(["predict", str(dots_run.folder), *pictures, "--overlay", "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"50_overlay.jpg", "51_overlay.jpg", "joints.csv"}
    with Image.open(out / "50_overlay.jpg") as overlay:
        assert overlay.size == (256 * 3, 256)
    rows = list(csv.DictReader((out / "joints.csv").read_text().splitlines()))
    assert list(rows[0]) == ["image", "joint", "x_mm", "y_mm", "z_mm", "u_px", "v_px"]
    assert len(rows) == 4
    assert main(["predict", str(dots_run.folder), *pictures, "--out", str(tmp_path / "joints.json")]) == 0
    assert json.loads((tmp_path / "joints.json").read_text()) == document


def test_places_are_those_of_the_picture_whatever_its_size(dots, dots_run, tmp_path):
    with Image.open(dots / "50.png") as picture:
        large = Image.new("RGB", (96, 64), (120, 120, 120))
        large.paste(picture.resize((64, 64), Image.Resampling.NEAREST), (16, 0))
        large.crop((16, 0, 80, 64)).save(tmp_path / "large.png")
    small, twice = dots_run.predict([dots / "50.png", tmp_path / "large.png"])
    for name, found in small["joints"].items():
        np.testing.assert_allclose(twice["joints"][name]["uv_px"], 2 * np.array(found["uv_px"]), atol=1.5)


class Seeing(torch.nn.Module):
    """Says where in an image the red dot and the blue one are, as a network would that had learned it perfectly."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.nothing = torch.nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean, std = (
            torch.tensor(getattr(self.run.record.preprocessing, name))[:, None, None] for name in ("mean", "std")
        )
        red, _, blue = (images * std + mean).unbind(1)
        y, x = (torch.arange(side) + 0.5 for side in images.shape[2:])
        shares = []
        for colour in (red - blue, blue - red):
            weights = (colour - 0.3 * colour.amax((1, 2), keepdim=True)).clamp(min=0)
            places = (weights * x).sum((1, 2)), (weights * y[:, None]).sum((1, 2))
            found = torch.stack(places, 1) / weights.sum((1, 2))[:, None]
            shares.append(4 * found / torch.tensor(images.shape[:1:-1]) - 2)
        target_statistics = self.run.task.statistics.values
        standard = (torch.stack(shares, 1) - torch.tensor(target_statistics["mean_uv"])) / torch.tensor(
            target_statistics["deviation_uv"]
        )[:, None]
        return torch.cat([torch.zeros(len(images), 2, 3), standard], 2).flatten(1)


@pytest.mark.parametrize("size_px", [(96, 48), (40, 100), (64, 64), (61, 64)])
def test_places_are_those_of_the_picture_whatever_its_shape(dots_run, tmp_path, size_px):
    """Pictures become squares by what is put around them, which has to be taken off again."""
    width, height = size_px
    wanted = {"red": (width - 12.0, 14.5), "blue": (13.0, height - 12.5)}
    pixels = np.full((height, width, 3), 120, np.uint8)
    y, x = np.mgrid[:height, :width] + 0.5
    for name, colour in (("red", (230, 30, 30)), ("blue", (30, 30, 230))):
        u, v = wanted[name]
        pixels[(x - u) ** 2 + (y - v) ** 2 < 40] = colour
    Image.fromarray(pixels).save(tmp_path / "dots.png")
    run = replace(dots_run, model=Seeing(dots_run))
    (found,) = run.predict(tmp_path / "dots.png")
    for name, place in wanted.items():
        np.testing.assert_allclose(found["joints"][name]["uv_px"], place, atol=0.3)


def test_a_training_that_was_interrupted_ends_with_the_same_weights(dots, tmp_path, monkeypatch):
    real, weights = assembly.fit, []
    for place, stop in enumerate((False, True)):
        config = st.TrainConfig(**QUICK | {"head": "heatmap", "epochs": 3}, out=str(tmp_path / str(place)))

        def fit(*arguments, on_step, stop=stop, **others):
            seen = []

            def counted(images, loss):
                on_step(images, loss)
                seen.append(images)
                if stop and len(seen) == 8:  # in the second epoch
                    raise KeyboardInterrupt

            return real(*arguments, on_step=counted, **others)

        monkeypatch.setattr(assembly, "fit", fit)
        if stop:
            with pytest.raises(Interrupted):
                st.train(dots, config)
            monkeypatch.setattr(assembly, "fit", real)
        run = st.train(dots, config)
        weights.append(run.model.state_dict())
        assert (run.folder / "learned.safetensors").is_file()
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_figures_train_for_poses_and_another_skeleton_is_refused(dots, dots_run, tmp_path):
    run = st.train(
        "figures:16", st.TrainConfig(**QUICK | {"task": "pose", "epochs": 1, "size": 32}, out=str(tmp_path / "run"))
    )
    assert run.record.metrics["mpjpe_mm"] > 0
    with pytest.raises(DataError, match=r"does not know red, blue, and pelvis, r_hip"):
        run.evaluate(dots)
    flat = point(tmp_path, "flat", in_space=False)
    with pytest.raises(DataError, match="its joints are in px, and the network finds them in mm"):
        dots_run.evaluate(flat)


def test_options_that_make_no_sense_are_refused(dots, colour_folders, tmp_path):
    with pytest.raises(ConfigError, match="fit: must be pad or crop for pose, not stretch"):
        st.train(dots, st.TrainConfig(**QUICK, fit="stretch", out=str(tmp_path / "run")))
    with pytest.raises(ConfigError, match="head: is for pose, not for classify"):
        st.train(colour_folders("heads"), st.TrainConfig(head="heatmap"))
    with pytest.raises(ConfigError, match="decoder: is for segment, not for pose"):
        st.train(dots, st.TrainConfig(**QUICK, decoder="transposed", out=str(tmp_path / "run")))


def test_a_training_begins_with_the_weights_of_a_run(dots, tmp_path, capsys):
    options = QUICK | {"epochs": 1, "size": 32}
    first = st.train("figures:16", st.TrainConfig(**options, task="pose", out=str(tmp_path / "first")))
    slow = options | {"model": "auto", "lr": 1e-9, "pretrained": str(first.folder)}
    run = st.train(dots, st.TrainConfig(**slow, out=str(tmp_path / "second")))
    assert f"begins with weights of {first.folder}; drawn anew: classifier.0" in capsys.readouterr().err
    assert run.record.model == LINE
    assert run.record.preprocessing.mean == first.record.preprocessing.mean
    ours, theirs = run.model.state_dict(), first.model.state_dict()
    torch.testing.assert_close(ours["features.0.weight"], theirs["features.0.weight"], rtol=1e-4, atol=1e-6)
    weights = first.folder / "model.safetensors"
    again = st.train(
        dots, st.TrainConfig(**slow | {"model": LINE, "pretrained": str(weights)}, out=str(tmp_path / "3"))
    )
    torch.testing.assert_close(
        again.model.state_dict()["features.3.weight"], theirs["features.3.weight"], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "nowhere",
            "pretrained: there is no run or file nowhere; give auto, none, imagenet, a run, or a file",
        ),
        ("weights.pt", r"must be a .safetensors file, not weights.pt; convert it: other formats can run code"),
        ("damaged.safetensors", r"damaged.safetensors: damaged"),
        (".", "no run here"),
    ],
)
def test_weights_that_cannot_be_had_are_answered_in_a_line(dots, tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    for name in ("weights.pt", "damaged.safetensors"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises((ConfigError, RunError, WeightsError), match=message):
        st.train(dots, st.TrainConfig(**QUICK, pretrained=given, out="run"))
    assert not (tmp_path / "run").exists()
