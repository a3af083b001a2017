"""A trained network in use: measured on data, predicting, loaded from its folder."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from PIL import Image
from safetensors import SafetensorError
from torch import nn

from striate.batching.batches import Batches
from striate.datasets import Dataset, open_data
from striate.datasets.store import Store, open_store, undecoded_store
from striate.errors import ConfigError, DataError, RunError
from striate.images.decode import decode, open_image, upright_size
from striate.images.preprocessing import Preprocessing
from striate.images.resize import ImageSpec
from striate.images.sources import ImageFiles, file_errors
from striate.models import MODELS
from striate.models.pretrained import weights
from striate.runs.inputs import image_paths, read_split, tile_px
from striate.runs.published import published_record
from striate.runs.record import FILE as RECORD
from striate.runs.record import WEIGHTS, RunRecord
from striate.runs.run_images import unlabelled_samples
from striate.runtime.predictor import preprocessing_of
from striate.system.machine import fits_into_memory, keep_freed_memory
from striate.system.progress import progress_bar
from striate.tasks.spec import Origin, Prediction, PredictOptions
from striate.tasks.task import Task
from striate.training.loop import evaluate_with_baselines

if TYPE_CHECKING:
    from striate.runs.explanation import Explanation

logger = logging.getLogger(__name__)


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
            "baselines": record.baselines,
            "epochs": record.epochs,
            "seconds": record.seconds,
            "images_per_s": record.images_per_s,
        }

    def evaluate(
        self,
        data: Dataset | str | Path,
        *,
        split: Literal["auto", "train", "val", "test"] = "auto",
        ignore: Sequence[str] | None = None,
        threshold: int | None = None,
    ) -> dict[str, Any]:
        """Measure the network on labelled images; returns what `striate evaluate --json` prints.

        Args:
            data: a data set, or where one is. Classes are matched by name with those of the network.
            split: `auto` takes what the data's layout sets aside (`test`, else `val`), or every image where
                it sets nothing aside, and leaves out each one whose content the network was trained on. A
                named split is measured as it is. Either way `seen` counts what the network knew.
            ignore: classes in masks that count as no label; None: those of the training that the data have.
            threshold: makes two classes of grey masks; None: that of the training, where it fits the data.

        Raises:
            DataError: the data cannot be used, hold classes that the network does not know, or nothing
                is left that it was not trained on.
            RunError: the run's list of training images is damaged.
        """
        dataset = data if isinstance(data, Dataset) else self._open(data, ignore, threshold)
        if dataset.task != self.record.task:
            raise DataError(
                dataset.location, f"its task is {dataset.task}, and that of {self.folder} is {self.record.task}"
            )
        dataset = dataset.aligned_to(self.record.vocabulary)
        chosen = dataset.split(dataset.official_split) if dataset.official_split else dataset.samples
        samples = chosen if split == "auto" else dataset.split(split)
        # what training decoded is found in the cache; what is not is decoded on the way
        store = open_store(
            samples,
            self.record.preprocessing.image_spec,
            name=dataset.name,
            location=dataset.location,
            keep="none",
            max_pixels=self.record.config.max_pixels,
        )
        store, seen = self._part_from_training(store, dataset.location, leave_out=split == "auto")
        batches = self._batches(store, self.record.preprocessing)
        with progress_bar("evaluating", len(store)) as advance:
            metrics, baselines = evaluate_with_baselines(self.model, self.task, batches.in_order(), advance)
        if not metrics.targets:
            raise DataError(dataset.location, "nothing here has a label, so there is nothing to measure")
        return {
            "task": self.record.task,
            "samples": len(store),
            "size_px": [self.record.preprocessing.height_px, self.record.preprocessing.width_px],
            "metrics": metrics.compute(),
            "baselines": {name: found.compute() for name, found in baselines.items()},
            f"per_{self.task.spec.row}": metrics.rows(),
            "seen": seen,
        }

    def _open(self, data: str | Path, ignore: Sequence[str] | None, threshold: int | None) -> Dataset:
        """List data to measure on; what was ignored in the training, and is not there, is passed over."""
        reading = self.record.config.reading() | {"task": self.record.task}
        given = reading | {"ignore": tuple(ignore or ()), "threshold": threshold}
        if ignore is None and threshold is None and reading != given:
            with contextlib.suppress(ConfigError, DataError):
                return open_data(data, **reading)
        return open_data(data, **given)

    def predict(
        self, images: str | Path | Iterable[str | Path], *, top: int | None = None, tile: bool = False
    ) -> list[dict[str, Any]]:
        """Predict image files; returns what `striate predict --json` prints: for each, `image` and its prediction.

        Args:
            images: image files, or folders whose images are taken at any depth, in natural order.
            top: how many classes a prediction of an image's class lists at most: 5, unless said.
            tile: look at pictures window by window, at the scale of the training images, and not as a whole.

        Raises:
            DataError: a file is missing, no image, or damaged; a folder holds no image.
            ConfigError: `top` is below 1, or an option is not for this task.
        """
        return [
            {"image": str(path), **prediction.document()}
            for path, prediction in self.predictions(image_paths(images), top=top, tile=tile)
        ]

    def predictions(
        self, paths: Sequence[Path], *, top: int | None = None, tile: bool = False
    ) -> Iterator[tuple[Path, Prediction]]:
        """Yield the predictions of image files, one by one; see `predict`."""
        options = PredictOptions(top=top, tile=tile, window_px=tile_px(self.task, self.record.config) if tile else None)
        self.task.spec.check_options(options)
        at_once = 1 if self.task.spec.keeps_aspect else max(1, len(paths))  # those that are brought to one size
        with progress_bar("predicting", len(paths)) as advance:
            for begin in range(0, len(paths), at_once):
                yield from self._predict(ImageFiles(paths[begin : begin + at_once]), options, advance)

    def _predict(
        self, files: ImageFiles, options: PredictOptions, advance: Callable[[float], None]
    ) -> Iterator[tuple[Path, Prediction]]:
        """Predict pictures that are brought to one size."""
        max_pixels = self.record.config.max_pixels

        @functools.cache
        def size_px(place: int) -> tuple[int, int]:
            return upright_size(files.header(place, max_pixels=max_pixels))

        preprocessing = preprocessing_of(self.task.spec, self.record.preprocessing, size_px(0), options)
        height, width = preprocessing.height_px, preprocessing.width_px
        wanted_bytes = height * width * preprocessing.channels * (1 + 2 * 4)  # as uint8, and twice as float32
        if not fits_into_memory(wanted_bytes):
            raise ConfigError(
                str(files.paths[0]),
                f"{width}x{height} pixels, as it is looked at, are more than this machine's memory",
                "leave --tile out, or cut the image up",
            )

        store = undecoded_store(unlabelled_samples(files.paths), preprocessing.image_spec, max_pixels=max_pixels)
        place = 0
        for batch in self._batches(store, preprocessing).in_order():
            indices = range(place, place + len(batch.images))
            origins = (Origin.of(size_px(index), preprocessing.image_spec) for index in indices)  # read where wanted
            with torch.inference_mode():
                outputs = self.task.training.forward(self.model, batch.images, options, advance)
                found = self.task.spec.decode(outputs, origins, options)
            yield from zip(files.paths[place : place + len(found)], found, strict=True)
            place += len(found)

    def explain(
        self, image: str | Path, *, of: str | None = None, layer: str | None = None, data: str | None = None
    ) -> Explanation:
        """Explain an image file: return arrays, which a notebook shows as images.

        Args:
            image: path of the image file.
            of: class or joint that is explained; None: what the network says most.
            layer: name of the layer whose maps are taken; None: the last one that has maps.
            data: location of the run's data, if they have moved; None: where they were. Without them nothing is
                compared with training images.

        Raises:
            DataError: the file cannot be read.
            ModelError: there is no such layer.
            ConfigError: the layer gives no maps, or there is no such class or joint.
        """
        from striate.runs.explanation import Explainer, open_run_images

        run_images = open_run_images(self.folder, self.record, self.model, data)
        explainer = Explainer(self.record, self.task, self.model, run_images, layer=layer, of=of)
        return explainer.explain(*explainer.subjects([Path(image)]))

    def embed(self, images: str | Path | Iterable[str | Path]) -> Float[np.ndarray, "images features"]:
        """Return image files as vectors: what the network's last layer reads, of maps the mean over all places.

        Where a decoder comes last that is the mean of the encoder's coarsest maps.

        Raises:
            DataError: a file cannot be read.
        """
        from striate.interpret.activations import representation_layers
        from striate.interpret.embedding import embed

        layers = representation_layers(self.model)
        if not layers:
            raise RunError(str(self.folder), "the network is one layer, so there is nothing between images and answers")
        paths = image_paths(images)
        with progress_bar("embedding", len(paths)) as advance:
            store = undecoded_store(
                unlabelled_samples(paths),
                self.record.preprocessing.image_spec,
                max_pixels=self.record.config.max_pixels,
            )
            batches = self._batches(store, self.record.preprocessing).in_order()
            return embed(self.model, layers[-1:], (batch.images for batch in batches), advance)[layers[-1]]

    def overlay(self, path: Path, prediction: Prediction) -> Image.Image:
        """Draw a prediction upon the picture that it is of; raises DataError where that cannot be read."""
        max_pixels = self.record.config.max_pixels
        with file_errors(path):
            content = path.read_bytes()
            height, width = upright_size(open_image(content, max_pixels=max_pixels))
            form = ImageSpec(height_px=height, width_px=width, channels=3)
            pixels = decode(content, form, max_pixels=max_pixels).pixels
        return prediction.overlay(pixels)

    def _batches(self, store: Store, preprocessing: Preprocessing) -> Batches:
        """Put decoded images into batches on the network's device; not into larger ones than it was trained with."""
        device = next(self.model.parameters()).device
        batch_size = min(self.task.spec.batch_size, self.record.config.images_a_step(self.task.spec.batch_size))
        return Batches(store=store, preprocessing=preprocessing, batch_size=batch_size, device=device)

    def _part_from_training(self, store: Store, location: str, *, leave_out: bool) -> tuple[Store, dict[str, int]]:
        """Say, count and, if wanted, leave out what the network has seen of some images while it was trained."""
        used = {"train": {}, "val": {}} if self.record.is_published else read_split(self.folder)
        fresh = store.without(set(used["train"].values()))
        trained_on = len(store) - len(fresh)
        if leave_out:
            if not len(fresh):
                raise DataError(
                    location,
                    "the network was trained on every image here",
                    "give others, or measure the training images with --split train",
                )
            if trained_on:
                logger.info(f"left out: {trained_on:,} of {len(store):,} images, which the network was trained on")
            store = fresh
        elif trained_on:
            logger.info(f"the network was trained on {_share(trained_on, store)}: this is no measure of how good it is")
        chosen_by = used["val"] if self.record.candidates > 1 else {}
        chose_epoch = len(store) - len(store.without(set(chosen_by.values())))
        if chose_epoch:
            logger.info(f"{_share(chose_epoch, store)} also chose the network's best epoch, which flatters a little")
        return store, {
            "left_out": trained_on if leave_out else 0,
            "trained_on": 0 if leave_out else trained_on,
            "chose_epoch": chose_epoch,
        }


def load(folder: str | Path) -> Run:
    """Load a run from its folder, or a published network by its name, onto the GPU where there is one.

    A network of `MODELS` by name has the weights that were trained on ImageNet, which are fetched where need be.

    Raises:
        RunError: the folder holds no run, or a damaged one.
        ModelError: the network that it names cannot be built here, or has no published weights.
        WeightsError: published weights are damaged, or cannot be had.
    """
    keep_freed_memory()
    if str(folder) in MODELS and not Path(folder).exists():
        return _load_published(str(folder))
    folder = Path(folder)
    if folder.name == RECORD:
        folder = folder.parent
    record = RunRecord.read(folder)
    if record.best_epoch is None:
        raise RunError(
            str(folder),
            "its training has not come to the end of an epoch",
            f"resume it: striate train … --resume --out {folder}",
        )
    if record.status != "complete":
        logger.info(
            f"{folder}: its training did not end ({record.status}, {record.epochs} of {record.planned_epochs} epochs)"
        )
    task = record.create_task()
    model = task.training.build(record.plan(), record.model, 0)
    path = folder / WEIGHTS
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except FileNotFoundError:
        raise RunError(str(folder), f"the weights, {WEIGHTS}, are missing", "train again") from None
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(str(path), f"damaged, or of another network ({reason})", "train again") from None
    task = task.with_statistics(record.statistics(folder))
    return Run(folder, record, model.to(default_device()).eval(), task)


def _load_published(model: str) -> Run:
    """Load a network with published weights, as if it were a run."""
    record = published_record(model)
    task = record.create_task()
    network = task.training.build(record.plan(), model, 0)
    network.load_state_dict(weights.load_published(model, MODELS[model]))
    return Run(Path(model), record, network.to(default_device()).eval(), task)


def default_device() -> torch.device:
    """Return the GPU where CUDA has one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _share(count: int, store: Store) -> str:
    return f"all {count:,} images" if count == len(store) else f"{count:,} of the {len(store):,} images"
