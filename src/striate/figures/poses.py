"""Random poses: what the legs do, what each arm does, how trunk and head are held; then chance, then joint limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from striate.figures.skeleton import SEGMENTS, clip_to_limits

_INDEX = {name: index for index, name in enumerate(SEGMENTS)}
_Angles = Float64[np.ndarray, "segments 3"]
_Number = int | float

_SPREAD_DEG = np.array(
    [
        {"pelvis": (2, 2, 2), "chest": (4, 4, 7), "head": (9, 5, 22), "hand": (14, 5, 20), "foot": (3, 2, 2)}.get(
            name.removeprefix("l_").removeprefix("r_"), (5, 4, 6)
        )
        for name in SEGMENTS
    ],
    np.float64,
)


@dataclass(frozen=True, kw_only=True)
class BodyPose:
    """Angles of `SEGMENTS` in degrees, and how the figure is held up.

    Attributes:
        lift_mm: how far above the ground the lowest point is.
        seated: whether something to sit on belongs under the pelvis.
    """

    angles_deg: Float64[np.ndarray, "segments 3"]
    lift_mm: float = 0.0
    seated: bool = False


def random_pose(generator: np.random.Generator) -> BodyPose:
    """Draw a pose within the joint limits: standing, walking, running, sitting, crouching, jumping, lunging."""
    legs = _LEGS[int(generator.choice(len(_LEGS), p=_LEG_SHARES))]
    angles = np.zeros((len(SEGMENTS), 3))
    swing_deg = legs(generator, angles)
    both = generator.random() < 0.3
    drawn = generator.integers(len(_ARMS), size=2)
    for side, way in (("l", 1), ("r", -1)):
        kind = _ARMS[drawn[0 if both or side == "l" else 1]]
        if abs(swing_deg) > 8 and generator.random() < 0.7:
            kind = _swing
        kind(generator, angles, side, -way * swing_deg)
    angles += generator.normal(size=angles.shape) * _SPREAD_DEG
    return BodyPose(
        angles_deg=clip_to_limits(angles),
        lift_mm=float(generator.uniform(60, 350)) if legs is _jump else 0.0,
        seated=legs is _sit,
    )


def _leg(angles: _Angles, side: str, hip: _Number, knee: _Number, ankle: _Number = 0, out: _Number = 4) -> None:
    """Set one leg."""
    angles[_INDEX[f"{side}_thigh"]] = (hip, out, 8)
    angles[_INDEX[f"{side}_shin"], 0] = knee
    angles[_INDEX[f"{side}_foot"], 0] = ankle


def _stand(generator: np.random.Generator, angles: _Angles) -> float:
    """Stand, the weight on one leg or both, feet apart or together."""
    apart, shift = generator.uniform(1, 14), generator.uniform(0, 25)
    relaxed = "lr"[int(generator.integers(2))]
    for side in "lr":
        bent = shift if side == relaxed else 0.0
        _leg(angles, side, bent * 0.6, bent, out=apart)
    return 0.0


def _walk(generator: np.random.Generator, angles: _Angles) -> float:
    """Walk: one leg ahead, the other behind with its knee bent."""
    stride, way = generator.uniform(14, 34), generator.choice((-1, 1))
    ahead, behind = "lr" if way > 0 else "rl"
    _leg(angles, ahead, stride, generator.uniform(0, 20), 5)
    _leg(angles, behind, -stride * 0.7, generator.uniform(10, 45), -15)
    angles[_INDEX["pelvis"], 0] = 3
    return float(way * stride)


def _run(generator: np.random.Generator, angles: _Angles) -> float:
    """Run: as walking, wider, leaning forwards."""
    stride, way = generator.uniform(35, 75), generator.choice((-1, 1))
    ahead, behind = "lr" if way > 0 else "rl"
    _leg(angles, ahead, stride, generator.uniform(30, 90))
    _leg(angles, behind, -20, generator.uniform(30, 100), -30)
    angles[_INDEX["pelvis"], 0] = generator.uniform(5, 18)
    return float(way * min(stride, 55))


def _sit(generator: np.random.Generator, angles: _Angles) -> float:
    """Sit upright or leaning, feet near or far."""
    out = generator.uniform(2, 20)
    for side in "lr":
        hip = generator.uniform(78, 98)
        _leg(angles, side, hip, generator.uniform(60, 100), out=out)
    angles[_INDEX["pelvis"], 0] = generator.uniform(-14, 10)
    angles[_INDEX["chest"], 0] = generator.uniform(-5, 25)
    return 0.0


def _crouch(generator: np.random.Generator, angles: _Angles) -> float:
    """Bend the knees, a little or right down, and the trunk with them."""
    knee, out = generator.uniform(35, 130), generator.uniform(6, 30)
    for side in "lr":
        _leg(angles, side, knee * 0.75, knee, min(knee * 0.3, 20), out)
    angles[_INDEX["pelvis"], 0] = knee * 0.25
    angles[_INDEX["chest"], 0] = generator.uniform(0, 25)
    return 0.0


def _jump(generator: np.random.Generator, angles: _Angles) -> float:
    """Be in the air, legs spread, bent or stretched."""
    bent, out = generator.uniform(0, 90), generator.uniform(2, 38)
    for side in "lr":
        knee = bent * generator.uniform(0.6, 1.3)
        _leg(angles, side, knee * 0.5, knee, -35, out)
    return 0.0


def _lunge(generator: np.random.Generator, angles: _Angles) -> float:
    """Step far out to the front, or kick with a straight leg."""
    ahead, behind = "lr" if generator.random() < 0.5 else "rl"
    if generator.random() < 0.6:
        _leg(angles, ahead, generator.uniform(50, 85), generator.uniform(50, 95), 5)
        _leg(angles, behind, -18, generator.uniform(5, 50), -20)
    else:
        _leg(angles, ahead, generator.uniform(45, 95), generator.uniform(0, 30), -20, generator.uniform(0, 30))
        _leg(angles, behind, 0, generator.uniform(0, 15))
    return 0.0


def _stoop(generator: np.random.Generator, angles: _Angles) -> float:
    """Bend forwards from the hips."""
    lean = generator.uniform(15, 40)
    for side in "lr":
        _leg(angles, side, lean * 0.9, generator.uniform(0, 25))
    angles[_INDEX["pelvis"], 0] = lean
    angles[_INDEX["chest"], 0] = generator.uniform(10, 45)
    return 0.0


def _arm(
    angles: _Angles, side: str, forward: _Number, out: _Number, twist: _Number, elbow: _Number, palm: _Number = 0
) -> None:
    """Set one arm; `palm` turns the hand about the forearm."""
    angles[_INDEX[f"{side}_upper_arm"]] = (forward, out, twist)
    angles[_INDEX[f"{side}_forearm"], 0] = elbow
    angles[_INDEX[f"{side}_hand"], 2] = palm


def _hang(generator: np.random.Generator, angles: _Angles, side: str, swing_deg: _Number) -> None:
    _arm(angles, side, generator.uniform(-8, 12), generator.uniform(9, 20), 0, generator.uniform(5, 30))


def _swing(generator: np.random.Generator, angles: _Angles, side: str, swing_deg: _Number) -> None:
    elbow = generator.uniform(10, 30) + max(0.0, abs(swing_deg) - 30) * 2.5
    _arm(angles, side, swing_deg * 0.8, generator.uniform(9, 16), -10, elbow)


def _akimbo(generator: np.random.Generator, angles: _Angles, side: str, swing_deg: _Number) -> None:
    _arm(angles, side, generator.uniform(-25, -8), generator.uniform(42, 55), -62, generator.uniform(80, 100))


def _wave(generator: np.random.Generator, angles: _Angles, side: str, swing_deg: _Number) -> None:
    _arm(angles, side, generator.uniform(-10, 20), generator.uniform(60, 115), 80, generator.uniform(50, 120))


def _raise(generator: np.random.Generator, angles: _Angles, side: str, swing_deg: _Number) -> None:
    _arm(angles, side, generator.uniform(125, 170), generator.uniform(5, 40), 0, generator.uniform(0, 45))


def _reach(generator: np.random.Generator, angles: _Angles, side: str, swing_deg: _Number) -> None:
    _arm(angles, side, generator.uniform(55, 105), generator.uniform(0, 40), 0, generator.uniform(0, 50))


def _spread(generator: np.random.Generator, angles: _Angles, side: str, swing_deg: _Number) -> None:
    _arm(angles, side, generator.uniform(-10, 25), generator.uniform(55, 125), 0, generator.uniform(0, 40))


def _fold(generator: np.random.Generator, angles: _Angles, side: str, swing_deg: _Number) -> None:
    _arm(angles, side, generator.uniform(25, 50), generator.uniform(12, 30), -25, generator.uniform(70, 120))


_LEGS: tuple[Callable[[np.random.Generator, _Angles], float], ...] = (
    *(_stand, _walk, _run, _sit, _crouch, _jump, _lunge, _stoop),
)
_LEG_SHARES = (0.26, 0.2, 0.1, 0.14, 0.07, 0.1, 0.08, 0.05)
_ARMS: tuple[Callable[[np.random.Generator, _Angles, str, float], None], ...] = (
    *(_hang, _hang, _swing, _akimbo, _wave, _raise, _reach, _spread, _fold),
)
