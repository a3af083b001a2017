"""A skeleton: joints, bones of random length, the angles that joints allow, and where a pose puts the joints.

Body coordinates: x to the figure's own left, y up, z to where it faces; mm. At rest the figure stands upright, its
arms hanging.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

JOINTS = (
    *("pelvis", "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "spine", "neck", "head", "nose"),
    *("l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist"),
)
"""The joints; `spine` is in the middle of the back, `neck` at the collar, `head` the top of the head."""

PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
"""The index of each joint's parent; -1 for the root."""

MIRROR = tuple((name, f"r{name[1:]}") for name in JOINTS if name.startswith("l_"))
"""The joints that change places in a mirror."""

_ARM, _LEG = ("upper_arm", "forearm", "hand"), ("thigh", "shin", "foot")
SEGMENTS = (
    *("pelvis", "chest", "head"),
    *(f"{side}_{name}" for limb in (_ARM, _LEG) for side in "lr" for name in limb),
)
"""The rigid pieces, each after the one that it hangs on."""

LIMITS_DEG = {
    "pelvis": ((-45, 45), (-20, 20), (-15, 15)),
    "chest": ((-20, 50), (-25, 25), (-35, 35)),
    "head": ((-35, 40), (-25, 25), (-60, 60)),
    "upper_arm": ((-50, 170), (0, 130), (-85, 85)),
    "forearm": ((0, 145), (0, 0), (0, 0)),
    "hand": ((-50, 50), (-15, 15), (-80, 80)),
    "thigh": ((-25, 120), (-8, 50), (-25, 45)),
    "shin": ((0, 140), (0, 0), (0, 0)),
    "foot": ((-45, 20), (-10, 10), (-10, 10)),
}
"""What a segment may turn against the one before it, (least, most) degrees: flexion, to the side, twist.

Flexion is forwards, and backwards for the knee; sideways and twist are outwards for limbs, and to the left for the
trunk. Anatomical ranges, a little short of their ends.
"""

_PARENT = {"chest": "pelvis", "head": "chest", "upper_arm": "chest", "forearm": "upper_arm", "hand": "forearm"} | {
    "thigh": "pelvis",
    "shin": "thigh",
    "foot": "shin",
}
_BENDS_WITH_X = ("pelvis", "chest", "head", "shin")  # a turn about +x takes what points up forwards, down backwards


def _plain(segment: str) -> str:
    """Return a segment's name without its side."""
    return segment.removeprefix("l_").removeprefix("r_")


def _segment_parents() -> tuple[int, ...]:
    """Return the index of the segment that each hangs on; -1 for the pelvis."""
    parents = []
    for name in SEGMENTS:
        parent = _PARENT.get(_plain(name), "")
        sided = name[:2] + parent
        parents.append(SEGMENTS.index(sided) if sided in SEGMENTS else SEGMENTS.index(parent) if parent else -1)
    return tuple(parents)


_SEGMENT_PARENTS = _segment_parents()
_LEAST_DEG, _MOST_DEG = np.moveaxis(np.array([LIMITS_DEG[_plain(name)] for name in SEGMENTS], np.float64), 2, 0)
_SIGNS = np.array(
    [
        (1 if _plain(name) in _BENDS_WITH_X else -1, *((-1, -1) if name.startswith("r_") else (1, 1)))
        for name in SEGMENTS
    ],
    np.float64,
)


@dataclass(frozen=True, kw_only=True)
class Build:
    """How a figure is built.

    Attributes:
        stature_mm: standing height.
        girth: thickness of everything, 1 on average.
        curve: -1 broad shoulders and narrow hips, 1 the opposite.
        offsets_mm: where each segment's joint sits on the segment before it; the pelvis itself at the origin.
        crown_mm, nose_mm: top of the head and tip of the nose, seen from the collar.
        spine_mm: the way from the pelvis to the middle of the back, where the chest turns.
    """

    stature_mm: float
    girth: float
    curve: float
    offsets_mm: Float64[np.ndarray, "segments 3"]
    crown_mm: Float64[np.ndarray, " 3"]
    nose_mm: Float64[np.ndarray, " 3"]


def random_build(generator: np.random.Generator) -> Build:
    """Draw a build: an adult or a child, tall or short, thick or thin, long-legged or not."""
    grown = generator.random() < 0.85
    stature = float(generator.uniform(1500, 1950) if grown else generator.uniform(1050, 1450))
    curve = float(np.clip(generator.normal(0, 0.6), -1, 1)) * (1.0 if grown else 0.3)
    girth = float(np.clip(generator.normal(1, 0.13), 0.8, 1.4))
    vary = generator.normal(1, 0.035, size=5)
    head = (290 if grown else 265) * vary[0]
    legs, trunk = 0.485 * vary[1], 0.285
    left_over = (stature - head) / (legs + trunk + 0.045) / stature  # so that the parts add up to the stature
    unit = stature * left_over
    thigh, shin, trunk = unit * legs * 0.5, unit * legs * 0.5, unit * trunk
    shoulder, hip = unit * 0.108 * vary[2] * (1 - 0.08 * curve), unit * 0.051 * (1 + 0.12 * curve)
    arm = unit * 0.165 * vary[3]
    forearm = arm * 0.86 * vary[4]
    offsets = {
        "pelvis": (0.0, 0.0, 0.0),
        "chest": (0.0, trunk * 0.42, -8.0),
        "head": (0.0, trunk * 0.58, -4.0),
        "upper_arm": (shoulder, trunk * 0.53, 0.0),
        "forearm": (0.0, -arm, 0.0),
        "hand": (0.0, -forearm, 0.0),
        "thigh": (hip, -unit * 0.015, 0.0),
        "shin": (0.0, -thigh, 0.0),
        "foot": (0.0, -shin, 0.0),
    }
    rows = np.array([offsets[_plain(name)] for name in SEGMENTS], np.float64)
    rows[[name.startswith("r_") for name in SEGMENTS], 0] *= -1
    return Build(
        stature_mm=stature,
        girth=girth,
        curve=curve,
        offsets_mm=rows,
        crown_mm=np.array([0.0, head, 10.0]),
        nose_mm=np.array([0.0, head * 0.52, head * 0.43]),
    )


def clip_to_limits(angles_deg: Float64[np.ndarray, "segments 3"]) -> Float64[np.ndarray, "segments 3"]:
    """Return the nearest angles that the joints allow."""
    clipped: Float64[np.ndarray, "segments 3"] = np.minimum(np.maximum(angles_deg, _LEAST_DEG), _MOST_DEG)
    return clipped


def forward_kinematics(
    build: Build, angles_deg: Float64[np.ndarray, "segments 3"]
) -> tuple[Float64[np.ndarray, "segments 3 3"], Float64[np.ndarray, "segments 3"]]:
    """Work out where a pose puts each segment: forward kinematics.

    Args:
        build: the bones.
        angles_deg: flexion, sideways and twist of each of `SEGMENTS`, as in `LIMITS_DEG`.

    Returns: each segment's rotation (columns: its own x, y and z in body coordinates) and the position of its joint.
    """
    turns = np.radians(angles_deg) * _SIGNS
    (cx, cz, cy), (sx, sz, sy) = np.cos(turns).T, np.sin(turns).T
    # Rz(sideways) · Rx(flexion) · Ry(twist), written out
    own = np.empty((len(SEGMENTS), 3, 3))
    own[:, 0] = np.stack((cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy), axis=1)
    own[:, 1] = np.stack((sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy), axis=1)
    own[:, 2] = np.stack((-cx * sy, sx, cx * cy), axis=1)
    rotations, positions = own.copy(), build.offsets_mm.copy()
    for segment, parent in enumerate(_SEGMENT_PARENTS):
        if parent >= 0:
            rotations[segment] = rotations[parent] @ own[segment]
            positions[segment] = positions[parent] + rotations[parent] @ build.offsets_mm[segment]
    return rotations, positions


def joint_positions(
    build: Build,
    rotations: Float64[np.ndarray, "segments 3 3"],
    positions_mm: Float64[np.ndarray, "segments 3"],
) -> Float64[np.ndarray, "joints 3"]:
    """Return the positions of `JOINTS`, mm, from what `forward_kinematics` returns."""
    position = dict(zip(SEGMENTS, positions_mm, strict=True))
    head = rotations[SEGMENTS.index("head")]
    own = {"spine": "chest", "neck": "head"} | {
        f"{side}_{joint}": f"{side}_{segment}"
        for side in "lr"
        for joint, segment in zip(("shoulder", "elbow", "wrist", "hip", "knee", "ankle"), (*_ARM, *_LEG), strict=True)
    }
    points = {"pelvis": position["pelvis"], "head": position["head"] + head @ build.crown_mm}
    points["nose"] = position["head"] + head @ build.nose_mm
    return np.array([points[name] if name in points else position[own[name]] for name in JOINTS])
