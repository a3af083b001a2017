"""Augmentation: what may happen to a training picture, and what happens to one of them in one epoch.

Flip, rotation, scale, shear and translation of a sample compose into one 3x3 matrix, its changes of colour into
another one; pixels are resampled once. What happens to a sample is a function of (seed, epoch, sample): neither the
order of the samples nor their grouping into batches changes it, but for whom it is mixed with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from striate.batching.options import PolicyName
from striate.batching.randomness import generator
from striate.datasets.labels import Labels

_Draw = Literal[
    "flip", "angle", "scale", "shear", "right", "down",
    "brightness", "contrast", "saturation", "hue", "grey",
    "erase", "erase_area", "erase_aspect", "erase_right", "erase_down",
    "mix", "mix_share", "mix_right", "mix_down",
]  # fmt: skip
_DRAWS: tuple[_Draw, ...] = get_args(_Draw)  # a column each: a new one goes to the end, or every run changes


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What may happen to a picture, and how far it may go; every strength is drawn evenly from its range.

    Attributes:
        flip: the chance of a mirror image.
        rotate_deg: either way.
        scale: up to this factor larger or smaller, evenly on a logarithmic scale; 1 is none.
        shear_deg: either way, along the rows.
        translate: either way, as a share of the side; whole pixels, where nothing else would resample the picture.
        brightness: factors from 1 - this to 1 + this; likewise contrast and saturation.
        contrast: about the middle of the scale.
        saturation: 0 leaves grey.
        hue: either way, as a share of the colour circle.
        grey: the chance of losing all colour.
        erase: the chance that a rectangle of 2 to 20 per cent of the picture is put to the mean (Zhong et al. 2020).
        mixup: the chance of being mixed with another picture: half of these are blended (mixup, Zhang et al. 2018),
            half get a rectangle of the other (CutMix, Yun et al. 2019).
    """

    flip: int | float = 0.0
    rotate_deg: int | float = 0.0
    scale: int | float = 1.0
    shear_deg: int | float = 0.0
    translate: int | float = 0.0
    brightness: int | float = 0.0
    contrast: int | float = 0.0
    saturation: int | float = 0.0
    hue: int | float = 0.0
    grey: int | float = 0.0
    erase: int | float = 0.0
    mixup: int | float = 0.0

    def valid_for(self, labels: Labels, *, mirror_safe: bool) -> Policy:
        """Return what of it leaves labels true: no mirror images of digits, no sheared skeletons, no mixed masks."""
        return replace(
            self,
            flip=self.flip if mirror_safe else 0.0,
            shear_deg=self.shear_deg if labels.may_shear else 0.0,
            mixup=self.mixup if labels.may_mix else 0.0,
        )

    @property
    def moves(self) -> bool:
        """Whether pixels change their places."""
        return bool(self.flip or self.translate or self.resamples)

    @property
    def resamples(self) -> bool:
        """Whether pixels come to lie between others."""
        return bool(self.rotate_deg or self.scale != 1 or self.shear_deg)

    @property
    def colours(self) -> bool:
        """Whether colours change."""
        return bool(self.brightness or self.contrast or self.saturation or self.hue or self.grey)


POLICIES: dict[PolicyName, Policy] = {
    "none": Policy(),
    "light": Policy(flip=0.5, translate=1 / 8),
    "standard": Policy(
        flip=0.5, rotate_deg=10, scale=1.2, translate=1 / 10, brightness=0.2, contrast=0.2, saturation=0.2
    ),
    "strong": Policy(
        flip=0.5,
        rotate_deg=20,
        scale=1.4,
        shear_deg=10,
        translate=1 / 8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.03,
        grey=0.1,
        erase=0.25,
        mixup=0.5,
    ),
}


def draw(samples: int, seed: int, epoch: int) -> Float32[np.ndarray, "samples draws"]:
    """Draw an epoch's numbers in [0, 1), a row a sample, from which `SampledAugmentation` makes what happens to it."""
    return generator(seed, epoch, "augmentation").random((samples, len(_DRAWS)), dtype=np.float32)


class SampledAugmentation:
    """What happens to the pictures of a batch.

    Args:
        policy: what may happen.
        drawn: the batch's rows of `draw`.
        height_px: of the pictures.
        width_px: of the pictures.
        window_px: height and width of the window that is cut out of each in the end; None: all of it.
    """

    def __init__(
        self,
        policy: Policy,
        drawn: Float32[np.ndarray, "batch draws"],
        *,
        height_px: int,
        width_px: int,
        window_px: tuple[int, int] | None = None,
    ) -> None:
        self.policy = policy
        self.height_px = height_px
        self.width_px = width_px
        self.window_px = window_px or (height_px, width_px)
        self._drawn = {name: drawn[:, column].astype(np.float64) for column, name in enumerate(_DRAWS)}
        self.flipped: Bool[np.ndarray, " batch"] = self._drawn["flip"] < policy.flip
        self.angle_rad: Float64[np.ndarray, " batch"] = np.deg2rad(policy.rotate_deg * self._either_way("angle"))

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.flipped)

    @property
    def is_identity(self) -> bool:
        """Whether every pixel stays in its place."""
        return not self.policy.moves and self.window_px == (self.height_px, self.width_px)

    @cached_property
    def matrices(self) -> Float64[np.ndarray, "batch 3 3"]:
        """Return for each picture the matrix from a place in it to where that is afterwards.

        Places are (x, y, 1) in pixels, the top left pixel's centre at (0.5, 0.5). Flip, shear, scale and rotation
        are about the picture's centre, in this order; then comes the translation. A positive angle turns x
        towards y: clockwise, as y goes down. Along a side of which a window is cut out, the place of that
        window, evenly drawn, is the translation.
        """
        scale = self.policy.scale ** self._either_way("scale")
        cos, sin = scale * np.cos(self.angle_rad), scale * np.sin(self.angle_rad)
        shear = np.tan(np.deg2rad(self.policy.shear_deg * self._either_way("shear")))
        mirror = np.where(self.flipped, -1.0, 1.0)
        linear = np.stack([cos * mirror, cos * shear - sin, sin * mirror, sin * shear + cos], 1).reshape(-1, 2, 2)
        centre = np.array([self.width_px / 2, self.height_px / 2])
        either_way = np.stack([self._either_way("right"), self._either_way("down")], 1)
        shift = self.policy.translate * either_way * 2 * centre
        if not self.policy.resamples:
            shift = np.rint(shift)
        beyond = 2 * centre - self.window_px[::-1]
        shift = np.where(beyond > 0, -np.floor((either_way + 1) / 2 * (beyond + 1)), shift)
        matrices = np.zeros((len(self), 3, 3))
        matrices[:, :2, :2] = linear
        matrices[:, :2, 2] = centre + shift - linear @ centre
        matrices[:, 2, 2] = 1
        return matrices

    def colours(self) -> tuple[Float64[np.ndarray, "batch 3 3"], Float64[np.ndarray, " batch"]]:
        """Return for each picture a matrix and an offset: an RGB colour, from 0 to 1, becomes matrix @ colour + offset.

        Hue is turned, and saturation changed, in NTSC's YIQ; brightness and contrast multiply.
        """
        policy = self.policy
        contrast = 1 + policy.contrast * self._either_way("contrast")
        brightness = 1 + policy.brightness * self._either_way("brightness")
        saturation = 1 + policy.saturation * self._either_way("saturation")
        saturation[self._drawn["grey"] < policy.grey] = 0
        turn = 2 * np.pi * policy.hue * self._either_way("hue")
        chroma = np.zeros((len(self), 3, 3))
        chroma[:, 0, 0] = 1
        chroma[:, 1, 1] = chroma[:, 2, 2] = saturation * np.cos(turn)
        chroma[:, 2, 1] = saturation * np.sin(turn)
        chroma[:, 1, 2] = -chroma[:, 2, 1]
        matrices = (contrast * brightness)[:, None, None] * (_FROM_YIQ @ chroma @ _TO_YIQ)
        return matrices, (1 - contrast) / 2

    def erased(self) -> Int64[np.ndarray, "batch 4"]:
        """Return for each picture the rectangle to erase: its first row and column, and those after its last."""
        share = 0.02 + 0.18 * self._drawn["erase_area"]
        aspect = 3.0 ** self._either_way("erase_aspect")
        boxes = self._rectangles(share, aspect, "erase_right", "erase_down")
        boxes[self._drawn["erase"] >= self.policy.erase] = 0
        return boxes

    def mixed(self) -> tuple[Float64[np.ndarray, " batch"], Int64[np.ndarray, "batch 4"]]:
        """Return how each picture is mixed: the share of itself that blending leaves, and the rectangle of the other.

        Beta(0.2, 0.2) is the law of the shares that are blended, Beta(1, 1) of those that are cut, as in the papers.
        """
        from scipy.special import betaincinv

        chance, share = self._drawn["mix"], self._drawn["mix_share"]
        blends = chance < self.policy.mixup / 2
        cuts = ~blends & (chance < self.policy.mixup)
        own = np.where(blends, betaincinv(0.2, 0.2, share), 1.0)
        boxes = self._rectangles(share, np.ones(len(self)), "mix_right", "mix_down")
        boxes[~cuts] = 0
        return own, boxes

    def _rectangles(
        self, share: Float64[np.ndarray, " batch"], aspect: Float64[np.ndarray, " batch"], right: _Draw, down: _Draw
    ) -> Int64[np.ndarray, "batch 4"]:
        """Place rectangles of a share of the picture's area, and of an aspect (relative to its own), inside of it."""
        window_height, window_width = self.window_px
        height = np.rint(np.sqrt(share * aspect).clip(max=1) * window_height).astype(np.int64)
        width = np.rint(np.sqrt(share / aspect).clip(max=1) * window_width).astype(np.int64)
        top = np.floor(self._drawn[down] * (window_height - height + 1)).astype(np.int64)
        left = np.floor(self._drawn[right] * (window_width - width + 1)).astype(np.int64)
        return np.stack([top, left, top + height, left + width], 1)

    def _either_way(self, name: _Draw) -> Float64[np.ndarray, " batch"]:
        """Return what was drawn for a purpose, stretched from [0, 1) to [-1, 1)."""
        return 2 * self._drawn[name] - 1


_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)
