"""Where: the places in a layer's maps that a statement of the network rests on.

Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization". Whether such
a map is about what was learned at all is told by that of a network with random weights: Adebayo et al. 2018, "Sanity
checks for saliency maps".
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.interpret.activations import crop_to_image, image_share, preserve_state, record_activations
from striate.tasks.explaining import ExplainTarget


def grad_cam(
    network: nn.Module, layer: str, image: Float[Tensor, "1 channels height width"], question: ExplainTarget
) -> Float[Tensor, "rows columns"]:
    """Return how much each place of a layer's maps speaks for what is asked.

    With A_k the maps and y the number that is asked about: the sum over k of A_k times the mean of dy/dA_k over all
    places, where that is positive (equations 1 and 2). Of a question that is not signed, its size. What an image was
    extended by, to fit the network, is cut off.

    Args:
        network: is as it was afterwards.
        layer: gives maps.
        image: normalised.
        question: says which number.
    """
    with preserve_state(network), record_activations(network, [layer]) as found, torch.enable_grad():
        outputs = network(image.detach().requires_grad_())
        maps = found[layer]
        (slopes,) = torch.autograd.grad(question.value(outputs), maps)
    weighted = (slopes.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).detach()
    positive = weighted.relu() if question.signed else weighted.abs()
    return crop_to_image(positive, image_share(network, (image.shape[2], image.shape[3])))[0, 0]
