"""A plan says what a network really does: its shapes, its cost and what it sees, for lines that are drawn."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from random import Random

import numpy as np
import pytest
import torch
from tests.support import raises
from torch import nn

import striate as st
from striate.errors import ModelError
from striate.layers import CheckerboardWarning, StochasticDepth
from striate.models.plan import plan_line
from striate.models.summary import summarise_plan

pytestmark = pytest.mark.filterwarnings(f"ignore::{CheckerboardWarning.__module__}.CheckerboardWarning")


def drawn_element(random: Random) -> str:
    number = lambda low, high: random.choice(  # noqa: E731
        [str(random.randint(low, high)), f"{random.randint(low, high)}x{random.randint(low, high)}"]
    )
    pad = random.choice(["", "", " pad=same", f" pad={number(0, 2)}", f" pad={number(0, 2)}:{number(0, 2)}"])
    cut = pad.replace(" pad=same", "")
    mode = random.choice(["", " mode=reflect", " mode=replicate", " mode=circular"])
    channels = 2 * random.randint(1, 3)
    return random.choice(
        [
            f"conv {channels}@{number(1, 4)} stride={number(1, 3)}{pad}{mode} dilation={number(1, 2)} groups=2",
            f"conv {channels}@{number(1, 3)}{pad} bias=no",
            f"deconv {channels}@{number(1, 4)} stride={number(1, 3)}{cut}{mode} groups={random.choice('12')}",
            f"maxpool {number(1, 3)} stride={number(1, 3)}{pad}{mode} ceil={random.choice(['yes', 'no'])}",
            f"avgpool {number(1, 3)}{pad}{mode} ceil={random.choice(['yes', 'no'])}",
            f"up {number(1, 3)} mode={random.choice(['nearest', 'bilinear'])}",
            f"fitpool {number(1, 6)}",
            f"res {channels} stride={number(1, 2)}",
            f"bottleneck {channels} stride={number(1, 2)}",
            *("bn", "relu", "tanh", "dropout 0.3"),
        ]
    )


def drawn_line(seed: int) -> tuple[str, tuple[int, int, int]]:
    random = Random(seed)
    line = " | ".join(drawn_element(random) for _ in range(random.randint(1, 6)))
    return line + random.choice(["", "", " | gap | fc 5", " | flatten | fc 4 | relu | fc classes"]), (
        2,
        random.randint(4, 17),
        random.randint(4, 17),
    )


LINES = range(400)


def fitting(seed: int):
    """A drawn line that fits its input, worked out; most do."""
    line, shape = drawn_line(seed)
    try:
        return plan_line(line, shape, classes=3)
    except ModelError:
        return None


def test_most_drawn_lines_fit():
    assert sum(fitting(seed) is not None for seed in LINES) > 250


@pytest.mark.parametrize("chunk", range(8))
def test_shapes_and_parameters_are_those_of_the_real_network(chunk):
    for seed in LINES[chunk::8]:
        if not (worked_out := fitting(seed)):
            continue
        model = st.models.build_network(worked_out, "drawn").eval()
        x = torch.randn(2, *worked_out.input)
        for layer in worked_out.layers:
            module = model.get_submodule(layer.name)
            with torch.inference_mode():
                x = module(x)
            assert tuple(x.shape[1:]) == layer.output, (worked_out.line, layer)
            assert sum(p.numel() for p in module.parameters()) == layer.effect.cost.parameters
        assert x.isfinite().all(), worked_out.line
        with torch.inference_mode():
            torch.testing.assert_close(model(torch.ones(1, *worked_out.input)).shape[1:], x.shape[1:])


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg11_bn", "resnet18", "resnet50", "resnet20"])
def test_multiply_accumulates_are_those_that_torch_counts(name):
    from torch.utils.flop_counter import FlopCounterMode

    worked_out = st.models.plan_network(name)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        st.models.build_network(worked_out, name).eval()(torch.zeros(1, *worked_out.input))
    assert counter.get_total_flops() == 2 * worked_out.cost.macs


@pytest.mark.parametrize("name", ["lenet5", "vgg11_bn", "resnet18", "resnet50", "resnet20"])
def test_activation_memory_is_what_the_layers_give(name):
    worked_out = st.models.plan_network(name, classes=10)
    with torch.device("meta"):
        model = st.models.build_network(worked_out, name).eval()
        found = []

        def count(module, inputs, output):
            if not isinstance(module, nn.Flatten | nn.Identity | StochasticDepth) and not list(module.children()):
                found.append(4 * output.numel())

        for module in model.modules():
            module.register_forward_hook(count)
        model(torch.zeros(1, *worked_out.input))
    # the sums of blocks are no modules
    sums = sum(
        4 * math.prod(layer.output) for layer in worked_out.layers if layer.element.kind in ("res", "bottleneck")
    )
    assert sum(found) + sums == worked_out.cost.activation_bytes


def seen_pixels(model: nn.Module, steps: list[str], shape: tuple[int, ...], unit: tuple[int, int]) -> np.ndarray:
    """Where the image gets a gradient from one unit of a feature map."""
    x = images = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    for name in steps:
        x = model.get_submodule(name)(x)
    x[0, :, *unit].sum().backward()
    return images.grad[0].abs().sum(0).numpy() > 0


def test_receptive_fields_are_where_gradients_arrive():
    tried = 0
    for seed in range(250):
        worked_out = fitting(seed)
        if not worked_out or not worked_out.body or "pad" in worked_out.line or "maxpool" in worked_out.line:
            continue  # padding hides what a unit would see, and of a maximum one input alone gets the gradient
        model = st.models.build_network(worked_out, "drawn").double().eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.uniform_(module.weight, 0.5, 1.0)  # nothing cancels
            if isinstance(module, nn.ReLU):
                module.forward = lambda x: x
        names = [layer.name for layer in worked_out.body]
        if any(layer.element.kind in ("res", "bottleneck") for layer in worked_out.layers):
            continue  # they pad
        field = worked_out.receptive_fields()[worked_out.body_length - 1]
        _, height, width = worked_out.layers[worked_out.body_length - 1].output
        found = [0, 0]
        for unit in np.ndindex(height, width):
            pixels = seen_pixels(model, names, worked_out.input, unit)
            for axis in (0, 1):
                there = np.flatnonzero(pixels.any(1 - axis))
                found[axis] = max(found[axis], int(there[-1] - there[0] + 1) if len(there) else 0)
        for axis in (0, 1):
            assert found[axis] == min(field[axis].size, worked_out.input[1 + axis]), worked_out.line
        tried += 1
    assert tried > 20


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "resnet20", "resnet18", "resnet50"])
def test_receptive_fields_of_residual_networks(name):
    """From a unit in the middle, so far from the borders that it sees all that it could."""
    body = [
        layer for layer in st.models.plan_network(name).layers if layer.element.kind not in ("gap", "flatten", "fc")
    ]
    size = 320 if name == "resnet50" else 256
    with_gradient = torch.ones(1, body[0].input[0], size, size, dtype=torch.float64, requires_grad=True)
    worked_out = st.models.plan_network(name, (body[0].input[0], size, size))
    model = st.models.build_network(worked_out, name).double().eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())  # nothing cancels, nothing overflows
    tried = 0
    x = with_gradient
    for layer, field in zip(worked_out.body, worked_out.receptive_fields(), strict=False):
        module = model.get_submodule(layer.name)
        if layer.element.kind == "maxpool":  # of a maximum one input alone gets the gradient
            x = nn.functional.avg_pool2d(x, module.kernel_size, module.stride, module.padding)
        elif layer.element.kind != "fitpool":
            x = module(x)
        if field is None or field[0].size > size - 2 * field[0].jump or layer.element.kind in ("relu", "tanh", "bn"):
            continue
        unit = x.shape[2] // 2
        (arrived,) = torch.autograd.grad(x[0, :, unit, unit].sum(), with_gradient, retain_graph=True)
        rows = np.flatnonzero(arrived[0].abs().sum((0, 2)).numpy())
        assert rows[-1] - rows[0] + 1 == field[0].size, layer
        assert (rows[-1] + rows[0]) / 2 == field[0].offset + unit * field[0].jump, layer
        tried += 1
    assert tried >= 4


def test_long_hourglasses_are_worked_out_at_once():
    line = "(conv 2@3x3 pad=1 | avgpool 4 | conv 2@3x3 pad=1 | up 4) x20"
    begin = time.perf_counter()
    assert plan_line(line, (1, 64, 64), classes=2).receptive_fields()[-1][0].jump == 1
    assert time.perf_counter() - begin < 5


def test_published_receptive_fields():
    # Araujo, Norris, Sim, "Computing receptive fields of convolutional neural networks", Distill 2019
    for name, published in (("alexnet", 195), ("vgg16", 212)):
        layers = summarise_plan(st.models.plan_network(name))["layers"]
        assert [layer["receptive_field"] for layer in layers if layer["kind"] == "maxpool"][-1] == published
    # their ResNets are TensorFlow's, which put a stage's stride into its last block; torchvision's see 56 less
    for name, published, depths in (
        ("resnet50", 483, (2, 3, 5)),
        ("resnet101", 1027, (2, 3, 22)),
        ("resnet152", 1507, (2, 7, 35)),
    ):
        stages = [
            f"(bottleneck {width}) x{depth} | bottleneck {width} stride=2"
            for width, depth in zip((64, 128, 256), depths, strict=True)
        ]
        stem = "conv 64@7x7 stride=2 pad=3 | maxpool 3 stride=2 pad=1"
        line = " | ".join([stem, *stages, "(bottleneck 512) x3"])
        assert summarise_plan(st.models.plan_network(line))["layers"][-1]["receptive_field"] == published
        assert summarise_plan(st.models.plan_network(name))["layers"][-3]["receptive_field"] == published - 56


@pytest.mark.parametrize(
    ("line", "shape", "where", "what", "fix"),
    [
        (
            "conv 6@5x5 | relu | maxpool 2 | maxpool 4 | conv 16@5x5",
            (3, 28, 28),
            "^element 5 `conv 16@5x5`$",
            "a 5x5 kernel does not fit",
            "it needs 5x5 or padding of 1$",
        ),
        ("conv 6@7x3 pad=1", (3, 2, 9), "element 1", "a 7x3 kernel", "needs 5x1 or padding of 3$"),
        ("(conv 6@3x3 | relu) x3 | gap", (1, 5, 5), "element 1 `conv 6@3x3`", "a 3x3 kernel", "needs"),
        ("conv 8@3x3 dilation=2", (1, 4, 9), "", "a 3x3 kernel", "needs 5x5 or padding of 1$"),
        ("maxpool 3 pad=3", (1, 8, 8), "", "a window would lie in the padding alone", "pad less"),
        ("conv 8@3x3 groups=3", (4, 9, 9), "", r"groups \(=3\) must divide 4 channels in and 8 out", ""),
        ("flatten | conv 8@3x3", (1, 9, 9), "element 2", "conv takes feature maps", "put it before flatten"),
        ("conv 8@3x3 | fc classes", (1, 9, 9), "element 2 `fc 10`", "fc takes numbers", "put flatten or gap before it"),
        ("res 8 stride=2 shortcut=pad", (16, 9, 9), "", "shortcut=pad adds channels", "at least 16"),
        ("deconv 4@2x2 stride=2 outpad=2", (1, 3, 3), "", "outpad must be smaller than stride or dilation", ""),
        ("deconv 4@2x2 pad=3", (1, 3, 3), "", "cutting off 6 leaves nothing", ""),
    ],
)
def test_what_does_not_fit_is_named(line, shape, where, what, fix):
    with raises(ModelError, where=where, what=what, fix=fix):
        plan_line(line, shape, classes=10)


def test_an_error_notes_the_shape_that_arrived():
    for line, shape in (("conv 6@3x3 | relu | conv 6@5x5", "6x3x3"), ("flatten | conv 8@3x3", "25 numbers")):
        with pytest.raises(ModelError) as caught:
            plan_line(line, (1, 5, 5), classes=10)
        assert caught.value.notes == (f"its input is {shape}",)


@pytest.mark.parametrize("seed", range(60))
def test_the_advice_of_an_error_works(seed):
    random = Random(seed)
    kind = random.choice(["conv 2@", "maxpool ", "avgpool "])
    kernel, size = random.randint(2, 9), random.randint(1, 6)
    pad = random.randint(0, 1)
    line = f"{kind}{kernel}x{kernel} dilation=2" if kind == "conv 2@" else f"{kind}{kernel}"
    try:
        plan_line(f"{line} pad={pad}", (2, size, size), classes=1)
    except ModelError as error:
        needs, padding = error.fix.removeprefix("it needs ").split(" or padding of ")
        height, width = map(int, needs.split("x"))
        plan_line(f"{line} pad={pad}", (2, height, width), classes=1)
        with pytest.raises(ModelError):
            plan_line(f"{line} pad={pad}", (2, height - 1, width), classes=1)
        assert plan_line(f"{line} pad={padding}", (2, size, size), classes=1).output[1:] in [(1, 1), (2, 2)]
        with pytest.raises(ModelError):
            plan_line(f"{line} pad={int(padding) - 1}", (2, size, size), classes=1)


def test_uneven_transposed_convolutions_are_noted():
    assert plan_line("deconv 4@4x4 stride=2", (1, 5, 5), classes=1).notes() == []
    (note,) = plan_line("relu | deconv 4@3x4 stride=2", (1, 5, 5), classes=1).notes()
    assert note.startswith("element 2 `deconv 4@3x4 stride=2`: its kernel is no multiple of its stride")


def test_names_are_torchvisions_where_none_are_given():
    line = "conv 2@3x3 | relu | fitpool 3 | dropout 0.1 | flatten | fc 4 | relu | fc classes"
    assert [layer.name for layer in plan_line(line, (1, 9, 9), classes=2).layers] == [
        "features.0",
        "features.1",
        "fitpool",
        "dropout",
        "flatten",
        "classifier.0",
        "classifier.1",
        "classifier.2",
    ]


def test_lines_are_worked_out_and_drawn_without_torch():
    code = """
import sys
sys.modules["torch"] = None  # any import of it fails
from striate import models
from striate.models.drawing import draw_network
from striate.models.summary import summarise_plan
for name in (*models.MODELS, "mbconv 8@3x3 | res 12 shortcut=pad | gap | fc classes"):
    plan = models.plan_network(name)
    assert summarise_plan(plan)["parameters"] and draw_network(plan)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
