"""A person's joints, as a prediction: coordinates by name, drawn on the image and, turned, beside it. Without torch."""

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
_LEAST_PX = 256  # height of an overlay: smaller images are enlarged


@dataclass(frozen=True)
class JointPrediction:
    """Where joints were found; not a number for those that were never taught.

    Attributes:
        skeleton: names of the joints, and how they hang together.
        xyz_mm: relative to the root joint, x right, y down, z away from the camera; None where only the image is known.
        uv_px: in the source image, the top left pixel's centre at (0.5, 0.5); None where no joint's was ever taught.
    """

    skeleton: Skeleton
    xyz_mm: Float[np.ndarray, "joints 3"] | None
    uv_px: Float[np.ndarray, "joints 2"] | None

    def document(self) -> dict[str, Any]:
        """Return the joints by name, with what is known of each; None where that was never taught."""
        known = {"xyz_mm": self.xyz_mm, "uv_px": self.uv_px}
        return {
            "joints": {
                name: {key: _rounded(points[index]) for key, points in known.items() if points is not None}
                for index, name in enumerate(self.skeleton.joints)
            }
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per joint."""
        columns = {"x_mm y_mm z_mm": self.xyz_mm, "u_px v_px": self.uv_px}
        return [
            {"joint": name}
            | {
                axis: None if point is None else point[number]
                for axes, points in columns.items()
                if points is not None
                for point in [_rounded(points[index])]
                for number, axis in enumerate(axes.split())
            }
            for index, name in enumerate(self.skeleton.joints)
        ]

    def summary(self) -> str:
        """Return the number of joints that are known."""
        known = np.zeros(len(self.skeleton.joints), dtype=bool)
        for points in (self.xyz_mm, self.uv_px):
            if points is not None:
                known |= _known(points)
        return f"{known.sum()} joints"

    def images(self) -> Mapping[str, Image.Image]:
        """Return none."""
        return {}

    def drawn_on(self, image: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Draw the skeleton on the image: the person's left is blue, right is orange, what is neither green."""
        drawn = Image.fromarray(image)
        self._draw(drawn, self.uv_px)
        return drawn

    def overlay(self, image: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Draw the skeleton on the image, and beside it in space: from the camera, and turned by 60 degrees.

        The person's left is blue, right is orange, what is neither green.
        """
        drawn = Image.fromarray(image)
        scale = max(1.0, _LEAST_PX / drawn.height)
        drawn = drawn.resize((round(drawn.width * scale), round(drawn.height * scale)), Image.Resampling.BICUBIC)
        self._draw(drawn, None if self.uv_px is None else self.uv_px * scale)
        if self.xyz_mm is None:
            return drawn
        side = drawn.height
        sheet = Image.new("RGB", (drawn.width + side * len(_TURNS_DEG), side), "white")
        sheet.paste(drawn, (0, 0))
        for index, turn in enumerate(_TURNS_DEG):
            view = Image.new("RGB", (side, side), "white")
            self._draw(view, in_view(self.xyz_mm, turn, side))
            caption = "from the camera" if turn == 0 else f"turned by {turn}°"
            ImageDraw.Draw(view).text((side // 32, side // 32), caption, fill=INK, font=font(max(11, side // 24)))
            sheet.paste(view, (drawn.width + index * side, 0))
        return sheet

    def _draw(self, image: Image.Image, points: Float[np.ndarray, "joints 2"] | None) -> None:
        if points is not None:
            colours = side_colours(len(self.skeleton.joints), self.skeleton.left, self.skeleton.right)
            draw_joints(image, points, _known(points), self.skeleton.parents, colours)


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
    """Return which joints have coordinates."""
    known: Bool[np.ndarray, " joints"] = np.isfinite(points).all(1)
    return known


def _rounded(point: Float[np.ndarray, " axes"]) -> list[float] | None:
    """Return coordinates to a tenth of their unit; None where they are not finite."""
    rounded: list[float] = np.round(point.astype(np.float64), 1).tolist()
    return rounded if np.isfinite(point).all() else None
