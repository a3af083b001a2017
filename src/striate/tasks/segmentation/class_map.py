"""The class of every pixel, as a prediction: areas, an index PNG with a palette, an overlay. Without torch."""

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
        """Return the image's size, and the area of every class, the largest first."""
        height, width = self.indices.shape
        return {"width_px": width, "height_px": height, "areas": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """Return the area of every class, in pixels and as a share of the image, the largest first."""
        return [
            {"class": self.classes[index], "pixels": pixels, "share": share} for index, pixels, share in self._areas()
        ]

    def summary(self) -> str:
        """Return the three largest classes, with their shares."""
        shown = [(self.classes[index], share) for index, _, share in self._areas() if share != 0]
        said = [name if share == 1 else f"{name} {share:.0%} of the pixels" for name, share in shown[:3]]
        return ", ".join(said) + (" …" if len(shown) > 3 else "")

    def images(self) -> Mapping[str, Image.Image]:
        """Return a PNG of the classes' indices, with a palette."""
        image = Image.fromarray(self.indices, mode="P")
        image.putpalette([part for colour in self.colours for part in colour])
        return {".png": image}

    def drawn_on(self, image: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Colour the image by class, all of it."""
        return paint_classes(image, self.indices, self.colours)

    def overlay(self, image: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
        """Colour the image by class, with a legend below; what is called background is left as it is."""
        bare = [index for index, name in enumerate(self.classes) if name.lower() == "background"]
        legend = [
            (self.colours[index], f"{self.classes[index]} {share:.1%}")
            for index, pixels, share in self._areas()
            if pixels and index not in bare
        ]
        return with_legend(paint_classes(image, self.indices, self.colours, bare), legend)

    def _areas(self) -> list[tuple[int, int, float]]:
        """Return index, pixels and share of every class, the largest first."""
        counts = np.bincount(self.indices.ravel(), minlength=len(self.classes))
        order = sorted(range(len(self.classes)), key=lambda index: -counts[index])
        return [(index, int(counts[index]), float(counts[index] / counts.sum())) for index in order]
