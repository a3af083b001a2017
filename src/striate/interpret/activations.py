"""Outputs of the parts of a network, recorded without leaving a trace in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError, listing, nearest
from striate.geometry import Shape
from striate.models.decoders import padded_size
from striate.models.plan import PlannedLayer
from striate.models.pretrained.transfer import body_of


@contextmanager
def preserve_state(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode without gradients while a block runs, and restore its state afterwards.

    Restored are the mode of every module, and gradient and `requires_grad` of every parameter.
    """
    modes = [(module, module.training) for module in network.modules()]
    gradients = [(parameter, parameter.grad, parameter.requires_grad) for parameter in network.parameters()]
    network.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, gradient, learns in gradients:
            parameter.requires_grad_(learns)
            parameter.grad = gradient


@contextmanager
def record_activations(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of layers, by name, while a block runs the network; the hooks are removed afterwards.

    >>> network = nn.Sequential(nn.ReLU(), nn.Flatten())
    >>> with record_activations(network, ["0"]) as recorded:
    ...     outputs = network(Tensor([[-1.0, 2.0]]))
    ...     recorded["0"]
    tensor([[0., 2.]])
    """
    recorded: dict[str, Tensor] = {}
    handles = []
    try:
        for layer in layers:

            def record(_: nn.Module, __: object, output: object, layer: str = layer) -> None:
                if isinstance(output, Tensor):
                    recorded[layer] = output

            handles.append(network.get_submodule(layer).register_forward_hook(record))
        yield recorded
    finally:
        for handle in handles:
            handle.remove()


def backbone_layers(network: nn.Module) -> dict[str, PlannedLayer]:
    """Return the elements of the backbone, under the names of their modules."""
    body, prefix = body_of(network)
    layers = body.plan.layers if not prefix else body.plan.body
    return {prefix + layer.name: layer for layer in layers}


def find_layer(network: nn.Module, name: str) -> str:
    """Return the full name of a layer, or of a part of one.

    Args:
        network: network with the layer.
        name: name of the layer; the prefix of the backbone may be left out.

    Raises:
        ModelError: there is no such layer (the message names the nearest one), or it is a group of layers.
    """
    layers, prefix = backbone_layers(network), body_of(network)[1]
    parts = {layer: part for layer, part in network.named_modules() if layer}
    full = next((candidate for candidate in (name, prefix + name) if candidate in parts), None)
    if full is None:
        known = [layer.removeprefix(prefix) for layer in parts]
        listed = [layer.removeprefix(prefix) for layer in layers]
        what = f"the network has no layer {name!r}{nearest(name, known)}"
        raise ModelError("", what, f"it has {listing(listed, most=8)}")
    if full not in layers and any(layer.startswith(f"{full}.") for layer in layers):
        within = [layer.removeprefix(prefix) for layer in layers if layer.startswith(f"{full}.")]
        raise ModelError(name, "is a group of layers", f"choose one: {listing(within, most=8)}")
    return full


def layer_shapes(network: nn.Module, layer: str) -> tuple[Shape, Shape]:
    """Return the shapes of a layer's input and output, for one image of the size that the network was made for.

    Raises:
        ModelError: the layer is not run by itself.
    """
    shapes: list[tuple[Shape, Shape]] = []

    def record(_: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            shapes.append((tuple(inputs[0].shape[1:]), tuple(output.shape[1:])))

    handle = network.get_submodule(layer).register_forward_hook(record)
    try:
        with preserve_state(network), torch.inference_mode():
            network(blank_image(network))
    finally:
        handle.remove()
    if not shapes:
        raise ModelError(layer, "gives nothing by itself", "choose another layer")
    return shapes[-1]


def blank_image(network: nn.Module) -> Float[Tensor, "1 channels height width"]:
    """Return an image of the size that a network was made for, in the mean colour."""
    channels, height, width = body_of(network)[0].plan.input
    reduce = input_reduction(network)
    return torch.zeros(1, channels, reduce * height, reduce * width, device=next(network.parameters()).device)


def image_share(network: nn.Module, size_px: tuple[int, int]) -> tuple[float, float]:
    """Return the share of a network's maps that is of the image, down and across; what is left is padding.

    Args:
        network: network that may pad its images.
        size_px: height and width of the image.
    """
    if not hasattr(network, "unit"):
        return 1.0, 1.0
    down, across = padded_size(size_px, network.unit, getattr(network, "least", (1, 1)))  # type: ignore[arg-type]
    return size_px[0] / down, size_px[1] / across


def crop_to_image(
    maps: Float[Tensor, "batch channels _ _"], share: tuple[float, float]
) -> Float[Tensor, "batch channels _ _"]:
    """Crop maps where the image ends, by interpolation where that is within a position."""
    if share == (1.0, 1.0):
        return maps
    down, across = share
    affine = torch.tensor([[across, 0.0, across - 1], [0.0, down, down - 1]], dtype=maps.dtype, device=maps.device)
    size = [*maps.shape[:2], math.ceil(maps.shape[2] * down - 1e-6), math.ceil(maps.shape[3] * across - 1e-6)]
    grid = F.affine_grid(affine.expand(len(maps), 2, 3), size, align_corners=False)
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def input_reduction(network: nn.Module) -> int:
    """Return the factor by which images are made smaller on their way to the first layer."""
    return int(getattr(network, "reduce", 1))


def feature_map_layers(network: nn.Module) -> list[str]:
    """Return the layers that give feature maps, the finest first: the last one of each resolution."""
    body, prefix = body_of(network)
    return [prefix + body.plan.layers[index].name for index in body.plan.feature_layers()]


def representation_layers(network: nn.Module, most: int = 8) -> list[str]:
    """Return at most `most` layers from the first feature map to the vector that the last layer reads.

    The vector that is the mean of the last map (`gap`) is that map once more, and is left out.
    """
    layers, maps = backbone_layers(network), feature_map_layers(network)
    vectors = [name for name, after in pairwise(layers) if layers[after].element.kind == "fc"]
    names = [*maps, *(name for name in vectors if layers[name].element.kind != "gap" or not maps)]
    keep = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    return [names[index] for index in keep]
