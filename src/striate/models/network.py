"""A network made of a line: its modules under their names, in order. It keeps the protocol of a backbone."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from striate.geometry import Shape
from striate.models.builders import build_element
from striate.models.elements import spec_of
from striate.models.plan import Plan, PlannedLayer


class Network(nn.Module):
    """The elements of a line, one after the other: an ordinary module from images to what the line gives.

    It is a `Backbone`: `features(images)` returns the feature maps that heads and decoders build on, the last one of
    each resolution before the head, the finest first. `channels[i]` is the number of channels of the `i`-th map, and
    `strides[i]` the number of pixels of the image from one unit to the next: a number, or a pair (down, across) where
    the two differ.

    Where parameters are named `features.N` (AlexNet, VGG, any line), `features` is a module: the body, indexed as
    torchvision's, and called as the method of the others. Calling the network runs its layers one by one; hooks belong
    on those.

    The random initialisation of weights depends on the activation that follows them, through norms and pooling:

    - ReLU and its variants: normal with variance 2 / fan, where fan counts outputs for convolutions and inputs for
      fully connected layers (He et al. 2015, "Delving deep into rectifiers", equations 14 and 10); biases zero;
    - tanh or sigmoid: uniform, with its gain (Glorot and Bengio 2010); biases zero;
    - no activation: uniform within 1 / sqrt(inputs), as torch does.

    Transposed convolutions begin as bilinear upsampling (`layers.ConvTranspose2d`).

    Args:
        plan: Plan of the line, for images of one size. Other sizes are taken if they fit.
        body: The module named `features`, if there is to be one.

    Raises:
        ModelError: (when called) images of this shape do not fit.
    """

    features: Callable[[Tensor], list[Tensor]]

    def __init__(self, plan: Plan, body: nn.Module | None = None) -> None:
        super().__init__()
        self.plan = plan
        self.channels = tuple(plan.layers[index].output[0] for index in plan.feature_layers())
        self.strides = plan.feature_strides()
        self._paths = tuple(tuple(layer.name.split(".")) for layer in plan.layers)
        if body is not None:
            self.add_module("features", body)
        for layer, path in zip(plan.layers, self._paths, strict=True):
            parent: nn.Module = self
            for name in path[:-1]:
                if name not in parent._modules:
                    parent.add_module(name, nn.Sequential())
                parent = parent.get_submodule(name)
            parent.add_module(path[-1], build_element(layer.element, layer.input))
        _initialise(self)

    @staticmethod
    def from_plan(plan: Plan) -> Network:
        """Build the network of a plan, randomly initialised."""
        stacked = not plan.body_length or plan.layers[0].name.startswith("features.")
        return Network(plan, _Body(plan)) if stacked else _Flat(plan)

    @property
    def input_shape(self) -> Shape:
        """Channels, height and width of the images that it was built for."""
        return self.plan.input

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch ..."]:
        """Map images to the line's output: logits, if it ends in `fc classes`."""
        x = images
        try:
            for path in self._paths:
                x = _follow(self, path)(x)
        except RuntimeError:
            self.plan.check(tuple(images.shape[1:]))  # says which layer the images do not fit
            raise
        return x


class _Flat(Network):
    """A network whose layers stand side by side under names of their own, as in the ResNets."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._feature_layers = plan.feature_layers()

    def features(self, images: Float[Tensor, "batch channels height width"]) -> list[Tensor]:
        """Return the feature maps, the finest first."""
        return _run_body(
            [_follow(self, path) for path in self._paths[: self.plan.body_length]],
            self._feature_layers,
            self.plan,
            images,
        )


class _Body(nn.Sequential):
    """The layers before the head, as a module of its own."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self._feature_layers = plan.feature_layers()

    def __getitem__(self, index: int | slice) -> Any:
        """Return a layer, or several as a plain `nn.Sequential`."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> list[Tensor]:
        """Return the feature maps, the finest first."""
        return _run_body(list(self), self._feature_layers, self.plan, images)


def _follow(module: nn.Module, path: tuple[str, ...]) -> nn.Module:
    """Return the submodule with a dotted name; looked up each time, so that submodules can be exchanged."""
    for name in path:
        module = getattr(module, name)
    return module


def _run_body(layers: list[nn.Module], feature_layers: list[int], plan: Plan, images: Tensor) -> list[Tensor]:
    """Run the body's layers one after the other; return the outputs that are feature maps."""
    x = images
    maps = {}
    try:
        for index, layer in enumerate(layers):
            x = layer(x)
            if index in feature_layers:
                maps[index] = x
    except RuntimeError:
        plan.check(tuple(images.shape[1:]))
        raise
    return [maps[index] for index in feature_layers]


def _initialise(network: Network) -> None:
    """Initialise convolutions and fully connected layers at random, as `Network` describes; on `meta` nothing."""
    if any(parameter.is_meta for parameter in network.parameters()):
        return
    layers = network.plan.layers
    for index, layer in enumerate(layers):
        activation = "relu" if spec_of(layer.element).block else _next_activation(layers[index + 1 :])
        for module in network.get_submodule(layer.name).modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                _initialise_module(module, activation)


def _next_activation(layers: tuple[PlannedLayer, ...]) -> str:
    """Return the first activation of some layers; empty if other weights, those of norms excepted, come before it."""
    for layer in layers:
        activation = spec_of(layer.element).activation
        if activation or layer.effect.cost.macs:
            return activation
    return ""


def _initialise_module(layer: nn.Conv2d | nn.Linear, activation: str) -> None:
    if activation == "relu":
        fan = layer.weight.shape[1]
        if isinstance(layer, nn.Conv2d):
            fan = layer.out_channels // layer.groups * math.prod(layer.kernel_size)
        nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0) / math.sqrt(fan))
    elif activation:
        nn.init.xavier_uniform_(layer.weight, nn.init.calculate_gain(activation))  # type: ignore[arg-type]  # one of its
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
