"""Published names, shapes, weights and answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.zoo import TRIED

import striate as st
from striate.images.decode import open_image, to_pixels
from striate.images.resize import ImageSpec
from striate.models import MODELS


def formula_weights(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Fill a state dict with the golden formula: every entry a function of its place and its name."""
    filled = {}
    for place, (name, value) in enumerate(state.items()):
        if not value.is_floating_point():
            filled[name] = torch.zeros(value.shape, dtype=value.dtype)
            continue
        s = torch.arange(value.numel(), dtype=torch.float64).mul_(0.37).add_(1.3 * place).sin_()
        if name.endswith("running_var"):
            s.mul_(0.2).add_(1)
        elif name.endswith("running_mean"):
            s.mul_(0.1)
        elif value.dim() >= 2:
            s.mul_(1.4 * np.sqrt(2 / (value.numel() / value.shape[0])))
        elif name.endswith("weight"):
            s.mul_(0.1).add_(1)
        else:
            s.mul_(0.05)
        filled[name] = s.float().view(value.shape)
    return filled


PUBLISHED = [name for name in MODELS if name.startswith(("alexnet", "vgg"))] + [
    f"resnet{depth}" for depth in (18, 34, 50, 101, 152)
]


def test_every_published_architecture_is_here(shared):
    assert set(json.loads(shared("golden/architectures.json").read_text())) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_shapes_and_answers_are_torchvisions(name, shared):
    golden = json.loads(shared("golden/architectures.json").read_text())[name]
    plan = st.models.plan_network(name)
    assert plan.cost.parameters == golden["params"]
    assert round(plan.cost.macs / 1e9, 3) == golden["gmacs"]
    with torch.device("meta"):  # the weights come from the formula
        model = st.models.create(name, classes=1000).eval()
    assert [[key, list(value.shape)] for key, value in model.state_dict().items()] == golden["state"]
    assert sum(parameter.numel() for parameter in model.parameters()) == golden["params"]
    if name in TRIED:
        check_answers(model, golden)


def check_answers(model: torch.nn.Module, golden: dict[str, Any]) -> None:
    """Give a network the golden weights, and compare what it makes of the golden images."""
    model.load_state_dict(formula_weights(model.state_dict()), assign=True)
    pixels = np.sin(0.011 * np.arange(2 * 3 * 224 * 224, dtype=np.float64)).astype(np.float32)
    with torch.inference_mode():
        logits = model(torch.from_numpy(pixels).view(2, 3, 224, 224))
    np.testing.assert_allclose(logits[:, :8], golden["logits"], rtol=1e-4, atol=1e-4)
    assert logits.norm().item() == pytest.approx(golden["logits_norm"], rel=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnets_have_timms_names_too(name, shared):
    golden = json.loads(shared("golden/architectures.json").read_text())[name]
    with torch.device("meta"):
        model = st.models.create(name, classes=1000)
    assert [[key, list(value.shape)] for key, value in model.state_dict().items()] == golden["timm_state"]


@pytest.fixture(scope="module")
def published_resnet20(shared) -> torch.nn.Module:
    model = st.models.create("resnet20", classes=10).eval()
    model.load_state_dict(safetensors.torch.load_file(shared("golden/resnet20-cifar10.safetensors")))
    return model


def published_logits(model, golden, paths) -> torch.Tensor:
    mean, std = (torch.tensor(golden["normalise"][key]).view(3, 1, 1) for key in ("mean", "std"))
    form = ImageSpec(height_px=32, width_px=32, channels=3)
    pixels = np.stack([to_pixels(open_image(path.read_bytes()), form) for path in paths])
    with torch.inference_mode():
        return model((torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std)


def test_published_resnet20_weights_give_their_published_answers(shared, unpacked, published_resnet20):
    golden = json.loads(shared("golden/cifar-resnet20.json").read_text())
    root = unpacked("cifar10.tar.gz", lambda name: "test/" in name)
    data = st.open_data(next(root.rglob("test")))
    assert list(data.classes) == golden["classes"]
    paths = data.samples.images.paths
    airplanes = [path for path in paths if path.parent.name == "airplane"][:8]
    logits = published_logits(published_resnet20, golden, airplanes)
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-3)
    right = sum(
        int(
            (
                published_logits(published_resnet20, golden, paths[i : i + 500]).argmax(1).numpy()
                == data.samples.labels.targets[i : i + 500]
            ).sum()
        )
        for i in range(0, len(paths), 500)
    )
    assert right / len(paths) == pytest.approx(golden["accuracy_on_shared_test_split"], abs=1e-6)
