"""Feature maps: the channels of layers for one image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.interpret.activations import preserve_state, record_activations


def feature_maps(
    network: nn.Module, layers: Sequence[str], image: Float[Tensor, "1 _ height width"]
) -> dict[str, Float[Tensor, "_ _ _"]]:
    """Return the outputs of layers for an image, by layer: [channels, rows, columns], on the CPU.

    Args:
        network: network; its state is preserved.
        layers: names of layers that give maps.
        image: normalised image.
    """
    with preserve_state(network), record_activations(network, layers) as outputs, torch.inference_mode():
        network(image)
        return {layer: outputs[layer][0].float().cpu().clone() for layer in layers}


def strongest_channels(maps: Float[Tensor, "channels rows columns"], count: int) -> list[int]:
    """Return the `count` channels whose maps reach highest, the highest first."""
    return [int(channel) for channel in maps.flatten(1).amax(1).topk(min(count, len(maps))).indices]
