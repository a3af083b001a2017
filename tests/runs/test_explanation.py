"""Explanations of images by runs."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support import raises

import striate as st
from striate.errors import ConfigError, DataError
from striate.images.overlays import enlarge_map
from striate.reports.explanation_page import explanation_page
from striate.runs.explanation import Explainer, open_run_images


def scene(random: np.random.Generator, *, bright: bool) -> np.ndarray:
    """Draw noise with blue patches anywhere, which say nothing, and a bright yellow one in the upper left corner."""
    pixels = random.integers(60, 140, (32, 32, 3)).astype(np.uint8)
    for left, top in random.integers(11, 24, (3, 2)):
        pixels[top : top + 8, left : left + 8] = (20, 20, 250)
    if bright:
        pixels[2:10, 2:10] = (250, 250, 20)
    return pixels


@pytest.fixture(scope="module")
def corner_run(tmp_path_factory):
    """A network that tells images apart by whether there is a bright patch in their upper left corner."""
    folder, random = tmp_path_factory.mktemp("corner"), np.random.default_rng(0)
    for label in ("bright", "dark"):
        (folder / "data" / label).mkdir(parents=True)
        for index in range(60):
            Image.fromarray(scene(random, bright=label == "bright")).save(folder / "data" / label / f"{index}.png")
    line = "conv 8@3x3 pad=1 | relu | maxpool 2 | conv 8@3x3 pad=1 | relu | gap | fc classes"
    options = {"model": line, "augment": "none", "epochs": 15, "lr": 0.05, "precision": "float32"}
    return st.train(folder / "data", st.TrainConfig(**options, batch_size=16, out=str(folder / "run")))


def alike(run, path) -> list[str]:
    return [other.name for other in run.explain(path).neighbours]


def share_of_corner(values) -> float:
    whole = enlarge_map(np.asarray(values), 32, 32)
    return float(whole[:12, :12].sum() / max(whole.sum(), 1e-12))


def test_a_network_taught_by_a_corner_looks_there(corner_run, tmp_path):
    assert corner_run.record.metrics["accuracy"] == 1.0
    Image.fromarray(scene(np.random.default_rng(1), bright=True)).save(tmp_path / "one.png")
    explanation = corner_run.explain(tmp_path / "one.png", of="bright")
    assert share_of_corner(explanation.grad_cam["bright"]) >= 0.8
    assert 0 < share_of_corner(explanation.random_grad_cam["bright"]) < 0.8
    assert share_of_corner(explanation.occlusion) >= 0.8


def test_an_explanation_has_maps_neighbours_and_patches(corner_run, tmp_path):
    path = next((tmp_path.parent / "corner0").rglob("bright/*.png"), None) or next(
        corner_run.folder.parent.rglob("bright/*.png")
    )
    explanation = corner_run.explain(path)
    assert explanation.prediction.rows()[0]["class"] == "bright"
    assert [maps.shape[0] for maps in explanation.feature_maps.values()] == [8, 8]
    assert all("bright" in other.name for other in explanation.neighbours)
    assert explanation.neighbours[0].cosine >= explanation.neighbours[-1].cosine
    assert len(explanation.patches) == 6
    assert explanation._repr_html_().count("<figure>") == len(explanation.illustrations()) > 2  # in a notebook
    assert explanation.document()["confidence"] == explanation.confidence
    assert all(patch.image.shape == (32, 32, 3) for patches in explanation.patches.values() for patch in patches)


def test_vectors_of_a_run_are_what_its_last_layer_reads(corner_run):
    paths = sorted((corner_run.folder.parent / "data" / "bright").iterdir())[:5]
    vectors = corner_run.embed(paths)
    assert vectors.shape == (5, 8)
    with torch.no_grad():
        logits = corner_run.model.get_submodule("classifier.0")(torch.from_numpy(vectors))
    confidence = [row["probability"] for row in corner_run.predict(paths)]
    assert logits.softmax(1).amax(1).tolist() == pytest.approx(confidence, abs=1e-5)


def test_without_its_images_a_run_still_explains_what_it_can(corner_run, tmp_path, capsys):
    Image.new("RGB", (32, 32), (90, 90, 90)).save(tmp_path / "one.png")
    with raises(DataError, where="gone$"):
        corner_run.explain(tmp_path / "one.png", data=str(tmp_path / "gone"))
    record = replace(corner_run.record, data=corner_run.record.data | {"location": str(tmp_path / "gone")})
    explanation = replace(corner_run, record=record).explain(tmp_path / "one.png")
    assert "the run's training images are not at hand, so nothing is compared with them" in capsys.readouterr().err
    assert (explanation.neighbours, explanation.patches) == ([], {})
    assert explanation.grad_cam


def test_every_task_can_be_asked(dots_run, dots):
    explainer = Explainer(dots_run.record, dots_run.task, dots_run.model, None, of="blue")
    explanation = explainer.explain(*explainer.subjects([dots / "0.png"]))
    assert list(explanation.grad_cam) == ["blue"]
    assert explanation.grad_cam["blue"].shape == (8, 8)
    assert explanation.confidence["blue"] is None  # joints come without a probability
    for axis in "xyz":
        explainer = Explainer(dots_run.record, dots_run.task, dots_run.model, None, of=f"blue.{axis}")
        assert list(explainer.explain(*explainer.subjects([dots / "0.png"])).grad_cam) == [f"blue.{axis}"]


def test_a_training_image_is_not_like_itself(corner_run, tmp_path):
    own, another = list(json.loads((corner_run.folder / "split.json").read_text())["train"])[:2]
    assert own not in alike(corner_run, corner_run.folder.parent / "data" / own)
    copy = tmp_path / "copy.png"
    shutil.copy(corner_run.folder.parent / "data" / another, copy)
    assert another not in alike(corner_run, copy)


def test_confidence_is_told_beside_what_it_is_worth(corner_run):
    path = corner_run.folder.parent / "data" / "dark" / "3.png"
    gallery = open_run_images(corner_run.folder, corner_run.record, corner_run.model, None)
    explainer = Explainer(corner_run.record, corner_run.task, corner_run.model, gallery)
    explanation = explainer.explain(*explainer.subjects([path]))
    (said,) = corner_run.predict(path)
    assert list(explanation.confidence.values()) == pytest.approx([one for _, one in said["top"]], abs=1e-6)
    assert list(explanation.confidence) == [name for name, _ in said["top"]]
    text = explanation_page(explainer, [explanation]).html()
    assert re.search(r"Of \d+ answers there that it gave with \d+ to \d+ %, \d+ were right", text)
    assert "recall" in text
    asked = Explainer(corner_run.record, corner_run.task, corner_run.model, None, of="bright")
    assert list(asked.explain(*asked.subjects([path])).confidence) == list(
        explanation.confidence
    )  # the likeliest class is the dark one


def test_parts_of_blocks_are_layers_too(colour_run, tmp_path):
    explanation = colour_run.explain(next((tmp_path / "colours").rglob("*.png")), layer="layer1.0.conv1")
    assert explanation.layer == "layer1.0.conv1"
    assert next(iter(explanation.feature_maps)) == "layer1.0.conv1"
    assert all(len(values) for values in explanation.grad_cam.values())
    assert explanation.patches


def test_an_image_is_explained_in_its_own_shape(tmp_path):
    line = "conv 6@3x3 pad=1 | bn | relu | maxpool 2 | conv 8@3x3 pad=1 | bn | relu | gap | fc classes"
    options = {"model": line, "task": "segment", "epochs": 1, "size": 32, "precision": "float32"}
    run = st.train("figures:30", st.TrainConfig(**options, out=str(tmp_path / "run")))
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (30, 120, 3)).astype(np.uint8)).save(tmp_path / "wide.png")
    explanation = run.explain(tmp_path / "wide.png", layer="decoder.classifier")
    assert explanation.image.shape == (16, 64, 3)  # as many pixels as 32x32 has, in the shape of the source image
    assert [maps.shape[1:] for maps in explanation.feature_maps.values()] == [(16, 64), (16, 64), (8, 32)]
    assert all(0 < value <= 1 for value in explanation.confidence.values())


def test_a_network_without_maps_is_explained_by_covering(colour_folders, tmp_path):
    data = colour_folders()
    options = {"model": "flatten | fc 8 | relu | fc classes", "size": 8, "epochs": 1}
    run = st.train(data, st.TrainConfig(**options, out=str(tmp_path / "run")))
    path = next(data.rglob("*.png"))
    gallery = open_run_images(run.folder, run.record, run.model, None)
    explainer = Explainer(run.record, run.task, run.model, gallery)
    explanation = explainer.explain(*explainer.subjects([path]))
    assert (explanation.layer, explanation.grad_cam, explanation.feature_maps, explanation.patches) == (
        None,
        {},
        {},
        {},
    )
    assert explanation.occlusion.shape == (8, 8)
    assert "covering parts of an image is the one way" in explanation_page(explainer, [explanation]).html()
    with raises(ConfigError, where="layer", what="gives no maps", fix="layers that do: none"):
        run.explain(path, layer="classifier.0")
