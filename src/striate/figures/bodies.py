"""Bodies: the solids that a figure, its clothes and its hair are made of."""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64

from striate.figures.clothes import (
    CAP,
    EYES,
    HAIR,
    LIPS,
    LONG,
    PRINT,
    SHIRT,
    SHOES,
    SKIN,
    SOLE,
    TIED,
    TROUSERS,
    Clothes,
)
from striate.figures.skeleton import SEGMENTS, Build

PARTS = (
    *("background", "head", "torso", "left upper arm", "left forearm", "right upper arm", "right forearm"),
    *("left thigh", "left lower leg", "right thigh", "right lower leg"),
)
"""The classes of a mask. Neck and hair belong to the head, hands and feet to the limb that they end, clothes to what
they cover."""


COLOURS = (
    *((0, 0, 0), (229, 57, 53), (251, 192, 45), (124, 179, 66), (0, 137, 123), (192, 202, 51), (38, 198, 218)),
    *((57, 73, 171), (66, 165, 245), (142, 36, 170), (240, 98, 146)),
)
"""RGB to draw the classes of a mask in."""

_ENDS, _END_POSITIONS, _ROUND = (
    np.array(column)
    for column in zip(
        *(
            (SEGMENTS.index(f"{side}_{segment}"), position, round_)
            for side in "lr"
            for segment, position, round_ in (
                *(("foot", (0, -74, 150), False), ("foot", (0, -74, -68), False), ("shin", (0, 0, 0), True)),
                *(("hand", (0, -145, 0), False), ("thigh", (0, -30, 0), True)),
            )
        ),
        strict=True,
    )
)

Number = int | float
Point = tuple[Number, Number, Number]
Row = tuple[Number, ...]


class Parts:
    """A growing list of solids: each a row of numbers, in the frame of a segment.

    A row: segment, start (3), stop (3), radii (2), squash (3), part, materials (2), cut.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(
        self,
        segment: int,
        start: Point,
        stop: Point,
        radii: tuple[Number, Number],
        part: int,
        material: int,
        *,
        below: int | None = None,
        cut: Number = 0,
        squash: Point = (1, 1, 1),
    ) -> None:
        """Add a solid, in mm as the radii are meant before it is squashed.

        `below` is the material under the height `cut` in the frame. The centres are positions in the frame: squashing
        moves none of them.
        """
        self.rows.append(
            (segment, *start, *stop, *radii, *squash, part, material, material if below is None else below, cut)
        )


def build_solids(build: Build, clothes: Clothes) -> list[Row]:
    """Return the solids of a figure and its clothes, as rows of `Parts`."""
    parts = Parts()
    _hips(parts, build, clothes)
    _chest(parts, build, clothes)
    _head(parts, build, clothes)
    for side in ("l", "r"):
        _arm(parts, build, clothes, side)
        _leg(parts, build, clothes, side)
    return parts.rows


def thickness(build: Build) -> float:
    """Return how thick limbs are against those of an adult of 1.7 m."""
    return float(build.girth * (build.stature_mm / 1700) ** 0.85)


def end_points(
    build: Build, rotations: Float64[np.ndarray, "segments 3 3"], positions_mm: Float64[np.ndarray, "segments 3"]
) -> Float64[np.ndarray, "points 3"]:
    """Return the points that a posed figure may stand on or end with: soles, knees, hands, seat, crown."""
    size = thickness(build)
    rotated = rotations[_ENDS] @ (_END_POSITIONS * size)[:, :, None]
    points: Float64[np.ndarray, "points 3"] = rotated[:, :, 0] + positions_mm[_ENDS]
    points[_ROUND, 1] -= 55 * size  # a bent knee touches the ground with its skin
    return points


def _belly_radius(build: Build, clothes: Clothes) -> float:
    """Return how thick the waist is, mm."""
    stout = 118 + 110 * max(0.0, build.girth - 1)
    return float(stout * thickness(build) * (1 - 0.05 * build.curve) + clothes.loose)


def _hips(parts: Parts, build: Build, clothes: Clothes) -> None:
    """Add pelvis, seat and belly."""
    size, pelvis = thickness(build), SEGMENTS.index("pelvis")
    hip = build.offsets_mm[SEGMENTS.index("l_thigh"), 0]
    waist_y = build.offsets_mm[SEGMENTS.index("chest"), 1]
    wide = (1 + 0.1 * build.curve) * size
    belly = _belly_radius(build, clothes)
    add = partial(parts.add, pelvis, part=PARTS.index("torso"), material=SHIRT, below=TROUSERS, cut=waist_y * 0.45)
    add((-hip * 0.75, 0, 0), (hip * 0.75, 0, 0), (98 * wide, 98 * wide), squash=(1, 1.05, 0.92))
    add((0, waist_y * 0.25, 5), (0, waist_y * 1.1, 0), (belly * 1.08, belly), squash=(1, 1, 0.74))
    for way in (-1, 1):
        x = way * hip * 0.62
        add((x, -22 * size, -30 * size), (x, 20, -26 * size), (84 * wide, 84 * wide))


def _chest(parts: Parts, build: Build, clothes: Clothes) -> None:
    """Add ribs and shoulders, and what is on the chest."""
    size, chest, loose = thickness(build), SEGMENTS.index("chest"), clothes.loose
    width, height = build.offsets_mm[SEGMENTS.index("l_upper_arm"), :2]
    neck_y = build.offsets_mm[SEGMENTS.index("head"), 1]
    ribs, shoulder, slope = width * 0.86, 66 * size + loose * 0.5, 44 * size
    add = partial(parts.add, chest, part=PARTS.index("torso"))
    add(
        (0, 0, 0),
        (0, height * 0.62, 4),
        (_belly_radius(build, clothes), ribs + loose),
        material=SHIRT,
        squash=(1, 1, 0.68),
    )
    left, right = ((way * width * 0.72, height * 0.86, -4) for way in (1, -1))
    add(right, left, (shoulder, shoulder), material=SHIRT)
    for way in (-1, 1):
        inner, outer = (way * 30 * size, neck_y * 0.98, -8), (way * width * 0.85, height * 0.99, -4)
        add(inner, outer, (slope, slope), material=SHIRT)
        if build.curve > 0.25:
            low, high = ((way * width * 0.42, height * y, ribs * z) for y, z in ((0.42, 0.42), (0.5, 0.36)))
            add(low, high, (62 * size, 62 * size), material=SHIRT)
    if clothes.print_shown:
        low, high = (0, height * 0.5, ribs * 0.42), (0, height * 0.62, ribs * 0.42)
        add(low, high, (60 * size, 60 * size), material=PRINT, squash=(1, 1, 0.9))


def _head(parts: Parts, build: Build, clothes: Clothes) -> None:
    """Add neck, skull, face and hair."""
    head, part = SEGMENTS.index("head"), PARTS.index("head")
    unit = build.crown_mm[1] / 290  # measures below are those of a head 290 mm above the collar

    def ball(x: Number, y: Number, z: Number, radius: Number, material: int, squash: Point = (1, 1, 1)) -> None:
        parts.add(
            head,
            (x * unit, y * unit, z * unit),
            (x * unit, y * unit, z * unit),
            (radius * unit,) * 2,
            part,
            material,
            squash=squash,
        )

    def cone(
        start: Point,
        stop: Point,
        radii: tuple[Number, Number],
        material: int,
        squash: Point = (1, 1, 1),
    ) -> None:
        a, b = (tuple(unit * value for value in point) for point in (start, stop))
        parts.add(head, a, b, (radii[0] * unit, radii[1] * unit), part, material, squash=squash)

    thick = 50 * (0.6 + 0.4 * thickness(build) / unit)
    cone((0, -25, -12), (0, 110, 4), (thick * 1.1, thick), SKIN)
    ball(0, 192, 10, 96, SKIN, (0.83, 1, 1))
    cone((0, 165, 30), (0, 100, 66), (72, 40), SKIN, (0.95, 1, 1))
    cone((0, 172, 98), (0, 146, 116), (9, 15), SKIN)
    cone((-20, 112, 91), (20, 112, 91), (9, 9), LIPS, (1, 0.8, 1.4))
    for way in (-1, 1):
        ball(way * 34, 176, 93, 10, EYES, (1.25, 0.9, 1))
        cone((way * 18, 200, 96), (way * 48, 200, 84), (6, 6), HAIR if clothes.hair else EYES)
        ball(way * 80, 165, 5, 24, SKIN, (0.5, 1.2, 1))
    if clothes.hair == CAP:
        ball(0, 216, 6, 96, HAIR, (0.9, 0.82, 1.04))
        cone((0, 222, 84), (0, 214, 140), (58, 50), HAIR, (1, 0.2, 1))
    elif clothes.hair:
        ball(0, 208, -6, 101, HAIR, (0.88, 0.93, 1))
        cone((0, 190, -25), (0, 135, -30), (84, 62), HAIR)
    if clothes.hair == LONG:
        for way in (-1, 1):
            cone((way * 50, 190, -12), (way * 58, 30, -32), (46, 40), HAIR)
        cone((0, 170, -40), (0, 20, -62), (70, 56), HAIR, (1, 1, 0.7))
    if clothes.hair == TIED:
        ball(0, 262, -66, 46, HAIR)


def _arm(parts: Parts, build: Build, clothes: Clothes, side: str) -> None:
    """Add shoulder, sleeve, forearm and hand."""
    size, loose = thickness(build), clothes.loose * 0.8
    name = {"l": "left", "r": "right"}[side]
    upper, lower = PARTS.index(f"{name} upper arm"), PARTS.index(f"{name} forearm")
    arm, forearm, hand = (SEGMENTS.index(f"{side}_{segment}") for segment in ("upper_arm", "forearm", "hand"))
    length, reach = -build.offsets_mm[forearm, 1], -build.offsets_mm[hand, 1]
    cut = -length * min(clothes.sleeve, 2)
    if clothes.sleeve < 1:  # what clothes cover is left out, here and below
        parts.add(arm, (0, 0, 0), (0, -length, 0), (51 * size, 38 * size), upper, SHIRT, below=SKIN, cut=cut)
    if clothes.sleeve > 0.2:
        end = min(clothes.sleeve, 1.0)
        parts.add(
            arm,
            (0, 0, 0),
            (0, -length * end + 25, 0),
            (54 * size + loose * 0.6, (52 - 12 * end) * size + loose),
            upper,
            SHIRT,
        )
    if clothes.sleeve < 1.5:
        parts.add(forearm, (0, 0, 0), (0, -reach * 0.3, 4), (38 * size, 41 * size), lower, SKIN)
        parts.add(forearm, (0, -reach * 0.3, 4), (0, -reach, 0), (41 * size, 26 * size), lower, SKIN)
    if clothes.sleeve > 1:
        end = clothes.sleeve - 1
        parts.add(
            forearm,
            (0, 0, 0),
            (0, -reach * end + 10, 0),
            (42 * size + loose, (44 - 16 * end) * size + loose),
            lower,
            SHIRT,
        )
    palm = 30 * size
    parts.add(hand, (0, -15 * size, 0), (0, -115 * size, 8), (palm, palm * 0.78), lower, SKIN, squash=(0.62, 1, 1.25))
    parts.add(hand, (0, -40 * size, 22 * size), (-4, -85 * size, 48 * size), (14 * size, 11 * size), lower, SKIN)


def _leg(parts: Parts, build: Build, clothes: Clothes, side: str) -> None:
    """Add thigh, its trouser leg, half of a skirt, and what is below the knee."""
    size, loose = thickness(build), clothes.loose
    name, way = {"l": ("left", 1), "r": ("right", -1)}[side]
    upper, thigh = PARTS.index(f"{name} thigh"), SEGMENTS.index(f"{side}_thigh")
    length = -build.offsets_mm[SEGMENTS.index(f"{side}_shin"), 1]
    round_ = size * (1 + 0.06 * build.curve)
    if clothes.leg < 1:
        parts.add(
            thigh,
            (0, -10, 0),
            (0, -length, 0),
            (84 * round_, 55 * size),
            upper,
            TROUSERS,
            below=SKIN,
            cut=-length * clothes.leg,
        )
    if clothes.leg > 0.4:
        end = min(clothes.leg, 1.0)
        parts.add(
            thigh,
            (0, -10, 0),
            (0, -length * end + 15, 0),
            (86 * round_ + loose * 0.4, (87 - 30 * end) * size + loose),
            upper,
            TROUSERS,
        )
    if clothes.skirt:
        hem, wide = -length * clothes.skirt, (95 + 45 * clothes.skirt) * size
        middle = -way * build.offsets_mm[SEGMENTS.index("l_thigh"), 0] * 0.8
        for x in (0.0, middle):
            parts.add(thigh, (x, -5, 0), (x, hem, 0), (88 * round_, wide), upper, TROUSERS, squash=(1, 0.55, 0.95))
    _lower_leg(parts, build, clothes, side)


def _lower_leg(parts: Parts, build: Build, clothes: Clothes, side: str) -> None:
    """Add lower leg, its trouser leg, and the foot."""
    size, loose = thickness(build), clothes.loose
    name, way = {"l": ("left", 1), "r": ("right", -1)}[side]
    lower, shin, foot = PARTS.index(f"{name} lower leg"), SEGMENTS.index(f"{side}_shin"), SEGMENTS.index(f"{side}_foot")
    reach = -build.offsets_mm[foot, 1]
    if clothes.leg <= 1:
        parts.add(shin, (0, 0, 0), (0, -reach * 0.3, -10), (54 * size, 57 * size), lower, SKIN)
    top = max(0.3, clothes.leg - 1.15)
    parts.add(shin, (0, -reach * top, -10), (0, -reach, 0), ((66 - 30 * top) * size, 36 * size), lower, SKIN)
    if clothes.leg > 1:
        end = clothes.leg - 1
        parts.add(
            shin,
            (0, 0, 0),
            (0, -reach * end + 20, -6),
            (60 * size + loose, (66 - 22 * end) * size + loose + clothes.flare),
            lower,
            TROUSERS,
        )
    heel, toe = (0, -34 * size, -28 * size), (way * 8, -44 * size, 128 * size)
    parts.add(foot, heel, toe, (44 * size, 34 * size), lower, SHOES, squash=(1, 0.9, 1), below=SOLE, cut=-62 * size)
    parts.add(foot, (0, 10 * size, 4), (0, -40 * size, 60 * size), (38 * size, 38 * size), lower, SHOES)
