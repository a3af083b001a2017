"""An element is one row: one that is added is read, worked out, built, counted and drawn."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import striate as st
from striate.cli import main
from striate.errors import ModelError
from striate.geometry import Cost, Shape, Window
from striate.models.elements import BLOCK_PARTS, ELEMENTS
from striate.models.elements.spec import COUNT, Block, Effect, Element, ElementForm, ElementSpec, float32_bytes
from striate.models.notation import format_line, parse_line


class SpaceToDepth(nn.Module):
    """Fold squares of pixels into channels, and scale each new channel by a weight."""

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(factor)
        self.scale = nn.Parameter(torch.ones(channels * factor**2, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Fold."""
        return self.scale * self.unshuffle(x)


def fold(element: Element, shape: Shape) -> Effect:
    factor = element.channels
    output = (shape[0] * factor**2, shape[1] // factor, shape[2] // factor)
    window = Window(kernel=factor, stride=factor)
    cost = Cost(parameters=output[0], activation_bytes=float32_bytes(output))
    return Effect(output=output, axes=((window,), (window,)), cost=cost, notes=("it folds",))


FOLD = ElementSpec(
    form=ElementForm(COUNT, "fold 2"),
    effect=fold,
    builder=f"{__name__}:SpaceToDepth",
    arguments=lambda element, shape: {"channels": shape[0], "factor": element.channels},
    axes=(3,),
    role="convolution",
)


def test_each_row_is_one_layer_or_one_block():
    for kind, spec in (ELEMENTS | BLOCK_PARTS).items():
        assert (spec.block is None) == bool(spec.builder) == (spec.effect is not None), kind
        assert not spec.form.pattern or spec.form.example.startswith(f"{kind} "), kind


def test_an_added_element_is_read_built_counted_and_drawn(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(ELEMENTS, "fold", FOLD)
    line = "fold 2 | relu | conv 8@3x3 | gap | fc classes"
    assert format_line(parse_line(line)) == line
    plan = st.models.plan_network(line, (3, 16, 12), classes=5)
    assert plan.layers[0].output == (12, 8, 6)
    assert plan.notes() == ["element 1 `fold 2`: it folds"]
    model = st.models.create(line, classes=5, size_px=(16, 12)).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == plan.cost.parameters
    assert model(torch.zeros(2, 3, 16, 12)).shape == (2, 5)
    assert (model.channels, model.strides) == ((8,), (2,))
    drawing = tmp_path / "drawing.svg"
    assert main(["inspect", line, "--input", "3x16x12", "--json", "--draw", str(drawing)]) == 0
    first = json.loads(capsys.readouterr().out)["layers"][0]
    assert (first["kind"], first["output_shape"], first["parameters"]) == ("fold", [12, 8, 6], 12)
    assert ">fold 2x2</text>" in drawing.read_text()
    with pytest.raises(ModelError, match="did you mean fold"):
        parse_line("fodl 2")


def test_an_added_block_is_said_once_as_a_chain(monkeypatch):
    def dense(element: Element, shape: Shape) -> Block:
        chain = f"conv {shape[0]}@3x3 pad=1 bias=no | bn | tanh"
        return Block(chain=chain, names=("conv", "norm"), shortcut="", activation="relu")

    spec = ElementSpec(form=ElementForm(), block=dense, axes=(3,), role="block")
    monkeypatch.setitem(ELEMENTS, "plainblock", spec)
    line = "plainblock | plainblock | gap | fc classes"
    plan = st.models.plan_network(line, (3, 9, 9), classes=2)
    model = st.models.create(line, classes=2, size_px=9)
    assert sum(parameter.numel() for parameter in model.parameters()) == plan.cost.parameters
    assert {"features.0.conv.weight", "features.1.norm.running_var"} <= set(model.state_dict())
    fields = plan.receptive_fields()[1]
    assert fields is not None
    assert fields[0].size == 5
    assert model(torch.zeros(2, 3, 9, 9)).shape == (2, 2)
