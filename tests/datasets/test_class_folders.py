"""Folders of class folders are read as they are meant, and what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.support import raises

import striate as st
from striate.datasets.splits import hold_out
from striate.errors import DataError


def test_classes_are_in_natural_order(colour_folders):
    folder = colour_folders(classes=("10", "2", "1", "class 11", "class 3"))
    assert st.open_data(folder).classes == ("1", "2", "10", "class 3", "class 11")


def test_a_fifth_is_held_out_of_every_class(colour_folders):
    data = st.open_data(colour_folders(images=100))
    assert data.official_split is None
    targets = data.split("val").labels.targets
    assert len(data.split("train")) + len(data.split("val")) == 300
    assert 40 <= len(targets) <= 80
    assert np.bincount(targets).min() >= 8


def test_added_files_leave_others_in_their_split(colour_folders, picture):
    folder = colour_folders(images=40)
    before = {name: set(st.open_data(folder).split(name).names) for name in ("train", "val")}
    for index in range(100, 140):
        picture(seed=index).save(folder / "red" / f"{index}.png")
    after = {name: set(st.open_data(folder).split(name).names) for name in ("train", "val")}
    assert before["train"] < after["train"]
    assert before["val"] < after["val"]


def test_another_seed_holds_out_others(colour_folders, picture):
    folder = colour_folders("C#", images=40)  # a sign that means something elsewhere
    seeds = {frozenset(st.open_data(folder, split_seed=seed).split("val").names) for seed in range(3)}
    assert len(seeds) == 3
    before = set(st.open_data(folder, split_seed=1).split("val").names)
    for index in range(100, 140):
        picture(seed=index).save(folder / "red" / f"{index}.png")
    assert before < set(st.open_data(folder, split_seed=1).split("val").names)


@given(sizes=some.lists(some.integers(1, 6), min_size=2, max_size=40), seed=some.integers(0, 9))
def test_samples_of_one_name_stay_together(sizes, seed):
    names = [f"picture {index}" for index, size in enumerate(sizes) for _ in range(size)]
    held = hold_out(names, np.zeros(len(names), dtype=np.int64), 0.2, seed)
    out = {name for name, chosen in zip(names, held, strict=True) if chosen}
    assert not out & {name for name, chosen in zip(names, held, strict=True) if not chosen}
    assert 1 <= len(out) < len(sizes)


def test_two_images_a_class_are_parted_one_and_one(colour_folders):
    data = st.open_data(colour_folders(images=2))
    assert np.bincount(data.split("train").labels.targets).tolist() == [1, 1, 1]
    assert np.bincount(data.split("val").labels.targets).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_is_taken_as_it_is(colour_folders, name):
    root = colour_folders("data/train").parent
    colour_folders(f"data/{name}", images=3, classes=("blue", "green"))
    data = st.open_data(root)
    assert (len(data.split("train")), len(data.split("val")), data.official_split) == (36, 6, "val")
    assert [data.classes[target] for target in data.split("val").labels.targets] == ["blue"] * 3 + ["green"] * 3


def test_val_is_held_out_beside_a_test_folder(colour_folders):
    root = colour_folders("data/train", images=100).parent
    colour_folders("data/test", images=5)
    data = st.open_data(root)
    assert data.official_split == "test"
    assert len(data.split("test")) == 15
    assert len(data.split("train")) + len(data.split("val")) == 300
    assert 15 <= len(data.split("val")) <= 50


def test_deeper_images_count_and_hidden_files_do_not(colour_folders, picture):
    folder = colour_folders()
    (folder / "red" / "session 1").mkdir()
    picture(seed=77).save(folder / "red" / "session 1" / "x.jpg")
    (folder / "red" / ".DS_Store").write_bytes(b"x")
    (folder / "red" / "Thumbs.db").write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / "README.txt").write_text("beside the classes, not in one")
    data = st.open_data(folder)
    assert "red/session 1/x.jpg" in data.samples.names
    assert len(data.samples) == 37
    assert data.classes == ("blue", "green", "red")


def test_an_image_is_known_by_its_content_not_its_name(colour_folders):
    folder = colour_folders()
    (folder / "red" / "0.png").rename(folder / "red" / "0.dat")
    assert "red/0.dat" in st.open_data(folder).samples.names


def add_text(root: Path) -> None:
    (root / "train" / "red" / "notes.txt").write_text("hello")


def add_empty_file(root: Path) -> None:
    (root / "train" / "red" / "empty.jpg").touch()


def add_empty_class(root: Path) -> None:
    (root / "train" / "violet").mkdir()


def add_class_to_val(root: Path) -> None:
    (root / "train" / "red").rename(root / "train" / "rde")


def add_second_val(root: Path) -> None:
    (root / "valid").mkdir()


def remove_train_classes(root: Path) -> None:
    for folder in (root / "train").iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (add_text, {"where": r"notes\.txt", "what": "no image", "fix": "move"}),
        (add_empty_file, {"where": r"empty\.jpg", "what": "no image", "fix": "move"}),
        (add_empty_class, {"where": "violet", "what": "the class is empty", "fix": "add images or remove"}),
        (add_class_to_val, {"where": "val/red", "what": r"train has no class 'red' \(did you mean rde\?\)"}),
        (add_second_val, {"what": "val, valid are all there", "fix": "keep one"}),
        (remove_train_classes, {"where": "train", "what": "there are no class folders", "fix": "wanted"}),
    ],
)
def test_mistakes_are_named_with_a_fix(colour_folders, spoil, error):
    root = colour_folders("data/train").parent
    colour_folders("data/val")
    assert st.open_data(root).classes
    spoil(root)
    with raises(DataError, **error):
        st.open_data(root)


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("nowhere", {"where": "nowhere", "what": "no such folder or file"}),
        ("mnits", {"what": r"no such folder or file \(did you mean mnist\?\)"}),
        ("file.txt", {"where": r"file\.txt", "what": r"no layout that striate knows", "fix": "^wanted: "}),
        ("bare", {"where": "bare", "what": r"no layout that striate knows", "fix": "FOLDER/<class>/"}),
        ("n" * 300, {"what": "cannot be read"}),
    ],
)
def test_what_is_no_data_set_is_refused(tmp_path, monkeypatch, location, error):
    monkeypatch.chdir(tmp_path)
    Path("file.txt").touch()
    Path("bare").mkdir()
    with raises(DataError, **error):
        st.open_data(location)


def rename_splits(root: Path, **names: str) -> Path:
    for old, new in names.items():
        (root / old).rename(root / new)
    return root


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ({"train": "Train", "val": "Test"}, {"what": "Test, Train: .* and no train"}),
        ({"train": "training", "val": "testing"}, {"what": "testing, training: .* and no train"}),
        ({"val": "Val"}, {"what": "Val: named like splits", "fix": "call splits"}),
        ({"val": "dev"}, {"what": "dev: named like splits", "fix": "call splits train, val and test"}),
    ],
)
def test_folders_named_like_splits_are_refused(colour_folders, names, error):
    root = colour_folders("data/train").parent
    colour_folders("data/val")
    with raises(DataError, **error):
        st.open_data(rename_splits(root, **names))


def test_a_class_may_be_called_test_but_not_train(colour_folders, capsys):
    assert st.open_data(colour_folders("ab", classes=("control", "test"))).classes == ("control", "test")
    with raises(DataError, what="train has no class folders", fix="if it is a class itself"):
        st.open_data(colour_folders("vehicles", classes=("car", "bus", "train")))
    root = colour_folders("data/train").parent
    (root / "docs").mkdir()
    assert st.open_data(root).classes == ("blue", "green", "red")
    assert "passed over, beside train: docs" in capsys.readouterr().err


@given(sizes=some.lists(some.integers(1, 60), min_size=1, max_size=4), seed=some.integers(0, 1000))
def test_of_every_class_about_the_due_share_is_held_out(sizes, seed):
    targets = np.repeat(np.arange(len(sizes)), sizes)
    names = [f"{seed}/{index}" for index in range(len(targets))]
    held = hold_out(names, targets, 0.2)
    for target, size in enumerate(sizes):
        count = held[targets == target].sum()
        assert count <= size - 1
        assert count >= min(1, size - 1)
        assert abs(count - 0.2 * size) <= 0.1 * size + 1
    shuffled = np.random.default_rng(seed).permutation(len(names))
    np.testing.assert_array_equal(hold_out([names[i] for i in shuffled], targets[shuffled], 0.2), held[shuffled])


def test_a_class_that_a_split_lacks_is_said(colour_folders, capsys):
    root = colour_folders("data/train").parent
    colour_folders("data/val", classes=("red", "blue"))
    st.open_data(root)
    assert "val: no images of green" in capsys.readouterr().err


def test_a_link_out_of_a_class_brings_no_other_class_in(colour_folders):
    folder = colour_folders()
    try:
        (folder / "red" / "up").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert len(st.open_data(folder).samples) == 36


def test_images_behind_links_count_and_circles_end(colour_folders, tmp_path):
    folder = colour_folders()
    other = colour_folders("other", seed=5)
    try:
        (folder / "red" / "more").symlink_to(other / "red", target_is_directory=True)
        (folder / "red" / "circle").symlink_to(folder / "red", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert len(st.open_data(folder).samples) == 36 + 12


def test_a_folder_named_as_a_sample_is_not_mistaken_for_it(colour_folders, tmp_path, monkeypatch):
    colour_folders("mnist")
    monkeypatch.chdir(tmp_path)
    with raises(DataError, fix=r"write \./mnist"):
        st.open_data("mnist")
    assert st.open_data("./mnist").classes == ("blue", "green", "red")


def test_one_class_alone_cannot_be_trained_but_can_be_listed(colour_folders):
    data = st.open_data(colour_folders(classes=("red",)))
    with raises(DataError, what="one class only"):
        data.check_trainable()


def test_one_image_a_class_is_too_little_to_hold_any_out(colour_folders):
    data = st.open_data(colour_folders(images=1))
    assert (len(data.splits["train"]), len(data.splits["val"])) == (3, 0)
    with raises(DataError, what="too few"):
        data.check_trainable()


def test_images_beside_the_class_folders_are_named(colour_folders, picture, capsys):
    root = colour_folders("data/train").parent
    colour_folders("data/val")
    picture().save(root / "train" / "loose.jpg")
    (root / "notes.txt").write_text("no image")
    assert len(st.open_data(root).samples) == 72
    assert "passed over, beside the class folders: " in (said := capsys.readouterr().err)
    assert "loose.jpg; an image belongs into the folder of its class" in said
    assert "notes" not in said
