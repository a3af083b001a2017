"""What the parts of a network give while it works, and a network as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from striate.errors import ModelError, listing, nearest
from striate.models.plan import Step
from striate.models.transfer import body_of


@contextmanager
def untouched(network: nn.Module) -> Iterator[None]:
    """Have a network in evaluation mode while a block runs; modes, gradients and what learns are then as before."""
    modes = [(module, module.training) for module in network.modules()]
    gradients = [(parameter, parameter.grad, parameter.requires_grad) for parameter in network.parameters()]
    network.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, gradient, learns in gradients:
            parameter.requires_grad_(learns)
            parameter.grad = gradient


@contextmanager
def tapped(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect what layers give, by name, while a block runs the network; the hooks are gone afterwards.

    >>> network = nn.Sequential(nn.ReLU(), nn.Flatten())
    >>> with tapped(network, ["0"]) as found:
    ...     given = network(Tensor([[-1.0, 2.0]]))
    ...     found["0"]
    tensor([[0., 2.]])
    """
    found: dict[str, Tensor] = {}
    handles = []
    try:
        for layer in layers:

            def keep(_: nn.Module, __: object, output: Tensor, layer: str = layer) -> None:
                found[layer] = output

            handles.append(network.get_submodule(layer).register_forward_hook(keep))
        yield found
    finally:
        for handle in handles:
            handle.remove()


def layers_of(network: nn.Module) -> dict[str, Step]:
    """Return the elements of what looks at images, under the names of their modules."""
    body, prefix = body_of(network)
    steps = body.plan.steps if not prefix else body.plan.steps[: body.plan.body]
    return {prefix + step.name: step for step in steps}


def find_layer(network: nn.Module, name: str) -> str:
    """Return the whole name of a layer; raises ModelError, with the nearest one, where there is none."""
    layers, prefix = layers_of(network), body_of(network)[1]
    for whole in (name, prefix + name):
        if whole in layers:
            return whole
    known = [layer.removeprefix(prefix) for layer in layers]
    raise ModelError(f"the network has no layer {name!r}{nearest(name, known)}; it has: {listing(known, most=8)}.")


def map_layers(network: nn.Module) -> list[str]:
    """Return the layers that give the feature maps, the finest first: of each resolution the last one."""
    body, prefix = body_of(network)
    return [prefix + body.plan.steps[place].name for place in body.plan.maps()]
