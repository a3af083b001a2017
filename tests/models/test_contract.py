"""What every architecture keeps, and every line."""

from __future__ import annotations

import copy
import math
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from tests.support import raises
from tests.zoo import TRIED

import striate as st
from striate.errors import ModelError
from striate.models import MODELS, resolve_stem, smallest_px
from striate.models.network import Network

LINES = (
    "conv 3@5x5 pad=2 mode=reflect | relu | maxpool 2 | conv 6@3x3 | relu | maxpool 2 | flatten | fc classes",
    "conv 8@3x3 pad=same stride=2x1 | bn | silu | (res 12) x2 | bottleneck 6 stride=2 shortcut=pad | gap | fc classes",
    "conv 4@3x3 pad=1 | tanh | avgpool 2 pad=same mode=circular | deconv 6@4x4 stride=2 pad=1 | gelu | up 2 | gap | "
    "fc 9 | bn | leakyrelu | dropout 0.2 | fc classes",
    "flatten | fc classes",
)


@pytest.fixture(scope="module", params=[*TRIED, *LINES])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def size_px(name) -> int:
    """A size at which every architecture, and every line, has more than one place left for batch norm."""
    return max(smallest_px(name), 8)


@pytest.fixture(scope="module")
def model(name, size_px) -> Network:
    """A network of seven classes; built once, as the large ones take seconds."""
    return st.models.create(name, classes=7, size_px=size_px, seed=1).eval()


class TestEveryArchitecture:
    def test_the_seed_alone_decides_the_weights(self, name, size_px, model):
        before = torch.random.get_rng_state()
        same = st.models.create(name, classes=7, size_px=size_px, seed=1).state_dict()
        assert torch.equal(torch.random.get_rng_state(), before)
        assert all(torch.equal(same[key], value) for key, value in model.state_dict().items())

    def test_features_channels_and_strides_are_what_they_say(self, name, size_px, model):
        for height, width in ((size_px, size_px), (size_px + 1, size_px), (size_px + 5, size_px + 6)):
            plan = st.models.plan_network(name, (3, height, width), classes=7)
            with torch.inference_mode():
                maps = model.features(torch.randn(1, 3, height, width))
            assert len(maps) == len(model.channels) == len(model.strides) == len(plan.feature_layers())
            for place, found, channels in zip(plan.feature_layers(), maps, model.channels, strict=True):
                assert tuple(found.shape[1:]) == plan.layers[place].output
                assert found.shape[1] == channels
            areas = [found.shape[2] * found.shape[3] for found in maps]
            assert areas == sorted(areas, reverse=True)  # finest first
            assert len(set(model.strides)) == len(maps)  # one of each resolution

    def test_feature_maps_grow_by_a_unit_for_each_stride(self, size_px, model):
        pairs = [stride if isinstance(stride, tuple) else (stride, stride) for stride in model.strides]
        grow = [4 * math.lcm(1, *(math.ceil(pair[axis]) for pair in pairs)) for axis in (0, 1)]
        with torch.inference_mode():
            maps = model.features(torch.randn(1, 3, size_px, size_px))
            larger = model.features(torch.randn(1, 3, size_px + grow[0], size_px + grow[1]))
        for small, large, pair in zip(maps, larger, pairs, strict=True):
            for axis in (0, 1):
                assert (large.shape[2 + axis] - small.shape[2 + axis]) * pair[axis] == grow[axis]

    def test_the_head_is_built_on_features(self, size_px, model):
        images = torch.randn(2, 3, size_px, size_px)
        body = model.plan.body_length
        with torch.inference_mode():
            x = model.features(images)[model.plan.feature_layers().index(body - 1)] if body else images
            for step in model.plan.layers[body:]:
                x = model.get_submodule(step.name)(x)
            assert torch.equal(x, model(images))

    def test_odd_sizes_are_taken_or_refused_with_the_reason(self, name, size_px, model):
        images = torch.randn(1, 3, size_px + 5, size_px + 3)
        if any(step.element.kind == "flatten" for step in model.plan.layers) and "fitpool" not in model.plan.line:
            with raises(ModelError, what=r"was built for [\d,]+ numbers, from images of \d+x\d+", fix="gap or fitpool"):
                model(images)
            model = st.models.create(name, classes=7, size_px=(size_px + 5, size_px + 3)).eval()
        with torch.inference_mode():
            assert model(images).shape == (1, 7)

    def test_a_plan_says_what_is_built(self, name):
        plan = st.models.plan_network(name, classes=7)
        with torch.device("meta"):
            model = st.models.build_network(plan, name)
        assert sum(parameter.numel() for parameter in model.parameters()) == plan.cost.parameters
        for step in plan.layers:
            parameters = model.get_submodule(step.name).parameters()
            assert sum(parameter.numel() for parameter in parameters) == step.effect.cost.parameters

    def test_weights_survive_safetensors(self, name, size_px, model):
        with torch.device("meta"):  # no weights at all but those that are loaded
            fresh = st.models.create(name, classes=7, size_px=size_px).eval()
        fresh.load_state_dict(safetensors.torch.load(safetensors.torch.save(model.state_dict())), assign=True)
        images = torch.randn(2, 3, size_px, size_px)
        with torch.inference_mode():
            assert torch.equal(model(images), fresh(images))

    def test_one_image_gives_what_it_gives_in_a_batch(self, size_px, model):
        images = torch.randn(3, 3, size_px, size_px)
        with torch.inference_mode():
            together, alone = model(images)[1:2], model(images[1:2])
        assert (together - alone).norm() <= 1e-4 * alone.norm()

    def test_forward_and_backward_give_finite_numbers(self, size_px, model):
        """The last one: it changes the running statistics."""
        logits = model.train()(torch.randn(2, 3, size_px, size_px))
        assert logits.shape == (2, 7)
        logits.square().sum().backward()
        with_gradient = 0
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            size = float(parameter.grad.norm())
            assert 0 <= size < float("inf"), parameter_name
            with_gradient += size > 0
        assert with_gradient >= 0.5 * len(list(model.parameters()))


@pytest.mark.parametrize("name", [name for name in MODELS if smallest_px(name) > 1])
def test_a_size_that_is_too_small_is_refused_with_the_way_out(name):
    size_px = smallest_px(name) - 1
    what, fix = rf"cannot take images of {size_px}x{size_px} pixels", f"choose a size of {size_px + 1}"
    with raises(ModelError, where=f"^{name}$", what=what, fix=fix):
        st.models.create(name, classes=3, size_px=size_px)


def test_an_unknown_name_is_answered_with_the_nearest():
    with raises(ModelError, where="^resnet81$", what=r"\(did you mean resnet18\?\)", fix="there are: lenet5"):
        st.models.create("resnet81", classes=2)


def test_lenet5_has_its_well_known_61706_parameters():
    model = st.models.create("lenet5", classes=10, channels=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 61_706
    assert model.channels == (6, 16, 16)
    assert model.strides == (1, 2, 4)


@pytest.mark.parametrize(("name", "millions"), [("resnet20", 0.27), ("resnet32", 0.46), ("resnet44", 0.66)])
def test_cifar_resnets_have_the_papers_parameters(name, millions):
    # He et al. 2015, table 6; it gives 0.85 for 56 layers, where 0.853 is counted
    assert round(st.models.plan_network(name).cost.parameters / 1e6, 2) == millions
    assert round(st.models.plan_network("resnet56").cost.parameters / 1e6, 2) == 0.85


def test_backbones_have_known_channels_and_strides():
    resnet50 = st.models.create("resnet50", classes=3)
    assert (resnet50.channels, resnet50.strides) == ((64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32))
    small = st.models.create("resnet18", classes=3, size_px=32)
    assert (small.channels, small.strides) == ((64, 128, 256, 512), (1, 2, 4, 8))
    line = st.models.create("conv 4@3x3 stride=2x1 | relu | conv 5@3x3 stride=1x2", classes=3)
    assert (line.channels, line.strides) == ((4, 5), ((2, 1), 2))


class TestStems:
    def test_small_images_get_the_small_stem(self):
        assert st.models.create("resnet18", classes=3, size_px=63).conv1.stride == (1, 1)
        assert st.models.create("resnet18", classes=3, size_px=64).conv1.stride == (2, 2)
        assert st.models.create("resnet18", classes=3, size_px=64, stem="small").conv1.kernel_size == (3, 3)
        assert st.models.create("resnet18", classes=3, size_px=32, stem="large").conv1.kernel_size == (7, 7)

    def test_a_model_without_one_says_which_have_one(self):
        with raises(ModelError, where="^lenet5$", what="has no small stem", fix="resnet18, resnet34"):
            st.models.create("lenet5", classes=3, stem="small")
        with raises(ModelError, where="^stem$", what="must be one of auto, small, large, not tiny"):
            resolve_stem("resnet18", 32, "tiny")


class TestFirstWeights:
    """Their spread is what the papers say, for every activation."""

    def test_before_relu_variance_is_two_over_fan(self):
        model = st.models.create(
            "conv 64@3x3 | bn | relu | conv 64@3x3 | maxpool 2 | gelu | gap | fc classes", classes=3
        )
        assert model.features[0].weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)
        assert model.features[3].weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
        assert not model.features[3].bias.any()
        model = st.models.create("flatten | fc 500 | relu | fc classes", classes=3, size_px=16)
        assert model.classifier[0].weight.std().item() == pytest.approx((2 / (3 * 256)) ** 0.5, rel=0.02)

    def test_signals_keep_their_size_through_thirty_layers_of_relu(self):
        model = st.models.create("(conv 64@3x3 pad=1 mode=circular | relu) x30", classes=2, channels=64, size_px=16)
        with torch.inference_mode():
            ratio = (model(x := torch.randn(4, 64, 16, 16)).square().mean() / x.square().mean()).item()
        assert 0.01 < ratio < 100  # a factor of 2 a layer would make 1e9 of it

    def test_before_tanh_they_are_uniform_after_glorot(self):
        conv = st.models.create("lenet5", classes=10, channels=1).conv2
        bound = 5 / 3 * (6 / (6 * 25 + 16 * 25)) ** 0.5
        assert conv.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert conv.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)

    def test_before_nothing_they_are_torchs_own(self):
        fc = st.models.create("resnet18", classes=1000).fc
        assert fc.weight.abs().max().item() == pytest.approx(512**-0.5, rel=0.01)

    def test_grouped_convolutions_count_what_reaches_them(self):
        conv = st.models.create("conv 64@3x3 groups=64 | relu", classes=3, channels=64).features[0]
        assert conv.weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.1)


def test_the_body_is_sliced_as_any_sequence():
    model = st.models.create(LINES[0], classes=10, size_px=32)
    first = model.features[:3]
    assert type(first) is torch.nn.Sequential
    assert first(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 16, 16)


def test_finest_comes_first_where_strides_differ_by_axis():
    model = st.models.create(
        "conv 4@3x3 stride=2x1 pad=1 | conv 4@3x3 stride=1x8 pad=1 | up 2x1", classes=2, size_px=32
    )
    areas = [maps.shape[2] * maps.shape[3] for maps in model.features(torch.zeros(1, 3, 32, 32))]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize(
    ("options", "where", "what"),
    [
        ({"classes": 0}, "^classes$", "must be a whole number from 1, not 0"),
        ({"classes": 2, "channels": 0}, "^shape$", r"must be channels, height and width, .*, not \(0, 224, 224\)"),
        ({"classes": 2, "size_px": -3}, "^shape$", "must be channels, height and width, whole numbers from 1"),
    ],
)
def test_numbers_that_make_no_network_are_refused(options, where, what):
    with raises(ModelError, where=where, what=what):
        st.models.create("resnet18", **options)


def test_parts_can_be_exchanged_as_in_any_module():
    model = st.models.create("resnet18", classes=10, size_px=32)
    model.fc = torch.nn.Linear(512, 3)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 3)
    line = st.models.create(LINES[0], classes=10, size_px=32)
    line.classifier[0] = torch.nn.Linear(line.classifier[0].in_features, 4)
    assert line(torch.randn(2, 3, 32, 32)).shape == (2, 4)


def test_a_copy_gives_the_same():
    model = st.models.create(LINES[1], classes=3, size_px=16).eval()
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(copy.deepcopy(model)(images), model(images))


def test_networks_are_one_graph_to_torchs_compiler():
    code = """
import torch, striate as st
line = "conv 8@3x3 pad=1 mode=reflect | bn | relu | res 12 stride=2 | gap | fc classes"
model = st.models.create(line, classes=3).eval()
images = torch.randn(2, 3, 16, 16)
with torch.no_grad():
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), model(images))
"""
    # in a process of its own: the checks of shapes in these tests are not what the compiler can read
    subprocess.run([sys.executable, "-c", code], check=True)


def test_images_of_another_kind_are_refused_with_what_is_wanted():
    model = st.models.create("vgg11", classes=2, size_px=32)
    with raises(ModelError, what=r"\[batch, 1, 32, 32\]", fix=r"\[batch, 3, height, width\] is needed"):
        model(torch.zeros(2, 1, 32, 32))
    for use in (model, model.features):
        with raises(ModelError, where="^element 15 `maxpool 2`$", what="a 2x2 window", fix="needs 2x2"):
            use(torch.zeros(2, 3, 16, 16))
