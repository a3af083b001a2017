"""The state of a training: all that a step changes, as tensors and a few numbers that a checkpoint keeps."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from striate.errors import RunError
from striate.training.optimisers import create_optimiser
from striate.training.options import OptimisationOptions


@dataclass
class TrainingProgress:
    """Where a training is: numbers that JSON keeps to the last bit.

    Attributes:
        steps: updates of the weights so far, those that were skipped included.
        epochs: that have ended, validation included.
        batches: of the epoch that is under way.
        loss_sum: of the steps of the epoch that is under way.
        targets: that this sum is over.
        norm_sum: of the lengths of its gradients.
        images: seen in this epoch.
        seconds: that its steps have taken.
        parts: into how many a batch is cut to fit into memory.
        skipped: updates that were left out since the last one that was not.
    """

    steps: int = 0
    epochs: int = 0
    batches: int = 0
    loss_sum: float = 0.0
    targets: int = 0
    norm_sum: float = 0.0
    images: int = 0
    seconds: float = 0.0
    parts: int = 1
    skipped: int = 0

    def count_step(self) -> None:
        """Count a step, and the batch that it was on."""
        self.steps += 1
        self.batches += 1

    def end_epoch(self) -> None:
        """Count an epoch, and begin the next one's sums."""
        self.epochs += 1
        self.batches, self.loss_sum, self.targets, self.images, self.seconds = 0, 0.0, 0, 0, 0.0
        self.norm_sum = 0.0


class RunningStatistics:
    """The running statistics of batch norms, and a copy of them to return to.

    A forward pass updates them before anybody knows whether its loss is finite, or whether its memory suffices. The
    copy lies in buffers that are made once, so that saving it is one fused call and allocates nothing: for networks
    with many batch norms cloning every buffer in every step cost more than the rest of the bookkeeping.

    Args:
        model: the network; from then on its buffers must be changed in place, as PyTorch does.
    """

    def __init__(self, model: nn.Module) -> None:
        self.floating = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        counts = [buffer for buffer in model.buffers() if not buffer.is_floating_point()]
        # a list a kind of number: fused copies want one dtype
        self._buffers = [buffers for buffers in (self.floating, counts) if buffers]
        self._saved = [[buffer.clone() for buffer in buffers] for buffers in self._buffers]

    @torch.no_grad()
    def save(self) -> None:
        """Keep the present values."""
        for buffers, saved in zip(self._buffers, self._saved, strict=True):
            torch._foreach_copy_(saved, buffers)

    @torch.no_grad()
    def restore(self) -> None:
        """Go back to the values that were saved last."""
        for buffers, saved in zip(self._buffers, self._saved, strict=True):
            torch._foreach_copy_(buffers, saved)

    def divide(self, processes: int) -> None:
        """Turn sums over several processes into means."""
        if processes > 1 and self.floating:
            torch._foreach_div_(self.floating, processes)


@dataclass
class TrainState:
    """Weights, their moving average where one is kept, momentum, and where the training is.

    Attributes:
        model: network that is trained; already on its device, and in its memory format.
        optimiser: of its parameters.
        average: network with the moving average of the weights; None where none is kept.
        progress: counts.
        running_statistics: those of the model's batch norms.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    average: nn.Module | None = None
    progress: TrainingProgress = field(default_factory=TrainingProgress)
    running_statistics: RunningStatistics = field(init=False)

    def __post_init__(self) -> None:
        self.running_statistics = RunningStatistics(self.model)

    @property
    def best(self) -> nn.Module:
        """The network to measure and to keep: the average where there is one."""
        return self.model if self.average is None else self.average

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, as a checkpoint keeps them."""
        named = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.average is not None:
            named |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                if value is not None:
                    named[f"optimiser.{key}.{name}"] = value
        return named

    def restore(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Go to the state that a checkpoint keeps.

        Raises:
            RunError: the tensors are not those of this network and optimiser.
        """
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimiser": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = value
        try:
            self.model.load_state_dict(parts["model"])
            if self.average is not None:
                self.average.load_state_dict(parts["average"])
            self.progress = TrainingProgress(**progress)
        except (RuntimeError, TypeError) as error:
            raise RunError("", f"the checkpoint is of another network ({' '.join(str(error).split())[:200]})") from None
        parameters = dict(self.model.named_parameters())
        self.optimiser.state.clear()
        for name, value in parts["optimiser"].items():
            key, _, owner = name.partition(".")
            if owner not in parameters:
                raise RunError("", f"the checkpoint is of another network (it has {owner})")
            parameter = parameters[owner]
            # as the parameter lies in memory: the optimiser walks through both side by side
            kept = value if value.shape != parameter.shape else torch.empty_like(parameter).copy_(value)
            self.optimiser.state[parameter][key] = kept


def start_state(model: nn.Module, config: OptimisationOptions) -> TrainState:
    """Return the state before the first step."""
    average = copy.deepcopy(model).eval().requires_grad_(False) if config.ema else None
    return TrainState(model, create_optimiser(model, config), average)


def train_mode(model: nn.Module) -> nn.Module:
    """Set a network to training, but for what does not learn: a frozen batch norm keeps its statistics."""
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
    return model


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, steps: int) -> None:
    """Move an average of the weights, and of the statistics of batch norms, one step on.

    average <- decay · average + (1 - decay) · weights: Polyak and Juditsky 1992; the exponential form as in Tan and
    Le 2019. The decay grows to its value as (1 + steps) / (10 + steps), so that the first, random weights are
    forgotten.
    """
    share = 1 - min(decay, (1 + steps) / (10 + steps))
    kept, now = average.state_dict(), model.state_dict()
    floating = [name for name, value in kept.items() if value.is_floating_point()]
    torch._foreach_lerp_([kept[name] for name in floating], [now[name] for name in floating], share)
    for name in kept.keys() - set(floating):
        kept[name].copy_(now[name])
