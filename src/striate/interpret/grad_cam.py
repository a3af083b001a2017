"""Grad-CAM: the positions in a layer's maps that an output of the network rests on.

Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization". Whether such
a map is about what was learned at all is told by that of a randomly initialised network: Adebayo et al. 2018, "Sanity
checks for saliency maps".
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.interpret.activations import crop_to_image, image_share, preserve_state, record_activations
from striate.tasks.explaining import ExplainTarget


def grad_cam(
    network: nn.Module, layer: str, image: Float[Tensor, "1 channels height width"], target: ExplainTarget
) -> Float[Tensor, "rows columns"]:
    """Return how much each position of a layer's maps speaks for a target.

    With A_k the maps and y the target's number: the sum over k of A_k times the mean of dy/dA_k over all positions,
    where that is positive (equations 1 and 2); for a target that is not signed, its absolute value. What the image was
    extended by, to fit the network, is cut off.

    Args:
        network: network; its state is preserved.
        layer: name of a layer that gives maps.
        image: normalised image.
        target: number that is explained.
    """
    with preserve_state(network), record_activations(network, [layer]) as recorded, torch.enable_grad():
        outputs = network(image.detach().requires_grad_())
        maps = recorded[layer]
        (gradients,) = torch.autograd.grad(target.value(outputs), maps)
    weighted = (gradients.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).detach()
    positive = weighted.relu() if target.signed else weighted.abs()
    return crop_to_image(positive, image_share(network, (image.shape[2], image.shape[3])))[0, 0]
