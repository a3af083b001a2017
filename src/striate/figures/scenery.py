"""Scenery: the camera, the lamp, floor and wall with their shadows, and things that stand about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64
from PIL import Image, ImageDraw, ImageFilter

from striate.figures.bodies import Parts, Row
from striate.figures.clothes import PROP, PROP_2, random_colours
from striate.figures.raster import Light
from striate.figures.skeleton import SEGMENTS

GROUND = len(SEGMENTS)
"""The frame of what stands on the ground: that of the world, after those of the segments."""

_Plane = Float32[np.ndarray, "rows columns"]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera whose principal point is the centre of a square image.

    Attributes:
        focal: focal length in sides of the image.
        rotation: rows: the camera's x (right), y (down) and z (away) in world coordinates.
        position_mm: where it stands.
    """

    focal: float
    rotation: Float64[np.ndarray, "3 3"]
    position_mm: Float64[np.ndarray, " 3"]

    def see(self, points_mm: Float64[np.ndarray, "points 3"]) -> Float64[np.ndarray, "points 3"]:
        """Return world points in camera coordinates."""
        seen: Float64[np.ndarray, "points 3"] = (points_mm - self.position_mm) @ self.rotation.T
        return seen

    def project(self, points_mm: Float64[np.ndarray, "points 3"]) -> Float64[np.ndarray, "points 2"]:
        """Return where points in camera coordinates are seen, in sides of the image from its top left corner."""
        flat: Float64[np.ndarray, "points 2"] = self.focal * points_mm[:, :2] / points_mm[:, 2:] + 0.5
        return flat

    def rolled(self, turn_deg: int | float) -> Camera:
        """Return the camera after a turn about its optical axis; what it sees turns clockwise with `turn_deg`."""
        cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        return Camera(focal=self.focal, rotation=turn @ self.rotation, position_mm=self.position_mm)


def random_camera(generator: np.random.Generator, points_mm: Float64[np.ndarray, "points 3"]) -> Camera:
    """Draw a camera, from any side, at such a distance that the points fill most of the image."""
    azimuth, pitch = generator.uniform(0, 2 * np.pi), np.radians(np.clip(generator.normal(7, 10), -8, 38))
    roll = generator.normal(0, 4) if generator.random() < 0.8 else generator.uniform(-30, 30)
    focal, share = generator.uniform(1.0, 2.4), generator.uniform(0.66, 0.92)
    aside = generator.uniform(-1, 1, size=2)
    if generator.random() < 0.06:
        share, aside = share * 1.25, aside * 0.1 / (1 - share)  # a few are cut off at the border
    ahead = -np.array([np.sin(azimuth) * np.cos(pitch), np.sin(pitch), np.cos(azimuth) * np.cos(pitch)])
    right = np.array([-ahead[2], 0, ahead[0]]) / np.hypot(ahead[0], ahead[2])
    down = np.array([ahead[1] * right[2], ahead[2] * right[0] - ahead[0] * right[2], -ahead[1] * right[0]])
    upright = np.stack((right, down, ahead))
    target = (points_mm.min(0) + points_mm.max(0)) / 2
    distance = float(np.ptp(points_mm[:, 1])) * focal
    camera = Camera(focal=focal, rotation=upright, position_mm=target).rolled(roll)
    for _ in range(3):  # each round comes nearer; what is left over is far below a pixel
        camera = Camera(focal=focal, rotation=camera.rotation, position_mm=target - distance * ahead)
        seen = camera.project(camera.see(points_mm))
        low, high = seen.min(0), seen.max(0)
        middle = 0.5 + aside * (1 - (high - low)).clip(0) * 0.35
        offset = ((low + high) / 2 - middle) * distance / focal
        target = target + camera.rotation[:2].T @ offset
        distance *= float((high - low).max() / share)
    position = camera.position_mm.copy()
    position[1] = max(position[1], 80.0)  # not under the floor
    return Camera(focal=focal, rotation=camera.rotation, position_mm=position)


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """A distant lamp in world coordinates, and the light from all around."""

    towards: Float64[np.ndarray, " 3"]
    colour: Float64[np.ndarray, " 3"]
    ambient: Float64[np.ndarray, " 3"]

    def seen_by(self, camera: Camera) -> Light:
        """Return the light in camera coordinates."""
        return Light(
            towards=camera.rotation @ self.towards,
            up=camera.rotation[:, 1].copy(),
            lamp=self.colour,
            ambient=self.ambient,
        )


def random_lamp(generator: np.random.Generator, camera: Camera) -> Lamp:
    """Draw a lamp above the horizon, more often in front of the figure than behind it."""
    aside = np.radians(np.clip(generator.normal(0, 65), -165, 165))
    height = np.radians(generator.uniform(25, 75))
    back = -camera.rotation[2] * (1, 0, 1)
    back /= np.sqrt((back**2).sum())
    flat = np.cos(aside) * back + np.sin(aside) * np.array([back[2], 0, -back[0]])
    strength = generator.uniform(0.35, 0.75)
    warm = generator.normal(0, 0.06) * np.array([1, 0.1, -1])
    return Lamp(
        towards=np.cos(height) * flat + np.array([0, np.sin(height), 0]),
        colour=strength * (1 + warm),
        ambient=(1.28 - strength * 0.85) * (1 - 0.7 * warm) * generator.uniform(0.85, 1.05),
    )


def random_props(
    generator: np.random.Generator, camera: Camera, seat_mm: Float64[np.ndarray, " 3"] | None
) -> list[Row]:
    """Draw things that are no part of the figure, as rows of `Parts`: a stool under `seat_mm`, balls, posts, boxes."""
    parts = Parts()
    if seat_mm is not None and seat_mm[1] > 60:
        x, top, z = seat_mm.tolist()
        width = generator.uniform(150, 230)
        parts.add(GROUND, (x, top - 28, z), (x, top - 28, z), (width, width), 0, PROP_2, squash=(1, 28 / width, 1))
        parts.add(GROUND, (x, top - 40, z), (x, 20, z), (width * 0.3, width * 0.55), 0, PROP, squash=(1, 0.3, 1))
    ahead = camera.rotation[2] * (1, 0, 1)
    ahead /= np.sqrt((ahead**2).sum())
    right = np.array([-ahead[2], 0, ahead[0]])
    for _ in range(int(generator.choice(4, p=(0.35, 0.3, 0.2, 0.15)))):
        way = generator.choice((-1, 1)) * generator.uniform(500, 1300)
        position = right * way + ahead * generator.uniform(150, 1800)
        size, kind = generator.uniform(70, 260), generator.integers(3)
        x, z = position[0].item(), position[2].item()
        if kind == 0:
            parts.add(GROUND, (x, size, z), (x, size, z), (size, size), 0, PROP)
        elif kind == 1:
            tall, thick = generator.uniform(700, 2600), size * 0.35
            parts.add(GROUND, (x, 0, z), (x, tall, z), (thick, thick), 0, PROP_2)
        else:
            parts.add(GROUND, (x, 0, z), (x, size * 1.6, z), (size * 0.6, size), 0, PROP, squash=(1, 0.3, 1))
    return parts.rows


@dataclass(frozen=True, kw_only=True)
class Backdrop:
    """What is behind the figure: a floor and a wall, or with `studio` only soft shapes.

    Attributes:
        studio: no floor, shapes stand in the image's own plane.
        wall: where the wall is: direction to it in the ground plane, and its distance, mm.
        colours: floor twice, wall low and high, then of each shape.
        tiles_mm: width of the floor's bands both ways, as they are turned about the vertical.
        shapes: per shape centre (2), half size (2) and softness, in wall units or sides of the image.
        blur: how far out of focus, in sides of the image.
    """

    studio: bool
    wall: tuple[float, float]
    colours: Float64[np.ndarray, "colours 3"]
    tiles_mm: tuple[float, float]
    tiles_turn: float
    shapes: Float64[np.ndarray, "shapes 5"]
    blur: float


def random_backdrop(generator: np.random.Generator) -> Backdrop:
    """Draw a backdrop."""
    count = int(generator.integers(3, 8))
    far = generator.random() < 0.4
    studio = bool(generator.random() < 0.22)
    shapes = generator.uniform(-1, 1, size=(count, 5))
    shapes[:, 2:4] = 0.04 + 0.22 * np.abs(shapes[:, 2:4]) ** 1.5
    shapes[:, 4] = np.abs(shapes[:, 4]) if studio else 0.0
    colours = random_colours(generator, count + 4, (0.0, 0.55), (0.25, 0.98))
    colours[1] = colours[0] * generator.uniform(0.6, 1.0)
    if far and not studio:  # outdoors: a sky that is lighter towards the horizon
        colours[3] = np.array((0.45, 0.62, 0.88)) * generator.uniform(0.7, 1.05)
        colours[2] = colours[3] * 0.4 + generator.uniform(0.45, 0.6)
    else:
        colours[3] = colours[2] * generator.uniform(0.65, 1.2)
    return Backdrop(
        studio=studio,
        wall=(
            float(generator.normal(0, 0.35)),
            float(generator.uniform(6000, 20000) if far else generator.uniform(700, 3500)),
        ),
        colours=colours,
        tiles_mm=(float(generator.uniform(150, 900)), float(generator.choice((150, 400, 900, 1e7)))),
        tiles_turn=float(generator.uniform(0, np.pi)),
        shapes=shapes,
        blur=float(generator.choice((0.0, 0.006, 0.015))),
    )


def paint_backdrop(
    backdrop: Backdrop, camera: Camera, side_px: int, shadow: Image.Image
) -> Float32[np.ndarray, "side side 3"]:
    """Return the backdrop as the camera sees it, 0 to 255.

    It is painted at half the side, for it is a little out of focus anyway.
    """
    coarse = max(side_px // 2, 16)
    line = ((np.arange(coarse, dtype=np.float32) + 0.5) / coarse - 0.5) / np.float32(camera.focal)
    paint = _paint_studio if backdrop.studio else _paint_room
    pixels = paint(backdrop, camera, np.broadcast_to(line, (coarse, coarse)), shadow)
    image = Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
    if backdrop.blur:
        image = image.filter(ImageFilter.BoxBlur(backdrop.blur * coarse * 1.5))
    return np.asarray(image.resize((side_px, side_px), Image.Resampling.BILINEAR), np.float32)


def _paint_studio(
    backdrop: Backdrop, camera: Camera, line: _Plane, shadow: Image.Image
) -> Float32[np.ndarray, "3 rows columns"]:
    """Paint a gradient and soft shapes that turn with the camera and are else where they are."""
    right = camera.rotation[:, 1].copy()
    upright = np.hypot(right[0], right[1]) or 1.0
    cos, sin = (-right[1] / upright).item(), (right[0] / upright).item()
    x, y = line * camera.focal, line.T * camera.focal
    across, down = x * cos + y * sin, y * cos - x * sin
    return _paint_shapes(
        backdrop, across, down, _mix(backdrop.colours[3], backdrop.colours[1], (down + 0.5).clip(0, 1))
    )


def _mix(
    first: Float64[np.ndarray, " 3"], second: Float64[np.ndarray, " 3"], share: _Plane
) -> Float32[np.ndarray, "3 rows columns"]:
    """Blend from one colour to another."""
    low, way = first.astype(np.float32)[:, None, None], (second - first).astype(np.float32)[:, None, None]
    mixed: Float32[np.ndarray, "3 rows columns"] = low + way * share
    return mixed


def _paint_shapes(
    backdrop: Backdrop, across: _Plane, down: _Plane, pixels: Float32[np.ndarray, "3 rows columns"]
) -> Float32[np.ndarray, "3 rows columns"]:
    """Paint boxes and, where they are soft, blobs."""
    for (x, y, width, height, soft), colour in zip(backdrop.shapes.tolist(), backdrop.colours[4:], strict=True):
        if soft > 0.3:
            cover = np.exp(-(((across - x * 0.55) / width) ** 2) - ((down - y * 0.55) / height) ** 2)
        else:
            edge = 0.012 + soft * 0.1
            outside = np.maximum(np.abs(across - x * 0.55) - width, np.abs(down - y * 0.55) - height)
            cover = (0.5 - outside / edge).clip(0, 1)
        pixels += cover * (colour.astype(np.float32)[:, None, None] - pixels)
    return pixels


def _paint_room(
    backdrop: Backdrop, camera: Camera, line: _Plane, shadow: Image.Image
) -> Float32[np.ndarray, "3 rows columns"]:
    """Paint floor and wall where the lines of sight meet them."""
    side, x, y = len(line), line, line.T
    to_world = camera.rotation.T.astype(np.float32)
    ray_x, ray_y, ray_z = (to_world[row, 0] * x + to_world[row, 1] * y + to_world[row, 2] for row in range(3))
    place_x, place_y, place_z = camera.position_mm.tolist()
    turn, away = backdrop.wall
    ahead = camera.rotation[2] * (1, 0, 1)
    ahead /= np.sqrt((ahead**2).sum())
    normal_x = (ahead[0] * np.cos(turn) - ahead[2] * np.sin(turn)).item()
    normal_z = (ahead[2] * np.cos(turn) + ahead[0] * np.sin(turn)).item()
    to_floor = place_y / np.maximum(-ray_y, 1e-4)
    start = away - (place_x * normal_x + place_z * normal_z)
    to_wall = start / np.maximum(ray_x * normal_x + ray_z * normal_z, 1e-2)
    on_floor = ((to_wall / to_floor - 1) * (place_y / to_wall * camera.focal * side) + 0.5).clip(
        0, 1
    )  # soft by a pixel
    # the wall, in units of what the camera sees of it
    unit = start / camera.focal
    wall_x = ((place_x + ray_x * to_wall) * -normal_z + (place_z + ray_z * to_wall) * normal_x) / unit
    wall_y = (place_y + ray_y * to_wall) / unit
    wall = _mix(backdrop.colours[2], backdrop.colours[3], (wall_y * 0.9).clip(0, 1))
    wall = _paint_shapes(backdrop, wall_x, 0.45 - wall_y, wall)
    # the floor, with bands that fade with distance where they would flicker
    floor_x, floor_z = place_x + ray_x * to_floor, place_z + ray_z * to_floor
    cos, sin = float(np.cos(backdrop.tiles_turn)), float(np.sin(backdrop.tiles_turn))
    first, second = (
        (floor_x * cos + floor_z * sin) / backdrop.tiles_mm[0],
        (floor_z * cos - floor_x * sin) / backdrop.tiles_mm[1],
    )
    odd: Bool[np.ndarray, "rows columns"] = (np.floor(first) + np.floor(second)) % 2 > 0
    fade = np.minimum(1, 4000 / to_floor)
    dark = np.asarray(shadow.resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255
    floor = _mix(backdrop.colours[0], backdrop.colours[1], odd * fade + (1 - fade) * 0.5)
    floor *= 1 - 0.55 * dark
    wall += on_floor * (floor - wall)
    return wall


def cast_shadow(
    camera: Camera,
    lamp: Lamp,
    segments_mm: Float64[np.ndarray, "segments 2 3"],
    widths_mm: Float64[np.ndarray, " segments"],
) -> Image.Image:
    """Return the shadow of rods on the ground as the camera sees it, 255 where it is full; 64 px a side."""
    side, image = 64, Image.new("L", (64, 64))
    draw = ImageDraw.Draw(image)
    fallen = segments_mm - lamp.towards * (segments_mm[..., 1:2] / lamp.towards[1])
    seen = camera.see(fallen.reshape(-1, 3))
    if seen[:, 2].min() > 100:
        flat = (camera.project(seen) * side - 0.5).reshape(-1, 4).tolist()
        scale = (camera.focal * side / seen[:, 2].reshape(-1, 2).mean(1) * widths_mm).tolist()
        for ends, width in zip(flat, scale, strict=True):
            draw.line(ends, fill=255, width=max(1, round(width)))
    return image.filter(ImageFilter.BoxBlur(1.8))
