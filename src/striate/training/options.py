"""How weights follow gradients, at which rate, and how the machine is used: options of training. No torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, Predicate

from striate.errors import ConfigError
from striate.system.options import Options, Wanted
from striate.tasks.spec import OptimiserName

ScheduleName = Literal["constant", "step", "triangular", "triangular2", "exp_range", "onecycle", "cosine", "polynomial"]
PrecisionName = Literal["float32", "bfloat16"]

_PEAK: dict[OptimiserName, float] = {"sgd": 0.05, "adamw": 0.002}
_DECAY: dict[OptimiserName, float] = {"sgd": 5e-4, "adamw": 0.05}  # AdamW's is not part of the gradient
_FEW_STEPS = 100

TAKEN_BY: dict[str, tuple[ScheduleName, ...]] = {
    "decay_at": ("step",),
    "decay": ("step",),
    "cycle_epochs": ("triangular", "triangular2", "exp_range"),
    "low": ("triangular", "triangular2", "exp_range"),
    "gamma": ("exp_range",),
    "cycles": ("cosine",),
    "cycle_growth": ("cosine",),
    "power": ("polynomial",),
}
"""Which schedules an option is for; the others would ignore it, and so refuse it."""


@dataclass(frozen=True, kw_only=True)
class OptimisationOptions(Options):
    """How weights follow gradients.

    Raises:
        ConfigError: a value makes no sense.
    """

    optimiser: Literal["auto", OptimiserName] = "auto"
    """SGD with Nesterov momentum, or AdamW. auto: sgd; adamw for poses, and for classification from ImageNet's
    weights."""

    lr: Annotated[float | Literal["default", "auto"], Gt(0)] = "default"
    """Peak learning rate: above 0. default: 0.05 for sgd, 0.002 for adamw, a fifth of that in trainings of fewer than
    100 steps; a tenth with ImageNet's weights, except for masks. auto: from a range test, as in striate find-lr."""

    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Nesterov momentum; for adamw its first beta: at least 0, below 1."""

    weight_decay: Annotated[float | Literal["auto"], Ge(0)] = "auto"
    """Weight decay, not applied to norms and biases: 0 or more. auto: 0.0005 for sgd, 0.05 for adamw."""

    clip: Annotated[float, Ge(0)] = 0.0
    """Maximum norm of the gradient; longer ones are scaled down to it. 0: no limit."""

    accumulate: Annotated[int, Ge(1)] = 1
    """Number of parts in which a batch is processed, one after the other, to save memory."""

    ema: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Decay of the moving average of the weights, which is then evaluated and saved in their place. 0: none."""

    freeze: Annotated[int | Literal["auto", "none", "batchnorm", "backbone"], Ge(1)] = "auto"
    """Layers of pre-trained weights that are not trained: the batch norms of the backbone, the whole backbone, or a
    number of first elements. auto: batchnorm with ImageNet's weights, except for masks; else none."""

    probe: bool = False
    """Linear probe: fit the last layer alone, exactly, to the outputs of the frozen rest, in place of training."""

    last_layer: Literal["auto", "random", "fitted"] = "auto"
    """Initial last layer. fitted: as by --probe, on at most 1,000 images; it is evaluated, shown, and kept if training
    does not improve on it. auto: fitted with ImageNet's weights, if the last layer is fully connected and has at most
    100 outputs."""

    layer_lr_decay: Annotated[float, Gt(0)] = 1.0
    """Learning rate of the first layer relative to the head's, in a geometric progression over the layers: above 0."""

    stochastic_depth: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Probability that the last residual block is skipped in a step, less for earlier ones (Huang et al. 2016)."""

    progressive: bool = False
    """Start with smaller images: half the side, growing over the first half of the epochs."""

    @property
    def method(self) -> OptimiserName:
        """The optimiser; where nothing else is known, gradient descent."""
        return "sgd" if self.optimiser == "auto" else self.optimiser

    @property
    def decay_of_weights(self) -> float:
        """The pull of weights towards zero."""
        return _DECAY[self.method] if isinstance(self.weight_decay, str) else self.weight_decay

    @property
    def full_peak(self) -> float:
        """The peak of the learning rate of a long training from random weights."""
        return _PEAK[self.method] if isinstance(self.lr, str) else self.lr

    def peak(self, steps: int) -> float:
        """Return the peak of the learning rate that these options give a training of so many steps.

        Of small sets: 40 images in 12 steps were learnt at 0.003 to 0.02 by 5 of 5 seeds, at 0.05 by one or three;
        the running statistics of batch norms cannot follow the weights in so few steps.
        """
        return self.full_peak / (5 if isinstance(self.lr, str) and steps < _FEW_STEPS else 1)


def _are_ascending(epochs: tuple[float, ...]) -> bool:
    """Tell whether these are numbers above 0, each greater than the one before."""
    return all(epoch > 0 for epoch in epochs) and all(earlier < later for earlier, later in pairwise(epochs))


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions(Options):
    """How the learning rate goes from step to step, as a share of its peak. All lengths are in epochs.

    Raises:
        ConfigError: a value makes no sense, or is for another schedule.
    """

    schedule: ScheduleName = "onecycle"
    """Learning rate schedule: see striate schedule NAME."""

    warmup_epochs: Annotated[float, Ge(0)] = 0
    """Epochs of linear warm-up of the learning rate before its schedule, which spans the rest: 0 or more."""

    decay_at: Annotated[
        tuple[float, ...], Predicate(_are_ascending), Wanted("epochs above 0 in ascending order, such as 30,60")
    ] = ()
    """Epochs at which step decays, such as 30,60 (including the warm-up). auto: after half and three quarters of
    them."""

    decay: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Factor by which step multiplies the learning rate: above 0, below 1."""

    cycle_epochs: Annotated[float, Gt(0)] = 4
    """Length of a cycle of triangular, triangular2 and exp_range, in epochs: above 0."""

    low: Annotated[float, Ge(0), Lt(1)] = 0.25
    """Lowest rate of triangular, triangular2 and exp_range, as a share of the peak: at least 0, below 1."""

    gamma: Annotated[float, Gt(0), Lt(1)] = 0.9
    """Factor by which the cycles of exp_range shrink per epoch: above 0, below 1."""

    cycles: Annotated[int, Ge(1)] = 1
    """Number of cycles of cosine, with a warm restart between them: 1 or more."""

    cycle_growth: Annotated[float, Ge(1)] = 1
    """Length of each cycle of cosine relative to the previous one: 1 or more."""

    power: Annotated[float, Gt(0)] = 0.9
    """Exponent of polynomial: 1 is a straight line, a larger one decays sooner. Above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse_idle_options()
        later = all(at > self.warmup_epochs for at in self.decay_at)
        self.require("decay_at", later, "epochs after those of the warm-up")

    def require_epochs(self, epochs: float) -> None:
        """Raise ConfigError where something would come after the end of a training of so many epochs."""
        last = max(self.decay_at, default=0)
        self.require("warmup_epochs", self.warmup_epochs < epochs, f"less than the {epochs:g} epochs of the training")
        self.require("decay_at", last < epochs, f"epochs before the end of the training, after {epochs:g} epochs")
        self.require("cycles", self.cycles <= max(1, epochs), f"at most the {epochs:g} epochs of the training")

    def _refuse_idle_options(self) -> None:
        """Raise ConfigError for an option that was given and would change nothing."""
        defaults = {option.name: option.default for option in fields(ScheduleOptions)}
        for name, takers in TAKEN_BY.items():
            if self.schedule not in takers and getattr(self, name) != defaults[name]:
                what = f"schedule{'s' if len(takers) > 1 else ''} {', '.join(takers)}"
                raise ConfigError(name, f"is for the {what}, not for {self.schedule}", "leave it out")
        if self.cycles == 1 and self.cycle_growth != 1:
            raise ConfigError("cycle_growth", "changes nothing where cycles is 1", "leave it out")


@dataclass(frozen=True, kw_only=True)
class PrecisionOptions(Options):
    """In which type of number a network computes.

    Raises:
        ConfigError: a value makes no sense.
    """

    precision: Literal["auto", PrecisionName] = "auto"
    """Precision of forward and backward passes; weights are float32. auto: the fastest here that agrees with
    float32."""


@dataclass(frozen=True, kw_only=True)
class MachineOptions(Options):
    """How a training uses the machine, and what it does when something goes wrong there.

    Raises:
        ConfigError: a value makes no sense.
    """

    deterministic: bool = False
    """Bit-identical weights every time on a GPU too, with slower kernels; on the CPU they always are."""

    compile: bool = False
    """Compile the network with torch.compile: a minute at the start, faster steps after it."""

    checkpoint_minutes: Annotated[float, Gt(0)] = 5
    """Minutes between checkpoints, in addition to the end of every epoch: above 0."""

    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What to do if a loss or a gradient is infinite or NaN. skip: skip that step, at most 10 in a row."""
