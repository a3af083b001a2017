"""What is known of an architecture: its line, and what it was made for. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from striate.geometry import Shape
from striate.models.plan import Plan, plan_line
from striate.models.pretrained.published import PublishedWeights


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An architecture as text.

    Attributes:
        line: in the notation (`notation.py`).
        names: of the elements with weights, in order, as published; () for torchvision's `features.N`.
        small: the line for small images, where it differs: a stem that keeps their resolution.
        input: [channels, height, width] that it was published for.
        classes: how many it was published for.
        source: where it was published.
        published: weights that were trained on ImageNet, where there are some.
    """

    line: str
    names: tuple[str, ...] = ()
    small: str = ""
    input: Shape = (3, 224, 224)
    classes: int = 1000
    source: str
    published: PublishedWeights | None = None

    @property
    def size_px(self) -> int:
        """The side of the images that it was made for."""
        return self.input[1]

    def plan(self, shape: Shape | None = None, *, classes: int | None = None, stem: str = "large") -> Plan:
        """Work it out for images [channels, height, width]; raises ModelError where they do not fit."""
        line = self.small if stem == "small" else self.line
        return plan_line(
            line,
            self.input if shape is None else shape,
            classes=self.classes if classes is None else classes,
            names=self.names,
        )
