"""From labelled images and options to a run."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import safetensors.torch
from torch import nn

from striate import atomic, models
from striate.data import Dataset, open_data
from striate.data.batches import Batches
from striate.data.dataset import SplitName
from striate.data.preprocessing import Preprocessing, channel_statistics, natural_form
from striate.data.store import Store
from striate.errors import Interrupted
from striate.progress import progress_bar, say
from striate.runs.record import RunRecord, environment
from striate.runs.run import SPLIT, WEIGHTS, Run, decode_split, default_device, load
from striate.tasks import create_task
from striate.tasks.base import Task
from striate.training.config import TrainConfig
from striate.training.display import training_display
from striate.training.loop import EpochResult, evaluate, fit, start


def train(data: Dataset | str | Path, config: TrainConfig | None = None) -> Run:
    """Train a network on labelled images and keep it as a run; progress goes to stderr.

    Raises:
        InputError: data, model or options cannot be used; nothing has been written.
        TrainingError: the loss is not finite any more; the best weights so far are kept.
        Interrupted: a KeyboardInterrupt came; the best weights so far are kept.
    """
    began = time.perf_counter()
    config = config or TrainConfig()
    if config.model != "auto":
        models.find(config.model)
    dataset = data if isinstance(data, Dataset) else open_data(data)
    dataset.check_trainable()
    task = create_task(dataset.task, dataset.classes)
    name, size_px, channels = choose_form(dataset, config)
    model = models.create(name, classes=task.outputs, channels=channels, size_px=size_px, seed=config.seed)
    device = default_device()
    with _new_run_folder(config, dataset, name) as folder:
        stores = {split: decode_split(part, size_px=size_px, channels=channels) for split, part in dataset.splits.items()}
        mean, std = channel_statistics(stores["train"].images)
        record = RunRecord(
            task=dataset.task,
            model=name,
            classes=dataset.classes,
            preprocessing=Preprocessing(size_px=size_px, channels=channels, mean=mean, std=std),
            config=config,
            data={"location": dataset.location} | {split: len(store) for split, store in stores.items()},
            environment=environment(device),
        )
        _announce(record, model)
        writer = RunWriter(folder, record, task, _split_json(dataset, stores), began)
        _train_and_keep(model.to(device), task, config, stores, writer)
    return load(folder)


def choose_form(dataset: Dataset, config: TrainConfig) -> tuple[str, int, int]:
    """Settle architecture, size in pixels and channels by what the images are like; raises ModelError."""
    natural_px, channels = natural_form(dataset.splits["train"])
    name = config.model
    if name == "auto":
        side_px = config.size or natural_px
        name = "resnet18" if side_px > 64 else "lenet5" if channels == 1 and 16 <= side_px <= 32 else "resnet20"
    architecture = models.find(name)
    size_px = config.size or max(architecture.min_size_px, min(architecture.size_px, natural_px))
    models.check_size(name, size_px)
    return name, size_px, channels


class RunWriter:
    """Keeps a run's folder fit for use while training goes on: after every epoch it holds the best weights.

    Args:
        folder: an empty one.
        record: what is known of the run before its first epoch.
        task: ranks the epochs.
        split_json: the content of `split.json`.
        began: when training began, on the clock of `time.perf_counter`.
    """

    def __init__(self, folder: Path, record: RunRecord, task: Task, split_json: str, began: float) -> None:
        self.folder = folder
        self.record = record
        self.task = task
        self.split_json = split_json
        self.began = began
        self.lines: list[str] = []
        self.images = 0
        self.train_seconds = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether there are no weights yet."""
        return self.record.metrics is None

    def keep(self, result: EpochResult, model: nn.Module, *, ended: bool = True) -> None:
        """Write down an epoch, and its weights if they are the best; raises OutputError.

        `ended` is false for an epoch that was cut short: its weights count, the epoch does not.
        """
        self.images += result.images
        self.train_seconds += result.train_seconds
        self.lines.append(json.dumps(asdict(result) | {"images_per_s": result.images_per_s}))
        best = self.record.metrics
        if best is None or self.task.score(result.metrics) > self.task.score(best):
            self.record = replace(self.record, metrics=result.metrics, best_epoch=result.epoch if ended else 0)
            if best is None:
                atomic.write(self.folder / SPLIT, self.split_json)
            weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
            atomic.write(self.folder / WEIGHTS, safetensors.torch.save(weights))
        atomic.write(self.folder / "metrics.jsonl", "".join(f"{line}\n" for line in self.lines))
        self.write_record(epochs=result.epoch if ended else 0)

    def write_record(self, **changes: object) -> None:
        """Write `run.json` with some fields changed, and the time that has gone by."""
        self.record = replace(
            self.record,
            seconds=time.perf_counter() - self.began,
            images_per_s=self.images / self.train_seconds,
            **changes,  # type: ignore[arg-type]  # the fields' own types are checked where they are named
        )
        self.record.write(self.folder)


def _train_and_keep(
    model: nn.Module, task: Task, config: TrainConfig, stores: Mapping[SplitName, Store], writer: RunWriter
) -> None:
    """Train a model, keep the best of it, and measure that on the test images where there are any."""
    device = next(model.parameters()).device
    batches = {
        split: Batches(
            store=store, preprocessing=writer.record.preprocessing, batch_size=config.batch_size, device=device
        )
        for split, store in stores.items()
    }
    state = start(model, config)
    steps_per_epoch = len(batches["train"])
    try:
        with training_display(config.epochs, steps_per_epoch, task.brief) as display:
            for result in fit(
                state,
                task,
                config,
                steps_per_epoch=steps_per_epoch,
                train_batches=lambda epoch: batches["train"].shuffled(config.seed, epoch),
                val_batches=batches["val"].in_order,
                on_step=display.step,
            ):
                writer.keep(result, model)
                display.end_epoch(result)
        if "test" in stores:
            model.load_state_dict(safetensors.torch.load_file(writer.folder / WEIGHTS))
            with progress_bar("testing", len(stores["test"])) as advance:
                figures = evaluate(model, task, batches["test"].in_order(), advance).compute()
            writer.write_record(metrics=figures, metrics_split="test")
        writer.write_record(status="complete")
    except KeyboardInterrupt:
        raise Interrupted("x") from None
