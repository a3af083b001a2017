"""What a user can choose about training: the flags of `striate train`, and what `run.json` keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from striate.errors import ConfigError

Stem = Literal["auto", "small", "large"]
Augmenting = Literal["auto", "none", "shift", "shift+flip"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
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

    lr: float = 0.05
    """Peak of the one-cycle learning rate: above 0."""

    momentum: float = 0.9
    """Nesterov momentum: at least 0, below 1."""

    weight_decay: float = 5e-4
    """Pull of every weight towards zero (L2): 0 or more."""

    augment: Augmenting = "auto"
    """Move images by up to an eighth, mirror half of them. auto: both, but no mirror images of digits (mnist)."""

    seed: int = 0
    """Decides the first weights and the order of the images: the same seed gives the same network."""

    out: str = "auto"
    """The run's folder, a new one. auto: runs/TASK/DATA-MODEL, with a number where that is taken."""

    def __post_init__(self) -> None:
        for name, fits, wanted in (
            ("model", isinstance(self.model, str), "a name or a line"),
            ("stem", self.stem in get_args(Stem), f"one of {', '.join(get_args(Stem))}"),
            ("epochs", _is_whole(self.epochs, 1), "a whole number, 1 or more"),
            ("batch_size", _is_whole(self.batch_size, 2), "a whole number, 2 or more"),
            ("size", self.size == "auto" or _is_whole(self.size, 1), "a whole number, 1 or more, or auto"),
            ("lr", _is_number(self.lr) and self.lr > 0, "a positive number"),
            ("momentum", _is_number(self.momentum) and 0 <= self.momentum < 1, "at least 0 and below 1"),
            ("weight_decay", _is_number(self.weight_decay) and self.weight_decay >= 0, "0 or more"),
            ("augment", self.augment in get_args(Augmenting), f"one of {', '.join(get_args(Augmenting))}"),
            ("seed", _is_whole(self.seed, 0) and self.seed < 2**64, "a whole number from 0 to 2^64 - 1"),
            ("out", isinstance(self.out, str) and self.out != "", "a folder, or auto"),
        ):
            if not fits:
                raise ConfigError(f"{name} (={getattr(self, name)}) must be {wanted}.")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
