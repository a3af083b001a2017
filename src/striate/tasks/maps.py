"""A class for every pixel of a picture, as a prediction: areas, an index PNG with a palette, an overlay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from striate.images.drawing import Colour, paint_classes, with_legend


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
    colours: tuple[Colour, ...]

    def document(self) -> dict[str, Any]:
        """Return the picture's size, and the area of every class, the largest first."""
        height, width = self.indices.shape
        return {"width_px": width, "height_px": height, "areas": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """Return the area of every class, in pixels and as a share of the picture, the largest first."""
        counts = np.bincount(self.indices.ravel(), minlength=len(self.classes))
        order = sorted(range(len(self.classes)), key=lambda index: -counts[index])
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
        """Colour the picture by class, with a legend below; what is called background is left as it is."""
        bare = [index for index, name in enumerate(self.classes) if name.lower() == "background"]
        found = [
            (self.colours[self.classes.index(row["class"])], f"{row['class']} {row['share']:.1%}")
            for row in self.rows()
            if row["pixels"] and self.classes.index(row["class"]) not in bare
        ]
        return with_legend(paint_classes(picture, self.indices, self.colours, bare), found)
