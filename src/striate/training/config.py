"""What a user can choose about training: the flags of `striate train`, and what `run.json` keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from striate.training.options import Options, is_number, is_whole

Stem = Literal["auto", "small", "large"]
TaskChoice = Literal["auto", "classify", "segment", "pose"]
Fit = Literal["crop", "pad", "stretch"]
Keep = Literal["auto", "disk", "none"]
Augmenting = Literal["auto", "none", "light", "standard", "strong"]


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """How data are read, where that is not plain.

    Raises:
        ConfigError: a value makes no sense.
    """

    task: TaskChoice = "auto"
    """What the labels are for. auto: what the layout of the data tells."""

    ignore: tuple[str, ...] = ()
    """Classes in masks, by name or value, that count as no label, beside void and the like."""

    split_seed: int = 0
    """Decides which images are set aside, where the data set none aside themselves."""

    max_pixels: int = 89_478_485
    """Images of more pixels are refused before they are decoded."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            ("task", self.task in get_args(TaskChoice), f"one of {', '.join(get_args(TaskChoice))}"),
            ("ignore", all(isinstance(name, str) for name in self.ignore), "names of classes, or values in masks"),
            ("split_seed", is_whole(self.split_seed, 0), "a whole number, 0 or more"),
            ("max_pixels", is_whole(self.max_pixels, 1), "a whole number, 1 or more"),
        )

    def reading(self) -> dict[str, Any]:
        """Return what `open_data` needs to know."""
        return {"task": self.task, "ignore": self.ignore, "split_seed": self.split_seed}


@dataclass(frozen=True, kw_only=True)
class TrainConfig(DataOptions):
    """How to train: the flags of the command, and what its run records.

    Raises:
        ConfigError: a value makes no sense.
    """

    model: str = "auto"
    """A name (see striate models) or a line such as 'conv 8@3x3 | relu | gap | fc classes'. auto: lenet5 for small
    grey images, resnet20 up to 64 pixels, resnet18 beyond."""

    stem: Stem = "auto"
    """First layers of the ResNets for photographs: small keeps the resolution. auto: small below 64 pixels."""

    epochs: int = 20
    """How often every training image is seen: 1 or more."""

    batch_size: int = 64
    """Images a step of gradient descent: 2 or more."""

    size: int | Literal["auto"] = "auto"
    """Side in pixels that images get. auto: their own, at most what the model was made for."""

    fit: Fit = "crop"
    """How pictures of another shape come to that size: cut to fill it, padded to be whole, or stretched."""

    lr: float = 0.05
    """Peak of the one-cycle learning rate: above 0."""

    momentum: float = 0.9
    """Nesterov momentum: at least 0, below 1."""

    weight_decay: float = 5e-4
    """Pull of every weight towards zero (L2): 0 or more."""

    augment: Augmenting = "auto"
    """What happens to training images: see striate data DATA --sheet. auto: light; never mirror images of digits."""

    store: Keep = "auto"
    """Where decoded images are kept. none: nowhere, they are decoded in every epoch. auto: on disk if they fit."""

    seed: int = 0
    """Decides the first weights and the order of the images: the same seed gives the same network."""

    out: str = "auto"
    """The run's folder, a new one. auto: runs/TASK/DATA-MODEL, with a number where that is taken."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            ("model", isinstance(self.model, str), "a name or a line"),
            ("stem", self.stem in get_args(Stem), f"one of {', '.join(get_args(Stem))}"),
            ("epochs", is_whole(self.epochs, 1), "a whole number, 1 or more"),
            ("batch_size", is_whole(self.batch_size, 2), "a whole number, 2 or more"),
            ("size", self.size == "auto" or is_whole(self.size, 1), "a whole number, 1 or more, or auto"),
            ("fit", self.fit in get_args(Fit), f"one of {', '.join(get_args(Fit))}"),
            ("lr", is_number(self.lr) and self.lr > 0, "a positive number"),
            ("momentum", is_number(self.momentum) and 0 <= self.momentum < 1, "at least 0 and below 1"),
            ("weight_decay", is_number(self.weight_decay) and self.weight_decay >= 0, "0 or more"),
            ("augment", self.augment in get_args(Augmenting), f"one of {', '.join(get_args(Augmenting))}"),
            ("store", self.store in get_args(Keep), f"one of {', '.join(get_args(Keep))}"),
            ("seed", is_whole(self.seed, 0) and self.seed < 2**64, "a whole number from 0 to 2^64 - 1"),
            ("out", isinstance(self.out, str) and self.out != "", "a folder, or auto"),
        )
