"""A figure: chosen at random by (seed, index), then rendered at any size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from PIL import Image, ImageFilter

from striate.figures.bodies import build_solids, end_points
from striate.figures.clothes import random_clothes
from striate.figures.poses import random_pose
from striate.figures.raster import NOTHING, Canvas, Materials, Solids
from striate.figures.scenery import (
    Backdrop,
    Camera,
    Lamp,
    cast_shadow,
    paint_backdrop,
    random_backdrop,
    random_camera,
    random_lamp,
    random_props,
)
from striate.figures.skeleton import JOINTS, PARENTS, Build, forward_kinematics, joint_positions, random_build

VERSION = 1  # raise it when images change: caches are keyed by it

_FINE = 2  # the canvas is that much finer than the image, each way: it smooths edges


@dataclass(frozen=True, kw_only=True)
class FigureJoints:
    """Where a person's joints are.

    Attributes:
        xyz_mm: `JOINTS` in camera coordinates: x right, y down, z away.
        uv_px: the joints in the image; the centre of the top left pixel is (0.5, 0.5).
        visible: whether a joint is inside the image; a joint that is hidden behind something is.
        focal_px: focal length; the principal point is the centre of the image.
    """

    xyz_mm: Float64[np.ndarray, "joints 3"]
    uv_px: Float64[np.ndarray, "joints 2"]
    visible: Bool[np.ndarray, " joints"]
    focal_px: float


@dataclass(frozen=True, kw_only=True)
class Figure(FigureJoints):
    """An image of a person, and what is known about it.

    Attributes:
        image: RGB.
        mask: for each pixel an index into `PARTS`: what covers the most of it.
    """

    image: UInt8[np.ndarray, "height width 3"]
    mask: UInt8[np.ndarray, "height width"]


@dataclass(frozen=True, kw_only=True)
class _Person:
    """A posed person and the camera that looks at it; nothing of it depends on the image's size."""

    build: Build
    seated: bool
    joints_mm: Float64[np.ndarray, "joints 3"]
    rotations: Float64[np.ndarray, "segments 3 3"]
    positions_mm: Float64[np.ndarray, "segments 3"]
    camera: Camera


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """Everything else that is random about a figure."""

    joints_mm: Float64[np.ndarray, "joints 3"]
    rotations: Float64[np.ndarray, "frames 3 3"]
    positions_mm: Float64[np.ndarray, "frames 3"]
    solids: Float64[np.ndarray, "solids 16"]
    materials: Materials
    lamp: Lamp
    backdrop: Backdrop
    blur: float
    grain: float


def render(seed: int, index: int, *, size_px: int = 128, turn_deg: int | float = 0) -> Figure:
    """Render a figure.

    Args:
        seed, index: choose the figure; 0 to 2^64 - 1. The same two numbers are the same person in the same scene at
            any size.
        size_px: side of the image, 16 or more.
        turn_deg: rolls the camera about its optical axis, so that all that it sees turns clockwise about the
            centre of the image: `xyz_mm` is that of 0 times [[cos, -sin], [sin, cos]] on x and y.

    >>> render(0, 7, size_px=64).image.shape
    (64, 64, 3)
    """
    generator = _generator(seed, index)
    person = _random_person(generator)
    scene = _random_scene(generator, person)
    located = _locate(person, size_px, turn_deg)
    image, mask = _paint(scene, person.camera.rolled(turn_deg), size_px, generator)
    return Figure(
        image=image,
        mask=mask,
        xyz_mm=located.xyz_mm,
        uv_px=located.uv_px,
        visible=located.visible,
        focal_px=located.focal_px,
    )


def locate_joints(seed: int, index: int, *, size_px: int = 128, turn_deg: int | float = 0) -> FigureJoints:
    """Return where a figure's joints are, as `render` does, without an image: several times faster."""
    return _locate(_random_person(_generator(seed, index)), size_px, turn_deg)


def _generator(seed: int, index: int) -> np.random.Generator:
    """Return the generator of a figure's own random numbers."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, index], dtype=np.uint64)))


def _locate(person: _Person, size_px: int, turn_deg: int | float) -> FigureJoints:
    """Look at a person's joints."""
    camera = person.camera.rolled(turn_deg)
    xyz = camera.see(person.joints_mm)
    uv = camera.project(xyz) * size_px
    visible = np.logical_and.reduce((uv >= 0) & (uv < size_px), axis=1)
    return FigureJoints(xyz_mm=xyz, uv_px=uv, visible=visible, focal_px=camera.focal * size_px)


def _random_person(generator: np.random.Generator) -> _Person:
    """Draw build, pose and camera, and put the lowest point on the ground or above it."""
    build, pose = random_build(generator), random_pose(generator)
    rotations, positions = forward_kinematics(build, pose.angles_deg)
    ends = end_points(build, rotations, positions)
    lift = pose.lift_mm - ends[:, 1].min()
    positions[:, 1] += lift
    ends[:, 1] += lift
    points = joint_positions(build, rotations, positions)
    return _Person(
        build=build,
        seated=pose.seated,
        joints_mm=points,
        rotations=rotations,
        positions_mm=positions,
        camera=random_camera(generator, np.concatenate((points, ends))),
    )


def _random_scene(generator: np.random.Generator, person: _Person) -> _Scene:
    """Draw clothes, light and surroundings."""
    clothes, materials = random_clothes(generator)
    lamp = random_lamp(generator, person.camera)
    seat = None
    if person.seated:
        seat = person.positions_mm[0] - person.rotations[0][:, 1] * (95 * person.build.stature_mm / 1700)
    rows = build_solids(person.build, clothes) + random_props(generator, person.camera, seat)
    return _Scene(
        joints_mm=person.joints_mm,
        rotations=np.concatenate((person.rotations, np.eye(3)[None])),
        positions_mm=np.concatenate((person.positions_mm, np.zeros((1, 3)))),
        solids=np.array(rows, np.float64),
        materials=materials,
        lamp=lamp,
        backdrop=random_backdrop(generator),
        blur=float(generator.choice((0, 0, 0, 0.003, 0.0055))),
        grain=float(generator.uniform(0, 0.035)),
    )


def _paint(
    scene: _Scene, camera: Camera, size_px: int, generator: np.random.Generator
) -> tuple[UInt8[np.ndarray, "side side 3"], UInt8[np.ndarray, "side side"]]:
    """Return image and mask of a scene."""
    fine_px = size_px * _FINE
    rows = scene.solids
    segment = rows[:, 0].astype(np.int64)
    solids = Solids(
        origins_mm=camera.see(scene.positions_mm)[segment],
        rotations=(camera.rotation @ scene.rotations)[segment],
        starts_mm=rows[:, 1:4],
        stops_mm=rows[:, 4:7],
        radii_mm=rows[:, 7:9],
        squash=rows[:, 9:12],
        parts=rows[:, 12].astype(np.int64),
        materials=rows[:, 13:15].astype(np.int64),
        cuts_mm=rows[:, 15],
    )
    canvas = Canvas(solids, focal_px=camera.focal * fine_px, side_px=fine_px)
    image = paint_backdrop(scene.backdrop, camera, size_px, _shadow(scene, camera))
    _cover(image.reshape(-1, 3), *canvas.shade(scene.materials, scene.lamp.seen_by(camera)))
    parts = np.zeros(NOTHING + 1, np.uint8)
    parts[: len(solids.parts)] = solids.parts
    return _develop(scene, image, generator), _most_common(parts[canvas.owner])


def _shadow(scene: _Scene, camera: Camera) -> Image.Image:
    """Return the shadow that the bones cast, as thick as limbs."""
    bones = [(child, parent) for child, parent in enumerate(PARENTS) if parent >= 0 and JOINTS[child] != "nose"]
    widths = np.array([{"spine": 280.0, "neck": 300.0, "head": 170.0}.get(JOINTS[child], 120.0) for child, _ in bones])
    return cast_shadow(camera, scene.lamp, scene.joints_mm[np.array(bones)], widths)


def _most_common(fine: UInt8[np.ndarray, "fine fine"]) -> UInt8[np.ndarray, "side side"]:
    """Return for each two by two values the most frequent, of two as frequent the greater."""
    a, b, c, d = fine[::2, ::2], fine[::2, 1::2], fine[1::2, ::2], fine[1::2, 1::2]
    low, high = np.minimum(a, b), np.maximum(a, b)
    low_2, high_2 = np.minimum(c, d), np.maximum(c, d)
    inner, inner_2 = np.maximum(low, low_2), np.minimum(high, high_2)
    second, third, fourth = np.minimum(inner, inner_2), np.maximum(inner, inner_2), np.maximum(high, high_2)
    most: UInt8[np.ndarray, "side side"] = np.where(third == fourth, third, second)
    return most


def _cover(
    image: Float32[np.ndarray, "pixels 3"],
    seen: Int64[np.ndarray, " samples"],
    weight: Int64[np.ndarray, " samples"],
    colours: Float32[np.ndarray, "3 samples"],
) -> None:
    """Lay what `Canvas.shade` returns over an image, in place: each sample covers its share of a pixel."""
    side = math.isqrt(len(image))
    row, column = np.divmod(seen, side * _FINE)
    pixel = row // _FINE * side + column // _FINE
    share = weight.astype(np.float32) / _FINE**2
    cover = np.bincount(pixel, share, len(image))
    touched = np.flatnonzero(cover)
    layer = [np.bincount(pixel, channel * share, len(image))[touched] for channel in colours]
    left_over = (1 - cover[touched])[:, None]
    image[touched] = image[touched] * left_over + np.stack(layer, axis=1) * 255


def _develop(
    scene: _Scene, pixels: Float32[np.ndarray, "side side 3"], generator: np.random.Generator
) -> UInt8[np.ndarray, "side side 3"]:
    """Turn light into a photograph: a lens's blur, then grain."""
    if scene.blur:
        sharp = Image.fromarray(pixels.astype(np.uint8))
        pixels = np.asarray(sharp.filter(ImageFilter.GaussianBlur(scene.blur * len(pixels))))
    # the sum of two even chances is a triangle, near enough to a bell; last, for how many are drawn depends on the size
    chances = np.frombuffer(generator.bytes(2 * pixels.size), np.uint8).reshape(2, *pixels.shape)
    grain = chances[0].astype(np.float32)
    grain += chances[1]
    grain -= 255
    grain *= scene.grain
    grain += pixels
    levels: UInt8[np.ndarray, "side side 3"] = np.minimum(np.maximum(grain, 0, out=grain), 255).astype(np.uint8)
    return levels
