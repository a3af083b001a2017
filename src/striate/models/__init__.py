"""The standard architectures by name, and networks made of any line.

A new architecture is one file here and one line in `MODELS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from striate.errors import ModelError, nearest
from striate.geometry import Shape
from striate.models.architecture import Architecture
from striate.models.elements import ELEMENTS
from striate.models.options import Stem
from striate.models.plan import Plan, check_sizes
from striate.models.zoo import alexnet, efficientnet, lenet, resnet, vgg
from striate.system.machine import fits_into_memory

if TYPE_CHECKING:
    from striate.models.network import Network

__all__ = ["MODELS", "Architecture", "Stem", "build_network", "create", "find_architecture", "plan_network"]

MODELS: dict[str, Architecture] = {
    "lenet5": lenet.LENET5,
    "alexnet": alexnet.ALEXNET,
    "vgg11": vgg.VGG11,
    "vgg13": vgg.VGG13,
    "vgg16": vgg.VGG16,
    "vgg19": vgg.VGG19,
    "vgg11_bn": vgg.VGG11_BN,
    "vgg13_bn": vgg.VGG13_BN,
    "vgg16_bn": vgg.VGG16_BN,
    "vgg19_bn": vgg.VGG19_BN,
    "resnet18": resnet.RESNET18,
    "resnet34": resnet.RESNET34,
    "resnet50": resnet.RESNET50,
    "resnet101": resnet.RESNET101,
    "resnet152": resnet.RESNET152,
    "resnet20": resnet.RESNET20,
    "resnet32": resnet.RESNET32,
    "resnet44": resnet.RESNET44,
    "resnet56": resnet.RESNET56,
    "efficientnet_lite0": efficientnet.EFFICIENTNET_LITE0,
}

SMALL_PX = 64  # below this side the ResNets for photographs get the small stem: the large one would leave 1x1


def find_architecture(model: str) -> Architecture:
    """Return an entry of `MODELS`, or what a line describes; raises ModelError if it is neither.

    >>> find_architecture("conv 8@3x3 | relu | gap | fc classes").line
    'conv 8@3x3 | relu | gap | fc classes'
    """
    if model in MODELS:
        return MODELS[model]
    if is_line(model):
        return Architecture(line=model, classes=10, source="")
    raise ModelError(
        model,
        f"there is no such model{nearest(model, MODELS)}",
        f"there are: {', '.join(MODELS)}; or write a line such as "
        "'conv 8@3x3 | relu | maxpool 2 | flatten | fc classes'",
    )


def is_line(model: str) -> bool:
    """Tell whether a text is meant as a line of the notation, and not as a name."""
    first = model.split(maxsplit=1)[0] if model.split() else ""
    return any(mark in model for mark in "|@()") or first in ELEMENTS


def suggest_model(size_px: int, channels: int) -> str:
    """Return the name of the architecture that is used for images of a size by default."""
    if size_px > 64:
        return "resnet18"
    lenet5 = MODELS["lenet5"]
    if channels == 1 and smallest_px("lenet5", channels) <= size_px <= lenet5.size_px:
        return "lenet5"
    return "resnet20"


def smallest_px(model: str, channels: int = 3, stem: Stem = "auto") -> int:
    """Return the smallest side of square images that a model takes, up to the size that it was made for."""
    architecture = find_architecture(model)
    for side in range(1, architecture.size_px):
        try:
            architecture.plan((channels, side, side), stem=resolve_stem(model, side, stem))
        except ModelError:
            continue
        return side
    return architecture.size_px


def resolve_stem(model: str, size_px: int, stem: str = "auto") -> str:
    """Return the stem of a model for images of a size: small or large. Raises ModelError if it has no small one."""
    if stem not in get_args(Stem):
        raise ModelError("stem", f"must be one of {', '.join(get_args(Stem))}, not {stem}")
    small = find_architecture(model).small
    if stem == "small" and not small:
        names = [name for name, architecture in MODELS.items() if architecture.small]
        raise ModelError(model, "has no small stem", f"models with one: {', '.join(names)}")
    if stem == "auto":
        return "small" if small and size_px < SMALL_PX else "large"
    return stem


def plan_network(
    model: str,
    shape: Shape | None = None,
    *,
    classes: int | None = None,
    stem: Stem = "auto",
) -> Plan:
    """Work out shapes, receptive fields and cost of a model; nothing is built, and torch is not loaded.

    Args:
        model: A key of `MODELS`, or a line.
        shape: Channels, height and width of the images; by default those that the model was made for.
        classes: Number of logits; by default the number that the model was made for.
        stem: `small` keeps the resolution of small images, `large` is the published one, `auto` takes the small one
            below 64 pixels. The ResNets for photographs have both.

    Raises:
        ModelError: The name is unknown, the line is wrong, or the images do not fit.

    >>> plan_network("vgg16").cost.parameters
    138357544
    """
    architecture = find_architecture(model)
    shape = architecture.input if shape is None else tuple(shape)
    check_sizes(shape, classes)
    try:
        return architecture.plan(shape, classes=classes, stem=resolve_stem(model, min(shape[1:]), stem))
    except ModelError as error:
        smallest = smallest_px(model, shape[0], stem) if model in MODELS else 0
        if min(shape[1:]) >= smallest:  # what is wrong is something else
            raise
        raise ModelError(
            model,
            f"cannot take images of {shape[1]}x{shape[2]} pixels: it needs {smallest}x{smallest} or more",
            f"choose a size of {smallest}, or another model",
        ) from error


def create(
    model: str,
    *,
    classes: int,
    channels: int = 3,
    size_px: int | tuple[int, int] | None = None,
    stem: Stem = "auto",
    seed: int = 0,
    pretrained: bool = False,
) -> Network:
    """Build a network, randomly initialised or with published weights; an ordinary `nn.Module`.

    It maps normalised images `[batch, channels, height, width]` to logits `[batch, classes]`, and is a `Backbone`.

    Args:
        model: A key of `MODELS`, or a line such as `conv 8@3x3 | relu | gap | fc classes`.
        classes: Number of logits.
        channels: Number of channels of the images: 1 for grey, 3 for RGB.
        size_px: Side of the images, or height and width; by default the size that the architecture was made for.
        stem: As for `plan_network`.
        seed: Seed of the random initialisation; torch's global generator is left as it was.
        pretrained: Begin with weights that were trained on ImageNet, fetched if need be: those of all layers but the
            last (of all layers if `classes` is 1000), the first layer adapted to the channels. Images must then be
            normalised as these weights need it: `MODELS[model].published` has mean and standard deviation, on a scale
            of 0 to 1.

    Raises:
        ModelError: The name is unknown, the line is wrong, the images do not fit, the weights do not fit into memory,
            or there are no published ones.
        WeightsError: Published weights are damaged, or cannot be fetched.

    >>> create("resnet18", classes=10).fc
    Linear(in_features=512, out_features=10, bias=True)
    """
    size = find_architecture(model).input[1:] if size_px is None else size_px
    height, width = size if isinstance(size, tuple) else (size, size)
    if pretrained and resolve_stem(model, min(height, width), stem) == "small":
        raise ModelError(model, "its published weights are those of the large stem", "choose stem='large'")
    network = build_network(
        plan_network(model, (channels, height, width), classes=classes, stem=stem), model, seed=seed
    )
    if pretrained:
        from striate.models.pretrained import weights
        from striate.models.pretrained.transfer import transfer

        architecture = find_architecture(model)
        same_classes = classes == architecture.classes
        transfer(network, weights.load_published(model, architecture), with_last_layer=same_classes)
    return network


def build_network(plan: Plan, model: str, *, seed: int = 0) -> Network:
    """Build the network of a plan, randomly initialised; raises ModelError if memory is too small for it."""
    import torch

    from striate.models.network import Network

    weights_bytes = 4 * plan.cost.parameters
    if not fits_into_memory(weights_bytes):
        size = "x".join(map(str, plan.input[1:]))
        raise ModelError(
            model,
            f"for images of {size} pixels it has {weights_bytes / 1e9:,.1f} GB of weights, more than this machine's "
            "memory",
            "choose a smaller size, or another model",
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Network.from_plan(plan)
