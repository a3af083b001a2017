"""From labelled images and options to a run."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from striate.datasets import Dataset
from striate.datasets.splits import SplitName
from striate.datasets.store import Store
from striate.errors import (
    BudgetError,
    DataError,
    Interrupted,
    NotFiniteError,
    OutputError,
    RunError,
    TrainingError,
    WorkerError,
)
from striate.images.preprocessing import Preprocessing
from striate.models.plan import Plan
from striate.runs.record import WEIGHTS, RunRecord, environment
from striate.runs.run import Run, default_device, load
from striate.runs.writer import RunWriter
from striate.sessions.prepare import (
    Prepared,
    build_network,
    decode_splits,
    label_digests,
    open_for,
    prepare,
    split_json,
)
from striate.sessions.probe import Fitted, fit_last_layer
from striate.sessions.resume import find_resumable
from striate.sessions.run_folder import check_unchanged, run_folder
from striate.sessions.tune import Loaders, TrainingPlan, tune
from striate.system.progress import progress_bar
from striate.tasks.figures import brief
from striate.training import checkpoint
from striate.training.budget import Length
from striate.training.config import TrainConfig
from striate.training.distributed import DistributedContext, join
from striate.training.hardware import settings, threads
from striate.training.loop import Stopped, evaluate_with_baselines, fit
from striate.training.precision import Precision
from striate.training.state import TrainState, start_state
from striate.training.training_log import training_log

logger = logging.getLogger(__name__)


def train_run(
    data: Dataset | str | Path, config: TrainConfig | None = None, *, on_finish: Callable[[Run], object] | None = None
) -> Run:
    """Train a network on labelled images and keep it as a run.

    Under torchrun each of its processes calls this, and takes its share of every batch.

    Args:
        data: a data set, or where one is.
        config: the options.
        on_finish: called with the finished run, by the first process and where the budget leaves time for a report.

    Raises:
        InputError: data, model or options cannot be used; nothing has been written.
        TrainingError: it cannot go on, as a loss is not finite, say. What there is can be resumed.
        Interrupted: a KeyboardInterrupt came; likewise.
    """
    began = time.perf_counter()
    config = config or TrainConfig()
    with settings(deterministic=config.deterministic), join() as distributed:
        dataset = open_for(data, config)
        prepared = prepare(dataset, config, find_resumable(dataset, config))
        config = prepared.config
        has_time = True
        with _shared_folder(prepared, config, distributed) as (folder, old):
            if old is None or old.status != "complete":
                has_time = _Training(prepared, config, distributed, folder, began).run(old)
            distributed.agree(None)  # the files are written
        run = load(folder)
        if distributed.first and on_finish is not None:
            if has_time:
                on_finish(run)
            else:
                logger.info(f"the budget leaves no time for a report; to have one: striate report {run.folder}")
        return run


@contextmanager
def _shared_folder(
    prepared: Prepared, config: TrainConfig, distributed: DistributedContext
) -> Iterator[tuple[Path, RunRecord | None]]:
    """Have the first process take the run's folder; the others see it, and what is there to go on with, as well."""
    if distributed.first:
        with run_folder(prepared, config) as (folder, old):
            distributed.agree({"folder": str(folder), "old": old is not None})
            yield folder, old
        return
    agreed = distributed.agree(None)
    folder = Path(agreed["folder"])
    yield folder, RunRecord.read(folder) if agreed["old"] else None


class _Training:
    """One call of `train`, behind the door of its folder."""

    def __init__(
        self, prepared: Prepared, config: TrainConfig, distributed: DistributedContext, folder: Path, began: float
    ) -> None:
        self.prepared, self.config, self.distributed, self.folder, self.began = (
            prepared,
            config,
            distributed,
            folder,
            began,
        )

    def run(self, old: RunRecord | None) -> bool:
        """Decode, build, and train, from the beginning or from where `old` was left; is there time for a report?"""
        prepared, config, distributed, device = self.prepared, self.config, self.distributed, default_device()
        model = build_network(prepared, config, device)  # first: weights that do not fit are refused at once
        stores = decode_splits(prepared, config)
        splits = split_json(stores)
        saved = None
        if old is not None:
            check_unchanged(self.folder, old, prepared, config, splits, label_digests(stores))
            saved = self._newest_checkpoint(old)
            _say_what_is_new(self.folder, old)
            self.prepared = prepared = prepared.with_statistics(old.statistics(self.folder))
        else:
            preprocessing = prepared.preprocessing(stores["train"])
            statistics = prepared.fit_target_statistics(stores["train"], preprocessing)
            self.prepared = prepared = prepared.with_statistics(statistics)
        record = (
            self._record(stores, preprocessing, device)
            if old is None
            else replace(old, config=config, environment=environment(device), status="training")
        )
        if saved is None:  # it begins again, whatever was written
            record = replace(record, metrics={}, best_epoch=None, epochs=0)
        _announce(record, model, prepared.plan, distributed)
        feeds = Loaders.of(prepared, config, distributed, stores, record.preprocessing, device)
        fitted = None
        if saved is None or config.probe:
            fitted = fit_last_layer(model, prepared.task, feeds, start=prepared.start)
        settled = self._settle(model, feeds, record, fitted)
        if settled is None:
            if fitted:
                self._keep_probe(model, record, feeds, splits, fitted)
            return config.probe
        fitted_first = fitted is not None or bool(record.choices.get("fitted"))
        record = replace(record, choices=settled.choices() | {"fitted": fitted_first})
        writer = RunWriter(
            self.folder, record, prepared.task, settled.length, began=self.began, first=distributed.first
        )
        state = start_state(settled.context.precision.to_memory_format(model), config)
        with threads(settled.context.precision.threads):
            if saved is not None:
                self._take_up(saved, state, settled, writer)
            elif old is not None:
                logger.info(f"{self.folder}: there is no checkpoint yet; begins again")
            writer.open(splits) if old is None else writer.write_record()
            self._follow(state, settled, feeds, writer, fitted)
        return settled.budget is None or settled.budget.has_time_to_report

    def _settle(
        self, model: nn.Module, feeds: Loaders, record: RunRecord, fitted: Fitted | None
    ) -> TrainingPlan | None:
        """Measure what is left to be; None where a fitted last layer is all that is wanted, or that time allows."""
        if self.config.probe:
            return None
        try:
            known = record.choices if "tried" in record.choices else {}  # none, where a fitted last layer was kept
            return tune(model, self.prepared, feeds, began=self.began, known=known)
        except BudgetError as error:
            if fitted is None:
                raise
            logger.info(f"no training: {error} The network with its fitted last layer is kept.")
            return None

    def _take_up(
        self, saved: checkpoint.Checkpoint, state: TrainState, settled: TrainingPlan, writer: RunWriter
    ) -> None:
        """Go back to where a checkpoint was, and say where that is."""
        state.restore(saved.tensors, saved.facts["progress"])
        settled.length.lay_out_anew(saved.facts["steps"])
        writer.recall(saved.facts)
        if settled.budget is not None:
            settled.budget.began = writer.began  # what has gone by counts
        progress = state.progress
        logger.info(
            f"{self.folder}: goes on after step {progress.steps:,} of {settled.length.steps:,}, "
            f"in epoch {progress.epochs + 1}"
        )

    def _keep_probe(self, model: nn.Module, record: RunRecord, feeds: Loaders, splits: str, fitted: Fitted) -> None:
        """Make a run of a network whose last layer was fitted, without a step of training."""
        precision = Precision(channels_last=False)
        record = replace(record, choices={"precision": asdict(precision), "steps_per_epoch": 1, "fitted": True})
        length = Length(TrainConfig(), 1, 1)  # whatever the schedule, of no step
        writer = RunWriter(
            self.folder, record, self.prepared.task, length, began=self.began, first=self.distributed.first
        )
        writer.open(splits)
        writer.keep(fitted.result, start_state(precision.to_memory_format(model), self.config))
        if feeds.last == "val" and self.distributed.size == 1:
            self._finish(writer, "val", fitted.result.metrics, fitted.baselines)
        else:
            self._measure(model, feeds, writer)

    def _newest_checkpoint(self, old: RunRecord) -> checkpoint.Checkpoint | None:
        """Read the checkpoint to go on from; raises RunError where the processes do not see the same one."""
        saved = checkpoint.newest(self.folder)
        if saved is None and old.epochs:
            raise RunError(str(self.folder), "its checkpoints are gone", "start again with another --out")
        step = saved.facts["progress"]["steps"] if saved else 0
        if self.distributed.any(self.distributed.agree(step) != step):
            raise RunError(
                str(self.folder), "not all processes see the same checkpoint", "put --out where all can read"
            )
        return saved

    def _record(
        self, stores: Mapping[SplitName, Store], preprocessing: Preprocessing, device: torch.device
    ) -> RunRecord:
        """Write down what a new run is about."""
        prepared, config = self.prepared, self.config
        return RunRecord(
            task=prepared.dataset.task,
            model=prepared.model,
            line=prepared.plan.line,
            classes=prepared.dataset.classes,
            colours=prepared.dataset.colours,
            skeleton=prepared.dataset.skeleton,
            target_statistics=dict(prepared.task.statistics.values),
            preprocessing=preprocessing,
            augment=config.policy,
            config=config,
            data={"location": prepared.dataset.location} | {split: len(store) for split, store in stores.items()},
            environment=environment(device),
            labels=label_digests(stores),
        )

    def _follow(
        self, state: TrainState, settled: TrainingPlan, feeds: Loaders, writer: RunWriter, fitted: Fitted | None
    ) -> None:
        """Train, keep the best of it, and measure that; whatever happens, leave a run that can be gone on with."""
        go_on = f"to go on: the same command with --resume --out {self.folder}"
        try:
            if fitted:
                writer.keep(fitted.result, state)
                writer.try_to_save(state)
            self._epochs(state, settled, feeds, writer)
            self._measure(state.best, feeds, writer)
        except KeyboardInterrupt as interrupt:
            if isinstance(interrupt, Stopped):  # else it came in the middle of a step: the checkpoint before counts
                writer.try_to_save(state)
            raise Interrupted(f"{writer.stop('interrupted')}; {go_on}") from None
        except OutputError as error:
            raise TrainingError(f"{error.where}: {error.what}; {go_on}, when that is mended.") from None
        except NotFiniteError as error:
            writer.try_to_save(state)
            raise NotFiniteError(f"{error} ({writer.stop('failed')})") from None
        except DataError as error:  # images may be decoded on the way
            writer.try_to_save(state)
            raise type(error)(
                error.where, error.what, error.fix, [*error.notes, writer.stop("failed"), go_on]
            ) from None
        except (TrainingError, WorkerError) as error:
            writer.try_to_save(state)
            raise type(error)(f"{error} ({writer.stop('failed')}; {go_on})") from None

    def _epochs(self, state: TrainState, settled: TrainingPlan, feeds: Loaders, writer: RunWriter) -> None:
        """Train to the end, with a checkpoint now and then."""
        length, steps_per_epoch = settled.length, settled.length.steps_per_epoch
        with training_log(length, state.progress, partial(brief, self.prepared.task.spec.figures)) as log:

            def on_step(images: int, loss: float) -> None:
                log.step(images, loss)
                settled.keep_to_budget(state.progress.steps)
                if time.perf_counter() - writer.saved_at > 60 * self.config.checkpoint_minutes:
                    writer.try_to_save(state)

            for result in fit(
                state,
                settled.context,
                steps=lambda: length.steps,
                steps_per_epoch=steps_per_epoch,
                train_batches=lambda epoch, passed: feeds.train(epoch, passed, settled.scale(epoch)),
                val_batches=feeds.val,
                on_step=on_step,
            ):
                writer.keep(result, state)
                writer.try_to_save(state)
                log.end_epoch(result)

    def _measure(self, model: nn.Module, feeds: Loaders, writer: RunWriter) -> None:
        """Measure the best weights as they will be used, in float32: on the test images, where there are any."""
        if self.distributed.first:
            model = Precision(channels_last=False).to_memory_format(copy.deepcopy(model))  # as it is loaded
            model.load_state_dict(safetensors.torch.load_file(self.folder / WEIGHTS))
            split, batches = feeds.last, feeds.batches[feeds.last]
            with progress_bar("measuring", len(batches.store)) as advance:
                metrics, baselines = evaluate_with_baselines(model, self.prepared.task, batches.in_order(), advance)
            if not metrics.targets:
                raise DataError("", f"no image of {split} shows anything that counts, so there is nothing to measure")
            self._finish(writer, split, metrics.compute(), {name: found.compute() for name, found in baselines.items()})

    def _finish(
        self, writer: RunWriter, split: SplitName, metrics: dict[str, Any], baselines: dict[str, dict[str, Any]]
    ) -> None:
        """Write down the last figures; there is nothing to go on with any more."""
        writer.write_record(metrics=metrics, baselines=baselines, metrics_split=split, status="complete")
        checkpoint.remove(self.folder)


def _say_what_is_new(folder: Path, old: RunRecord) -> None:
    """Say what may change numbers in their last bits where a training goes on."""
    now = environment(default_device())
    changed = [
        f"{name} (was {old.environment.get(name)}, is {now[name]})"
        for name in ("striate", "torch", "device", "platform", "threads")
        if old.environment.get(name) != now[name]
    ]
    if changed:
        logger.info(
            f"{folder}: not the same machine or versions, so not the same to the last bit: {', '.join(changed)}"
        )


def _announce(record: RunRecord, model: nn.Module, plan: Plan, distributed: DistributedContext) -> None:
    """Say what is about to be trained on what."""
    form = record.preprocessing
    counts = " + ".join(f"{count:,} {split}" for split, count in record.data.items() if split != "location")
    size = f"{form.width_px}x{form.height_px} {'grey' if form.channels == 1 else 'RGB'}"
    about = ", ".join(part for part in (f"{counts} images", record.vocabulary.size, size) if part)
    logger.info(f"{record.data['location']}: {about}")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    processes = f", {distributed.size} processes" if distributed.size > 1 else ""
    logger.info(f"{record.model}: {parameters:,} parameters, on {record.environment['device']}{processes}")
    for note in plan.notes():
        logger.info(note)
