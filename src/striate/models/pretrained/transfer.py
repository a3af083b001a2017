"""Transfer of weights from one network to another: the body completely, of the head what fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError, listing
from striate.models.decoders import Decoder
from striate.models.network import Network

_ENCODER = "encoder."


@dataclass(frozen=True)
class Transferred:
    """What became of the weights.

    Attributes:
        taken: Names of the network's entries that come from elsewhere.
        fresh: Names of those that are as they were initialised.
    """

    taken: tuple[str, ...]
    fresh: tuple[str, ...]


def transfer(network: nn.Module, weights: Mapping[str, Tensor], *, with_last_layer: bool = False) -> Transferred:
    """Load weights into a network: those of its body, and all others of the same name and shape but the last layer's.

    The body is that of a `Network`, up to where feature maps become a vector, whether it stands alone or is the
    `encoder` of another module; so a segmentation network can begin with the body of a classifier, and vice versa. The
    last layer says what outputs mean, and is not taken. If images have another number of channels, the weights of the
    first layer are adapted (`adapt_channels`).

    Args:
        network: A `Network`, or a module with one as its `encoder`; it is changed.
        weights: State of a network.
        with_last_layer: Whether the last layer is taken as well, if it fits: its outputs mean the same.

    Raises:
        ModelError: An entry of the body is missing, or has another shape; the first three are named.
    """
    body, prefix = body_of(network)
    own, last = network.state_dict(), _last_layers(network)
    offered = _adapted({name.removeprefix(_ENCODER): value for name, value in weights.items()}, body)
    fitting = {
        name: offered[name.removeprefix(prefix)]
        for name, value in own.items()
        if name.removeprefix(prefix) in offered and offered[name.removeprefix(prefix)].shape == value.shape
    }
    of_body = tuple(f"{prefix}{layer.name}." for layer in body.plan.body)
    wrong = [
        _difference(name.removeprefix(prefix), value, offered)
        for name, value in own.items()
        if name not in fitting and name.startswith(of_body) and not name.startswith(last)
    ]
    if wrong:
        raise ModelError("", f"these weights are of another network: {listing(wrong, most=3)}")
    taken = {name: value for name, value in fitting.items() if with_last_layer or not name.startswith(last)}
    with torch.no_grad():
        for name, value in taken.items():
            own[name].copy_(value)
    return Transferred(tuple(taken), tuple(name for name in own if name not in taken))


def _adapted(weights: dict[str, Tensor], body: Network) -> dict[str, Tensor]:
    """Return weights with those of the first layer adapted to a body's images."""
    if not body.plan.body:
        return weights
    first = f"{body.plan.layers[0].name}."
    own = {name: value.shape[1] for name, value in body.state_dict().items() if value.ndim == 4}
    return weights | {
        name: adapt_channels(value, own[name])
        for name, value in weights.items()
        if name.startswith(first) and value.ndim == 4 and name in own
    }


def _difference(name: str, value: Tensor, offered: Mapping[str, Tensor]) -> str:
    """Say how an entry differs from the one that a network needs."""
    if name not in offered:
        return f"{name} is missing"
    return f"{name} has the shape {shape_text(offered[name])}, not {shape_text(value)}"


def body_of(network: nn.Module) -> tuple[Network, str]:
    """Return the `Network` that a network is, or has as its encoder, and the prefix of its parameters' names."""
    body = network if isinstance(network, Network) else network.get_submodule("encoder")
    assert isinstance(body, Network)
    return body, "" if body is network else _ENCODER


def adapt_channels(
    weights: Float[Tensor, "outputs channels height width"], channels: int
) -> Float[Tensor, "outputs _ height width"]:
    """Adapt the weights of a first layer to images of another number of channels.

    For one channel they are summed: a grey image gives the same output as in RGB, with three equal channels. For other
    numbers they are repeated in turn, and scaled by the old number over the new one, so that outputs keep their size.

    >>> adapt_channels(torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1), 2).flatten().tolist()
    [1.5, 3.0]
    """
    before = weights.shape[1]
    if channels == before:
        return weights
    if channels == 1:
        return weights.sum(1, keepdim=True)
    return weights[:, [channel % before for channel in range(channels)]] * (before / channels)


def _last_layers(network: nn.Module) -> tuple[str, ...]:
    """Return prefixes of the names of the entries that say what outputs mean."""
    if isinstance(network, Network):
        prefixes = [f"{layer.name}." for layer in network.plan.layers if layer.has_weights]
        return tuple(prefixes[-1:])
    decoder = network.get_submodule("decoder")
    assert isinstance(decoder, Decoder)
    return ("decoder.",) if decoder.skips == "sum" else ("decoder.classifier.", "decoder.last.")


def shape_text(value: Tensor) -> str:
    """Write a shape for a message: `64x3x7x7`."""
    return "x".join(map(str, value.shape)) or "one number"
