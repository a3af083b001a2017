"""A run's own pictures, as its network gets them: what ways of looking are fed with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from striate.data import Dataset, open_data
from striate.data.batches import Batches
from striate.data.dataset import Samples, SplitName
from striate.data.labels import ClassLabels
from striate.data.pictures import ImageFiles
from striate.data.preprocessing import Preprocessing, evenly_spread
from striate.data.store import Store, open_store
from striate.errors import DataError
from striate.runs.record import RunRecord
from striate.tasks.base import Batch, Origin, Prediction, PredictOptions, Task

Pixels = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Gallery:
    """The pictures that a network was trained and measured on.

    Attributes:
        record: of its run.
        dataset: where they come from.
        stores: by split.
        device: of the network.
    """

    record: RunRecord
    dataset: Dataset
    stores: dict[SplitName, Store]
    device: torch.device

    @classmethod
    def of(cls, record: RunRecord, device: torch.device, data: str | None = None) -> Gallery:
        """Open the data of a training, or those that have moved elsewhere.

        Raises:
            DataError: they are no longer there, or are other ones.
        """
        location = data or record.data["location"]
        dataset = open_data(location, **record.config.reading() | {"task": record.task})
        if dataset.classes != record.classes or (dataset.skeleton or None) != record.skeleton:
            raise DataError(f"{location}: it has other classes than the run's; give the data that it was trained on.")
        stores = {
            split: open_store(
                dataset.split(split),
                record.preprocessing.form,
                name=dataset.name,
                location=dataset.location,
                keep="none",
                max_pixels=record.config.max_pixels,
            )
            for split in dataset.splits
        }
        return cls(record, dataset, stores, device)

    def some(self, split: SplitName, most: int) -> Int64[np.ndarray, " chosen"]:
        """Return places of at most so many samples of a split, evenly spread."""
        return evenly_spread(len(self.stores[split]), most)

    def batches(self, split: SplitName, chosen: Int64[np.ndarray, " chosen"], batch_size: int = 32) -> Batches:
        """Return some samples of a split in batches."""
        return Batches(
            store=self.stores[split].take(chosen),
            preprocessing=self.record.preprocessing,
            batch_size=batch_size,
            device=self.device,
        )

    def batch(self, split: SplitName, places: list[int]) -> Batch:
        """Return some samples of a split at once."""
        return next(iter(self.batches(split, np.array(places), batch_size=max(2, len(places))).in_order()))

    def images(self, split: SplitName, chosen: Int64[np.ndarray, " chosen"]) -> Iterator[Tensor]:
        """Yield the normalised images of some samples, batch by batch."""
        return (batch.images for batch in self.batches(split, chosen).in_order())

    def pictures(self, split: SplitName, places: list[int]) -> list[Pixels]:
        """Return some samples' images as pictures."""
        return as_pictures(self.batch(split, places).images, self.record.preprocessing)

    def name(self, split: SplitName, place: int) -> str:
        """Return what a sample's file is called."""
        return self.stores[split].names[place]


def unlabelled(paths: Sequence[Path]) -> Samples:
    """Return picture files as samples whose labels are of no use."""
    labels = ClassLabels(np.zeros(len(paths), dtype=np.int64))
    return Samples(names=tuple(map(str, paths)), pictures=ImageFiles(list(paths)), labels=labels)


def as_pictures(images: Float[Tensor, "batch channels height width"], form: Preprocessing) -> list[Pixels]:
    """Undo normalisation: RGB from 0 to 255."""
    mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in (form.mean, form.std))
    shown = (255 * (images.float().cpu() * std + mean)).round().clamp(0, 255).to(torch.uint8)
    shown = shown.expand(-1, 3, -1, -1) if shown.shape[1] == 1 else shown
    return list(shown.permute(0, 2, 3, 1).numpy())


def predict_image(task: Task, network: torch.nn.Module, image: Float[Tensor, "1 channels height width"]) -> Prediction:
    """Predict one normalised image, as it is."""
    origin = Origin(size_px=(image.shape[2], image.shape[3]), scale=(1.0, 1.0), offset=(0.0, 0.0))
    with torch.inference_mode():
        return task.predict(network, image, [origin], PredictOptions(), lambda share: None)[0]
