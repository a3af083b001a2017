"""Weights of one network begin another: the body as a whole, of the head what fits."""

from __future__ import annotations

import pytest
import torch
from tests.support import raises

import striate as st
from striate.errors import ModelError
from striate.models.decoders import EncoderDecoder
from striate.models.heatmaps import HeatmapNetwork
from striate.models.pretrained.transfer import transfer

LINE = "conv 4@3x3 pad=1 | bn | relu | maxpool 2 | conv 6@3x3 pad=1 | relu | flatten | fc 8 | relu | fc classes"


def network(classes: int, seed: int, line: str = LINE, size: int = 8):
    return st.models.create(line, classes=classes, size_px=size, seed=seed)


def equal(ours, theirs, names) -> list[bool]:
    return [torch.equal(ours.state_dict()[name], theirs.state_dict()[name]) for name in names]


def test_all_but_the_last_layer_is_taken():
    for classes in (3, 5):
        ours, theirs = network(3, 0), network(classes, 1)
        before = ours.state_dict()["classifier.2.weight"].clone()
        result = transfer(ours, theirs.state_dict())
        assert set(result.fresh) == {"classifier.2.weight", "classifier.2.bias"}
        assert all(equal(ours, theirs, result.taken))
        assert torch.equal(ours.state_dict()["classifier.2.weight"], before)


@pytest.mark.parametrize(
    ("line", "last"),
    [
        ("conv 4@3x3 | relu | gap | fc classes | relu", "classifier.0"),
        ("conv 4@3x3 | relu | conv 3@1x1 | gap", "features.2"),
    ],
)
def test_the_last_layer_is_the_last_that_has_weights(line, last):
    ours, theirs = network(3, 0, line), network(3, 1, line)
    result = transfer(ours, theirs.state_dict())
    assert set(result.fresh) == {f"{last}.weight", f"{last}.bias"}
    assert set(result.taken) == {"features.0.weight", "features.0.bias"}


def test_hidden_layers_of_a_head_for_another_size_are_drawn_anew():
    ours, theirs = network(3, 0, size=8), network(3, 1, size=12)
    result = transfer(ours, theirs.state_dict())
    assert {name.rpartition(".")[0] for name in result.fresh} == {"classifier.0", "classifier.2"}


@pytest.mark.parametrize("model", ["resnet18", LINE])
def test_a_classifier_begins_a_segmentation_and_back(model):
    def trunk(seed):
        return st.models.build_network(
            st.models.plan_network(model, (3, 64, 64), classes=3).backbone(), model, seed=seed
        )

    whole = st.models.create(model, classes=3, size_px=64, seed=1)
    ours = EncoderDecoder(trunk(0), 4)
    result = transfer(ours, whole.state_dict())
    assert all(name.startswith("decoder.") for name in result.fresh)
    encoder = {name.removeprefix("encoder."): value for name, value in ours.state_dict().items()}
    assert all(torch.equal(encoder[name], whole.state_dict()[name]) for name in encoder if "decoder" not in name)
    again = st.models.create(model, classes=5, size_px=64, seed=2)
    back = transfer(again, ours.state_dict())
    assert {name.partition(".")[0] for name in back.fresh} <= {"fc", "classifier"}


@pytest.mark.parametrize("skips", ["concat", "sum", "none"])
def test_a_decoder_is_taken_but_for_what_says_classes(skips):
    def segmentation(seed):
        torch.manual_seed(seed)
        return EncoderDecoder(
            network(2, seed, "conv 4@3x3 stride=2 pad=1 | relu | conv 6@3x3 stride=2 pad=1"), 3, skips=skips
        )

    ours, theirs = segmentation(0), segmentation(1)
    result = transfer(ours, theirs.state_dict())
    fresh = {".".join(name.split(".")[:2]) for name in result.fresh}
    assert fresh == ({"decoder.scores"} if skips == "sum" else {"decoder.classifier"})
    assert all(equal(ours, theirs, result.taken))


def test_heatmaps_for_other_joints_take_the_way_up():
    def pose(joints, seed):
        torch.manual_seed(seed)
        return HeatmapNetwork(st.models.create("resnet18", classes=2, size_px=64, seed=seed), joints, 3)

    ours, theirs = pose(13, 0), pose(17, 1)
    result = transfer(ours, theirs.state_dict())
    assert {name for name in result.fresh if name.startswith("decoder")} == {
        "decoder.classifier.weight", "decoder.classifier.bias"
    }  # fmt: skip


def test_weights_of_another_network_are_refused():
    """The first three entries that differ are named."""
    with raises(ModelError, what=r"of another network: conv1.weight is missing, .*, .* and \d+ more"):
        transfer(st.models.create("resnet18", classes=2), network(2, 0).state_dict())
    wide = network(2, 0, LINE.replace("4@", "5@"))
    with raises(ModelError, what="features.0.weight has the shape 5x3x3x3, not 4x3x3x3"):
        transfer(network(2, 0), wide.state_dict())
