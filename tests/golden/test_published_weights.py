"""Published names, shapes, weights and answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch

import striate as st
from striate.data.decode import open_image, to_pixels


def formula_weights(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Fill a state dict with the golden formula: every entry a function of its place and its name."""
    filled = {}
    for place, (name, value) in enumerate(state.items()):
        if not value.is_floating_point():
            filled[name] = value
            continue
        s = np.sin(0.37 * np.arange(value.numel(), dtype=np.float64) + 1.3 * place)
        if name.endswith("running_var"):
            numbers = 1 + 0.2 * s
        elif name.endswith("running_mean"):
            numbers = 0.1 * s
        elif value.dim() >= 2:
            numbers = 1.4 * s * np.sqrt(2 / (value.numel() / value.shape[0]))
        else:
            numbers = 1 + 0.1 * s if name.endswith("weight") else 0.05 * s
        filled[name] = torch.from_numpy(numbers.astype(np.float32)).view(value.shape)
    return filled


@pytest.mark.parametrize("name", ["resnet18"])
def test_names_shapes_and_answers_are_torchvisions(name, shared):
    golden = json.loads(shared("golden/architectures.json").read_text())[name]
    model = st.models.create(name, classes=1000).eval()
    assert [[key, list(value.shape)] for key, value in model.state_dict().items()] == golden["state"]
    assert sum(parameter.numel() for parameter in model.parameters()) == golden["params"]
    model.load_state_dict(formula_weights(model.state_dict()))
    pixels = np.sin(0.011 * np.arange(2 * 3 * 224 * 224, dtype=np.float64)).astype(np.float32)
    with torch.inference_mode():
        logits = model(torch.from_numpy(pixels).view(2, 3, 224, 224))
    np.testing.assert_allclose(logits[:, :8], golden["logits"], rtol=1e-4, atol=1e-4)
    assert logits.norm().item() == pytest.approx(golden["logits_norm"], rel=1e-5)


@pytest.fixture(scope="module")
def published_resnet20(shared) -> torch.nn.Module:
    model = st.models.create("resnet20", classes=10).eval()
    model.load_state_dict(safetensors.torch.load_file(shared("golden/resnet20-cifar10.safetensors")))
    return model


def published_logits(model, golden, paths) -> torch.Tensor:
    mean, std = (torch.tensor(golden["normalise"][key]).view(3, 1, 1) for key in ("mean", "std"))
    pixels = np.stack([to_pixels(open_image(path.read_bytes()), size_px=32, channels=3) for path in paths])
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
                == data.samples.targets[i : i + 500]
            ).sum()
        )
        for i in range(0, len(paths), 500)
    )
    assert right / len(paths) == pytest.approx(golden["accuracy_on_shared_test_split"], abs=1e-6)
