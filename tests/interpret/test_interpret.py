"""Ways of looking into a network, against their definitions and against networks whose answers are known."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from tests.support import raises
from torch import nn

import striate as st
from striate.errors import ModelError
from striate.images.overlays import colour_map, draw_box, image_grid
from striate.interpret.activations import (
    feature_map_layers,
    find_layer,
    layer_shapes,
    preserve_state,
    record_activations,
)
from striate.interpret.calibration import calibrate
from striate.interpret.embedding import embed, nearest_neighbours, project
from striate.interpret.feature_maps import feature_maps, strongest_channels
from striate.interpret.grad_cam import grad_cam
from striate.interpret.layer_matrix import layer_matrix
from striate.interpret.occlusion import occlusion
from striate.interpret.top_activations import receptive_fields_by_gradients, receptive_fields_of, top_activations
from striate.layers.matrix import as_matrix
from striate.models.decoders import EncoderDecoder
from striate.tasks.explaining import ExplainTarget

TWO_LAYERS = "conv 3@3x3 pad=1 | relu | gap | fc classes"


def logit(index: int) -> ExplainTarget:
    return ExplainTarget(name=str(index), words="", value=lambda outputs: outputs[0, index])


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
    top_activations(network, "features.2", [0, 1], [image])
    feature_maps(network, ["features.0"], image)
    with pytest.raises(RuntimeError), preserve_state(network), record_activations(network, ["features.0"]):  # noqa: PT012
        network(torch.randn(1, 3, 8, 8))
        raise RuntimeError
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_neighbours_are_those_of_brute_force():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=(4, 7)), random.normal(size=(30, 7))
    order, cosines = nearest_neighbours(ours, theirs, 5)
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


def test_top_activations_come_with_receptive_fields():
    network = st.models.create("conv 1@3x3 | relu | maxpool 2 | gap | fc classes", classes=2, size_px=10)
    with torch.no_grad():
        network.get_submodule("features.0").weight.zero_()[0, 0, 1, 1] = 1.0  # it gives what it sees in red
        network.get_submodule("features.0").bias.zero_()
    images = torch.zeros(3, 3, 10, 10)
    images[1, 0, 5, 4], images[2, 0, 1, 8] = 3.0, 2.0
    result = top_activations(network, "features.1", [0], [images[:2], images[2:]], count=2)[0]
    assert [(patch.image, patch.value) for patch in result] == [(1, 3.0), (2, 2.0)]
    assert [patch.box for patch in result] == [(3, 4, 6, 7), (7, 0, 10, 3)]


def test_fields_of_parts_are_where_gradients_arrive():
    network = st.models.create("conv 4@3x3 pad=1 | relu | res 4 | gap | fc classes", classes=2, size_px=15)
    inner = receptive_fields_of(network, "features.2.conv1")  # 3x3 after 3x3
    assert inner((7, 7), (15, 15)) == (5, 5, 10, 10)
    assert inner((0, 14), (15, 15)) == (12, 0, 15, 3)
    assert receptive_fields_of(network, "features.2.conv2")((7, 7), (15, 15)) == (4, 4, 11, 11)


@pytest.mark.parametrize("reduce", [1, 2])
def test_planned_fields_are_where_gradients_arrive(reduce):
    line = "conv 4@3x3 pad=1 | conv 4@3x3 stride=2 pad=1 | conv 4@3x3 pad=1 | gap | fc classes"
    plan = st.models.plan_network(line, (3, 16, 16))
    network = EncoderDecoder(st.models.build_network(plan.backbone(), "a line", seed=0), 3, reduce=reduce)
    layer, size_px = "encoder.features.2", (32, 32)
    worked_out = receptive_fields_of(network, layer)
    for place in ((0, 0), (3, 5), (4, 4), (7, 1)):
        assert worked_out(place, size_px) == receptive_fields_by_gradients(network, layer)(place, size_px)


def test_a_look_at_many_images_holds_few_of_them():
    network = st.models.create("conv 2@3x3 | relu | gap | fc classes", classes=2, size_px=6)
    alive: list[weakref.ref[torch.Tensor]] = []

    def images():
        for _ in range(50):  # 5,000 images
            batch = torch.rand(100, 3, 6, 6)
            alive.append(weakref.ref(batch))
            assert sum(one() is not None for one in alive) <= 2
            yield batch

    assert embed(network, ["gap"], images())["gap"].shape == (5_000, 2)
    alive.clear()
    assert len(top_activations(network, "features.1", [0, 1], images(), count=3)[1]) == 3


def test_a_field_is_cut_at_borders_or_is_the_whole_image():
    network = st.models.create("conv 4@5x5 pad=2 | relu | conv 4@5x5 pad=2 | gap | fc classes", classes=2, size_px=9)
    assert receptive_fields_of(network, "features.2")((0, 8), (9, 9)) == (4, 0, 9, 5)
    assert receptive_fields_of(network, "gap")((0, 0), (9, 9)) is None


def test_occlusion_falls_where_the_answer_comes_from_alone():
    class Corner(nn.Module):
        def forward(self, images):
            return images[:, 0, :4, :4].sum((1, 2))[:, None]

    image = torch.ones(1, 3, 16, 16)
    falls = occlusion(Corner(), image, logit(0), cells=4)
    assert falls.shape == (4, 4)
    assert falls[0, 0] == 16.0
    assert (falls > 0).tolist()[3] == [False] * 4


def test_the_grid_of_occlusion_ends_where_the_image_does():
    class Last(nn.Module):
        def forward(self, images):
            return images[:, 0, -1, -1][:, None]

    falls = occlusion(Last(), torch.ones(1, 3, 22, 35), logit(0), cells=4)
    assert falls.shape == (4, 6)  # cells of 5.5 by 5.8
    assert falls.nonzero().tolist() == [[3, 5]]


def test_calibration_by_hand():
    # four answers given with 0.9, three of them right; two with 0.6, one right
    nine, six = float(np.log(9)), float(np.log(1.5))
    logits = torch.tensor([[nine, 0.0]] * 4 + [[six, 0.0]] * 2)
    result = calibrate(logits, torch.tensor([0, 0, 0, 1, 0, 1]))
    assert result.counts == (0, 0, 0, 0, 0, 0, 2, 0, 0, 4) or result.counts == (0, 0, 0, 0, 0, 2, 0, 0, 0, 4)
    assert result.error == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.1, abs=1e-6)


def test_the_temperature_undoes_too_great_a_certainty():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 4, generator=random)
    classes = torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]  # so these are calibrated
    result = calibrate(3 * logits, classes)
    assert result.temperature == pytest.approx(3.0, rel=0.05)
    assert result.error_after < 0.02 < result.error


def test_a_layer_is_drawn_as_its_matrix():
    layer = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    result = layer_matrix(layer, 2, side=5)
    dense = as_matrix(layer, (2, 5, 5)).toarray()
    assert result.input == (2, 5, 5)
    assert result.shape == dense.shape == (75, 50)
    assert (result.entries, result.weights) == (np.count_nonzero(dense), 54)
    assert result.singular == pytest.approx(np.linalg.svd(dense, compute_uv=False), rel=1e-4)
    points = result.pattern[:: result.pattern.shape[0] // 75, :: result.pattern.shape[1] // 50]
    assert ((points != points[dense == 0][0]).any(2) == (dense != 0)).all()
    assert (result.transposed == result.pattern.transpose(1, 0, 2)).all()


def test_thin_and_large_matrices():
    thin = layer_matrix(nn.Linear(1000, 2), 1)
    assert min(thin.pattern.shape[:2]) >= 40
    layer = nn.Conv2d(20, 20, 3, padding=1, bias=False)
    large = layer_matrix(layer, 20, side=8)
    assert large.shape == (1280, 1280)
    wanted = np.linalg.svd(as_matrix(layer, (20, 8, 8)).toarray(), compute_uv=False)
    assert large.singular == pytest.approx(wanted[: len(large.singular)], rel=1e-3)


def test_what_is_no_matrix_is_refused():
    with raises(ModelError, where="ReLU", what="cannot be drawn as a matrix"):
        layer_matrix(nn.ReLU(), 3)


def test_a_missing_layer_is_answered_with_the_nearest():
    network = st.models.create("resnet18", classes=3)
    with raises(ModelError, what=r"no layer 'layer1.7' \(did you mean layer1"):
        find_layer(network, "layer1.7")
    assert find_layer(network, "layer2.1") == "layer2.1"
    assert find_layer(network, "layer2.0.conv1") == "layer2.0.conv1"
    assert layer_shapes(network, "layer2.0.conv1") == ((64, 56, 56), (128, 28, 28))
    with raises(ModelError, where="layer2", what="a group of layers", fix="choose one: layer2.0, layer2.1"):
        find_layer(network, "layer2")
    assert feature_map_layers(network)[-1] == "layer4.1"


def test_the_strongest_channels_come_first():
    maps = torch.zeros(4, 2, 2)
    maps[2, 0, 1], maps[0, 1, 1] = 5.0, 3.0
    assert strongest_channels(maps, 2) == [2, 0]


def test_images_of_maps_keep_order_and_size():
    ramp = colour_map(np.linspace(0, 1, 5)[None])
    assert ramp.shape == (1, 5, 3)
    assert (np.diff(ramp.astype(float).sum(2)[0]) > 0).all()
    assert colour_map(np.zeros((2, 2))).std() == colour_map(np.ones((2, 2))).std()
    whole = image_grid([np.zeros((4, 5, 3), np.uint8)] * 3, columns=2, gap_px=1)
    assert whole.shape == (9, 11, 3)
    assert (draw_box(np.zeros((9, 9, 3), np.uint8), (2, 3, 6, 8))[3, 2:6] != 0).any(1).all()
