"""What a user can choose about segmentation: the decoder and the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from striate.errors import ConfigError
from striate.tasks.options import SmoothingOptions

WayUp = Literal["upsample", "transposed"]
Merge = Literal["concat", "sum"]
ClassWeights = Literal["none", "auto", "sqrt"]


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

    reduce: Annotated[int, Ge(1)] = 1
    """Make images smaller by this factor within the network, and its scores larger: faster, and coarser."""

    crop: Annotated[int | Literal["auto", "none"], Ge(2)] = "auto"
    """Side in pixels of the windows that training images are cut to at random. auto: 256 where they are larger."""

    dice: Annotated[float, Ge(0)] = 0.0
    """Weight of the Dice loss, which counts small classes like large ones, beside the cross-entropy: 0 or more."""

    class_weights: ClassWeights = "sqrt"
    """Pixels of rare classes count more in the cross-entropy. auto: by median frequency; sqrt: by its square root."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.skips and self.merge != "concat":
            raise ConfigError("merge", "changes nothing without skips (--no-skips)", "leave it out")
