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
    """How the decoder upsamples feature maps: bilinear upsampling then convolution, or transposed convolution."""

    skips: bool = True
    """Merge finer feature maps into the decoder. Without: a plain encoder-decoder."""

    merge: Merge = "concat"
    """How skips are merged: concatenated (U-Net), or classes scored at each resolution and added (FCN)."""

    reduce: Annotated[int, Ge(1)] = 1
    """Factor by which images are downscaled inside the network, and its outputs upscaled: faster, but coarser."""

    crop: Annotated[int | Literal["auto", "none"], Ge(2)] = "auto"
    """Side in pixels of the windows that are cut at random from training images. auto: 256 if the images are larger."""

    dice: Annotated[float, Ge(0)] = 0.0
    """Weight of the Dice loss, in which small classes count like large ones, added to the cross-entropy: 0 or more."""

    class_weights: ClassWeights = "sqrt"
    """Larger weights for pixels of rare classes in the cross-entropy. auto: median frequency; sqrt: its square root."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.skips and self.merge != "concat":
            raise ConfigError("merge", "changes nothing without skips (--no-skips)", "leave it out")
