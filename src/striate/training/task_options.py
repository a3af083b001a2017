"""What a user can choose about the task, the network's head and the loss; and which options are for which tasks."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args

from striate.errors import ConfigError
from striate.system.options import Options, is_number, is_whole
from striate.tasks.heads import Head

WayUp = Literal["upsample", "transposed"]
Merge = Literal["concat", "sum"]
Weighing = Literal["none", "auto", "sqrt"]

HEAD_AND_LOSS: dict[str, tuple[str, ...]] = {
    "label_smoothing": ("classify", "segment"),
    "decoder": ("segment",),
    "skips": ("segment",),
    "merge": ("segment",),
    "reduce": ("segment",),
    "dice": ("segment",),
    "class_weights": ("segment",),
    "head": ("pose",),
}
"""Options that a task itself takes, and which tasks these are."""

OF_TRAINING: dict[str, tuple[str, ...]] = {
    "mixup": ("classify",),
    "progressive": ("classify",),
    "crop": ("segment",),
}
"""Options of training that make sense for some tasks alone."""


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions(Options):
    """How a class for every pixel is found.

    Raises:
        ConfigError: a value makes no sense.
    """

    decoder: WayUp = "upsample"
    """How feature maps grow to the image's size: upsampling then convolution, or transposed convolution."""

    skips: bool = True
    """Whether the finer feature maps come in on the way up; without them it is a plain encoder-decoder."""

    merge: Merge = "concat"
    """How skips come in: put beside what comes from below (U-Net), or classes scored at each and added up (FCN)."""

    reduce: int = 1
    """Make images smaller by this factor within the network, and its scores larger: faster, and coarser."""

    crop: int | Literal["auto", "none"] = "auto"
    """Side in pixels of the windows that training images are cut to at random. auto: 256 where they are larger."""

    dice: float = 0.0
    """Weight of the Dice loss, which counts small classes like large ones, beside the cross-entropy: 0 or more."""

    class_weights: Weighing = "sqrt"
    """Pixels of rare classes count more in the cross-entropy. auto: by median frequency; sqrt: by its square root."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            ("decoder", self.decoder in get_args(WayUp), f"one of {', '.join(get_args(WayUp))}"),
            ("merge", self.merge in get_args(Merge), f"one of {', '.join(get_args(Merge))}"),
            ("reduce", is_whole(self.reduce, 1), "a whole number, 1 or more"),
            (
                "crop",
                self.crop in ("auto", "none") or is_whole(self.crop, 2),
                "a whole number, 2 or more, auto or none",
            ),
            ("dice", is_number(self.dice) and self.dice >= 0, "0 or more"),
            ("class_weights", self.class_weights in get_args(Weighing), f"one of {', '.join(get_args(Weighing))}"),
        )
        if not self.skips and self.merge != "concat":
            raise ConfigError("merge", "changes nothing without skips (--no-skips)", "leave it out")


@dataclass(frozen=True, kw_only=True)
class PoseOptions(Options):
    """How joints are found.

    Raises:
        ConfigError: a value makes no sense.
    """

    head: Head = "vector"
    """What ends in coordinates: the model's own head, or transposed convolutions to a heatmap for each joint."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(("head", self.head in get_args(Head), f"one of {', '.join(get_args(Head))}"))


def options_of_task(config: Any, task: str) -> dict[str, Any]:
    """Return what a task itself takes of a training's options.

    Raises:
        ConfigError: an option was chosen that is for other tasks.
    """
    defaults = {one.name: one.default for one in fields(config) if one.default is not MISSING}
    for name, tasks in (HEAD_AND_LOSS | OF_TRAINING).items():
        if task not in tasks and getattr(config, name) != defaults[name]:
            raise ConfigError(name, f"is for {' and '.join(tasks)}, not for {task}", "leave it out")
    return {name: getattr(config, name) for name, tasks in HEAD_AND_LOSS.items() if task in tasks}
