"""A contact sheet: training samples under each policy of augmentation, with their labels."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from striate.batching.augmentation import POLICIES
from striate.batching.batches import Batches
from striate.batching.targets import Batch
from striate.datasets.dataset import Dataset
from striate.datasets.statistics import evenly_spread
from striate.datasets.store import open_store
from striate.images.decode import MAX_PIXELS
from striate.images.drawing import INK, font
from striate.images.preprocessing import Preprocessing
from striate.images.resize import ImageSpec
from striate.tasks import create_task
from striate.tasks.task import Task

_TILE_PX = 160
_GAP_PX = 6
_BAND_PX = 26  # the line of text above a policy's tiles
_CAPTION_PX = 18
_CAPTION_LETTERS = 28


def contact_sheet(
    dataset: Dataset, spec: ImageSpec, *, samples: int, seed: int = 0, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Draw training samples as a network gets them, a row for each policy of augmentation.

    Args:
        dataset: data set whose training samples are drawn, evenly spread.
        spec: size and channels of the decoded images.
        samples: number of samples.
        seed: seed of the augmentation.
        max_pixels: largest number of pixels of a file; larger ones are refused.

    Raises:
        DataError: a file cannot be decoded.
    """
    task = create_task(dataset.task, dataset.vocabulary)
    train = dataset.split("train")
    chosen = train.take(evenly_spread(len(train), samples))
    store = open_store(chosen, spec, name=dataset.name, location=dataset.location, keep="none", max_pixels=max_pixels)
    batches = Batches(
        store=store,
        preprocessing=_without_normalisation(spec),
        batch_size=len(chosen) + 1,
        device=torch.device("cpu"),
        classes=len(dataset.classes),
    )
    width = len(chosen) * (_TILE_PX + _GAP_PX) + _GAP_PX
    row_px = _BAND_PX + round(_TILE_PX * spec.height_px / spec.width_px) + _CAPTION_PX + _GAP_PX
    sheet = Image.new("RGB", (width, row_px * len(POLICIES) + _GAP_PX), "white")
    for row, (name, policy) in enumerate(POLICIES.items()):
        top = row * row_px + _GAP_PX
        ImageDraw.Draw(sheet).text((_GAP_PX, top), f"--augment {name}", fill=INK, font=font(16))
        valid = policy.valid_for(store.labels, mirror_safe=dataset.mirror_safe)
        for batch in batches.shuffled(seed, 0, valid):
            _draw_batch(sheet, batch, task, top + _BAND_PX)
    return sheet


def _without_normalisation(spec: ImageSpec) -> Preprocessing:
    """Return a preprocessing that leaves values from -0.5 to 0.5."""
    return Preprocessing(
        height_px=spec.height_px,
        width_px=spec.width_px,
        channels=spec.channels,
        fit=spec.fit,
        mean=(0.5,) * spec.channels,  # what erasing leaves: the middle grey
        std=(1.0,) * spec.channels,
    )


def _draw_batch(sheet: Image.Image, batch: Batch, task: Task, top: int) -> None:
    """Draw the samples of a batch side by side, each with its ground truth, or with that in words below."""
    truths = task.explaining.ground_truth(batch.targets, _TILE_PX / batch.images.shape[3])
    for index, (image, truth) in enumerate(zip(batch.images, truths, strict=True)):
        left, tile = _GAP_PX + index * (_TILE_PX + _GAP_PX), _tile(image)
        if task.spec.draws:
            tile = truth.drawn_on(np.asarray(tile))
        else:
            caption = " ".join(truth.summary().split())[:_CAPTION_LETTERS]
            ImageDraw.Draw(sheet).text((left, top + tile.height), caption, fill=INK, font=font(12))
        sheet.paste(tile, (left, top))


def _tile(image: Float[Tensor, "channels height width"]) -> Image.Image:
    """Turn values of -0.5 to 0.5 into an RGB tile, enlarged so that pixels stay visible."""
    values = ((image.permute(1, 2, 0) + 0.5) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    small = Image.fromarray(np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3))))
    resample = Image.Resampling.NEAREST if small.width < _TILE_PX / 2 else Image.Resampling.BILINEAR
    return small.resize((_TILE_PX, round(_TILE_PX / small.width * small.height)), resample)
