"""From Python: a run is what was trained, and stays it."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import QUICK
from tests.support import raises

import striate as st
from striate.batching.batches import Batches
from striate.cli import main
from striate.errors import DataError, Interrupted, ModelError, OutputError, RunError, TrainingError
from striate.sessions import session as assembly
from striate.sessions.prepare import prepare
from striate.sessions.run_folder import check_unchanged
from striate.system import atomic


def same_weights(one: st.Run, other: st.Run) -> bool:
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_lenet5_reads_the_handwriting_it_has_not_seen(digits_run):
    assert digits_run.record.model == "lenet5"
    assert digits_run.record.metrics["accuracy"] >= 0.97
    assert digits_run.record.data == {"location": "mnist", "train": 4000, "val": 1000}
    assert digits_run.record.augment == "light"


def test_a_run_folder_holds_what_the_design_says(digits_run):
    assert sorted(path.name for path in digits_run.folder.iterdir()) == [
        "metrics.jsonl",
        "model.safetensors",
        "run.json",
        "split.json",
    ]
    record = json.loads((digits_run.folder / "run.json").read_text())
    config = {name: getattr(digits_run.record.config, name) for name in st.TrainConfig.__dataclass_fields__}
    assert record["config"] == config | {"ignore": [], "decay_at": []}
    assert record["status"] == "complete"
    lines = [json.loads(line) for line in (digits_run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 21))
    best = max(lines, key=lambda line: (line["metrics"]["accuracy"], -line["metrics"]["loss"]))
    assert record["best_epoch"] == best["epoch"]
    assert record["metrics"]["accuracy"] == pytest.approx(best["metrics"]["accuracy"], abs=0.003)  # in float32 again
    assert record["choices"]["steps"] == 20 * record["choices"]["steps_per_epoch"]
    assert {trial["dtype"] for trial in record["choices"]["tried"]} == {"float32", "bfloat16"}


def test_the_reported_accuracy_is_that_of_the_saved_weights(digits_run):
    measured = st.load(digits_run.folder).evaluate("mnist")
    assert measured["samples"] == 1000
    assert measured["metrics"]["accuracy"] == digits_run.record.metrics["accuracy"]
    assert measured["metrics"]["loss"] == pytest.approx(digits_run.record.metrics["loss"], rel=1e-5)
    assert [row["class"] for row in measured["per_class"]] == list("0123456789")
    assert all(row["samples"] == 100 for row in measured["per_class"])


def test_digits_saved_as_pictures_are_predicted_as_they_were_measured(digits_run, tmp_path):
    held_out = st.open_data("mnist").split("val")
    for index in range(0, 1000, 10):
        image = Image.fromarray(held_out.images.pixels[index])
        image.save(tmp_path / f"{index}_is_{held_out.labels.targets[index]}.png")
    found = digits_run.predict(tmp_path)
    right = sum(Path(row["image"]).stem[-1] == row["class"] for row in found)
    assert right >= 90
    assert all(row["probability"] == row["top"][0][1] for row in found)
    assert all(sum(p for _, p in row["top"]) <= 1 + 1e-9 for row in found)


def test_a_tiny_training_reaches_its_accuracy(colour_run):
    assert colour_run.record.metrics["accuracy"] == 1
    assert colour_run.classes == ("blue", "green", "red")


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(colour_folders, tmp_path):
    folder = colour_folders()
    runs = [
        st.train(folder, st.TrainConfig(**QUICK, seed=seed, out=str(tmp_path / name)))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert same_weights(runs[0], runs[1])
    assert not same_weights(runs[0], runs[2])


def test_predictions_are_equal_before_and_after_saving_and_loading(colour_folders, tmp_path, monkeypatch):
    in_memory = {}
    keep = assembly.RunWriter.keep

    def keep_and_copy(self, result, state):
        keep(self, result, state)
        in_memory[result.epoch] = copy.deepcopy(state.model).eval()

    monkeypatch.setattr(assembly.RunWriter, "keep", keep_and_copy)
    run = st.train(colour_folders(), st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    folder = colour_folders("others", seed=9, images=5)
    never_saved = dataclasses.replace(run, model=in_memory[run.record.best_epoch])
    assert st.load(run.folder).predict(folder) == never_saved.predict(folder)
    others = [epoch for epoch in in_memory if epoch != run.record.best_epoch]
    assert all(
        dataclasses.replace(run, model=in_memory[epoch]).predict(folder) != run.predict(folder) for epoch in others
    )


def test_classes_come_from_the_run_and_not_from_the_folder_given(colour_run, tmp_path, picture):
    for name in ("zebra", "aardvark"):
        (tmp_path / "new" / name).mkdir(parents=True)
    picture((200, 40, 40)).save(tmp_path / "new" / "zebra" / "10.png")
    picture((40, 40, 200)).save(tmp_path / "new" / "zebra" / "2.png")
    picture((40, 200, 40)).save(tmp_path / "new" / "aardvark" / "1.png")
    found = colour_run.predict(tmp_path / "new")
    assert [(Path(row["image"]).name, row["class"]) for row in found] == [
        ("1.png", "green"),
        ("2.png", "blue"),
        ("10.png", "red"),
    ]


def test_what_was_trained_on_is_left_out_of_an_evaluation(colour_run, colour_folders, tmp_path, capsys):
    held_out = colour_run.record.data["val"]
    assert colour_run.evaluate(tmp_path / "colours")["samples"] == held_out
    shutil.copytree(tmp_path / "colours", tmp_path / "renamed")
    assert colour_run.evaluate(tmp_path / "renamed")["samples"] == held_out
    assert f"left out: {36 - held_out} of 36 images" in capsys.readouterr().err
    assert colour_run.evaluate(tmp_path / "colours", split="train")["samples"] == 36 - held_out
    fresh = colour_folders("fresh", seed=50, images=4)
    capsys.readouterr()
    assert colour_run.evaluate(fresh)["samples"] == 12
    assert capsys.readouterr().err == ""


def test_an_evaluation_says_when_its_images_chose_the_epoch(colour_run, tmp_path, capsys):
    held_out = colour_run.record.data["val"]
    colour_run.evaluate(tmp_path / "colours")
    assert f"all {held_out} images also chose the network's best epoch" in capsys.readouterr().err
    seen = colour_run.evaluate(tmp_path / "colours", split="train")["seen"]
    assert seen == {"left_out": 0, "trained_on": 36 - held_out, "chose_epoch": 0}
    assert f"trained on all {36 - held_out} images: this is no measure" in capsys.readouterr().err
    assert colour_run.evaluate(tmp_path / "colours")["seen"]["left_out"] == 36 - held_out


def test_a_run_is_not_put_inside_its_data(colour_folders, tmp_path, monkeypatch):
    folder = colour_folders()
    monkeypatch.chdir(folder)
    for out in ("auto", str(folder / "red" / "run")):
        with pytest.raises(OutputError, match="inside the data"):
            st.train(".", st.TrainConfig(**QUICK, out=out))
    assert sorted(path.name for path in folder.iterdir()) == ["blue", "green", "red"]


def test_a_run_that_did_not_end_says_so_when_it_is_used(colour_run, capsys):
    change(colour_run.folder, status="training", epochs=2)
    assert st.load(colour_run.folder / "run.json").folder == colour_run.folder
    assert "its training did not end (training, 2 of 3 epochs)" in capsys.readouterr().err


def test_a_data_set_is_described_in_a_line(colour_folders):
    assert len(repr(st.open_data(colour_folders()))) < 300


def test_copies_of_training_images_do_not_count_as_held_out(colour_folders, tmp_path, capsys):
    folder = colour_folders(images=20)
    data = st.open_data(folder)
    copied = [name for name in data.split("train").names if "red" in name][:3]
    root = tmp_path / "data"
    for split in ("train", "val"):
        for name in data.split(split).names:
            (root / split / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / name, root / split / name)
    for name in copied:
        shutil.copy(folder / name, root / "val" / "red" / f"copy_{Path(name).name}")
    run = st.train(root, st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert run.record.data["val"] == len(data.split("val"))
    assert "left out: 3 of" in capsys.readouterr().err
    assert run.evaluate(root)["metrics"]["accuracy"] == run.record.metrics["accuracy"]
    shutil.rmtree(root / "val")
    shutil.copytree(root / "train", root / "val")
    with pytest.raises(DataError, match="every image of val is a copy of one in train"):
        st.train(root, st.TrainConfig(**QUICK, out=str(tmp_path / "none")))


def test_an_empty_split_cannot_be_measured(colour_run, colour_folders):
    with pytest.raises(DataError, match="there is no val split; there are: train"):
        colour_run.evaluate(colour_folders("single", images=1), split="val")


def test_an_evaluation_matches_classes_by_name(colour_run, colour_folders):
    only_two = colour_folders("two", classes=("red", "green"), seed=70, images=4)
    result = colour_run.evaluate(only_two)
    assert result["metrics"]["accuracy"] == 1
    assert [(row["class"], row["samples"]) for row in result["per_class"]] == [("blue", 0), ("green", 4), ("red", 4)]


def test_an_evaluation_refuses_unknown_classes_and_nothing_but_training_images(colour_run, colour_folders, tmp_path):
    with pytest.raises(DataError, match=r"the network has no class 'reed' \(did you mean red\?\)"):
        colour_run.evaluate(colour_folders("other", classes=("reed", "green")))
    trained = json.loads((colour_run.folder / "split.json").read_text())["train"]
    for name in trained:
        (tmp_path / "seen" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "colours" / name, tmp_path / "seen" / name)
    with pytest.raises(DataError, match="trained on every image here"):
        colour_run.evaluate(tmp_path / "seen")


def test_images_that_are_there_under_two_labels_are_not_trained_on(colour_folders, tmp_path, capsys):
    folder = colour_folders()
    shutil.copy(folder / "red" / "3.png", folder / "blue" / "same.png")
    run = st.train(folder, st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert "left out: blue/same.png, red/3.png, the same images under different labels" in capsys.readouterr().err
    assert run.record.data["train"] + run.record.data["val"] == 35
    names = [name for part in json.loads((run.folder / "split.json").read_text()).values() for name in part]
    assert "red/2.png" in names
    assert not {"blue/same.png", "red/3.png"} & set(names)


def test_labels_that_leave_nothing_to_train_on_are_refused(colour_folders, tmp_path):
    folder = colour_folders(images=3, classes=("red", "blue"))
    for path in (folder / "red").iterdir():
        shutil.copy(path, folder / "blue" / path.name)
    with pytest.raises(DataError, match="that leaves too few images for train; correct the labels"):
        st.train(folder, st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_an_evaluation_parts_data_as_the_training_did(colour_folders, tmp_path):
    folder = colour_folders(images=20)
    run = st.train(folder, st.TrainConfig(**QUICK | {"epochs": 1}, split_seed=7, out=str(tmp_path / "run")))
    measured = run.evaluate(folder, split="val")
    assert measured["seen"]["trained_on"] == 0
    assert measured["samples"] == run.record.data["val"]


def test_a_test_folder_has_the_last_word_on_figures(colour_folders, tmp_path):
    root = colour_folders("data/train", images=30).parent
    colour_folders("data/test", images=3, seed=500)
    run = st.train(root, st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert run.record.metrics_split == "test"
    assert run.record.data["test"] == 9
    assert run.evaluate(root)["samples"] == 9
    measured = run.evaluate(root)["metrics"]
    assert measured.pop("loss") == pytest.approx(run.record.metrics.pop("loss"), rel=1e-9)  # added in another order
    assert measured == run.record.metrics
    assert run.evaluate(root, split="val")["samples"] == run.record.data["val"]


def test_grey_pictures_train_a_network_of_one_channel(tmp_path, colour_folders):
    folder = colour_folders()
    for path in folder.rglob("*.png"):
        Image.open(path).convert("L").point(lambda value, red="red" in str(path): value // (2 if red else 1)).save(path)
    run = st.train(folder, st.TrainConfig(epochs=1, out=str(tmp_path / "run")))
    assert run.record.preprocessing.channels == 1
    assert run.record.model == "lenet5"
    assert run.record.preprocessing.height_px == 20  # the pictures' own shorter side


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a file name")
def test_names_that_are_no_utf8_or_hold_anything_go_all_the_way(colour_folders, tmp_path, capsys):
    folder = colour_folders(classes=("red", "grün und blau, 100 %"))
    for path in list((folder / "red").iterdir()):
        path.rename(os.fsdecode(os.fsencode(path).replace(b"png", b"caf\xe9 [1].png")))
    run = st.train(folder, st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert run.evaluate(folder)["samples"] == run.record.data["val"]
    assert main(["predict", str(run.folder), str(folder), "--out", str(tmp_path / "p.csv")]) == 0
    assert main(["predict", str(run.folder), str(folder), "--json"]) == 0
    assert {row["class"] for row in json.loads(capsys.readouterr().out.split("\n", 1)[1])} <= set(run.classes)


def test_every_run_gets_a_folder_of_its_own(colour_folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = QUICK | {"epochs": 1}
    folders = [st.train(colour_folders(f"c{i}"), st.TrainConfig(**quick)).folder for i in (1,)]
    folders += [st.train(tmp_path / "c1", st.TrainConfig(**quick)).folder for _ in range(2)]
    assert folders == [Path(f"runs/classify/c1-resnet20{end}") for end in ("", "-2", "-3")]


def test_a_run_that_is_there_is_never_written_over(colour_run, tmp_path):
    before = {path: path.read_bytes() for path in colour_run.folder.iterdir()}
    with pytest.raises(OutputError, match="its training has come to its end; choose another"):
        st.train(tmp_path / "colours", st.TrainConfig(**QUICK, out=str(colour_run.folder)))
    assert {path: path.read_bytes() for path in colour_run.folder.iterdir()} == before


def interrupt_at_step(monkeypatch, step: int) -> None:
    """Let Ctrl-C come during a step of training."""
    steps = 0
    real = assembly.fit

    def fit(*arguments, on_step, **others):
        def counted(images, loss):
            nonlocal steps
            steps += 1
            if steps == step:
                raise KeyboardInterrupt
            on_step(images, loss)

        return real(*arguments, on_step=counted, **others)

    monkeypatch.setattr(assembly, "fit", fit)


def test_an_interrupt_leaves_the_best_weights_so_far(colour_folders, tmp_path, monkeypatch):
    interrupt_at_step(monkeypatch, 7)
    out = tmp_path / "run"
    with pytest.raises(Interrupted, match="best weights so far, epoch 1"):
        st.train(colour_folders(), st.TrainConfig(**QUICK, out=str(out)))
    run = st.load(out)
    assert run.record.status == "interrupted"
    assert run.record.epochs == 1
    measured = run.evaluate(tmp_path / "colours")["metrics"]["accuracy"]
    assert measured == run.record.metrics["accuracy"]


def test_an_interrupt_while_weights_are_written_waits_until_they_are(colour_folders, tmp_path, monkeypatch):
    real = atomic.write

    def write(path, content):
        if path.name == "model.safetensors":
            os.kill(os.getpid(), signal.SIGINT)
        real(path, content)

    monkeypatch.setattr(atomic, "write", write)
    with pytest.raises(Interrupted, match="best weights so far, epoch 1"):
        st.train(colour_folders(), st.TrainConfig(**QUICK, out=str(tmp_path / "run")))
    assert st.load(tmp_path / "run").record.epochs == 1


def test_an_interrupt_before_the_first_step_leaves_nothing(colour_folders, tmp_path, monkeypatch):
    def no_batches(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Batches, "shuffled", no_batches)
    with pytest.raises(KeyboardInterrupt):
        st.train(colour_folders(), st.TrainConfig(**QUICK, out=str(tmp_path / "deep" / "run")))
    assert not (tmp_path / "deep").exists()


def test_training_that_diverges_at_once_says_so(colour_folders, tmp_path):
    with pytest.raises(TrainingError, match=r"the (validation )?loss became .* try --lr 0.01.* end of its first epoch"):
        st.train(colour_folders(), st.TrainConfig(**QUICK | {"lr": 1e30}, out=str(tmp_path / "run")))
    with pytest.raises(RunError, match="has not come to the end of an epoch"):
        st.load(tmp_path / "run")


@pytest.mark.parametrize("broken", ["red/3.png", "blue/0.png"])
def test_a_broken_image_is_named_and_nothing_is_written(colour_folders, tmp_path, broken):
    folder = colour_folders()
    content = (folder / broken).read_bytes()
    (folder / broken).write_bytes(content[: len(content) // 2])
    with raises(DataError, where=f"{broken}$", what="damaged image", fix="repair, shrink or remove it$"):
        st.train(folder, st.TrainConfig(**QUICK, out=str(tmp_path / "deep" / "run")))
    assert not (tmp_path / "deep").exists()


def change(run: Path, **fields: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | fields))


FORM = {"height_px": 8, "width_px": 8, "channels": 3, "fit": "crop", "mean": [0] * 3, "std": [1] * 3}


@pytest.mark.parametrize("content", ["{}", '{"train": 5}', "[]", "", '{"train": {}}'])
def test_a_damaged_list_of_training_images_is_refused(colour_run, tmp_path, content):
    (colour_run.folder / "split.json").write_text(content)
    with pytest.raises(RunError, match=r"split.json: missing or damaged"):
        colour_run.evaluate(tmp_path / "colours")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "run.json").unlink(), r"no run here \(there is no run.json\)"),
        (lambda run: (run / "run.json").write_text('{"format": 4, "task"'), r"run.json: damaged"),
        (lambda run: (run / "run.json").write_text('{"format": 99}'), r"written in format 99"),
        (lambda run: (run / "run.json").write_text('{"format": 4, "wrong": 2}'), r"run.json: damaged"),
        (lambda run: (run / "run.json").write_text("[]"), r"run.json: damaged"),
        (lambda run: change(run, task="depth"), r"knows no depth with resnet20"),
        (lambda run: change(run, task="pose", target_statistics={}), r"run.json: damaged \(a pose has a skeleton\)"),
        (lambda run: change(run, model="resnet9000"), r"knows no classify with resnet9000"),
        (lambda run: change(run, classes=["only one"]), r"model.safetensors: damaged, or of another network"),
        (lambda run: change(run, preprocessing=FORM | {"mean": [0]}), r"damaged"),
        (lambda run: change(run, preprocessing=FORM | {"height_px": "8"}), r"damaged"),
        (lambda run: change(run, preprocessing=FORM | {"fit": "squeeze"}), r"damaged"),
        (lambda run: change(run, augment="shift"), r"knows no augmentation shift"),
        (lambda run: (run / "model.safetensors").unlink(), r"the weights, model.safetensors, are missing"),
        (lambda run: (run / "model.safetensors").write_bytes(b"x" * 100), r"model.safetensors: damaged"),
    ],
)
def test_a_damaged_run_is_refused_with_its_file(colour_run, spoil, message):
    spoil(colour_run.folder)
    with pytest.raises(RunError, match=message):
        st.load(colour_run.folder)


def test_a_truncated_weights_file_is_refused(colour_run):
    path = colour_run.folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RunError, match="damaged"):
        st.load(colour_run.folder)


def test_more_than_memory_holds_is_refused_before_decoding(colour_folders, tmp_path):
    with pytest.raises(ModelError, match="numbers would come out"):
        st.train(colour_folders(), st.TrainConfig(model="resnet18", size=10**6, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_the_network_of_a_run_is_an_ordinary_module(colour_run):
    images = torch.from_numpy(np.zeros((2, 3, 8, 8), np.float32))
    assert isinstance(colour_run.model, torch.nn.Module)
    assert colour_run.model(images).shape == (2, 3)
    assert not colour_run.model.training


def test_masks_are_gone_on_with_as_they_were_read_in_training(colour_run, tmp_path):
    record = colour_run.record
    config = dataclasses.replace(record.config, threshold=128)
    prepared = prepare(tmp_path / "colours", record.config)
    with pytest.raises(RunError, match=r"this has changed: threshold \(was none, is 128\)"):
        check_unchanged(colour_run.folder, record, prepared, config, "", {})


def test_classes_are_learnt_from_whole_images_however_large(tmp_path, colour_folders, monkeypatch):
    """Windows are for segmentation."""
    seen = set()
    real = assembly.fit

    def fit(state, context, *, train_batches, **others):
        seen.update(tuple(batch.images.shape[2:]) for batch in train_batches(0, 0))
        return real(state, context, train_batches=train_batches, **others)

    monkeypatch.setattr(assembly, "fit", fit)
    line = "conv 4@3x3 stride=8 | relu | gap | fc classes"
    st.train(
        colour_folders(images=4),
        st.TrainConfig(model=line, size=300, epochs=1, batch_size=4, out=str(tmp_path / "run")),
    )
    assert seen == {(300, 300)}
