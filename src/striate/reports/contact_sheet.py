"""A contact sheet: what each policy of augmentation makes of some samples, with masks and joints drawn in."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from striate.batching.augmentation import POLICIES
from striate.batching.batches import Batches
from striate.batching.targets import Batch, JointTargets
from striate.datasets.dataset import Dataset
from striate.datasets.statistics import evenly_spread
from striate.datasets.store import open_store
from striate.images.decode import MAX_PIXELS
from striate.images.drawing import INK, draw_joints, font, paint_classes, side_colours
from striate.images.preprocessing import Preprocessing
from striate.images.resize import ImageSpec

_TILE_PX = 160
_GAP_PX = 6
_BAND_PX = 26  # the line of text above a policy's tiles
_CAPTION_PX = 18


def contact_sheet(
    dataset: Dataset, form: ImageSpec, *, samples: int, seed: int = 0, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Draw some training samples as a network gets them, a row for each policy of augmentation.

    Args:
        dataset: its training samples are drawn, evenly spread.
        form: what pictures are decoded to.
        samples: how many.
        seed: of the augmentation.
        max_pixels: files of more are refused.
    """
    train = dataset.split("train")
    chosen = evenly_spread(len(train), samples)
    store = open_store(
        train.take(chosen), form, name=dataset.name, location=dataset.location, keep="none", max_pixels=max_pixels
    )
    plain = Preprocessing(
        height_px=form.height_px,
        width_px=form.width_px,
        channels=form.channels,
        fit=form.fit,
        mean=(0.5,) * form.channels,  # what erasing leaves: the middle grey
        std=(1.0,) * form.channels,
    )
    batches = Batches(
        store=store,
        preprocessing=plain,
        batch_size=len(chosen) + 1,
        device=torch.device("cpu"),
        classes=len(dataset.classes),
    )
    width = len(chosen) * (_TILE_PX + _GAP_PX) + _GAP_PX
    row_px = _BAND_PX + _tile_height(form) + _CAPTION_PX + _GAP_PX
    sheet = Image.new("RGB", (width, row_px * len(POLICIES) + _GAP_PX), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (name, policy) in enumerate(POLICIES.items()):
        suiting = policy.valid_for(store.labels, mirror_safe=dataset.mirror_safe)
        top = row * row_px + _GAP_PX
        pen.text((_GAP_PX, top), f"--augment {name}", fill=INK, font=font(16))
        for batch in batches.shuffled(seed, 0, suiting):
            for place in range(len(batch.images)):
                tile, caption = _tile(batch, place, dataset)
                left = _GAP_PX + place * (_TILE_PX + _GAP_PX)
                sheet.paste(tile, (left, top + _BAND_PX))
                pen.text((left, top + _BAND_PX + tile.height), caption, fill=INK, font=font(12))
    return sheet


def _tile(batch: Batch, place: int, dataset: Dataset) -> tuple[Image.Image, str]:
    """Draw one sample of a batch with its label, and say the label in words where it is a class."""
    image = _picture(batch.images[place])
    scale = image.width / batch.images.shape[3]
    targets = batch.targets
    if isinstance(targets, JointTargets):
        assert dataset.skeleton is not None
        uv, visible = targets.uv_px[place].numpy() * scale, targets.placed[place].numpy()
        skeleton = dataset.skeleton
        draw_joints(image, uv, visible, skeleton.parents, side_colours(len(uv), skeleton.left, skeleton.right))
        return image, ""
    target = targets[place]
    if target.ndim == 2:
        colours = dataset.vocabulary.drawn_in
        mask = Image.fromarray(target.numpy().astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST)
        return paint_classes(np.asarray(image), np.asarray(mask), colours), ""
    if target.ndim == 1:
        share, best = target.topk(min(2, len(target)))
        shares = zip(share.tolist(), best.tolist(), strict=True)
        return image, _caption(*(f"{part:.0%} {dataset.classes[index]}" for part, index in shares if part >= 0.005))
    return image, _caption(dataset.classes[int(target)])


def _caption(*parts: str) -> str:
    return " ".join(" + ".join(parts).split())[:28]


def _picture(image: Float[Tensor, "channels height width"]) -> Image.Image:
    """Turn values of -0.5 to 0.5 into a tile of RGB, enlarged so that pixels stay visible."""
    values = ((image.permute(1, 2, 0) + 0.5) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    picture = Image.fromarray(np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3))))
    height = round(_TILE_PX * picture.height / picture.width)
    resample = Image.Resampling.NEAREST if picture.width < _TILE_PX / 2 else Image.Resampling.BILINEAR
    return picture.resize((_TILE_PX, height), resample)


def _tile_height(form: ImageSpec) -> int:
    return round(_TILE_PX * form.height_px / form.width_px)
