"""What happens to an image between file and network: the same in training and ever after."""

from __future__ import annotations

from dataclasses import dataclass

from striate.images.resize import FILTERS, FITS, Fit, ImageSpec, Interpolation


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Decoding and normalisation of a network's input; stored in its run.

    Attributes:
        height_px: height of the input in pixels.
        width_px: width of the input in pixels.
        channels: 1 for grey, 3 for RGB.
        fit: how an image of another aspect ratio is brought to that size, see `ImageSpec`.
        mean: mean of the training images, one per channel, on a scale of 0 black to 1 white.
        std: standard deviation, likewise.
        scale: size of the training images as a share of their source images.
        interpolation: the filter that pixels are resampled with, see `ImageSpec`.

    Raises:
        ValueError: the fields do not go together.
    """

    height_px: int
    width_px: int
    channels: int
    fit: Fit
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1.0
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        sides = (self.height_px, self.width_px)
        if not all(isinstance(side, int) and side > 0 for side in sides) or self.channels not in (1, 3):
            raise ValueError(f"no images are {self.height_px!r}x{self.width_px!r} of {self.channels!r} channels")
        if self.fit not in FITS:
            raise ValueError(f"no fit is called {self.fit!r}")
        if self.interpolation not in FILTERS:
            raise ValueError(f"no interpolation is called {self.interpolation!r}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std need one number per channel")

    @property
    def image_spec(self) -> ImageSpec:
        """The size and channels that images are decoded to."""
        return ImageSpec(
            height_px=self.height_px,
            width_px=self.width_px,
            channels=self.channels,
            fit=self.fit,
            interpolation=self.interpolation,
        )
