"""What labels are about: classes, joints, or nothing that has a name. Without torch."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

from striate.tasks.skeleton import Skeleton


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What labels are about.

    Attributes:
        classes: their names, which labels and masks are indices of; none where joints are the labels.
        colours: of the classes in masks, RGB from 0 to 255; none where the data give none.
        skeleton: the joints, where they are the labels.
    """

    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    skeleton: Skeleton | None = None

    @property
    def kind(self) -> str:
        """What labels tell apart, a word for one of them; "label" where that has no names."""
        return "joint" if self.skeleton else "class" if self.classes else "label"

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, or the joints; none where labels are numbers, say."""
        return self.skeleton.joints if self.skeleton else self.classes

    @property
    def size(self) -> str:
        """How many classes, or joints, labels tell apart, in words; empty where these have no names."""
        return f"{len(self.names)} {'joints' if self.skeleton else 'classes'}" if self.names else ""

    @property
    def drawn_in(self) -> tuple[tuple[int, int, int], ...]:
        """The colours of the classes: their own, or some that can be told apart."""
        return self.colours or class_colours(len(self.classes))


def class_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return colours for classes whose data give none: neighbours in number are far apart in hue."""
    golden = 0.618033988749895
    wheel = ((index * golden % 1, 0.55 + 0.35 * (index % 2), 0.95 - 0.2 * (index % 3)) for index in range(count))
    return tuple(
        (round(255 * r), round(255 * g), round(255 * b)) for r, g, b in (colorsys.hsv_to_rgb(*at) for at in wheel)
    )
