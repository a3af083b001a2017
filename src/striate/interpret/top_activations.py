"""Top activations: the patches of many images that activate a channel most (Zeiler and Fergus 2014, figure 2)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.interpret.activations import blank_image, image_share, input_reduction, preserve_state, record_activations
from striate.models.pretrained.transfer import body_of

Box = tuple[int, int, int, int]

_NOISE_IMAGES = 4  # as max pooling lets only one position of each through


@dataclass(frozen=True)
class Patch:
    """A patch of an image that activates a channel.

    Attributes:
        image: index of the image.
        value: activation of the channel.
        box: receptive field of the unit, in pixels of the image: left, top, right, bottom, cut at the borders; None:
            the whole image.
    """

    image: int
    value: float
    box: Box | None


def top_activations(
    network: nn.Module,
    layer: str,
    channels: Sequence[int],
    batches: Iterable[Float[Tensor, "_ channels height width"]],
    *,
    count: int = 8,
    advance: Callable[[int], None] = lambda images: None,
) -> dict[int, list[Patch]]:
    """Return, for channels of a layer, the patches that activate them most, at most one per image.

    Args:
        network: network; its state is preserved.
        layer: name of a layer that gives maps.
        channels: indices of the channels.
        batches: normalised images; one batch is in memory at a time.
        count: number of patches per channel.
        advance: called with the number of images of each batch.
    """
    kept: list[tuple[Tensor, Tensor, Tensor]] = []  # value, image, position: channels x at most `count`
    passed, columns, size_px = 0, 1, (1, 1)
    with preserve_state(network), record_activations(network, [layer]) as recorded, torch.inference_mode():
        for images in batches:
            network(images)
            maps, size_px = recorded[layer][:, list(channels)].float().cpu(), (images.shape[2], images.shape[3])
            down, across = image_share(network, size_px)  # units of the padding are left out
            maps = maps[:, :, : math.ceil(maps.shape[2] * down), : math.ceil(maps.shape[3] * across)]
            columns = maps.shape[3]
            values, positions = maps.flatten(2).max(2)  # batch x channels
            order = torch.arange(passed, passed + len(images))[:, None].expand_as(positions)
            kept.append((values.T, order.T, positions.T))
            merged = [torch.cat(parts, 1) for parts in zip(*kept, strict=True)]
            best = merged[0].topk(min(count, merged[0].shape[1]), 1).indices
            kept = [(merged[0].gather(1, best), merged[1].gather(1, best), merged[2].gather(1, best))]
            passed += len(images)
            advance(len(images))
    if not kept:
        return {channel: [] for channel in channels}
    receptive_field = receptive_fields_of(network, layer)
    return {
        channel: [
            Patch(int(image), float(value), receptive_field(divmod(int(position), columns), size_px))
            for value, image, position in zip(*(part[row] for part in kept[0]), strict=True)
        ]
        for row, channel in enumerate(channels)
    }


def receptive_fields_of(network: nn.Module, layer: str) -> Callable[[tuple[int, int], tuple[int, int]], Box | None]:
    """Return a function that gives the receptive field of each unit of a layer.

    Args:
        network: network with the layer.
        layer: name of a layer that gives maps.

    Returns:
        A function from the row and column of a unit, and the height and width of the image, to the box that the unit
        sees: left, top, right, bottom, cut at the image's borders; None: the whole image. For what is no element of
        the line (a part of a block, a decoder) that is where gradients of noise arrive, which may be a pixel or two
        less.
    """
    body, prefix = body_of(network)
    names = [prefix + step.name for step in body.plan.layers]
    if layer not in names:
        return receptive_fields_by_gradients(network, layer)
    fields = body.plan.receptive_fields()[names.index(layer)]
    reduce = input_reduction(network)

    def receptive_field(unit: tuple[int, int], size_px: tuple[int, int]) -> Box | None:
        if fields is None:
            return None
        ends = []
        for index, field in zip(unit, fields, strict=True):
            middle = field.offset + index * field.jump
            reach = Fraction(field.size - 1, 2)
            first, last = int(middle - reach) * reduce, (int(middle + reach) + 1) * reduce
            ends.append((first, last))
        return _cut(ends, size_px)

    return receptive_field


def receptive_fields_by_gradients(
    network: nn.Module, layer: str
) -> Callable[[tuple[int, int], tuple[int, int]], Box | None]:
    """Find the receptive field of a unit in the middle, in images of noise; those of others are as large, and moved."""

    @functools.cache
    def middle(size_px: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int], Box | None]:
        like = blank_image(network)
        noise = torch.randn(_NOISE_IMAGES, like.shape[1], *size_px, generator=torch.Generator().manual_seed(0)).to(like)
        with preserve_state(network), record_activations(network, [layer]) as recorded, torch.enable_grad():
            network(noise.requires_grad_())
            rows, columns = recorded[layer].shape[2:]
            activation = recorded[layer][:, :, rows // 2, columns // 2].abs().sum()
            (gradients,) = torch.autograd.grad(activation, noise)
        reached = gradients.abs().amax((0, 1)) > 0
        down, across = (reached.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        box = (across[0], down[0], across[-1] + 1, down[-1] + 1) if down else None
        return (rows, columns), (rows // 2, columns // 2), box

    def receptive_field(unit: tuple[int, int], size_px: tuple[int, int]) -> Box | None:
        units, middle_unit, box = middle(size_px)
        if box is None:
            return None
        shares, ends = image_share(network, size_px), []
        for axis, (low, high) in enumerate(((box[1], box[3]), (box[0], box[2]))):
            side = size_px[axis]
            moved = round((unit[axis] - middle_unit[axis]) * side / shares[axis] / units[axis])
            ends.append((low + moved, high + moved))
        return _cut(ends, size_px)

    return receptive_field


def _cut(ends: Sequence[tuple[int, int]], size_px: tuple[int, int]) -> Box:
    """Cut first and last rows, and columns, at the borders of an image; at least one pixel is left."""
    (top, bottom), (left, right) = (
        (max(0, min(first, side - 1)), min(side, max(last, 1)))
        for (first, last), side in zip(ends, size_px, strict=True)
    )
    return left, top, right, bottom
