"""What a user can choose about training: the flags of `striate train`, and what `run.json` keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from striate.errors import ConfigError
from striate.system.options import Options, is_number, is_whole
from striate.tasks import TASKS
from striate.tasks.classification.options import ClassificationOptions
from striate.tasks.options import options_of_task
from striate.tasks.pose.options import PoseOptions
from striate.tasks.segmentation.options import SegmentationOptions
from striate.training.schedule_options import ScheduleOptions

Stem = Literal["auto", "small", "large"]
Fit = Literal["auto", "crop", "pad", "stretch"]
Keep = Literal["auto", "disk", "none"]
PolicyName = Literal["none", "light", "standard", "strong"]
Augmenting = Literal["auto", PolicyName]
OptimiserName = Literal["sgd", "adamw"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]

EPOCHS = 20
_PEAK: dict[OptimiserName, float] = {"sgd": 0.05, "adamw": 0.002}
_DECAY: dict[OptimiserName, float] = {"sgd": 5e-4, "adamw": 0.05}  # of AdamW it is not part of the gradient
_FEW_STEPS = 100
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """How data are read, where that is not plain.

    Raises:
        ConfigError: a value makes no sense.
    """

    task: str = "auto"
    """What the labels are for. auto: what the layout of the data tells."""

    ignore: tuple[str, ...] = ()
    """Classes in masks, by name or value, that count as no label, beside void and the like."""

    threshold: int | None = None
    """Makes two classes of grey masks, JPEG or not: from this value on, 1 to 255, the second one."""

    split_seed: int = 0
    """Decides which images are set aside, where the data set none aside themselves."""

    max_pixels: int = 89_478_485
    """Images of more pixels are refused before they are decoded."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            ("task", self.task in ("auto", *TASKS), f"one of auto, {', '.join(TASKS)}"),
            ("ignore", all(isinstance(name, str) for name in self.ignore), "names of classes, or values in masks"),
            (
                "threshold",
                self.threshold is None or (is_whole(self.threshold, 1) and self.threshold <= 255),
                "a whole number from 1 to 255",
            ),
            ("split_seed", is_whole(self.split_seed, 0), "a whole number, 0 or more"),
            ("max_pixels", is_whole(self.max_pixels, 1), "a whole number, 1 or more"),
        )

    def reading(self) -> dict[str, Any]:
        """Return what `open_data` needs to know."""
        return {
            "task": self.task,
            "ignore": self.ignore,
            "threshold": self.threshold,
            "split_seed": self.split_seed,
        }


@dataclass(frozen=True, kw_only=True)
class LearningOptions(Options):
    """How weights follow gradients.

    Raises:
        ConfigError: a value makes no sense.
    """

    optimiser: OptimiserName | Literal["auto"] = "auto"
    """Gradient descent with Nesterov momentum, or AdamW. auto: sgd; adamw of poses, and to
    classify with ImageNet's weights."""

    lr: float | Literal["default", "auto"] = "default"
    """Peak of the learning rate: above 0. default: 0.05 for sgd, 0.002 for adamw, a fifth of that for trainings of
    fewer than 100 steps; with ImageNet's weights a tenth, but of masks all of it. auto: from a range test, as
    striate find-lr makes it."""

    momentum: float = 0.9
    """Nesterov momentum, of adamw its first beta: at least 0, below 1."""

    weight_decay: float | Literal["auto"] = "auto"
    """Pull of every weight, but norms and biases, towards zero: 0 or more. auto: 0.0005 for sgd, 0.05 for adamw."""

    clip: float = 0.0
    """Longest gradient, by its norm; a longer one is shortened to it. 0: any is taken."""

    accumulate: int = 1
    """In how many parts a batch is worked through, one after the other, to need less memory."""

    ema: float = 0.0
    """Decay of the moving average of the weights, which is then what is measured and kept. 0: none."""

    freeze: int | Literal["auto", "none", "batchnorm", "backbone"] = "auto"
    """What stays as it is of a network that does not begin from scratch: the batch norms of its backbone, all of that,
    or its first elements, so many of them. auto: with ImageNet's weights batchnorm, but of masks none; else none."""

    probe: bool = False
    """Fit the last layer alone, exactly, to what the rest of the network makes of the images, in place of training."""

    last_layer: Literal["auto", "random", "fitted"] = "auto"
    """With which last layer training begins. fitted: as by --probe, of 1,000 images at most, which is measured, shown
    and kept, should training not come to better. auto: fitted with ImageNet's weights, if there is a fully
    connected last layer of 100 outputs or fewer."""

    layer_lr_decay: float = 1.0
    """Learning rate of the first layer as a share of that of the head, in equal ratios from layer to layer: above 0."""

    mixup: float | Literal["auto"] = "auto"
    """The chance of an image to be mixed with another (mixup, CutMix). auto: what --augment has."""

    stochastic_depth: float = 0.0
    """The chance that the last residual block is left out in a step, less for those before it (Huang et al. 2016)."""

    progressive: bool = False
    """Begin with smaller images: half the side, growing over the first half of the epochs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            (
                "optimiser",
                self.optimiser in ("auto", *get_args(OptimiserName)),
                f"one of auto, {', '.join(get_args(OptimiserName))}",
            ),
            (
                "lr",
                self.lr in ("default", "auto") or (is_number(self.lr) and float(self.lr) > 0),
                "a positive number, default, or auto",
            ),
            ("momentum", is_number(self.momentum) and 0 <= self.momentum < 1, "at least 0 and below 1"),
            (
                "weight_decay",
                self.weight_decay == "auto" or (is_number(self.weight_decay) and float(self.weight_decay) >= 0),
                "0 or more, or auto",
            ),
            ("clip", is_number(self.clip) and self.clip >= 0, "0 or more"),
            ("accumulate", is_whole(self.accumulate, 1), "a whole number, 1 or more"),
            ("ema", is_number(self.ema) and 0 <= self.ema < 1, "at least 0 and below 1"),
            (
                "freeze",
                self.freeze in ("auto", "none", "batchnorm", "backbone") or is_whole(self.freeze, 1),
                "auto, none, batchnorm, backbone, or a whole number, 1 or more",
            ),
            ("last_layer", self.last_layer in ("auto", "random", "fitted"), "auto, random or fitted"),
            ("layer_lr_decay", is_number(self.layer_lr_decay) and self.layer_lr_decay > 0, "a positive number"),
            (
                "mixup",
                self.mixup == "auto" or (is_number(self.mixup) and 0 <= float(self.mixup) <= 1),
                "from 0 to 1, or auto",
            ),
            (
                "stochastic_depth",
                is_number(self.stochastic_depth) and 0 <= self.stochastic_depth < 1,
                "at least 0 and below 1",
            ),
        )

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
        """The peak of the learning rate of a long training from drawn weights."""
        return _PEAK[self.method] if isinstance(self.lr, str) else self.lr

    def peak(self, steps: int) -> float:
        """Return the peak of the learning rate that these options give a training of so many steps.

        Of small sets: 40 pictures in 12 steps were learnt at 0.003 to 0.02 by 5 of 5 seeds, at 0.05 by one or three;
        the running statistics of batch norms cannot follow the weights in so few steps.
        """
        return self.full_peak / (5 if isinstance(self.lr, str) and steps < _FEW_STEPS else 1)


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Options):
    """Which network is trained, and in which numbers it computes.

    Raises:
        ConfigError: a value makes no sense.
    """

    model: str = "auto"
    """A name (see striate models) or a line such as 'conv 8@3x3 | relu | gap | fc classes'. auto: lenet5 for small
    grey images, resnet20 up to 64 pixels, resnet18 beyond, or efficientnet_lite0 where its weights are installed."""

    stem: Stem = "auto"
    """First layers of the ResNets for photographs: small keeps the resolution. auto: small below 64 pixels."""

    pretrained: str = "auto"
    """First weights: imagenet (published ones, fetched if need be), those of a run (its folder), or of a .safetensors
    file. none: drawn. auto: imagenet, where these are installed or were fetched before."""

    precision: PrecisionChoice = "auto"
    """Numbers of forward and backward passes; weights are float32. auto: what is fastest here and agrees."""

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = get_args(PrecisionChoice)
        self._require(
            ("model", isinstance(self.model, str), "a name or a line"),
            (
                "pretrained",
                isinstance(self.pretrained, str) and self.pretrained != "",
                "auto, none, imagenet, a run, or a file",
            ),
            ("stem", self.stem in get_args(Stem), f"one of {', '.join(get_args(Stem))}"),
            ("precision", self.precision in choices, f"one of {', '.join(choices)}"),
        )


@dataclass(frozen=True, kw_only=True)
class PictureOptions(Options):
    """What pictures become, and in which batches they come.

    Raises:
        ConfigError: a value makes no sense.
    """

    batch_size: int | Literal["auto"] = "auto"
    """Images a step of gradient descent, on however many processes: 2 or more. auto: 64, of segmentation 8."""

    size: int | Literal["auto"] = "auto"
    """Side in pixels that images get, of segmentation the shorter one. auto: their own, at most what the model was made
    for, of segmentation 512."""

    fit: Fit = "auto"
    """How pictures of another shape come to that size: cut to fill it, padded to be whole, or stretched. auto: cut; of
    poses padded."""

    augment: Augmenting = "auto"
    """What happens to training images: see striate data DATA --sheet. auto: light; never mirror images of digits."""

    cache: Keep = "auto"
    """Where decoded images are kept. none: nowhere, they are decoded in every epoch. auto: on disk if they fit."""

    seed: int = 0
    """Decides the first weights and the order of the images: the same seed gives the same network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            (
                "batch_size",
                self.batch_size == "auto" or is_whole(self.batch_size, 2),
                "a whole number, 2 or more, or auto",
            ),
            ("size", self.size == "auto" or is_whole(self.size, 1), "a whole number, 1 or more, or auto"),
            ("fit", self.fit in get_args(Fit), f"one of {', '.join(get_args(Fit))}"),
            ("augment", self.augment in get_args(Augmenting), f"one of {', '.join(get_args(Augmenting))}"),
            ("cache", self.cache in get_args(Keep), f"one of {', '.join(get_args(Keep))}"),
            ("seed", is_whole(self.seed, 0) and self.seed < 2**64, "a whole number from 0 to 2^64 - 1"),
        )

    @property
    def policy(self) -> PolicyName:
        """The name of the policy of augmentation."""
        return "light" if self.augment == "auto" else self.augment


@dataclass(frozen=True, kw_only=True)
class MachineOptions(Options):
    """How a training uses the machine, and what it does when something goes wrong there.

    Raises:
        ConfigError: a value makes no sense.
    """

    deterministic: bool = False
    """The same weights every time on a GPU as well, with slower kernels; on the CPU they are the same anyway."""

    compile: bool = False
    """Have torch.compile make one program of the network: a minute at the start, faster steps after it."""

    checkpoint_minutes: float = 5
    """How often the state of the training is saved, beside the end of every epoch: above 0."""

    resume: bool = False
    """Go on with a training that was interrupted. Without --out: the latest one of these data (and --model)."""

    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What happens where a loss or a gradient is infinite or no number. skip: that step is left out, at most 10 in
    a row."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            (
                "checkpoint_minutes",
                is_number(self.checkpoint_minutes) and self.checkpoint_minutes > 0,
                "a positive number",
            ),
            ("on_nonfinite", self.on_nonfinite in ("stop", "skip"), "stop or skip"),
        )


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """How long a training is, and where it is kept.

    Raises:
        ConfigError: a value makes no sense.
    """

    epochs: int = EPOCHS
    """How often every training image is seen: 1 or more."""

    budget: str = ""
    """Time that the training may take, decoding, validation and saving included, in place of epochs: 90s, 10m, 1.5h."""

    out: str = "auto"
    """The run's folder, a new one or one to go on with. auto: runs/TASK/DATA-MODEL, with a number where that is
    taken."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            ("epochs", is_whole(self.epochs, 1), "a whole number, 1 or more"),
            ("budget", self.budget == "" or self.budget_s is not None, "a time such as 90s, 10m or 1.5h"),
            ("out", isinstance(self.out, str) and self.out != "", "a folder, or auto"),
        )
        if self.budget and self.epochs != EPOCHS:
            raise ConfigError("budget and epochs are both given; the one takes the other's place, leave one out.")

    @property
    def budget_s(self) -> float | None:
        """The budget in seconds; None where there is none, or where what was given is no time."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", self.budget)
        seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
        return seconds or None


@dataclass(frozen=True, kw_only=True)
class TrainConfig(
    DataOptions,
    MachineOptions,
    ScheduleOptions,
    LearningOptions,
    PoseOptions,
    SegmentationOptions,
    ClassificationOptions,
    RunOptions,
    PictureOptions,
    NetworkOptions,
):
    """How to train: the flags of the command, the last group first, and what its run records.

    Raises:
        ConfigError: a value makes no sense.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size != "auto":
            self.images_a_step(self.batch_size)
        if not self.budget:
            self.require_epochs(self.epochs)
        if self.probe and (self.budget or self.last_layer == "random"):
            raise ConfigError("probe fits the last layer, and ends: leave out --budget and --last-layer random, or it.")

    def of_task(self, task: str) -> dict[str, Any]:
        """Return what a task itself takes of these options; raises ConfigError where one is for other tasks alone."""
        return options_of_task(self, task)

    def images_a_step(self, default: int) -> int:
        """Return the batch size, where it is left to the task that of the task.

        Raises:
            ConfigError: it cannot be worked through in as many parts as are wanted.
        """
        images = default if self.batch_size == "auto" else self.batch_size
        self._require(("accumulate", self.accumulate <= images // 2, f"at most half the batch size of {images}"))
        return images
