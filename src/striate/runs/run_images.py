"""A run's own images, as its network gets them: what explanations and reports look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from striate.batching.batches import Batches
from striate.batching.targets import Batch, Targets
from striate.datasets import Dataset, open_data
from striate.datasets.dataset import Samples
from striate.datasets.labels import ClassLabels
from striate.datasets.splits import SPLIT_NAMES, SplitName
from striate.datasets.statistics import evenly_spread
from striate.datasets.store import Store, open_store
from striate.errors import DataError
from striate.images.overlays import RGBArray
from striate.images.preprocessing import Preprocessing
from striate.images.sources import ImageFiles
from striate.interpret.activations import preserve_state
from striate.models import MODELS
from striate.runs.inputs import read_split
from striate.runs.record import RunRecord
from striate.tasks.spec import Origin, Prediction, PredictOptions
from striate.tasks.task import Task

_DRAWN_PX = 256  # longer side that small images are enlarged to before something is drawn on them


@dataclass(frozen=True)
class RunImages:
    """The images that a network was trained and evaluated on.

    Attributes:
        record: record of the run.
        dataset: data set that the images come from.
        stores: decoded images of each split.
        device: device of the network.
    """

    record: RunRecord
    dataset: Dataset
    stores: dict[SplitName, Store]
    device: torch.device

    @classmethod
    def open(cls, folder: Path, record: RunRecord, device: torch.device, data: str | None = None) -> RunImages:
        """Open the data that a run was trained on; which images are the run's, `split.json` says, by content.

        Args:
            folder: folder of the run.
            record: record of the run.
            device: device of the network.
            data: location of the data, if they have moved; None: where they were.

        Raises:
            DataError: the data are no longer there, or are other ones.
        """
        location = data or record.data["location"]
        dataset = open_data(location, **record.config.reading() | {"task": record.task})
        if dataset.classes != record.classes or (dataset.skeleton or None) != record.skeleton:
            raise DataError(location, "has other classes than the run's", "give the data that it was trained on")
        stores: dict[SplitName, Store] = {}
        used = read_split(folder)
        for split in SPLIT_NAMES:
            if split not in used:
                continue
            if split not in dataset.splits:
                raise DataError(location, f"has no {split} split", "give the data that the run was trained on")
            store = open_store(
                dataset.split(split),
                record.preprocessing.image_spec,
                name=dataset.name,
                location=dataset.location,
                keep="none",
                max_pixels=record.config.max_pixels,
            )
            known = set(used[split].values())
            kept = np.array([index for index, digest in enumerate(store.digests) if digest in known], dtype=np.int64)
            if not len(kept):
                what = f"holds none of the run's {split} images"
                raise DataError(location, what, "give the images that it was trained on")
            stores[split] = store.take(kept)
        return cls(record, dataset, stores, device)

    def spread(self, split: SplitName, most: int) -> Int64[np.ndarray, " chosen"]:
        """Return the indices of at most `most` samples of a split, evenly spread."""
        return evenly_spread(len(self.stores[split]), most)

    def batches(self, split: SplitName, indices: Int64[np.ndarray, " chosen"], batch_size: int = 32) -> Batches:
        """Return samples of a split in batches."""
        return Batches(
            store=self.stores[split].take(indices),
            preprocessing=self.record.preprocessing,
            batch_size=batch_size,
            device=self.device,
        )

    def batch(self, split: SplitName, indices: Sequence[int]) -> Batch:
        """Return samples of a split as one batch."""
        return next(iter(self.batches(split, np.array(indices), batch_size=max(2, len(indices))).in_order()))

    def normalised(self, split: SplitName, indices: Int64[np.ndarray, " chosen"]) -> Iterator[Tensor]:
        """Yield the normalised images of samples, batch by batch."""
        return (batch.images for batch in self.batches(split, indices).in_order())

    def rgb(self, split: SplitName, indices: Sequence[int]) -> list[RGBArray]:
        """Return the images of samples as RGB, as the network gets them."""
        return [
            image
            for images in self.normalised(split, np.array(indices, dtype=np.int64))
            for image in denormalise(images, self.record.preprocessing)
        ]

    def name(self, split: SplitName, index: int) -> str:
        """Return the file name of a sample."""
        return self.stores[split].names[index]


def unlabelled_samples(paths: Sequence[Path]) -> Samples:
    """Return image files as samples whose labels mean nothing."""
    labels = ClassLabels(np.zeros(len(paths), dtype=np.int64))
    return Samples(names=tuple(map(str, paths)), images=ImageFiles(list(paths)), labels=labels)


def denormalise(images: Float[Tensor, "batch channels height width"], preprocessing: Preprocessing) -> list[RGBArray]:
    """Undo normalisation: return RGB images from 0 to 255."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    values = (255 * (images.float().cpu() * std + mean)).round().clamp(0, 255).to(torch.uint8)
    values = values.expand(-1, 3, -1, -1) if values.shape[1] == 1 else values
    return list(values.permute(0, 2, 3, 1).numpy())


def predict_image(
    task: Task, network: torch.nn.Module, image: Float[Tensor, "1 channels height width"], enlarged: int = 1
) -> Prediction:
    """Predict a normalised image as it is, for drawing on one that is `enlarged` times as large."""
    height, width = image.shape[2:]
    scale = 1 / enlarged
    origin = Origin(
        source_px=(enlarged * height, enlarged * width),
        image_px=(height, width),
        scale=(scale, scale),
        offset=(0.0, 0.0),
    )
    options = PredictOptions()
    with preserve_state(network), torch.inference_mode():
        outputs = task.training.forward(network, image, options, lambda share: None)
        return task.spec.decode(outputs, [origin], options)[0]


def draw_prediction(
    task: Task, network: torch.nn.Module, image: Float[Tensor, "1 channels height width"], rgb: RGBArray
) -> RGBArray:
    """Draw what a network predicts for an image on its RGB version; small images are enlarged first."""
    enlarged = _enlargement(rgb)
    return _drawn(predict_image(task, network, image, enlarged), rgb, enlarged)


def draw_ground_truth(task: Task, targets: Targets, images: Sequence[RGBArray]) -> list[tuple[Prediction, RGBArray]]:
    """Return the ground truth of samples, each with its image that it is drawn on; small images are enlarged first."""
    enlarged = _enlargement(images[0])
    truths = task.explaining.ground_truth(targets, enlarged)
    return [(truth, _drawn(truth, image, enlarged)) for truth, image in zip(truths, images, strict=True)]


def _enlargement(image: RGBArray) -> int:
    """Return by how much an image is enlarged before something is drawn on it."""
    return max(1, _DRAWN_PX // max(len(image), len(image[0])))


def _drawn(prediction: Prediction, image: RGBArray, enlarged: int) -> RGBArray:
    return np.asarray(prediction.overlay(image.repeat(enlarged, 0).repeat(enlarged, 1)).convert("RGB"))


def purpose(record: RunRecord) -> str:
    """Return what a network is called, and what it does."""
    name = network_name(record)
    return f"{name if name in MODELS else name.capitalize()} {record.create_task().spec.purpose}"


def images_in_words(split: SplitName, count: int, total: int) -> str:
    """Say how many of the images of a split something is about.

    >>> images_in_words("val", 200, 1000)
    '200 of 1,000 validation images'
    """
    images = f"{ {'train': 'training', 'val': 'validation', 'test': 'test'}[split] } images"
    return f"all {count:,} {images}" if count == total else f"{count:,} of {total:,} {images}"


def network_name(record: RunRecord) -> str:
    """Return the name of a network; of one with a line of its own no more than that."""
    return record.model if record.model in MODELS else "a network of its own"
