"""What a training starts from: data that are decoded, and an architecture that fits them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import nn

from striate import models
from striate.batching.batches import Batches, targets_of
from striate.datasets import Dataset, open_data
from striate.datasets.checks.report import check_labels, contradictory
from striate.datasets.splits import SplitName
from striate.datasets.statistics import channel_statistics, typical_shape
from striate.datasets.store import Store, open_store
from striate.errors import ConfigError, DataError, ModelError, listing
from striate.images.preprocessing import Preprocessing
from striate.images.resize import ImageSpec
from striate.layers import set_stochastic_depth
from striate.models.plan import Plan
from striate.models.pretrained.transfer import Transferred, transfer
from striate.runs.record import RunRecord
from striate.sessions.initial_weights import Start, find_start, freeze
from striate.sessions.resume import ResumableRun
from striate.system import strict_json
from striate.system.machine import fits_into_memory
from striate.tasks import TASKS, create_task
from striate.tasks.spec import TargetStatistics
from striate.tasks.task import Task
from striate.training.config import TrainConfig

logger = logging.getLogger(__name__)

_MOST_PX = 512  # shorter side, where the images' own shape is kept
_TAKEN_OVER = ("model", "stem", "size", "fit", "pretrained", "optimiser", "freeze", "lr")  # by what is gone on with


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Data, task and architecture, settled but for the pixels.

    Attributes:
        dataset: the samples, undecoded.
        task: with its classes, and the options of its loss.
        model: a key of `MODELS`, or a line.
        plan: of that, for the form of the images.
        form: of the images.
        scale: how large these are, as a share of the data's pictures.
        batch_size: images a step, of all processes together.
        start: weights to begin with; None where they are drawn, or come from a checkpoint.
        config: the options, with what was left to us as it was settled.
        begun: the training that is gone on with, where there is one.
    """

    dataset: Dataset
    task: Task
    model: str
    plan: Plan
    form: ImageSpec
    scale: float
    batch_size: int
    start: Start | None
    config: TrainConfig
    begun: ResumableRun | None

    def preprocessing(self, store: Store) -> Preprocessing:
        """Return what becomes of pixels: with the means of the training images, or those of first weights."""
        if self.start and self.start.record:
            known, channels = self.start.record.preprocessing, self.form.channels
            mean, std = _of_channels(known.mean, channels), _of_channels(known.std, channels)
        else:
            mean, std = channel_statistics(store)
        return Preprocessing(**asdict(self.form), mean=mean, std=std, scale=self.scale)

    def with_statistics(self, statistics: TargetStatistics) -> Prepared:
        """Return the same, with statistics of the training targets."""
        return replace(self, task=self.task.with_statistics(statistics))

    def fit_target_statistics(self, store: Store, preprocessing: Preprocessing) -> TargetStatistics:
        """Compute what the task has to know of the training samples; raises DataError where they teach nothing."""
        cpu = torch.device("cpu")

        def images(chosen: Int64[np.ndarray, " chosen"]) -> Iterator[torch.Tensor]:
            some = Batches(store=store.take(chosen), preprocessing=preprocessing, batch_size=64, device=cpu)
            return (batch.images for batch in some.in_order())

        try:
            return self.task.training.fit_target_statistics(targets_of(store, self.form), images)
        except DataError as error:
            raise error.at(self.dataset.location) from None


def open_for(data: Dataset | str | Path, config: TrainConfig) -> Dataset:
    """Open what is not open yet; raises InputError where that cannot be, or the model is none."""
    if config.model != "auto":
        models.find_architecture(config.model)
    return data if isinstance(data, Dataset) else open_data(data, **config.reading())


def prepare(data: Dataset | str | Path, config: TrainConfig, begun: ResumableRun | None = None) -> Prepared:
    """Settle what is trained on what; raises InputError where that cannot be.

    A training that is gone on with has network, first weights and what depends on them as they were settled then,
    whatever is installed now, where nothing else is asked for.
    """
    dataset = open_for(data, config)
    if dataset.task not in TASKS:
        raise DataError(dataset.location, f"its task is {dataset.task}, which striate cannot train for yet")
    dataset.check_trainable()
    _refuse_nonsense(dataset)
    natural = typical_shape(dataset.split("train"), config.max_pixels)
    task = create_task(dataset.task, dataset.vocabulary, options=config.of_task(dataset.task))
    if config.fit != "auto" and config.fit not in task.spec.fits:
        raise ConfigError("fit", f"must be {' or '.join(task.spec.fits)} for {dataset.task}, not {config.fit}")
    batch_size = config.images_a_step(task.spec.batch_size)
    if begun:
        config = _as_begun(config, begun.record.config)
    needs_none = begun is not None and begun.has_weights and not config.probe
    name = begun.record.model if begun else config.model
    start = None if needs_none else find_start(replace(config, model=name), min(natural[:2]))
    config = _recipe(config, task, start, settled=begun is not None)
    record = begun.record if begun else start.record if start else None
    name, form, scale = choose_form(natural, task, config, record)
    shape = (form.channels, *(window_px(task, config, form) or (form.height_px, form.width_px)))
    line = record.line if record and name == record.model and config.stem == "auto" else ""
    plan = task.training.plan_network(name, shape, stem=config.stem, line=line)
    _check_memory(plan, name, batch_size // config.accumulate)
    _check_progressive(plan, name, config)
    return Prepared(
        dataset=dataset,
        task=task,
        model=name,
        plan=plan,
        form=form,
        scale=scale,
        batch_size=batch_size,
        start=start,
        config=config,
        begun=begun,
    )


def _as_begun(config: TrainConfig, before: TrainConfig) -> TrainConfig:
    """Take options that are left out from a training that was begun, where they come from weights or their network."""
    left_out = [name for name in _TAKEN_OVER if getattr(config, name) == getattr(TrainConfig(), name)]
    return replace(config, **{name: getattr(before, name) for name in left_out})


def _recipe(config: TrainConfig, task: Task, start: Start | None, *, settled: bool) -> TrainConfig:
    """Settle first weights, and how they follow gradients, where left to us: docs/pretraining.md has the figures."""
    published = task.spec.fine_tuning if start is not None and start.is_published else None
    if config.pretrained == "auto" and not settled:
        config = replace(config, pretrained="imagenet" if start else "none")
    if config.optimiser == "auto":
        config = replace(config, optimiser=published.optimiser if published else task.spec.optimiser)
    if config.freeze == "auto":
        config = replace(config, freeze=published.freeze if published else "none")
    if config.lr == "default" and published and published.share < 1:
        config = replace(config, lr=published.share * config.full_peak)
    return config


def _of_channels(known: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Turn what is known of some channels into a number for each of others."""
    return known if len(known) == channels else (sum(known) / len(known),) * channels


def choose_form(
    natural: tuple[int, int, int], task: Task, config: TrainConfig, record: RunRecord | None = None
) -> tuple[str, ImageSpec, float]:
    """Settle architecture, the form of its input, and how large that is beside the pictures, by what these are like.

    Of a run that is gone on with, or whose weights are to begin with, come architecture, where none is asked for, the
    size of images that is not exceeded, and the filter by which pictures come to it.
    """
    height_px, width_px, channels = natural
    natural_px = min(height_px, width_px)
    name = config.model
    if name == "auto" and record:
        name = record.model
    if name == "auto":
        name = models.suggest_model(natural_px if config.size == "auto" else config.size, channels)
    if config.size != "auto":
        size_px = config.size
    elif task.spec.keeps_aspect:
        size_px = min(natural_px, _MOST_PX)
    else:
        made_for = record.preprocessing.image_spec if record else None
        most_px = min(made_for.height_px, made_for.width_px) if made_for else models.find_architecture(name).size_px
        size_px = min(most_px, natural_px)
        if name in models.MODELS:  # images that are a little too small for it are enlarged
            size_px = max(size_px, models.smallest_px(name, channels, config.stem))
    fit = task.spec.fits[0] if config.fit == "auto" else config.fit
    scale = size_px / natural_px
    sides = (round(height_px * scale), round(width_px * scale)) if task.spec.keeps_aspect else (size_px, size_px)
    interpolation = record.preprocessing.interpolation if record else "bilinear"
    form = ImageSpec(height_px=sides[0], width_px=sides[1], channels=channels, fit=fit, interpolation=interpolation)
    return name, form, scale


def window_px(task: Task, config: TrainConfig, form: ImageSpec) -> tuple[int, int] | None:
    """Return the height and width of what training cuts out of an image; None where the task takes whole images."""
    if task.spec.crop_px is None:
        return None
    if config.crop == "none":
        return form.height_px, form.width_px
    side = task.spec.crop_px if config.crop == "auto" else config.crop
    return min(side, form.height_px), min(side, form.width_px)


def _refuse_nonsense(dataset: Dataset) -> None:
    """Raise DataError for labels that would teach nonsense, as far as that is seen without opening a picture."""
    problems = [problem for problem in check_labels(dataset) if problem.severity == "problem"]
    if problems:
        first, more = problems[0], len(problems) - 1
        notes = [f"and {more:,} more: see striate check"] if more else []
        raise DataError(first.where, first.what, first.fix, notes)


def _check_memory(plan: Plan, name: str, images: int) -> None:
    """Raise ModelError where weights, gradients, momentum and half of a part's activations exceed the memory.

    Half, as training keeps between 55 and 75 per cent of the outputs of all layers. A decoder's come on top.
    """
    wanted_bytes = 12 * plan.cost.parameters + plan.cost.activation_bytes * images // 2
    if not fits_into_memory(wanted_bytes):
        raise ModelError(
            "",
            f"{name} on {plan.input[1]}x{plan.input[2]} images takes {wanted_bytes / 1e9:,.1f} GB or more to train, "
            "more than this machine's memory",
            "choose a smaller --size, --crop, --batch-size or --model, or --accumulate",
        )


def _check_progressive(plan: Plan, name: str, config: TrainConfig) -> None:
    """Raise ConfigError where images that begin smaller do not fit the network."""
    if not config.progressive:
        return
    channels, height, width = plan.input
    half = (channels, max(1, round(height / 2)), max(1, round(width / 2)))
    try:
        plan.check(half)
    except ModelError:
        raise ConfigError(
            "progressive",
            f"{name} takes images of one size alone, or {half[1]}x{half[2]} is too small for it",
            "leave it out",
        ) from None


def decode_splits(prepared: Prepared, config: TrainConfig) -> dict[SplitName, Store]:
    """Decode all splits; leave out what is there under two labels, and copies of training images outside of train."""
    dataset = prepared.dataset
    whole = open_store(
        dataset.samples,
        prepared.form,
        name=dataset.name,
        location=dataset.location,
        keep=config.cache,
        max_pixels=config.max_pixels,
    )
    stores = {split: whole.take(indices) for split, indices in dataset.splits.items()}
    stores = {split: _labelled_alone(store, dataset.location, split) for split, store in stores.items()}
    if twofold := contradictory(whole.digests, whole.labels):
        logger.info(
            f"left out: {listing(whole.names[place] for place in twofold)}, the same images under different labels"
        )
        contents = {whole.digests[place] for place in twofold}
        stores = {split: store.without(contents) for split, store in stores.items()}
        emptied = [split for split, store in stores.items() if len(store) < (2 if split == "train" else 1)]
        if emptied:
            raise DataError(dataset.location, f"that leaves too few images for {emptied[0]}", "correct the labels")
    trained_on = set(stores["train"].digests)
    for split in dataset.splits:
        if split != "train":
            fresh = stores[split].without(trained_on)
            copies = len(stores[split]) - len(fresh)
            if not len(fresh):
                raise DataError(dataset.location, f"every image of {split} is a copy of one in train", "give others")
            if copies:
                logger.info(f"left out: {copies:,} of {len(stores[split]):,} {split} images, copies of training images")
            stores[split] = fresh
    return stores


def _labelled_alone(store: Store, location: str, split: SplitName) -> Store:
    """Leave out, and name, pictures whose masks have no label at all; raises DataError where there are no others."""
    labelled = store.labelled()
    if labelled.all():
        return store
    if not labelled.any():
        raise DataError(location, f"no mask of {split} has any label", "label some of its pixels")
    logger.info(
        f"left out of {split}: {listing(store.names[place] for place in np.flatnonzero(~labelled))}, without any label"
    )
    return store.take(np.flatnonzero(labelled))


def build_network(prepared: Prepared, config: TrainConfig, device: torch.device) -> nn.Module:
    """Build the network with its first weights."""
    network = prepared.task.training.build(prepared.plan, prepared.model, config.seed)
    if prepared.start:
        found = _begin_with(prepared.start, network, prepared.model)
        layers = dict.fromkeys(name.rpartition(".")[0] for name in found.fresh)
        logger.info(f"begins with weights of {prepared.start.where}; drawn anew: {listing(layers)}")
    freeze(network, config.freeze, drawn=prepared.start is None and prepared.begun is None)
    if config.stochastic_depth and not set_stochastic_depth(network, config.stochastic_depth):
        raise ConfigError("stochastic_depth", f"{prepared.model} has no residual block", "leave it out")
    return network.to(device)


def _begin_with(start: Start, network: nn.Module, model: str) -> Transferred:
    """Load first weights; raises ModelError that says whose they are, what they do not fit, and the way out."""
    try:
        return transfer(network, start.weights)
    except ModelError as error:
        way_out = "leave --model out" if start.record else "give the network that they are of as --model"
        raise ModelError(
            f"pretrained, {start.where}, for {model}",
            error.what,
            f"to take them, {way_out}",
            [*error.notes, *filter(None, [error.fix])],
        ) from None


def label_digests(stores: Mapping[SplitName, Store]) -> dict[str, str]:
    """Hash the labels of every split; those of masks come with their pictures, and are in the hashes of these."""
    return {split: hashlib.sha256(store.labels.content()).hexdigest() for split, store in stores.items()}


def split_json(stores: Mapping[SplitName, Store]) -> str:
    """Write down which image is in which split: split -> name -> content hash."""
    names = {split: dict(zip(store.names, store.digests, strict=True)) for split, store in stores.items()}
    return strict_json.dumps(names, indent=0) + "\n"
