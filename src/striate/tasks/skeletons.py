"""A person's joints, as a prediction: places by name, drawn on the picture and, turned, beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from striate.images.drawing import INK, draw_joints, font, side_colours
from striate.tasks.skeleton import Skeleton

_TURNS_DEG = (0, 60)  # about the vertical axis, of the views in space
_LEAST_PX = 256  # of an overlay's height: smaller pictures are enlarged


@dataclass(frozen=True)
class JointPrediction:
    """Where joints were found; not a number for those that were never taught.

    Attributes:
        skeleton: what they are called and how they hang together.
        xyz_mm: relative to the root joint, x right, y down, z away from the camera; None where only the image is known.
        uv_px: in the picture, the top left pixel's centre at (0.5, 0.5); None where no joint's was ever taught.
    """

    skeleton: Skeleton
    xyz_mm: Float[np.ndarray, "joints 3"] | None
    uv_px: Float[np.ndarray, "joints 2"] | None

    def document(self) -> dict[str, Any]:
        """Return the joints by name, with what is known of each; None where that was never taught."""
        known = {"xyz_mm": self.xyz_mm, "uv_px": self.uv_px}
        return {
            "joints": {
                name: {key: _rounded(points[place]) for key, points in known.items() if points is not None}
                for place, name in enumerate(self.skeleton.joints)
            }
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a joint."""
        columns = {"x_mm y_mm z_mm": self.xyz_mm, "u_px v_px": self.uv_px}
        return [
            {"joint": name}
            | {
                axis: None if found is None else found[number]
                for axes, points in columns.items()
                if points is not None
                for found in [_rounded(points[place])]
                for number, axis in enumerate(axes.split())
            }
            for place, name in enumerate(self.skeleton.joints)
        ]

    def files(self) -> Mapping[str, Image.Image]:
        """Return none."""
        return {}

    def overlay(self, picture: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Draw the skeleton on the picture, and beside it in space: from the camera, and turned by 60 degrees.

        The person's left is blue, right is orange, what is neither green.
        """
        image = Image.fromarray(picture)
        scale = max(1.0, _LEAST_PX / image.height)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        skeleton = self.skeleton
        colours = side_colours(len(skeleton.joints), skeleton.left, skeleton.right)
        if self.uv_px is not None:
            draw_joints(image, self.uv_px * scale, _known(self.uv_px), skeleton.parents, colours)
        if self.xyz_mm is None:
            return image
        side = image.height
        sheet = Image.new("RGB", (image.width + side * len(_TURNS_DEG), side), "white")
        sheet.paste(image, (0, 0))
        for place, turn in enumerate(_TURNS_DEG):
            view = Image.new("RGB", (side, side), "white")
            points = in_view(self.xyz_mm, turn, side)
            draw_joints(view, points, _known(points), skeleton.parents, colours)
            caption = "from the camera" if turn == 0 else f"turned by {turn}°"
            ImageDraw.Draw(view).text((side // 32, side // 32), caption, fill=INK, font=font(max(11, side // 24)))
            sheet.paste(view, (image.width + place * side, 0))
        return sheet


def in_view(
    xyz_mm: Float[np.ndarray, "joints 3"], turn_deg: int | float, side_px: int
) -> Float[np.ndarray, "joints 2"]:
    """Turn joints about the vertical axis, and project them, without perspective, into the middle of a square."""
    angle = np.deg2rad(turn_deg)
    x, y, z = xyz_mm.T
    points = np.stack([np.cos(angle) * x + np.sin(angle) * z, y], 1)
    known = _known(xyz_mm)
    # the same for all turns, so that a figure keeps its size
    radius = np.linalg.norm(xyz_mm[known] - xyz_mm[known].mean(0), axis=1).max()
    scale = 0.42 * side_px / max(radius, 1e-6)
    placed: Float[np.ndarray, "joints 2"] = (points - points[known].mean(0)) * scale + side_px / 2
    return placed


def _known(points: Float[np.ndarray, "joints axes"]) -> Bool[np.ndarray, " joints"]:
    """Tell which joints are anywhere."""
    known: Bool[np.ndarray, " joints"] = np.isfinite(points).all(1)
    return known


def _rounded(point: Float[np.ndarray, " axes"]) -> list[float] | None:
    """Return a place to a tenth of its unit; None where it is none."""
    rounded: list[float] = np.round(point.astype(np.float64), 1).tolist()
    return rounded if np.isfinite(point).all() else None
