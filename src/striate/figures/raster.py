"""Rasterising solids: exact visibility by a depth buffer, then shading of what is visible.

A solid is a rounded cone (the hull of two spheres) that may be squashed along the axes of its own frame; with equal
ends it is a ball or an ellipsoid. In the solid's own coordinates, squashed back, lines of sight stay parallel
lines, and the foremost of the cone's spheres at a pixel has a closed form. Pixels are (f·x/z, f·y/z) and depth is
f·ln z: a map that scales alike in all directions, so that a ball seen in perspective stays a ball.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt64

_Rows = Float64[np.ndarray, "solids 3"]

_STEPS = 2**24 - 1  # positions along a solid
NOTHING = 255  # no solid

_TOGETHER = 16  # so many solids are worked out at a time: few calls, and arrays that fit the processor's cache


@dataclass(frozen=True, kw_only=True)
class Solids:
    """Solids in the frames that they hang on.

    Attributes:
        origins_mm, rotations: the frames, in camera coordinates; the columns of a rotation are the frame's axes.
        starts_mm, stops_mm: the centres of the two spheres, in the frame.
        radii_mm: of the two spheres.
        squash: how far each axis of the frame is stretched.
        parts: the mask's class.
        materials: rows of `Materials` for what is above and what is below `cuts_mm`, a height in the frame.
    """

    origins_mm: Float64[np.ndarray, "solids 3"]
    rotations: Float64[np.ndarray, "solids 3 3"]
    starts_mm: Float64[np.ndarray, "solids 3"]
    stops_mm: Float64[np.ndarray, "solids 3"]
    radii_mm: Float64[np.ndarray, "solids 2"]
    squash: Float64[np.ndarray, "solids 3"]
    parts: Int64[np.ndarray, " solids"]
    materials: Int64[np.ndarray, "solids 2"]
    cuts_mm: Float64[np.ndarray, " solids"]


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What surfaces look like.

    Attributes:
        colours: two per material, 0 to 1.
        weave: how the second colour lies on the first: weight and bands per mm along the frame's y, then x; and
            the share of a band that it fills.
        gloss: strength of the highlight.
    """

    colours: Float32[np.ndarray, "materials 2 3"]
    weave: Float32[np.ndarray, "materials 5"]
    gloss: Float32[np.ndarray, " materials"]


@dataclass(frozen=True, kw_only=True)
class Light:
    """A distant lamp and the light from all around.

    Attributes:
        towards: unit vector to the lamp, camera coordinates.
        up: unit vector up, camera coordinates.
        lamp, ambient: colours.
    """

    towards: Float64[np.ndarray, " 3"]
    up: Float64[np.ndarray, " 3"]
    lamp: Float64[np.ndarray, " 3"]
    ambient: Float64[np.ndarray, " 3"]


@dataclass(frozen=True, kw_only=True)
class _Projected:
    """Solids made ready for pixels: per solid, everything that does not depend on the pixel.

    Coordinates (q1, q2, depth) are the solid's own, squashed back, seen along the line of sight, from its first sphere.
    """

    boxes: Int64[np.ndarray, "solids 4"]
    across: Float64[np.ndarray, "solids 2 3"]  # q1 and q2 as a·x + b·y + c
    reach: Float64[np.ndarray, "solids 3"]  # from the first sphere to the second
    radii: Float64[np.ndarray, "solids 2"]
    depth: Float64[np.ndarray, "solids 4"]  # depth buffer's value: a·x + b·y + c + d·depth
    normals: Float64[np.ndarray, "solids 3 3"]  # to camera coordinates
    positions: Float64[np.ndarray, "solids 3 3"]  # to the frame's coordinates, from the first sphere's centre

    def fronts(
        self, chosen: Int64[np.ndarray, " chosen"], columns: int, rows: int
    ) -> tuple[Float32[np.ndarray, "chosen rows columns"], Float32[np.ndarray, "chosen rows columns"]]:
        """Return each solid's depth, and where along it, in a window from the top left corner of its box.

        At a pixel q and along t, the sphere's front is at t·reach - sqrt(Q(t)) with
        Q(t) = r(t)² - |q - t·reach|² = α + 2βt - γt²; the least of it is at t = (β - u) / γ, u as below. Depth is not a
        number where the solid is missed.
        """
        left, top = self.boxes[chosen, 0], self.boxes[chosen, 1]
        x = (left[:, None] + np.arange(columns)).astype(np.float32)[:, None, :]
        y = (top[:, None] + np.arange(rows)).astype(np.float32)[:, :, None]
        across, reach, radii = self.across[chosen], self.reach[chosen], self.radii[chosen]
        radius, widening = radii[:, 0], radii[:, 1] - radii[:, 0]
        flat = (reach[:, :2] ** 2).sum(1)
        gamma = np.maximum(flat - widening**2, 1e-3 * radius**2)  # a cone that points at the camera is nearly a ball
        slant = -reach[:, 2] / np.sqrt(gamma + reach[:, 2] ** 2)
        slopes = (reach[:, :2, None] * across).sum(1)
        slopes[:, 2] += radius * widening

        plane, each = partial(_plane, x, y), _each
        alpha, beta = plane(across[:, 0]), plane(slopes)
        np.multiply(alpha, alpha, out=alpha)
        np.subtract(each(radius**2), alpha, out=alpha)
        spare = plane(across[:, 1])
        spare *= spare
        alpha -= spare
        np.multiply(beta, beta, out=spare)
        along = alpha * each(gamma)
        along += spare
        np.sqrt(along, out=along)
        along *= each(slant)
        along += beta
        along *= each(1 / gamma)
        np.maximum(along, 0, out=along)
        np.minimum(along, 1, out=along)
        # α becomes Q(t), β the depth
        beta += beta
        np.multiply(along, each(gamma), out=spare)
        beta -= spare
        beta *= along
        alpha += beta
        np.sqrt(alpha, out=alpha)
        alpha *= each(self.depth[chosen, 3])
        front = plane(self.depth[chosen, :3])
        front -= alpha
        np.multiply(along, each(reach[:, 2] * self.depth[chosen, 3]), out=spare)
        front += spare
        return front, along


def _plane(
    x: Float32[np.ndarray, "chosen 1 columns"],
    y: Float32[np.ndarray, "chosen rows 1"],
    of: Float64[np.ndarray, "chosen 3"],
) -> Float32[np.ndarray, "chosen rows columns"]:
    """Return a·x + b·y + c."""
    a, b, c = np.asarray(of.T[:, :, None, None], np.float32)
    values: Float32[np.ndarray, "chosen rows columns"] = x * a + (y * b + c)
    return values


def _each(of: Float64[np.ndarray, " chosen"]) -> Float32[np.ndarray, "chosen 1 1"]:
    """Return a number per solid, to go with its pixels."""
    return of.astype(np.float32)[:, None, None]


def _project(solids: Solids, focal_px: float, side_px: int) -> _Projected:
    """Prepare solids for a square image with the principal point at its centre."""
    starts = solids.origins_mm + (solids.rotations @ solids.starts_mm[:, :, None])[:, :, 0]
    stops = solids.origins_mm + (solids.rotations @ solids.stops_mm[:, :, None])[:, :, 0]
    middles = (starts + stops) / 2
    z = middles[:, 2]
    unpixel = np.zeros((len(z), 3, 3))  # pixels to mm around the middle
    unpixel[:, 0, 0] = unpixel[:, 1, 1] = unpixel[:, 2, 2] = z / focal_px
    unpixel[:, :2, 2] = middles[:, :2] / focal_px
    turned = solids.rotations.transpose(0, 2, 1) / solids.squash[:, :, None]
    own = turned @ unpixel
    starts_px, stops_px = _pixels(starts, focal_px, side_px), _pixels(stops, focal_px, side_px)

    sight = own[:, :, 2]
    length = np.sqrt((sight**2).sum(1))
    sight = sight / length[:, None]
    basis = _basis(sight)
    linear = basis @ own
    radii = solids.radii_mm * z[:, None] / np.stack((starts[:, 2], stops[:, 2]), axis=1)
    across = linear[:, :2].copy()
    across[:, :, 2] = -(linear[:, :2, :2] @ starts_px[:, :2, None])[:, :, 0]
    depth = np.empty((len(z), 4))
    depth[:, :2] = -linear[:, 2, :2] / length[:, None]
    depth[:, 2] = starts_px[:, 2] - (depth[:, :2] * starts_px[:, :2]).sum(1)
    depth[:, 3] = 1 / length
    # half the sides of the box around a ball of radius 1: lengths of the rows of the inverse of `own`
    grown = solids.rotations * solids.squash[:, None]
    grown = (grown[:, :2] - (middles[:, :2] / z[:, None])[:, :, None] * grown[:, 2:]) * (focal_px / z)[:, None, None]
    extent = np.sqrt((grown**2).sum(2))
    low = np.minimum(starts_px[:, :2] - extent * radii[:, :1], stops_px[:, :2] - extent * radii[:, 1:])
    high = np.maximum(starts_px[:, :2] + extent * radii[:, :1], stops_px[:, :2] + extent * radii[:, 1:])
    boxes = np.concatenate((np.floor(low), np.ceil(high) + 1), axis=1).clip(0, side_px).astype(np.int64)
    return _Projected(
        boxes=boxes,
        across=across,
        reach=(linear @ (stops_px - starts_px)[:, :, None])[:, :, 0],
        radii=radii,
        depth=depth,
        normals=(turned.transpose(0, 2, 1)) @ basis.transpose(0, 2, 1),
        positions=solids.squash[:, :, None] * basis.transpose(0, 2, 1),
    )


def _basis(sight: _Rows) -> Float64[np.ndarray, "solids 3 3"]:
    """Return three unit vectors at right angles, as rows: the last is the one passed in."""
    x, y, z = sight.T
    flat = np.abs(z) > 0.7
    first = np.stack((np.where(flat, z, y), np.where(flat, 0, -x), np.where(flat, -x, 0)), axis=1)
    first /= np.sqrt((first**2).sum(1))[:, None]
    a, b, c = first.T
    second = np.stack((y * c - z * b, z * a - x * c, x * b - y * a), axis=1)
    return np.stack((first, second, sight), axis=1)


def _pixels(points_mm: _Rows, focal_px: float, side_px: int) -> _Rows:
    """Return pixel coordinates, counted from the centre of the first pixel, and f·ln z."""
    z = points_mm[:, 2:]
    flat = points_mm[:, :2] / z * focal_px + (side_px - 1) / 2
    return np.concatenate((flat, focal_px * np.log(z)), axis=1)


class Canvas:
    """A square depth buffer: at each pixel the foremost of at most 255 solids.

    Attributes:
        owner: index of the solid that is seen; `NOTHING` for none.
    """

    def __init__(self, solids: Solids, *, focal_px: float, side_px: int) -> None:
        self.solids = solids
        self._projected = _project(solids, focal_px, side_px)
        boxes = self._projected.boxes
        sizes = boxes[:, 2:] - boxes[:, :2]
        inside = np.flatnonzero(sizes.min(1) > 0)
        inside = inside[sizes[inside].max(1).argsort(kind="stable")]
        # one number a pixel: its upper half the bits of the depth, which order as depths do, for these are positive;
        # of the lower half three bytes the position along the solid, and one byte which solid it is
        nearest = np.full((side_px, side_px), np.uint64(0x7F800000 << 32 | NOTHING), np.uint64)
        with np.errstate(invalid="ignore"):  # a root of less than nothing: the line of sight misses the solid
            for start in range(0, len(inside), _TOGETHER):
                self._draw(inside[start : start + _TOGETHER], nearest)
        self._places = nearest.view(np.uint32)[:, ::2]  # little endian, as every machine is that runs torch
        self.owner = np.ascontiguousarray(nearest.view(np.uint8)[:, ::8])

    def _draw(self, chosen: Int64[np.ndarray, " chosen"], nearest: UInt64[np.ndarray, "side side"]) -> None:
        """Put solids of about the same size where they are in front."""
        boxes = self._projected.boxes[chosen]
        columns, rows = (boxes[:, 2:] - boxes[:, :2]).max(0).tolist()
        front, along = self._projected.fronts(chosen, columns, rows)
        packed = np.empty((*front.shape, 2), np.uint32)
        packed[..., 1] = front.view(np.uint32)  # what is not a number is greater than any depth
        along *= _STEPS
        np.copyto(packed[..., 0], along, casting="unsafe")
        packed[..., 0] <<= 8
        packed[..., 0] |= chosen.astype(np.uint32)[:, None, None]
        for (left, top, right, bottom), values in zip(boxes.tolist(), packed.view(np.uint64)[..., 0], strict=True):
            window = nearest[top:bottom, left:right]
            np.minimum(window, values[: bottom - top, : right - left], out=window)

    def _samples(self) -> tuple[Int64[np.ndarray, " samples"], Int64[np.ndarray, " samples"]]:
        """Return positions to shade, as indices into the flat canvas, and for how many pixels each stands: 1 or 4.

        Where all of two by two pixels see the same solid, one stands for the four.
        """
        blocks = self.owner.reshape(len(self.owner) // 2, 2, -1, 2)
        first = blocks[:, 0, :, 0]
        alike = (first == blocks[:, 0, :, 1]) & (first == blocks[:, 1, :, 0]) & (first == blocks[:, 1, :, 1])
        row, column = np.nonzero(alike & (first != NOTHING))
        whole = row * 2 * len(self.owner) + column * 2
        mixed = np.nonzero(~alike)
        row, inner_row, column = np.repeat(mixed[0], 4), np.tile((0, 0, 1, 1), len(mixed[0])), np.repeat(mixed[1], 4)
        single = (row * 2 + inner_row) * len(self.owner) + column * 2 + np.tile((0, 1, 0, 1), len(mixed[0]))
        single = single[self.owner.ravel()[single] != NOTHING]
        return np.concatenate((whole, single)), np.repeat((4, 1), (len(whole), len(single)))

    def shade(
        self, materials: Materials, light: Light
    ) -> tuple[Int64[np.ndarray, " samples"], Int64[np.ndarray, " samples"], Float32[np.ndarray, "3 samples"]]:
        """Return where a solid is seen, as indices into the flat canvas, for how many pixels each, and the colours.

        An index that stands for four pixels is that of their top left one.
        """
        seen, weight = self._samples()
        owner = self.owner.ravel()[seen]
        row, column = np.divmod(seen, len(self.owner))
        along = (self._places[row, column] >> 8).astype(np.float32) * np.float32(1 / _STEPS)
        middle = (weight == 4) * np.float32(0.5)
        x, y = column.astype(np.float32) + middle, row.astype(np.float32) + middle
        projected = self._projected
        table = np.concatenate(
            (
                *(projected.across.reshape(-1, 6), projected.reach, projected.radii[:, :1]),
                np.diff(projected.radii, axis=1),
                *(projected.normals.reshape(-1, 9), projected.positions.reshape(-1, 9)[:, :6]),
                *(self.solids.starts_mm[:, :2], self.solids.cuts_mm[:, None], self.solids.materials),
            ),
            axis=1,
        )
        columns = np.take(np.ascontiguousarray(table.T, dtype=np.float32), owner, axis=1)
        a1, b1, c1, a2, b2, c2, reach1, reach2, reach3, radius, widening = columns[:11]
        q1, q2 = a1 * x + b1 * y + c1, a2 * x + b2 * y + c2
        n1, n2 = q1 - along * reach1, q2 - along * reach2
        size = radius + widening * along
        n3 = -np.sqrt(np.maximum(size * size - n1 * n1 - n2 * n2, 0))
        depth = along * reach3 + n3
        normals = [m[0] * n1 + m[1] * n2 + m[2] * n3 for m in columns[11:20].reshape(3, 3, -1)]
        across, height = (m[0] * q1 + m[1] * q2 + m[2] * depth for m in columns[20:26].reshape(2, 3, -1))
        across += columns[26]
        height += columns[27]
        material = np.where(height >= columns[28], columns[29], columns[30]).astype(np.int64)
        return seen, weight, _light_up(materials, light, material, normals, across, height)


def _light_up(
    materials: Materials,
    light: Light,
    material: Int64[np.ndarray, " samples"],
    normals: list[Float32[np.ndarray, " samples"]],
    across_mm: Float32[np.ndarray, " samples"],
    height_mm: Float32[np.ndarray, " samples"],
) -> Float32[np.ndarray, "3 samples"]:
    """Return colours: the weave under Lambert's law, light from all around, and a highlight."""
    nx, ny, nz = normals
    scale = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-9)

    def facing(direction: Float64[np.ndarray, " 3"]) -> Float32[np.ndarray, " samples"]:
        x, y, z = direction.tolist()
        cosine: Float32[np.ndarray, " samples"] = (nx * x + ny * y + nz * z) * scale
        return cosine

    lit = facing(light.towards)
    # a little of the lamp reaches round the edge, as it does on skin and cloth
    diffuse = np.maximum(lit * 0.85 + 0.15, 0)
    around = (0.72 + 0.28 * facing(light.up)) * (0.62 - 0.38 * nz * scale)
    half = light.towards - np.array([0.0, 0.0, 1.0])
    shine = np.maximum(facing(half / np.sqrt((half**2).sum())), 0)
    for _ in range(4):
        shine *= shine  # the 16th power, faster
    shine *= materials.gloss[material]
    surface = np.concatenate((materials.weave, materials.colours.reshape(-1, 6)), axis=1)
    columns = np.take(np.ascontiguousarray(surface.T), material, axis=1)
    weight_y, bands_y, weight_x, bands_x, filled = columns[:5]
    down, side = height_mm * bands_y, across_mm * bands_x
    second = weight_y * (down - np.floor(down) < filled) + weight_x * (side - np.floor(side) < filled)
    folds = 1 + 0.05 * np.sin(height_mm * 0.045 + np.sin(across_mm * 0.03) * 2)
    colours = np.empty((3, len(material)), np.float32)
    for channel in range(3):
        first, other = columns[5 + channel], columns[8 + channel]
        base = first + (other - first) * second
        base *= folds
        colours[channel] = base * (around * light.ambient[channel].item() + diffuse * light.lamp[channel].item())
    colours += shine
    bright = np.maximum(colours - 0.8, 0)  # film does not burn out at once
    colours -= bright * bright / (bright + 0.35)
    clipped: Float32[np.ndarray, "3 samples"] = np.minimum(colours, 1, out=colours)
    return clipped
