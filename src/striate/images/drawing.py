"""Classes of pixels, joints, and words, drawn on pictures."""

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
_COVER = 0.5  # of the picture, by colours
_DARKER = 0.6  # what is left of the picture's light where there is no label
_BAND = 256  # rows that are painted at a time


@functools.cache
def font(size_px: int) -> Font:
    """Return a font of the system that has more than ASCII letters, or else Pillow's own."""
    for name in ("DejaVuSans.ttf", "Arial.ttf", "Arial Unicode.ttf", "LiberationSans-Regular.ttf"):
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size_px)
    return ImageFont.load_default(size_px)


def paint_classes(
    picture: UInt8[np.ndarray, "height width 3"],
    indices: UInt8[np.ndarray, "height width"],
    colours: Sequence[Colour],
    bare: Collection[int] = (),
) -> Image.Image:
    """Colour a picture by class, half and half, the borders between classes in the full colour.

    Args:
        picture: RGB.
        indices: of classes; what is none, such as 255, has no label, and the picture is darker there.
        colours: of the classes.
        bare: classes that are not painted: the picture shows as it is.
    """
    colour = np.zeros((256, 3), dtype=np.float32)
    colour[: len(colours)] = colours
    kept = np.full(256, _DARKER, dtype=np.float32)
    kept[: len(colours)] = 1 - _COVER
    kept[list(bare)] = 1.0
    drawn = np.empty_like(picture)
    for top in range(0, len(picture), _BAND):
        rows = slice(top, top + _BAND)
        called, share = indices[rows], kept[indices[rows], None]
        painted = picture[rows] * share + colour[called] * np.where(share == _DARKER, 0, 1 - share)
        above = indices[max(0, top - 1) : top + _BAND]
        edge = np.zeros(called.shape, dtype=bool)
        edge[len(called) - len(above) + 1 :] |= above[1:] != above[:-1]
        edge[:, 1:] |= called[:, 1:] != called[:, :-1]
        edge &= (called < len(colours)) & ~np.isin(called, list(bare))
        painted[edge] = colour[called[edge]]
        drawn[rows] = painted.astype(np.uint8)
    return Image.fromarray(drawn)


def with_legend(picture: Image.Image, entries: Sequence[tuple[Colour, str]]) -> Image.Image:
    """Put a band below a picture, on which words stand beside their colours, in as many lines as it takes."""
    size = max(11, min(picture.size) // 30)
    letters, gap = font(size), size // 2
    places: list[tuple[int, int]] = []
    x, y, widest = gap, gap, 0
    for _, text in entries:
        width = size + gap + math.ceil(letters.getlength(text)) + 2 * gap
        if x > gap and x + width > picture.width:
            x, y = gap, y + size + gap
        places.append((x, y))
        x += width
        widest = max(widest, x)
    sheet = Image.new("RGB", (max(picture.width, widest), picture.height + y + size + 2 * gap), "white")
    sheet.paste(picture, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for (left, top), (colour, text) in zip(places, entries, strict=True):
        at = picture.height + top
        pen.rectangle((left, at, left + size, at + size), fill=colour, outline=INK)
        pen.text((left + size + gap, at + size // 2), text, fill=INK, font=letters, anchor="lm")
    return sheet


def draw_joints(
    image: Image.Image,
    uv_px: Float[np.ndarray, "joints 2"],
    shown: Bool[np.ndarray, " joints"],
    parents: Sequence[int],
    colours: Sequence[Colour],
) -> None:
    """Draw a skeleton on an image: joints that are shown, and the bones between them.

    Args:
        image: is drawn upon.
        uv_px: places, in pixels of this image.
        shown: which joints are drawn.
        parents: for each joint the one that it hangs on; -1 for the root.
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
