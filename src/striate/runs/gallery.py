"""A run's own pictures, as its network gets them: what ways of looking are fed with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from striate.batching.batches import Batches
from striate.datasets import Dataset, open_data
from striate.datasets.dataset import SPLIT_NAMES, Samples, SplitName
from striate.datasets.labels import ClassLabels
from striate.datasets.statistics import evenly_spread
from striate.datasets.store import Store, open_store
from striate.errors import DataError
from striate.images.preprocessing import Preprocessing
from striate.images.sources import ImageFiles
from striate.interpret.activations import preserve_state
from striate.models import MODELS
from striate.runs.inputs import read_split
from striate.runs.record import RunRecord
from striate.tasks.base import Batch, Origin, Prediction, PredictOptions, Targets, Task

Pixels = UInt8[np.ndarray, "_ _ 3"]

_SHOWN_PX = 256  # of small pictures that something is drawn upon


@dataclass(frozen=True)
class RunImages:
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
    def of(cls, folder: Path, record: RunRecord, device: torch.device, data: str | None = None) -> RunImages:
        """Open the data of a training, or those that have moved: the pictures of its `split.json`, by content.

        Raises:
            DataError: they are no longer there, or are other ones.
        """
        location = data or record.data["location"]
        dataset = open_data(location, **record.config.reading() | {"task": record.task})
        if dataset.classes != record.classes or (dataset.skeleton or None) != record.skeleton:
            raise DataError(f"{location}: it has other classes than the run's; give the data that it was trained on.")
        stores: dict[SplitName, Store] = {}
        used = read_split(folder)
        for split in SPLIT_NAMES:
            if split not in used:
                continue
            if split not in dataset.splits:
                raise DataError(f"{location}: there is no {split} there; give the data that the run was trained on.")
            store = open_store(
                dataset.split(split),
                record.preprocessing.form,
                name=dataset.name,
                location=dataset.location,
                keep="none",
                max_pixels=record.config.max_pixels,
            )
            known = set(used[split].values())
            kept = np.array([place for place, digest in enumerate(store.digests) if digest in known], dtype=np.int64)
            if not len(kept):
                raise DataError(f"{location}: none of the run's {split} images is there; give those it was trained on.")
            stores[split] = store.take(kept)
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
        return [
            picture
            for images in self.images(split, np.array(places))
            for picture in as_pictures(images, self.record.preprocessing)
        ]

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


def predict_image(
    task: Task, network: torch.nn.Module, image: Float[Tensor, "1 channels height width"], times: int = 1
) -> Prediction:
    """Predict one normalised image, as it is, for a picture that is so many times as large."""
    height, width = image.shape[2:]
    origin = Origin(size_px=(times * height, times * width), scale=(1 / times, 1 / times), offset=(0.0, 0.0))
    with preserve_state(network), torch.inference_mode():
        return task.predict(network, image, [origin], PredictOptions(), lambda share: None)[0]


def draw_prediction(
    task: Task, network: torch.nn.Module, image: Float[Tensor, "1 channels height width"], picture: Pixels
) -> Pixels:
    """Draw what a network says of an image upon its picture; small ones are enlarged first."""
    times = _times(picture)
    return _drawn(predict_image(task, network, image, times), picture, times)


def draw_truth(task: Task, targets: Targets, pictures: Sequence[Pixels]) -> list[tuple[Prediction, Pixels]]:
    """Return what is true of samples, and draw it upon their pictures; small ones are enlarged first."""
    times = _times(pictures[0])
    truths = task.ground_truth(targets, times)
    return [(truth, _drawn(truth, picture, times)) for truth, picture in zip(truths, pictures, strict=True)]


def _times(picture: Pixels) -> int:
    return max(1, _SHOWN_PX // max(len(picture), len(picture[0])))


def _drawn(found: Prediction, picture: Pixels, times: int) -> Pixels:
    return np.asarray(found.overlay(picture.repeat(times, 0).repeat(times, 1)).convert("RGB"))


def in_words(prediction: Prediction) -> str:
    """Say a prediction in a few words: classes, or how many joints."""
    rows = prediction.rows()
    if "joint" in rows[0]:
        known = sum(any(isinstance(value, float | int) for value in row.values()) for row in rows)
        return f"{known} joints"
    said = []
    for row in rows:
        share = row.get("probability", row.get("share"))
        if share != 0:
            of = "" if "probability" in row else " of the pixels"
            said.append(row["class"] if share is None or share == 1 else f"{row['class']} {share:.0%}{of}")
    return ", ".join(said[:3]) + (" …" if len(said) > 3 else "")


def purpose(record: RunRecord) -> str:
    """Say what a network was made to do, and what it is called."""
    what = {
        "classify": "says what an image shows",
        "segment": "gives every pixel a class",
        "pose": "finds a person's joints",
    }[record.task]
    name = called(record)
    return f"{name if name in MODELS else name.capitalize()} {what}"


def called(record: RunRecord) -> str:
    """Return the name of a network; of one with a line of its own no more than that."""
    return record.model if record.model in MODELS else "a network of its own"
