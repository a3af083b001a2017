"""Real photographs, where they are at hand."""

from __future__ import annotations

import pytest
from tests.support import raises

import striate as st
from striate.errors import DataError


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
        share = (data.split("val").labels.targets == target).sum() / (data.samples.labels.targets == target).sum()
        assert 0.15 < share < 0.25


def test_data_for_another_task_are_refused_in_words(unpacked):
    root = next(unpacked("people3d.tar").rglob("joints.json")).parent
    with raises(DataError, what="its task is pose, not classify"):
        st.open_data(root, task="classify")
