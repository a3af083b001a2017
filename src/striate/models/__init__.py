"""The standard architectures, by name.

A new architecture is one file here and one line in `MODELS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from striate.errors import ModelError, nearest
from striate.machine import fits_into_memory

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS", "Architecture", "create"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What is known of an architecture before torch is loaded.

    Attributes:
        home: the function that builds it, as `module:name`; called with `classes`, `channels` and `size_px`.
        size_px: the side of the images that it was made for.
        min_size_px: the smallest that is taken: where any would pass through, the side at which a unit of
            the last feature map is still a place of its own (the stride of all layers together).
        source: where it was published.
    """

    home: str
    size_px: int
    min_size_px: int
    source: str


MODELS: dict[str, Architecture] = {
    "lenet5": Architecture(home="striate.models.lenet:lenet5", size_px=32, min_size_px=16, source="LeCun et al. 1998"),
    "resnet18": Architecture(
        home="striate.models.resnet:resnet18", size_px=224, min_size_px=32, source="He et al. 2015"
    ),
    "resnet20": Architecture(
        home="striate.models.resnet:resnet20", size_px=32, min_size_px=4, source="He et al. 2015, section 4.2"
    ),
}


def find(name: str) -> Architecture:
    """Return an entry of `MODELS`; raises ModelError for a name that is not in it."""
    if name not in MODELS:
        raise ModelError(f"unknown model {name!r}{nearest(name, MODELS)}; there are: {', '.join(MODELS)}.")
    return MODELS[name]


def suggest(size_px: int, channels: int) -> str:
    """Name the architecture for images of a size, where none is asked for."""
    if size_px > 64:
        return "resnet18"
    if channels == 1 and MODELS["lenet5"].min_size_px <= size_px <= MODELS["lenet5"].size_px:
        return "lenet5"
    return "resnet20"


def check_size(name: str, size_px: int) -> None:
    """Raise ModelError where an architecture cannot take images of `size_px` by `size_px`."""
    smallest = find(name).min_size_px
    if size_px < smallest:
        raise ModelError(
            f"{name} cannot take {size_px}x{size_px} images: it needs {smallest}x{smallest} or more; "
            f"choose --size {smallest} or another --model."
        )


def create(name: str, *, classes: int, channels: int = 3, size_px: int | None = None, seed: int = 0) -> nn.Module:
    """Build an architecture with freshly drawn weights; an ordinary `nn.Module`.

    It maps images `[batch, channels, size_px, size_px]`, normalised, to logits `[batch, classes]`.

    Args:
        name: a key of `MODELS`.
        classes: how many logits there are.
        channels: of the images: 1 for grey, 3 for RGB.
        size_px: side of the images; the size that the architecture was made for where it is left out.
        seed: decides the weights; torch's global generator is left as it was.

    Raises:
        ModelError: the name is unknown, the size is too small for the architecture, or the weights that
            it leads to do not fit into memory.

    >>> create("resnet18", classes=10).fc
    Linear(in_features=512, out_features=10, bias=True)
    """
    import torch

    architecture = find(name)
    size_px = architecture.size_px if size_px is None else size_px
    check_size(name, size_px)
    build = partial(resolve_name(architecture.home), classes=classes, channels=channels, size_px=size_px)
    with torch.device("meta"):  # shapes alone
        weights_bytes = 4 * sum(parameter.numel() for parameter in build().parameters())
    if not fits_into_memory(weights_bytes):
        raise ModelError(f"{name} for {size_px}x{size_px} images has {weights_bytes / 1e9:,.1f} GB of weights.")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: nn.Module = build()
    return model
