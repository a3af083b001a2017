"""A contact sheet: what each policy of augmentation makes of some samples, with masks and joints drawn in."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from striate.batching.augmentation import POLICIES
from striate.batching.batches import Batches
from striate.datasets.dataset import Dataset
from striate.datasets.statistics import evenly_spread
from striate.datasets.store import open_store
from striate.images.decode import MAX_PIXELS
from striate.images.drawing import INK, font
from striate.images.preprocessing import Preprocessing
from striate.images.resize import ImageSpec
from striate.tasks import create_task
from striate.tasks.spec import Prediction

_TILE_PX = 160
_GAP_PX = 6
_BAND_PX = 26  # the line of text above a policy's tiles
_CAPTION_PX = 18
_CAPTION = 28  # letters


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
    task = create_task(dataset.task, dataset.vocabulary)
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
            truths = task.explaining.ground_truth(batch.targets, _TILE_PX / batch.images.shape[3])
            for index, (image, truth) in enumerate(zip(batch.images, truths, strict=True)):
                tile, caption = _tile(image, truth, draws=task.spec.draws)
                left = _GAP_PX + index * (_TILE_PX + _GAP_PX)
                sheet.paste(tile, (left, top + _BAND_PX))
                pen.text((left, top + _BAND_PX + tile.height), caption, fill=INK, font=font(12))
    return sheet


def _tile(image: Float[Tensor, "channels height width"], truth: Prediction, *, draws: bool) -> tuple[Image.Image, str]:
    """Draw one sample with its ground truth, or return that in words where it cannot be drawn."""
    tile = _enlarged(image)
    if draws:
        return truth.drawn_on(np.asarray(tile)), ""
    return tile, " ".join(truth.summary().split())[:_CAPTION]


def _enlarged(image: Float[Tensor, "channels height width"]) -> Image.Image:
    """Turn values of -0.5 to 0.5 into a tile of RGB, enlarged so that pixels stay visible."""
    values = ((image.permute(1, 2, 0) + 0.5) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    small = Image.fromarray(np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3))))
    resample = Image.Resampling.NEAREST if small.width < _TILE_PX / 2 else Image.Resampling.BILINEAR
    return small.resize((_TILE_PX, round(_TILE_PX / small.width * small.height)), resample)


def _tile_height(form: ImageSpec) -> int:
    return round(_TILE_PX * form.height_px / form.width_px)
