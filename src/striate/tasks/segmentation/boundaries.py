"""Borders between classes: how many of their pixels two segmentations share, within a tolerance.

Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic segmentation?", 2013: precision is the share
of the predicted border's pixels that lie no further than a distance from the true border, recall the share of the true
one's that lie so near to the predicted; F1 is 2 P R / (P + R). Pixels are counted over all images before they are
divided.

Borders of all classes are found at once: a pixel is a whole number, whose bit c says that it lies on the border of
class c.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor

from striate.batching.targets import NO_LABEL

SHARE = 0.0075  # of an image's diagonal: as in the paper
_BITS = 62  # classes in a whole number of 64 bits


def tolerance_px(height: int, width: int) -> int:
    """Return how far borders may lie from each other in images of a size: 0.75 % of the diagonal, 1 or more.

    >>> tolerance_px(360, 480)
    4
    """
    return max(1, math.floor(SHARE * math.hypot(height, width)))


def border_counts(
    called: Int[Tensor, "batch height width"], true: Int[Tensor, "batch height width"], classes: int
) -> Int[Tensor, "4 classes"]:
    """Count border pixels of each class: predicted, of these near the true border; true, of these near the predicted.

    Args:
        called: the predicted classes.
        true: the true ones; where these are `NO_LABEL` there is neither a class nor a border.
        classes: how many there are.
    """
    called = torch.where(true == NO_LABEL, true, called)
    radius = tolerance_px(called.shape[1], called.shape[2])
    counts = []
    for first in range(0, classes, _BITS):
        most = min(_BITS, classes - first)
        predicted, expected = (_borders(labels, first, most) for labels in (called, true))
        for border, other in ((predicted, expected), (expected, predicted)):
            near = border & dilate(other, radius)
            counts += [_count(border, most), _count(near, most)]
    return torch.cat([torch.stack(counts[first : first + 4]) for first in range(0, len(counts), 4)], 1)


def dilate(bits: Int[Tensor, "batch height width"], radius: int) -> Int[Tensor, "batch height width"]:
    """Spread every bit over a disc: to all pixels whose distance from it is at most the radius."""
    spread = bits.clone()
    reach, wide = 0, bits.clone()
    for down in range(radius, -1, -1):  # the rows of a disc, of which the outermost are the narrowest
        half = math.isqrt(radius * radius - down * down)
        while reach < min(half, bits.shape[2] - 1):
            reach += 1
            wide[:, :, reach:] |= bits[:, :, :-reach]
            wide[:, :, :-reach] |= bits[:, :, reach:]
        if down == 0:
            spread |= wide
        elif down < bits.shape[1]:
            spread[:, down:] |= wide[:, :-down]
            spread[:, :-down] |= wide[:, down:]
    return spread


def _borders(labels: Tensor, first: int, classes: int) -> Tensor:
    """Return for each pixel the bit of its own class, of some, where one of its four neighbours is of another class."""
    own = (labels >= first) & (labels < first + classes)
    bit = torch.where(own, 1 << (labels - first).clamp(0, classes - 1), 0)
    edge = torch.zeros_like(own)
    for axis in (1, 2):
        size = labels.shape[axis]
        if size < 2:
            continue
        before, after = labels.narrow(axis, 0, size - 1), labels.narrow(axis, 1, size - 1)
        differ = (before != after) & (before != NO_LABEL) & (after != NO_LABEL)
        edge.narrow(axis, 0, size - 1).logical_or_(differ)
        edge.narrow(axis, 1, size - 1).logical_or_(differ)
    return torch.where(edge, bit, 0)


def _count(bits: Tensor, classes: int) -> Int[Tensor, " classes"]:
    """Count for each class the pixels that have its bit."""
    marked = bits[bits != 0]
    return torch.stack([((marked >> index) & 1).sum() for index in range(classes)])
