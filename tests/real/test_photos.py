"""Real photographs, where they are at hand."""

from __future__ import annotations

import warnings

import pytest

import striate as st
from striate.data.decode import open_image, to_pixels
from striate.errors import DataError, ImageError


def test_hard_files_become_pixels_or_an_error_that_says_why(unpacked):
    decoded, refusals = 0, []
    for path in sorted(unpacked("odd-images.tar").rglob("*.*")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about metadata; what matters is the outcome
            try:
                pixels = to_pixels(open_image(path.read_bytes()), size_px=16, channels=3)
            except ImageError as error:
                refusals.append(str(error))
                continue
        assert pixels.shape == (16, 16, 3)
        assert pixels.dtype == "uint8"
        decoded += 1
    assert decoded + len(refusals) == 328
    assert decoded > 250
    assert all(refusal and "\n" not in refusal for refusal in refusals)


def test_ants_and_bees_train_with_the_split_they_come_with(unpacked, tmp_path):
    root = next(unpacked("ants-bees.tar").rglob("train")).parent
    data = st.open_data(root)
    assert data.classes == ("ants", "bees")
    assert {name: len(data.split(name)) for name in data.splits} == {"train": 243, "val": 153}
    config = st.TrainConfig(model="resnet20", size=32, epochs=3, out=str(tmp_path / "run"))
    run = st.train(data, config)
    result = run.evaluate(root)
    assert result["samples"] == 153
    assert result["metrics"]["accuracy"] == run.record.metrics["accuracy"]
    predicted = run.predict(root / "val" / "bees")
    bees = sum(row["class"] == "bees" for row in predicted)
    assert bees / len(predicted) == pytest.approx(result["per_class"][1]["recall"])


def test_flowers_without_a_split_are_parted_by_class(unpacked):
    data = st.open_data(next(unpacked("flowers.tar").rglob("daisy")).parent)
    assert data.classes == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    assert len(data.samples) == 4317
    for target in range(5):
        share = (data.split("val").targets == target).sum() / (data.samples.targets == target).sum()
        assert 0.15 < share < 0.25


def test_a_folder_for_another_task_is_refused_in_words(unpacked):
    root = next(unpacked("people3d.tar").rglob("joints.json")).parent
    with pytest.raises(DataError, match="images, and no train"):
        st.open_data(root)
