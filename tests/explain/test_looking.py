"""Ways of looking into a network, against their definitions and against networks whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import striate as st
from striate.errors import DataError, ModelError
from striate.explain.calibration import calibrate
from striate.explain.embedding import embed, neighbours, project
from striate.explain.excitation import fields_of, most_exciting
from striate.explain.feature_maps import feature_maps, strongest
from striate.explain.grad_cam import grad_cam
from striate.explain.layer_matrix import layer_matrix
from striate.explain.occlusion import occlusion
from striate.explain.pictures import colours_of, enlarged, framed, sheet
from striate.explain.taps import find_layer, map_layers, tapped
from striate.layers.matrix import as_matrix
from striate.runs.explaining import Explainer
from striate.tasks.base import Question

TWO_LAYERS = "conv 3@3x3 pad=1 | relu | gap | fc classes"


def logit(index: int) -> Question:
    return Question(name=str(index), value=lambda outputs: outputs[0, index])


def test_grad_cam_is_what_its_equations_say_of_two_layers():
    network = st.models.create(TWO_LAYERS, classes=2, size_px=6, seed=1).eval()
    image = torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        maps = network.get_submodule("features.0")(image).relu()[0]
        # the logit is the sum over channels of weight times mean: its slope is the weight over the number of places
        weight = network.get_submodule("classifier.0").weight[1] / 36
        wanted = (weight[:, None, None] * maps).sum(0).relu()
    assert torch.allclose(grad_cam(network, "features.1", image, logit(1)), wanted, atol=1e-6)


def test_a_look_leaves_nothing_behind():
    network = st.models.create("conv 3@3x3 | bn | relu | gap | fc classes", classes=2, size_px=8)
    network.train()
    network.get_submodule("features.1").eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    image = torch.randn(1, 3, 8, 8)
    grad_cam(network, "features.2", image, logit(0))
    occlusion(network, image, logit(0))
    embed(network, ["features.2"], [image])
    most_exciting(network, "features.2", [0, 1], [image])
    feature_maps(network, ["features.0"], image)
    with pytest.raises(RuntimeError), tapped(network, ["features.0"]):  # noqa: PT012
        network(torch.randn(1, 3, 8, 8))
        raise RuntimeError
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


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
    """A network that tells pictures apart by whether there is a bright patch in their upper left corner."""
    folder, random = tmp_path_factory.mktemp("corner"), np.random.default_rng(0)
    for label in ("bright", "dark"):
        (folder / "data" / label).mkdir(parents=True)
        for index in range(60):
            Image.fromarray(scene(random, bright=label == "bright")).save(folder / "data" / label / f"{index}.png")
    line = "conv 8@3x3 pad=1 | relu | maxpool 2 | conv 8@3x3 pad=1 | relu | gap | fc classes"
    options = {"model": line, "augment": "none", "epochs": 15, "lr": 0.05, "precision": "float32"}
    return st.train(folder / "data", st.TrainConfig(**options, batch_size=16, out=str(folder / "run")))


def share_of_corner(values) -> float:
    whole = enlarged(np.asarray(values), 32, 32)
    return float(whole[:12, :12].sum() / max(whole.sum(), 1e-12))


def test_a_network_taught_by_a_corner_looks_there_and_one_with_random_weights_does_not(corner_run, tmp_path):
    assert corner_run.record.metrics["accuracy"] == 1.0
    Image.fromarray(scene(np.random.default_rng(1), bright=True)).save(tmp_path / "one.png")
    found = corner_run.explain(tmp_path / "one.png", of="bright")
    assert share_of_corner(found.where["bright"]) >= 0.8
    assert 0 < share_of_corner(found.random["bright"]) < 0.8
    assert share_of_corner(found.covered) >= 0.8


def test_an_explanation_has_maps_neighbours_and_patches(corner_run, tmp_path):
    path = next((tmp_path.parent / "corner0").rglob("bright/*.png"), None) or next(
        corner_run.folder.parent.rglob("bright/*.png")
    )
    found = corner_run.explain(path)
    assert found.prediction.rows()[0]["class"] == "bright"
    assert [maps.shape[0] for maps in found.maps.values()] == [8, 8]
    assert all("bright" in name for name, _, _ in found.like)
    assert found.like[0][1] >= found.like[-1][1]
    assert len(found.patches) == 6
    assert all(picture.shape == (32, 32, 3) for patches in found.patches.values() for _, picture in patches)


def test_vectors_of_a_run_are_what_its_last_layer_reads(corner_run):
    paths = sorted((corner_run.folder.parent / "data" / "bright").iterdir())[:5]
    vectors = corner_run.embed(paths)
    assert vectors.shape == (5, 8)
    with torch.no_grad():
        logits = corner_run.model.get_submodule("classifier.0")(torch.from_numpy(vectors))
    sure = [row["probability"] for row in corner_run.predict(paths)]
    assert logits.softmax(1).amax(1).tolist() == pytest.approx(sure, abs=1e-5)


def test_without_its_images_a_run_still_explains_what_it_can(corner_run, tmp_path, capsys):
    Image.new("RGB", (32, 32), (90, 90, 90)).save(tmp_path / "one.png")
    with pytest.raises(DataError, match="gone"):
        corner_run.explain(tmp_path / "one.png", data=str(tmp_path / "gone"))
    record = replace(corner_run.record, data=corner_run.record.data | {"location": str(tmp_path / "gone")})
    found = replace(corner_run, record=record).explain(tmp_path / "one.png")
    assert "its training images are not at hand, so nothing is compared with them" in capsys.readouterr().err
    assert (found.like, found.patches) == ([], {})
    assert found.where


def test_neighbours_are_those_of_brute_force():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=(4, 7)), random.normal(size=(30, 7))
    order, cosines = neighbours(ours, theirs, 5)
    middle = theirs.mean(0)
    for row in range(4):
        all_of_them = [
            float(np.dot(ours[row] - middle, other - middle))
            / (np.linalg.norm(ours[row] - middle) * np.linalg.norm(other - middle))
            for other in theirs
        ]
        best = sorted(range(30), key=lambda place: -all_of_them[place])[:5]
        assert order[row].tolist() == best
        assert cosines[row] == pytest.approx([all_of_them[place] for place in best])


def test_two_components_keep_distances_of_points_in_a_plane():
    random = np.random.default_rng(0)
    flat = random.normal(size=(20, 2)) @ random.normal(size=(2, 6))
    places, share = project(flat)
    assert share == pytest.approx(1.0)
    distances = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    assert np.linalg.norm(places[:, None] - places[None], axis=2) == pytest.approx(distances)


def test_tsne_keeps_groups_together():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    random = np.random.default_rng(0)
    vectors = np.concatenate([random.normal(size=(15, 5)), random.normal(size=(15, 5)) + 30])
    places, share = project(vectors, "tsne")
    assert share is None
    apart = np.linalg.norm(places[:15].mean(0) - places[15:].mean(0))
    assert apart > max(np.linalg.norm(part - part.mean(0), axis=1).mean() for part in (places[:15], places[15:]))


def test_what_excites_a_channel_is_found_with_its_receptive_field():
    network = st.models.create("conv 1@3x3 | relu | maxpool 2 | gap | fc classes", classes=2, size_px=10)
    with torch.no_grad():
        network.get_submodule("features.0").weight.zero_()[0, 0, 1, 1] = 1.0  # it gives what it sees in red
        network.get_submodule("features.0").bias.zero_()
    images = torch.zeros(3, 3, 10, 10)
    images[1, 0, 5, 4], images[2, 0, 1, 8] = 3.0, 2.0
    found = most_exciting(network, "features.1", [0], [images[:2], images[2:]], count=2)[0]
    assert [(patch.image, patch.value) for patch in found] == [(1, 3.0), (2, 2.0)]
    assert [patch.box for patch in found] == [(3, 4, 6, 7), (7, 0, 10, 3)]


def test_a_field_is_cut_at_the_borders_and_is_all_where_a_unit_sees_all():
    network = st.models.create("conv 4@5x5 pad=2 | relu | conv 4@5x5 pad=2 | gap | fc classes", classes=2, size_px=9)
    assert fields_of(network, "features.2")((0, 8), (9, 9)) == (4, 0, 9, 5)
    assert fields_of(network, "gap")((0, 0), (9, 9)) is None


def test_occlusion_falls_where_the_answer_comes_from_alone():
    class Corner(nn.Module):
        def forward(self, images):
            return images[:, 0, :4, :4].sum((1, 2))[:, None]

    image = torch.ones(1, 3, 16, 16)
    falls = occlusion(Corner(), image, logit(0), cells=4)
    assert falls.shape == (4, 4)
    assert falls[0, 0] == 16.0
    assert (falls > 0).tolist()[3] == [False] * 4


def test_calibration_by_hand():
    # four answers given with 0.9, three of them right; two with 0.6, one right
    nine, six = float(np.log(9)), float(np.log(1.5))
    logits = torch.tensor([[nine, 0.0]] * 4 + [[six, 0.0]] * 2)
    found = calibrate(logits, torch.tensor([0, 0, 0, 1, 0, 1]))
    assert found.counts == (0, 0, 0, 0, 0, 0, 2, 0, 0, 4) or found.counts == (0, 0, 0, 0, 0, 2, 0, 0, 0, 4)
    assert found.error == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.1, abs=1e-6)


def test_the_temperature_undoes_too_great_a_certainty():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 4, generator=random)
    classes = torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]  # so these are calibrated
    found = calibrate(3 * logits, classes)
    assert found.temperature == pytest.approx(3.0, rel=0.05)
    assert found.error_after < 0.02 < found.error


def test_a_layer_is_drawn_as_its_matrix_and_stretches_as_it_says():
    layer = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    found = layer_matrix(layer, 2, side=5)
    dense = as_matrix(layer, (2, 5, 5)).toarray()
    assert found.input == (2, 5, 5)
    assert found.shape == dense.shape == (75, 50)
    assert (found.entries, found.weights) == (np.count_nonzero(dense), 54)
    assert found.singular == pytest.approx(np.linalg.svd(dense, compute_uv=False), rel=1e-4)
    points = found.pattern[:: found.pattern.shape[0] // 75, :: found.pattern.shape[1] // 50]
    assert ((points != points[dense == 0][0]).any(2) == (dense != 0)).all()
    assert (found.transposed == found.pattern.transpose(1, 0, 2)).all()


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ModelError, match="ReLU cannot be drawn as a matrix"):
        layer_matrix(nn.ReLU(), 3)


def test_a_layer_that_does_not_exist_is_answered_with_the_nearest():
    network = st.models.create("resnet18", classes=3)
    with pytest.raises(ModelError, match=r"no layer 'layer1.7' \(did you mean layer1"):
        find_layer(network, "layer1.7")
    assert find_layer(network, "layer2.1") == "layer2.1"
    assert map_layers(network)[-1] == "layer4.1"


def test_the_strongest_channels_come_first():
    maps = torch.zeros(4, 2, 2)
    maps[2, 0, 1], maps[0, 1, 1] = 5.0, 3.0
    assert strongest(maps, 2) == [2, 0]


def test_pictures_of_maps_keep_order_and_size():
    ramp = colours_of(np.linspace(0, 1, 5)[None])
    assert ramp.shape == (1, 5, 3)
    assert (np.diff(ramp.astype(float).sum(2)[0]) > 0).all()
    assert colours_of(np.zeros((2, 2))).std() == colours_of(np.ones((2, 2))).std()
    whole = sheet([np.zeros((4, 5, 3), np.uint8)] * 3, columns=2, gap_px=1)
    assert whole.shape == (9, 11, 3)
    assert (framed(np.zeros((9, 9, 3), np.uint8), (2, 3, 6, 8))[3, 2:6] != 0).any(1).all()


def test_every_task_can_be_asked(dots_run, dots):
    explainer = Explainer(dots_run.record, dots_run.task, dots_run.model, None, of="blue")
    image = explainer.images([dots / "0.png"])[0]
    found = explainer.explain("0.png", image)
    assert list(found.where) == ["blue"]
    assert found.where["blue"].shape == (8, 8)
