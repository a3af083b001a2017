"""What a user can choose about segmentation: the decoder and the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from striate.errors import ConfigError
from striate.system.options import is_number, is_whole
from striate.tasks.options import SmoothingOptions

WayUp = Literal["upsample", "transposed"]
Merge = Literal["concat", "sum"]
Weighing = Literal["none", "auto", "sqrt"]


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions(SmoothingOptions):
    """Options of the decoder and of the loss.

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
