"""Segmentation from pictures to masks: trained, measured, predicted, interrupted, by the same engine as all tasks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import striate as st
from striate.cli import main
from striate.errors import DataError, Interrupted
from striate.layers.upward import ConvTranspose2d
from striate.models.sliding import strips_by_windows
from striate.runs import Run
from striate.sessions import session as assembly

LINE = "conv 8@3x3 pad=1 | bn | relu | maxpool 2 | conv 16@3x3 pad=1 | bn | relu | gap | fc classes"
QUICK = {
    "model": LINE, "epochs": 6, "batch_size": 4, "lr": 0.05, "precision": "float32",
    "class_weights": "none", "dice": 1.0,
}  # fmt: skip
COLOURS = np.array([(60, 60, 60), (220, 60, 60), (60, 60, 220)])


def draw(seed: int, *, height: int = 30, width: int = 42) -> tuple[Image.Image, np.ndarray]:
    """A grey picture with a red and a blue rectangle, and the class of every pixel."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), dtype=np.uint8)
    for index in (1, 2):
        top, left = rng.integers(0, height - 12), rng.integers(0, width - 14)
        mask[top : top + rng.integers(8, 13), left : left + rng.integers(8, 15)] = index
    noise = rng.integers(-20, 21, (height, width, 3))
    return Image.fromarray((COLOURS[mask] + noise).clip(0, 255).astype(np.uint8)), mask


@pytest.fixture(scope="session")
def rectangles(tmp_path_factory) -> Callable[..., Path]:
    """Make a folder of pictures of rectangles and their masks."""

    def make(name: str = "shapes", *, images: int = 20, unlabelled: tuple[int, ...] = ()) -> Path:
        root = tmp_path_factory.mktemp(name) / name
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True)
        for index in range(images):
            picture, mask = draw(index)
            picture.save(root / f"images/{index}.png")
            mask[:3] = 255
            if index in unlabelled:
                mask[:] = 255
            Image.fromarray(mask).save(root / f"masks/{index}.png")
        (root / "classes.txt").write_text("ground\nred\nblue\n")
        return root

    return make


@pytest.fixture(scope="session")
def shapes(rectangles) -> Path:
    return rectangles()


@pytest.fixture(scope="session")
def shapes_run(shapes, tmp_path_factory) -> Run:
    return st.train(shapes, st.TrainConfig(**QUICK, out=str(tmp_path_factory.mktemp("segment") / "run")))


def test_a_class_for_every_pixel_is_learnt(shapes, shapes_run):
    assert shapes_run.record.task == "segment"
    assert shapes_run.record.metrics["mean_iou"] > 0.85
    assert shapes_run.record.preprocessing.height_px == 30
    found = shapes_run.evaluate(shapes)
    assert list(found["metrics"]) == ["mean_iou", "pixel_accuracy", "class_accuracy", "boundary_f1", "loss"]
    assert found["metrics"]["mean_iou"] == pytest.approx(shapes_run.record.metrics["mean_iou"], abs=1e-6)
    assert [row["class"] for row in found["per_class"]] == ["ground", "red", "blue"]
    assert found["size_px"] == [30, 42]
    assert found["baselines"] == shapes_run.record.baselines
    assert found["baselines"]["most frequent class"]["mean_iou"] < 0.3


def test_classes_of_an_evaluation_are_matched_by_name(shapes, shapes_run, tmp_path):
    """The same masks with other numbers."""
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for index in range(100, 104):
        picture, mask = draw(index)
        picture.save(tmp_path / f"data/images/{index}.png")
        Image.fromarray(np.array([2, 0, 1], dtype=np.uint8)[mask]).save(tmp_path / f"data/masks/{index}.png")
    (tmp_path / "data/classes.txt").write_text("red\nblue\nground\n")
    assert shapes_run.evaluate(tmp_path / "data")["metrics"]["mean_iou"] > 0.85


@pytest.mark.parametrize("options", [[], ["--tile"]])
def test_masks_overlays_and_areas_are_written(shapes_run, tmp_path, capsys, options):
    wanted = {}
    (tmp_path / "in").mkdir()
    for name, size in {"small": (30, 42), "large": (75, 61)}.items():
        picture, wanted[name] = draw(7, height=size[0], width=size[1])
        picture.save(tmp_path / f"in/{name}.png")
    out = tmp_path / "out"
    command = ["predict", str(shapes_run.folder), str(tmp_path / "in"), "--out", str(out), "--overlay", *options]
    assert main(command) == 0
    assert capsys.readouterr().out == f"{out}: 2 predicted\n"
    assert {path.name for path in out.iterdir()} == {
        "areas.csv", "large.png", "large_overlay.jpg", "small.png", "small_overlay.jpg"
    }  # fmt: skip
    for name, mask in wanted.items():
        with Image.open(out / f"{name}.png") as found:
            assert found.mode == "P"
            assert found.getpalette()[:9] == [
                part for colour in shapes_run.record.vocabulary.drawn_in for part in colour
            ]
            assert np.asarray(found).shape == mask.shape
            assert (np.asarray(found) == mask).mean() > 0.9
    rows = list(csv.DictReader((out / "areas.csv").read_text().splitlines()))
    assert next(row["class"] for row in rows if row["image"].endswith("small.png")) == "ground"
    assert sum(int(row["pixels"]) for row in rows if row["image"].endswith("large.png")) == 75 * 61
    assert {(Path(row["image"]).stem, row["mask"]) for row in rows} == {("small", "small.png"), ("large", "large.png")}
    assert main(command) == 2  # there is something already
    assert "choose another place" in capsys.readouterr().err


def test_a_damaged_picture_is_named_and_no_folder_is_left(shapes_run, shapes, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes((shapes / "images/3.png").read_bytes()[:900])
    pictures = [str(shapes / "images/3.png"), str(tmp_path / "broken.png")]
    assert main(["predict", str(shapes_run.folder), *pictures, "--out", str(tmp_path / "masks")]) == 2
    assert "broken.png: damaged" in capsys.readouterr().err
    assert not (tmp_path / "masks").exists()


def test_predictions_are_the_same_from_python_and_as_json(shapes_run, shapes, capsys):
    picture = str(shapes / "images/3.png")
    assert main(["predict", str(shapes_run.folder), picture, "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert [document] == shapes_run.predict([picture])
    assert list(document) == ["image", "width_px", "height_px", "areas"]


def test_a_training_that_was_interrupted_ends_with_the_same_weights(shapes, shapes_run, tmp_path, monkeypatch):
    real, config = assembly.fit, st.TrainConfig(**QUICK, out=str(tmp_path / "run"))

    def fit(*arguments, on_step, **others):
        seen = []

        def counted(images, loss):
            on_step(images, loss)
            seen.append(images)
            if len(seen) == 9:  # in the third epoch
                raise KeyboardInterrupt

        return real(*arguments, on_step=counted, **others)

    monkeypatch.setattr(assembly, "fit", fit)
    with pytest.raises(Interrupted):
        st.train(shapes, config)
    monkeypatch.setattr(assembly, "fit", real)
    run = st.train(shapes, config)
    assert run.record.metrics == shapes_run.record.metrics
    assert run.record.target_statistics == shapes_run.record.target_statistics
    for name, value in shapes_run.model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), name


@pytest.mark.parametrize(
    "options",
    [
        {"decoder": "transposed", "class_weights": "sqrt"},
        {"skips": False, "decoder": "transposed"},
        {"merge": "sum", "reduce": 2},
        {"class_weights": "auto", "dice": 0.0, "crop": 16, "ema": 0.9},
        {"augment": "strong", "accumulate": 2, "crop": "none", "model": "resnet20"},
    ],
)
def test_every_option_goes_from_training_to_prediction(shapes, tmp_path, options):
    run = st.train(shapes, st.TrainConfig(**QUICK | {"epochs": 1} | options, out=str(tmp_path / "run")))
    figures = run.evaluate(shapes)["metrics"]  # of what was read back; those recorded are of the network in memory
    assert figures == pytest.approx(run.record.metrics, rel=1e-5)
    assert run.predict(shapes / "images/1.png", tile=True)[0]["width_px"] == 42
    parts = {name for name, _ in run.model.named_parameters()}
    if options.get("decoder") == "transposed":
        assert any(isinstance(part, ConvTranspose2d) for part in run.model.modules())
    if options.get("merge") == "sum":
        assert any(name.startswith("decoder.scores") for name in parts)
        assert run.model.reduce == 2
    assert (run.task.training.class_weights is None) == ("class_weights" not in options)


def test_pictures_without_any_label_are_left_out_and_said(rectangles, tmp_path, capsys):
    data = rectangles("some", images=12, unlabelled=(4, 5))
    run = st.train(data, st.TrainConfig(**QUICK | {"epochs": 1}, out=str(tmp_path / "run")))
    said = capsys.readouterr().err
    assert all(f"images/{index}.png, without any label" in said for index in (4, 5))
    split = json.loads((run.folder / "split.json").read_text())
    assert not {"images/4.png", "images/5.png"} & {name for names in split.values() for name in names}


def test_masks_without_any_label_are_refused_and_nothing_is_written(rectangles, tmp_path):
    data = rectangles("none", images=8)
    for name in st.open_data(data).split("train").names:
        Image.new("L", (42, 30), 255).save(data / name.replace("images", "masks"))
    with pytest.raises(DataError, match=r"no mask of train has any label; label some of its pixels"):
        st.train(data, st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_masks_of_one_class_alone_are_refused(rectangles, tmp_path):
    data = rectangles("one", images=8)
    for path in (data / "masks").iterdir():
        Image.new("L", (42, 30), 1).save(path)
    with pytest.raises(DataError, match=r"the training masks show red alone; label pixels of two classes or more"):
        st.train(data, st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mixup", "0.5"], "--mixup: is for classify, not for segment; leave it out."),
        (["--progressive"], "--progressive: is for classify, not for segment; leave it out."),
        (["--size", "20", "--model", "resnet18", "--stem", "large"], "resnet18: makes one unit of 32x32 pixels"),
        (["--model", "flatten | fc classes"], "has no feature maps to build on; begin the line with conv."),
        (["--reduce", "0"], "--reduce: must be a whole number, 1 or more, not 0."),
        (["--no-skips", "--merge", "sum"], "--merge: changes nothing without skips (--no-skips); leave it out."),
        (
            ["--crop", "20", "--model", "resnet18", "--stem", "large"],
            "what training cuts out of images reaches it with",
        ),
        (["--model", "conv 4@3x3 | fitpool 4 | conv 4@1x1 | gap | fc classes"], "`fitpool 4` makes one size of all"),
        (["--crop", "1"], "--crop: must be a whole number, 2 or more, auto, or none, not 1."),
    ],
)
def test_options_that_make_no_sense_are_answered_in_a_line(shapes, tmp_path, capsys, options, message):
    assert main(["train", str(shapes), "--out", str(tmp_path / "run"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_options_of_segmentation_are_refused_where_classes_are_learnt(colour_folders, colour_run, tmp_path, capsys):
    assert main(["train", str(colour_folders("two")), "--decoder", "transposed"]) == 2
    assert "--decoder: is for segment, not for classify; leave it out." in capsys.readouterr().err
    picture = str(next((tmp_path / "two").glob("*/0.png")))
    assert main(["predict", str(colour_run.folder), picture, "--out", str(tmp_path / "masks")]) == 2
    assert (
        f"--out: must end in .csv or .json, not {tmp_path / 'masks'}: classify draws nothing."
        in capsys.readouterr().err
    )
    assert main(["predict", str(colour_run.folder), picture, "--tile"]) == 2
    assert "--tile: a network for classify looks at whole images" in capsys.readouterr().err
    assert not (tmp_path / "masks").exists()


def test_masks_without_any_label_cannot_be_measured(rectangles, shapes_run):
    data = rectangles("blank", images=8)
    for name in st.open_data(data).split("val").names:
        Image.new("L", (42, 30), 255).save(data / name.replace("images", "masks"))
    with pytest.raises(DataError, match="nothing here has a label, so there is nothing to measure"):
        shapes_run.evaluate(data, split="val")


def test_pictures_smaller_than_a_network_takes_are_extended(rectangles, tmp_path):
    """LeNet-5 takes no image below 16 pixels."""
    data = rectangles("lenet", images=8)
    run = st.train(data, st.TrainConfig(**QUICK | {"epochs": 1, "model": "lenet5"}, out=str(tmp_path / "run")))
    for height, width in ((5, 5), (1, 1), (3, 400)):
        picture, _ = draw(0)
        picture.resize((width, height)).save(tmp_path / "small.png")
        for tile in (False, True):
            (found,) = run.predict(tmp_path / "small.png", tile=tile)
            assert (found["width_px"], found["height_px"]) == (width, height)


def test_what_was_ignored_in_training_need_not_be_in_other_data(rectangles, shapes, tmp_path):
    run = st.train(shapes, st.TrainConfig(**QUICK | {"epochs": 1}, ignore=("blue",), out=str(tmp_path / "run")))
    assert run.classes == ("ground", "red")
    assert run.evaluate(shapes)["samples"] > 0  # blue is there, and is ignored again
    other = rectangles("other", images=6)
    (other / "classes.txt").write_text("ground\nred\ngreen\n")
    with pytest.raises(DataError, match="the network has no class 'green'"):
        run.evaluate(other, split="train")
    assert main(["evaluate", str(run.folder), str(other), "--split", "train", "--ignore", "green"]) == 0


def test_windows_keep_no_more_than_a_row_of_themselves(shapes_run):
    """However tall the picture is."""
    image = torch.zeros(1, 3, 1200, 40)
    rows = [strip.shape[1] for strip in strips_by_windows(shapes_run.model, image, (64, 64), shapes_run.model.unit)]
    assert sum(rows) == 1200
    assert max(rows) <= 64 + shapes_run.model.unit[0]


def test_a_legend_is_whole_however_small_the_picture(shapes_run, shapes):
    picture = shapes / "images/3.png"
    ((_, prediction),) = shapes_run.predictions([picture])
    overlay = np.asarray(shapes_run.overlay(picture, prediction))
    assert (overlay[30:, -3:] == 255).all()  # white beyond the longest word
    assert (overlay[30:] < 128).any()
