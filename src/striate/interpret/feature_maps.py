"""What a layer makes of one image: its channels as maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.interpret.activations import preserve_state, record_activations


def feature_maps(
    network: nn.Module, layers: Sequence[str], image: Float[Tensor, "1 _ height width"]
) -> dict[str, Float[Tensor, "_ _ _"]]:
    """Return what layers give for an image, by name; the network is as it was afterwards."""
    with preserve_state(network), record_activations(network, layers) as found, torch.inference_mode():
        network(image)
        return {layer: found[layer][0].float().cpu().clone() for layer in layers}


def strongest_channels(maps: Float[Tensor, "channels rows columns"], count: int) -> list[int]:
    """Return the channels whose maps reach highest, the highest first."""
    return [int(channel) for channel in maps.flatten(1).amax(1).topk(min(count, len(maps))).indices]
