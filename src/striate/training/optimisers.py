"""Optimisers, torch's own: which there are, and which parameters are pulled towards zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from striate.tasks.spec import OptimiserName
from striate.training.options import OptimisationOptions

Groups = Iterable[dict[str, object]]


def _sgd(groups: Groups, config: OptimisationOptions) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=1.0, momentum=config.momentum, nesterov=config.momentum > 0)


def _adamw(groups: Groups, config: OptimisationOptions) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=1.0, betas=(config.momentum, 0.999))


OPTIMISERS: dict[OptimiserName, Callable[[Groups, OptimisationOptions], torch.optim.Optimizer]] = {
    "sgd": _sgd,  # with Nesterov momentum: Sutskever et al. 2013
    "adamw": _adamw,  # Loshchilov and Hutter 2019
}


def create_optimiser(model: nn.Module, config: OptimisationOptions) -> torch.optim.Optimizer:
    """Return the optimiser of a network's parameters; its rate is set anew before every step.

    Weight decay pulls weights alone: vectors (biases, the scales and shifts of norms) are left out, as they are few
    and do not overfit, and a norm takes the scale of the weights before it away (Goyal et al. 2017, section 5.3).
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    shares = rate_shares(model, config.layer_lr_decay)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((shares[name], parameter.ndim > 1), []).append(parameter)
    return OPTIMISERS[config.method](
        [
            {"params": parameters, "weight_decay": config.decay_of_weights if weights else 0.0, "share": share}
            for (share, weights), parameters in groups.items()
        ],
        config,
    )


def rate_shares(model: nn.Module, early: float) -> dict[str, float]:
    """Return each parameter's learning rate as a share of the last one's: those of the first layer have `early`.

    From layer to layer it changes in equal ratios: discriminative rates (Howard and Ruder 2018, "Universal language
    model fine-tuning for text classification", section 3.2). A layer is what holds parameters of its own. What builds
    on an `encoder` learns at the full rate, all of it.
    """
    names = [name for name, _ in model.named_parameters()]
    ordered = [name for name in names if name.startswith("encoder.")] or names
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in ordered))
    last = len(layers) if len(ordered) < len(names) else max(1, len(layers) - 1)
    share = {layer: early ** (1 - place / last) for place, layer in enumerate(layers)}
    return {name: share.get(name.rpartition(".")[0], 1.0) for name in names}


def set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["share"]
