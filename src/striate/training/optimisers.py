"""Optimisers, torch's own: which there are, and which parameters are pulled towards zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from striate.training.config import LearningOptions, OptimiserName

Groups = Iterable[dict[str, object]]


def _sgd(groups: Groups, config: LearningOptions) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=1.0, momentum=config.momentum, nesterov=config.momentum > 0)


def _adamw(groups: Groups, config: LearningOptions) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=1.0, betas=(config.momentum, 0.999))


OPTIMISERS: dict[OptimiserName, Callable[[Groups, LearningOptions], torch.optim.Optimizer]] = {
    "sgd": _sgd,  # with Nesterov momentum: Sutskever et al. 2013
    "adamw": _adamw,  # Loshchilov and Hutter 2019
}


def create_optimiser(model: nn.Module, config: LearningOptions) -> torch.optim.Optimizer:
    """Return the optimiser of a network's parameters; its rate is set anew before every step.

    Weight decay pulls weights alone: vectors (biases, the scales and shifts of norms) are left out, as they are few
    and do not overfit, and a norm takes the scale of the weights before it away (Goyal et al. 2017, section 5.3).
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in trained if parameter.ndim > 1]
    vectors = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return OPTIMISERS[config.optimiser]([group for group in groups if group["params"]], config)


def set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = lr
