"""A trained network in use: measured on data, predicting, loaded from its folder."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from striate import models
from striate.data import Dataset, open_data
from striate.data.batches import Batches
from striate.data.dataset import Samples
from striate.data.files import find_images
from striate.data.labels import ClassLabels
from striate.data.pictures import ImageFiles
from striate.data.store import Store, open_store, undecoded_store
from striate.errors import ConfigError, DataError, RunError, listing, nearest
from striate.progress import progress_bar, say
from striate.runs.record import FILE as RECORD
from striate.runs.record import SPLIT, RunRecord
from striate.tasks import create_task
from striate.tasks.base import Task
from striate.training.loop import evaluate

WEIGHTS = "model.safetensors"
LOG = "metrics.jsonl"
_BATCH = 64  # images at a time where nothing is learned


@dataclass(frozen=True)
class Run:
    """A trained network with its classes, its preprocessing and its record; `load` and `train` return it.

    Attributes:
        folder: where it lives.
        record: what `run.json` says.
        model: the network, in evaluation mode: an ordinary `nn.Module` from normalised images to outputs.
        task: what its outputs mean.
    """

    folder: Path
    record: RunRecord
    model: nn.Module = field(repr=False)
    task: Task = field(repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the network's outputs."""
        return self.record.classes

    def summary(self) -> dict[str, Any]:
        """Return what `striate train --json` prints."""
        record = self.record
        return {
            "run": str(self.folder),
            "task": record.task,
            "model": record.model,
            "metrics": record.metrics,
            "epochs": record.epochs,
            "seconds": record.seconds,
            "images_per_s": record.images_per_s,
        }

    def evaluate(
        self, data: Dataset | str | Path, *, split: Literal["auto", "train", "val", "test"] = "auto"
    ) -> dict[str, Any]:
        """Measure the network on labelled images; returns what `striate evaluate --json` prints.

        Args:
            data: a data set, or where one is. Classes are matched by name with those of the network.
            split: `auto` takes what the data's layout sets aside (`test`, else `val`), or every image where
                it sets nothing aside, and leaves out each one whose content the network was trained on. A
                named split is measured as it is. Either way `seen` counts what the network knew.

        Raises:
            DataError: the data cannot be used, hold classes that the network does not know, or nothing
                is left that it was not trained on.
            RunError: the run's list of training images is damaged.
        """
        config = self.record.config
        dataset = (
            data if isinstance(data, Dataset) else open_data(data, **config.reading() | {"task": self.record.task})
        )
        if dataset.task != self.record.task:
            raise DataError(
                f"{dataset.location}: its task is {dataset.task}; that of {self.folder} is {self.record.task}."
            )
        unknown = [name for name in dataset.classes if name not in self.classes]
        if unknown:
            raise DataError(
                f"{dataset.location}: the network has no class {unknown[0]!r}{nearest(unknown[0], self.classes)}; "
                f"it knows: {listing(self.classes, most=10)}."
            )
        chosen = dataset.split(dataset.published) if dataset.published else dataset.samples
        samples = chosen if split == "auto" else dataset.split(split)
        # what training decoded is found in the cache; what is not is decoded on the way
        store = open_store(
            samples,
            self.record.preprocessing.form,
            name=dataset.name,
            location=dataset.location,
            keep="none",
            max_pixels=config.max_pixels,
        )
        store, seen = self._part_from_training(store, dataset.location, leave_out=split == "auto")
        to_ours = np.array([self.classes.index(name) for name in dataset.classes])
        assert isinstance(store.labels, ClassLabels)
        batches = self._batches(replace(store, labels=ClassLabels(to_ours[store.labels.targets])))
        with progress_bar("evaluating", len(store)) as advance:
            metrics = evaluate(self.model, self.task, batches.in_order(), advance)
        return {
            "task": self.record.task,
            "samples": len(store),
            "metrics": metrics.compute(),
            "per_class": metrics.per_class(),
            "seen": seen,
        }

    def predict(self, images: str | Path | Iterable[str | Path], *, top: int = 5) -> list[dict[str, Any]]:
        """Predict image files; returns what `striate predict --json` prints: for each, `image` and its prediction.

        Args:
            images: image files, or folders whose images are taken at any depth, in natural order.
            top: how many alternatives a prediction lists at most.

        Raises:
            DataError: a file is missing, no image, or damaged; a folder holds no image.
            ConfigError: `top` is below 1.
        """
        if top < 1:
            raise ConfigError(f"top (={top}) must be 1 or more.")
        given = [images] if isinstance(images, str | Path) else list(images)
        paths = [path for place in given for path in _image_paths(Path(place))]
        samples = Samples(
            names=tuple(map(str, paths)),
            pictures=ImageFiles(paths),
            labels=ClassLabels(np.zeros(len(paths), dtype=np.int64)),  # of no use
        )
        store = undecoded_store(samples, self.record.preprocessing.form, max_pixels=self.record.config.max_pixels)
        predictions: list[dict[str, Any]] = []
        with progress_bar("predicting", len(paths)) as advance, torch.inference_mode():
            for batch in self._batches(store).in_order():
                predictions += self.task.decode(self.model(batch.images), top)
                advance(len(batch.images))
        return [{"image": str(path), **found} for path, found in zip(paths, predictions, strict=True)]

    def _batches(self, store: Store) -> Batches:
        """Put decoded images into batches on the network's device."""
        device = next(self.model.parameters()).device
        return Batches(store=store, preprocessing=self.record.preprocessing, batch_size=_BATCH, device=device)

    def _part_from_training(self, store: Store, location: str, *, leave_out: bool) -> tuple[Store, dict[str, int]]:
        """Say, count and, if wanted, leave out what the network has seen of some images while it was trained."""
        used = _read_split(self.folder)
        fresh = store.without(set(used["train"].values()))
        trained_on = len(store) - len(fresh)
        if leave_out:
            if not len(fresh):
                raise DataError(
                    f"{location}: the network was trained on every image here; "
                    "give others, or measure the training images with --split train."
                )
            if trained_on:
                say(f"left out: {trained_on:,} of {len(store):,} images, which the network was trained on")
            store = fresh
        elif trained_on:
            say(f"the network was trained on {_share(trained_on, store)}: this is no measure of how good it is")
        chose_epoch = len(store) - len(store.without(set(used["val"].values()))) if self.record.epochs > 1 else 0
        if chose_epoch:
            say(f"{_share(chose_epoch, store)} also chose the network's best epoch, which flatters a little")
        return store, {
            "left_out": trained_on if leave_out else 0,
            "trained_on": 0 if leave_out else trained_on,
            "chose_epoch": chose_epoch,
        }


def load(folder: str | Path) -> Run:
    """Load a run from its folder, onto the GPU where there is one.

    Raises:
        RunError: the folder holds no run, or a damaged one.
        ModelError: the network that it names cannot be built here.
    """
    folder = Path(folder)
    if folder.name == RECORD:
        folder = folder.parent
    record = RunRecord.read(folder)
    if not record.best_epoch:
        raise RunError(
            f"{folder}: its training has not come to the end of an epoch; go on with it: striate train … --resume "
            f"--out {folder}."
        )
    if record.status != "complete":
        say(f"{folder}: its training did not end ({record.status}, {record.epochs} of {record.planned_epochs} epochs)")
    task = create_task(record.task, record.classes)
    model: nn.Module = models.build(record.plan(), record.model)
    path = folder / WEIGHTS
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except FileNotFoundError:
        raise RunError(f"{folder}: the weights, {WEIGHTS}, are missing; train again.") from None
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{path}: damaged, or of another network ({reason}); train again.") from None
    return Run(folder, record, model.to(default_device()).eval(), task)


def default_device() -> torch.device:
    """Return the GPU where CUDA has one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _image_paths(place: Path) -> list[Path]:
    """Return a file itself, or the images of a folder; says which files of a folder are none."""
    try:
        found = place.stat()
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror}).") from None
    if stat.S_ISDIR(found.st_mode):
        images, others = find_images(place)
        if not images:
            raise DataError(f"{place}: no image in this folder.")
        if others:
            say(f"passed over, no images: {listing(others)}")
        return images
    return [place]


def _read_split(folder: Path) -> dict[str, dict[str, str]]:
    """Read which images a run was trained on and chosen by: split -> name -> content hash."""
    path = folder / SPLIT
    try:
        split = json.loads(path.read_bytes())
        return {part: dict(split[part]) for part in ("train", "val")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: missing or damaged ({error}); what the network was trained on is unknown, train again."
        ) from None


def _share(count: int, store: Store) -> str:
    return f"all {count:,} images" if count == len(store) else f"{count:,} of the {len(store):,} images"
