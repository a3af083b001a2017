"""A class for every pixel of a picture, as a prediction: areas, an index PNG with a palette, an overlay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Colours = tuple[tuple[int, int, int], ...]

_COVER = 0.5  # of the picture, by an overlay


@dataclass(frozen=True)
class ClassMap:
    """The class of every pixel.

    Attributes:
        indices: of classes.
        classes: their names.
        colours: what they are drawn in, RGB from 0 to 255.
    """

    indices: UInt8[np.ndarray, "height width"]
    classes: tuple[str, ...]
    colours: Colours

    def document(self) -> dict[str, Any]:
        """Return the picture's size, and the area of every class in it, the largest first."""
        height, width = self.indices.shape
        return {"width_px": width, "height_px": height, "areas": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """Return the area of every class in the picture, in pixels and as a share, the largest first."""
        counts = np.bincount(self.indices.ravel(), minlength=len(self.classes))
        order = sorted(np.flatnonzero(counts).tolist(), key=lambda index: -counts[index])
        return [
            {"class": self.classes[index], "pixels": int(counts[index]), "share": float(counts[index] / counts.sum())}
            for index in order
        ]

    def files(self) -> Mapping[str, Image.Image]:
        """Return a PNG of the classes' indices, with a palette."""
        image = Image.fromarray(self.indices, mode="P")
        image.putpalette([part for colour in self.colours for part in colour])
        return {".png": image}

    def overlay(self, picture: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Colour the picture by class, half and half, the borders between classes in the full colour."""
        colours = np.array(self.colours, dtype=np.uint8)
        drawn = np.empty_like(picture)
        for top in range(0, len(picture), 256):  # in bands, to need little memory
            rows = slice(top, top + 256)
            full = colours[self.indices[rows]]
            drawn[rows] = (picture[rows] * (1 - _COVER) + full * _COVER).astype(np.uint8)
        edge = np.zeros(self.indices.shape, dtype=bool)
        edge[1:] |= self.indices[1:] != self.indices[:-1]
        edge[:, 1:] |= self.indices[:, 1:] != self.indices[:, :-1]
        drawn[edge] = colours[self.indices[edge]]
        return Image.fromarray(drawn)
