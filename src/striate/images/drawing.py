"""Classes of pixels, joints, and legends, drawn on images."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

INK = (40, 40, 40)
_LEFT, _RIGHT, _MIDDLE = (40, 120, 255), (255, 120, 20), (60, 200, 90)
_OPACITY = 0.5  # of class colours
_DARKER = 0.6  # brightness that is left where there is no label
_BAND = 256  # rows that are painted at a time


@functools.cache
def font(size_px: int) -> Font:
    """Return a font of the system that has more than ASCII letters, or else Pillow's own."""
    for name in ("DejaVuSans.ttf", "Arial.ttf", "Arial Unicode.ttf", "LiberationSans-Regular.ttf"):
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size_px)
    return ImageFont.load_default(size_px)


def paint_classes(
    image: UInt8[np.ndarray, "height width 3"],
    indices: UInt8[np.ndarray, "height width"],
    colours: Sequence[Colour],
    bare: Collection[int] = (),
) -> Image.Image:
    """Colour an image by class, half and half, the borders between classes in the full colour.

    Args:
        image: RGB.
        indices: of classes; pixels of no class, such as 255, have no label, and are darker.
        colours: of the classes.
        bare: classes that are not painted: the image shows as it is.
    """
    colour = np.zeros((256, 3), dtype=np.float32)
    colour[: len(colours)] = colours
    kept = np.full(256, _DARKER, dtype=np.float32)
    kept[: len(colours)] = 1 - _OPACITY
    kept[list(bare)] = 1.0
    drawn = np.empty_like(image)
    for top in range(0, len(image), _BAND):
        rows = slice(top, top + _BAND)
        classes, share = indices[rows], kept[indices[rows], None]
        painted = image[rows] * share + colour[classes] * np.where(share == _DARKER, 0, 1 - share)
        above = indices[max(0, top - 1) : top + _BAND]
        edge = np.zeros(classes.shape, dtype=bool)
        edge[len(classes) - len(above) + 1 :] |= above[1:] != above[:-1]
        edge[:, 1:] |= classes[:, 1:] != classes[:, :-1]
        edge &= (classes < len(colours)) & ~np.isin(classes, list(bare))
        painted[edge] = colour[classes[edge]]
        drawn[rows] = painted.astype(np.uint8)
    return Image.fromarray(drawn)


def with_legend(image: Image.Image, entries: Sequence[tuple[Colour, str]]) -> Image.Image:
    """Put a legend below an image: words beside their colours, in as many lines as it takes."""
    size = max(11, min(image.size) // 30)
    letters, gap = font(size), size // 2
    corners: list[tuple[int, int]] = []
    x, y, widest = gap, gap, 0
    for _, text in entries:
        width = size + gap + math.ceil(letters.getlength(text)) + 2 * gap
        if x > gap and x + width > image.width:
            x, y = gap, y + size + gap
        corners.append((x, y))
        x += width
        widest = max(widest, x)
    canvas = Image.new("RGB", (max(image.width, widest), image.height + y + size + 2 * gap), "white")
    canvas.paste(image, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for (left, top), (colour, text) in zip(corners, entries, strict=True):
        at = image.height + top
        pen.rectangle((left, at, left + size, at + size), fill=colour, outline=INK)
        pen.text((left + size + gap, at + size // 2), text, fill=INK, font=letters, anchor="lm")
    return canvas


def draw_joints(
    image: Image.Image,
    uv_px: Float[np.ndarray, "joints 2"],
    shown: Bool[np.ndarray, " joints"],
    parents: Sequence[int],
    colours: Sequence[Colour],
) -> None:
    """Draw a skeleton on an image: joints that are shown, and the bones between them.

    Args:
        image: it is changed.
        uv_px: positions, in pixels of this image.
        shown: whether each joint is drawn.
        parents: the joint that each joint hangs on; -1 for the root.
        colours: of the joints, and of the bones that lead to them.
    """
    pen = ImageDraw.Draw(image)
    size = max(2, image.width // 60)
    for joint, parent in enumerate(parents):
        if parent >= 0 and shown[joint] and shown[parent]:
            pen.line([*map(tuple, uv_px[[joint, parent]].tolist())], fill=colours[joint], width=size)
    for joint in np.flatnonzero(shown).tolist():
        x, y = uv_px[joint].tolist()
        pen.ellipse((x - size, y - size, x + size, y + size), fill=colours[joint], outline="white")


def side_colours(joints: int, left: Collection[int], right: Collection[int]) -> list[Colour]:
    """Return the colour of each of so many joints: left ones are blue, right ones orange, others green."""
    return [_LEFT if joint in left else _RIGHT if joint in right else _MIDDLE for joint in range(joints)]
