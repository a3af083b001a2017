"""Weights of one network as the beginning of another: the body as a whole, of the head what fits."""

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
        taken: names of the network's entries that have come from elsewhere.
        fresh: names of those that are as they were drawn.
    """

    taken: tuple[str, ...]
    fresh: tuple[str, ...]


def transfer(network: nn.Module, weights: Mapping[str, Tensor], *, whole: bool = False) -> Transferred:
    """Load weights into a network: all of its body, and what else has the same name and shape, but for its last layer.

    The body is that of a `Network`, up to where feature maps become a vector, whether it stands alone or is the
    `encoder` of another module; so a classifier's body begins a segmentation, and the other way round. The last layer
    says what outputs mean, and is never taken. Where images have another number of channels, the first layer's weights
    are adapted (`adapt_channels`).

    Args:
        network: of `Network`, or a module with one as its `encoder`; it is changed.
        weights: a network's state.
        whole: the last layer is taken as well, where it fits: outputs mean the same.

    Raises:
        ModelError: an entry of the body is missing, or has another shape; the first three are named.
    """
    body, prefix = body_of(network)
    first = f"{body.plan.layers[0].name}." if body.plan.body else ""
    given = {name.removeprefix(_ENCODER): value for name, value in weights.items()}
    within = tuple(step.name + "." for step in body.plan.body)
    own = network.state_dict()
    last = _last_layers(network)
    taken: dict[str, Tensor] = {}
    wrong: list[str] = []
    for name, value in own.items():
        plain = name.removeprefix(prefix) if prefix else name
        found = given.get(plain)
        if first and plain.startswith(first) and found is not None and found.ndim == value.ndim == 4:
            found = adapt_channels(found, value.shape[1])
        fits = found is not None and found.shape == value.shape
        if plain.startswith(within) and (prefix == "" or name.startswith(prefix)) and not name.startswith(last):
            if found is None:
                wrong.append(f"{plain} is missing")
            elif not fits:
                wrong.append(f"{plain} has the shape {shape_text(found)}, not {shape_text(value)}")
        if fits and (whole or not name.startswith(last)):
            taken[name] = found  # type: ignore[assignment]  # it fits
    if wrong:
        raise ModelError(f"these weights are of another network: {listing(wrong, most=3)}.")
    with torch.no_grad():
        for name, value in taken.items():
            own[name].copy_(value)
    return Transferred(tuple(taken), tuple(name for name in own if name not in taken))


def body_of(network: nn.Module) -> tuple[Network, str]:
    """Return what looks at images within a network, and what the names of its parts begin with there."""
    body = network if isinstance(network, Network) else network.get_submodule("encoder")
    assert isinstance(body, Network)
    return body, "" if body is network else _ENCODER


def adapt_channels(
    weights: Float[Tensor, "outputs channels height width"], channels: int
) -> Float[Tensor, "outputs _ height width"]:
    """Adapt the weights of a first layer to images of another number of channels.

    For one channel they are summed: a grey picture answers as it would in RGB, with three equal channels. For others
    they are repeated in turn, and scaled by the old number over the new one, so that answers keep their size.

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
    """Return what the names of entries begin with that say what outputs mean."""
    if isinstance(network, Network):
        names = [step.name + "." for step in network.plan.layers]
        return tuple([name for name in names if any(key.startswith(name) for key in network.state_dict())][-1:])
    decoder = network.get_submodule("decoder")
    assert isinstance(decoder, Decoder)
    return ("decoder.",) if decoder.skips == "sum" else ("decoder.classifier.", "decoder.last.")


def shape_text(value: Tensor) -> str:
    """Write a shape for a message: `64x3x7x7`."""
    return "x".join(map(str, value.shape)) or "one number"
