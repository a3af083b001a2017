"""A network made of a line: its modules under their names, in order, and the contract of a backbone."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers.inverted import InvertedResidual
from striate.layers.padding import Pad2d, SamePad2d
from striate.layers.residual import BasicBlock, Bottleneck, PadShortcut, projection
from striate.layers.upward import ConvTranspose2d
from striate.models.effects import Shape, border
from striate.models.notation import BLOCKS, Element
from striate.models.plan import Plan


class Network(nn.Module):
    """The elements of a line, one after the other: an ordinary module from images to what the line gives.

    `features(images)` returns the feature maps that heads and decoders build on: of each resolution the
    last one before the head, the finest first. Of the `i`-th one, `channels[i]` is the number of channels,
    and `strides[i]` how many pixels of the image lie from one unit to the next: a number, or a pair (down,
    across) where the two differ.

    Where parameters are named `features.N` (AlexNet, VGG, any line), `features` is a module: the body,
    indexed as torchvision's, and called as the others' method. Calling the network runs its parts one by
    one; hooks belong on those.

    Weights are drawn by what acts next on what they give, through norms and pooling:

    - ReLU and its kin: normal with variance 2 / fan, of outputs for convolutions and of inputs for fully
      connected layers (He et al. 2015, "Delving deep into rectifiers", equations 14 and 10); biases zero;
    - tanh or sigmoid: uniform, with its gain (Glorot and Bengio 2010); biases zero;
    - nothing: uniform within 1 / sqrt(inputs), which is torch's own.

    Transposed convolutions begin as bilinear upsampling (`layers.ConvTranspose2d`).

    Args:
        plan: of the line, for images of one size. Others are taken where they fit.
        body: the module named `features`, where there is to be one.

    Raises:
        ModelError: (called) images of this shape do not fit.
    """

    features: Callable[[Tensor], list[Tensor]]

    def __init__(self, plan: Plan, body: nn.Module | None = None) -> None:
        super().__init__()
        self.plan = plan
        self.channels = tuple(plan.steps[place].output[0] for place in plan.maps())
        self.strides = plan.feature_strides()
        self._paths = tuple(tuple(step.name.split(".")) for step in plan.steps)
        if body is not None:
            self.add_module("features", body)
        for step, path in zip(plan.steps, self._paths, strict=True):
            parent: nn.Module = self
            for name in path[:-1]:
                if name not in parent._modules:
                    parent.add_module(name, nn.Sequential())
                parent = parent.get_submodule(name)
            parent.add_module(path[-1], BUILDERS[step.element.kind](step.element, step.input))
        _draw_weights(self)

    @staticmethod
    def from_plan(plan: Plan) -> Network:
        """Build the network of a plan, randomly initialised."""
        stacked = not plan.body or plan.steps[0].name.startswith("features.")
        return Network(plan, _Body(plan)) if stacked else _Flat(plan)

    @property
    def input_shape(self) -> Shape:
        """Channels, height and width of the images that it was built for."""
        return self.plan.input

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch ..."]:
        """Map images to what the line gives: logits, where it ends in `fc classes`."""
        x = images
        try:
            for path in self._paths:
                x = _follow(self, path)(x)
        except RuntimeError:
            self.plan.check(tuple(images.shape[1:]))  # says in our words what does not fit
            raise
        return x


class _Flat(Network):
    """A network whose parts stand side by side under names of their own, as in the ResNets."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._maps = plan.maps()

    def features(self, images: Float[Tensor, "batch channels height width"]) -> list[Tensor]:
        """Return the feature maps, the finest first."""
        return _collect([_follow(self, path) for path in self._paths[: self.plan.body]], self._maps, self.plan, images)


class _Body(nn.Sequential):
    """What comes before the head, where that is a module of its own."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self._maps = plan.maps()

    def __getitem__(self, index: int | slice) -> Any:
        """Return a part, or some as a plain `nn.Sequential`."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> list[Tensor]:
        """Return the feature maps, the finest first."""
        return _collect(list(self), self._maps, self.plan, images)


def _follow(module: nn.Module, path: tuple[str, ...]) -> nn.Module:
    """Return the part of a module that has a dotted name; anew each time, so that parts can be exchanged."""
    for name in path:
        module = getattr(module, name)
    return module


def _collect(parts: list[nn.Module], maps: list[int], plan: Plan, images: Tensor) -> list[Tensor]:
    """Run the body's parts one after the other; return the outputs that are feature maps."""
    x = images
    found = {}
    try:
        for place, part in enumerate(parts):
            x = part(x)
            if place in maps:
                found[place] = x
    except RuntimeError:
        plan.check(tuple(images.shape[1:]))
        raise
    return [found[place] for place in maps]


def _convolution(element: Element, shape: Shape) -> nn.Module:
    own_padding, sides = border(element)
    padding = 0 if own_padding else "same" if sides is None else (sides[0][0], sides[1][0])
    layer = nn.Conv2d(
        shape[0],
        element.channels,
        element.kernel,
        element.stride,
        padding,
        dilation=element.pair("dilation", 1),
        groups=element.groups,
        bias=element.bias,
    )
    return nn.Sequential(_padding(element), layer) if own_padding else layer


def _pooling(element: Element, shape: Shape) -> nn.Module:
    own_padding, sides = border(element)
    layer = (nn.MaxPool2d if element.kind == "maxpool" else nn.AvgPool2d)(
        element.kernel,
        element.stride,
        (0, 0) if own_padding or sides is None else (sides[0][0], sides[1][0]),
        ceil_mode=element.option("ceil", "no") == "yes",
    )
    if not own_padding:
        return layer
    return nn.Sequential(_padding(element, fill=-math.inf if element.kind == "maxpool" else 0.0), layer)


def _padding(element: Element, fill: float = 0.0) -> Pad2d:
    """Build the padding that torch's own layers lack."""
    mode, (_, sides) = element.option("mode", "zeros"), border(element)
    if sides is None:
        return SamePad2d(element.kernel, element.stride, element.pair("dilation", 1), mode, fill=fill)
    return Pad2d(sides, mode, fill=fill)


def _transposed_convolution(element: Element, shape: Shape) -> nn.Module:
    return ConvTranspose2d(
        shape[0],
        element.channels,
        element.kernel,
        element.stride,
        sides=element.sides,
        mode=element.option("mode", "zeros"),
        output_padding=element.pair("outpad", 0),
        dilation=element.pair("dilation", 1),
        groups=element.groups,
        bias=element.bias,
    )


def _upsampling(element: Element, shape: Shape) -> nn.Module:
    return nn.Upsample(scale_factor=element.kernel, mode=element.option("mode", "nearest"))


def _global_pooling(element: Element, shape: Shape) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _batch_norm(element: Element, shape: Shape) -> nn.Module:
    norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return norm(shape[0], eps=float(element.option("eps", "0.00001")))


def _fully_connected(element: Element, shape: Shape) -> nn.Module:
    return nn.Linear(shape[0], element.channels)


def _residual(element: Element, shape: Shape) -> nn.Module:
    block = BasicBlock if element.kind == "res" else Bottleneck
    shortcut = PadShortcut if element.option("shortcut", "conv") == "pad" else projection
    return block(shape[0], element.channels, element.stride, shortcut)


def _inverted_residual(element: Element, shape: Shape) -> nn.Module:
    expand = int(element.option("expand", "6"))
    return InvertedResidual(shape[0], element.channels, element.kernel, element.stride, expand=expand)


_RELU_LIKE: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leakyrelu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
_SATURATING: dict[str, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid}

BUILDERS: dict[str, Callable[[Element, Shape], nn.Module]] = {
    "conv": _convolution,
    "deconv": _transposed_convolution,
    "up": _upsampling,
    "maxpool": _pooling,
    "avgpool": _pooling,
    "fitpool": lambda element, shape: nn.AdaptiveAvgPool2d(element.kernel),
    "gap": _global_pooling,
    "res": _residual,
    "bottleneck": _residual,
    "mbconv": _inverted_residual,
    "bn": _batch_norm,
    "flatten": lambda element, shape: nn.Flatten(),
    "fc": _fully_connected,
    "dropout": lambda element, shape: nn.Dropout(float(element.argument)),
    **{kind: lambda element, shape, make=make: make() for kind, make in (_RELU_LIKE | _SATURATING).items()},  # type: ignore[misc]
}


def _draw_weights(network: Network) -> None:
    """Draw the weights of convolutions and fully connected layers, as `Network` describes; none on `meta`."""
    if any(parameter.is_meta for parameter in network.parameters()):
        return
    kinds = [step.element.kind for step in network.plan.steps]
    for place, step in enumerate(network.plan.steps):
        following = kinds[place + 1 :]
        if kinds[place] in ("conv", "fc"):
            ends = (*_RELU_LIKE, *_SATURATING, "conv", "deconv", "fc", *BLOCKS)
            activation = next((kind for kind in following if kind in ends), "")
        else:
            activation = "relu" if kinds[place] in BLOCKS else ""
        for layer in network.get_submodule(step.name).modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                _draw(layer, activation)


def _draw(layer: nn.Conv2d | nn.Linear, activation: str) -> None:
    if activation in _RELU_LIKE:
        fan = layer.weight.shape[1]
        if isinstance(layer, nn.Conv2d):
            fan = layer.out_channels // layer.groups * math.prod(layer.kernel_size)
        nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0) / math.sqrt(fan))
    elif activation in _SATURATING:
        nn.init.xavier_uniform_(layer.weight, nn.init.calculate_gain(activation))  # type: ignore[arg-type]  # one of those
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
