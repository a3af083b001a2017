"""From labelled images and options to a run."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import safetensors.torch
from torch import nn

from striate import atomic, models, strict_json
from striate.data import Dataset, open_data
from striate.data.augment import POLICIES, Policy
from striate.data.batches import Batches
from striate.data.check import cheap_problems, contradictory
from striate.data.dataset import SplitName
from striate.data.fitting import Form
from striate.data.preprocessing import Preprocessing, channel_statistics, natural_form
from striate.data.store import Store, open_store
from striate.errors import DataError, Interrupted, ModelError, OutputError, TrainingError, listing
from striate.interrupts import hold_interrupt
from striate.machine import fits_into_memory
from striate.models.network import Network
from striate.models.plan import Plan
from striate.progress import progress_bar, say
from striate.runs.record import FILE as RECORD
from striate.runs.record import RunRecord, environment
from striate.runs.run import LOG, SPLIT, WEIGHTS, Run, default_device, load
from striate.tasks import TASKS, create_task
from striate.tasks.base import Task
from striate.training.config import TrainConfig
from striate.training.display import training_display
from striate.training.loop import EpochResult, evaluate, fit, start


def train(data: Dataset | str | Path, config: TrainConfig | None = None) -> Run:
    """Train a network on labelled images and keep it as a run; progress goes to stderr.

    Raises:
        InputError: data, model or options cannot be used; nothing has been written.
        TrainingError: the loss is not finite any more; the best weights so far, if there are any, are kept.
        Interrupted: a KeyboardInterrupt came; the best weights so far, if there are any, are kept.
    """
    began = time.perf_counter()
    config = config or TrainConfig()
    if config.model != "auto":
        models.find(config.model)
    dataset = data if isinstance(data, Dataset) else open_data(data, **config.reading())
    if dataset.task not in TASKS:
        raise DataError(f"{dataset.location}: its task is {dataset.task}, which striate cannot train for yet.")
    dataset.check_trainable()
    _refuse_nonsense(dataset)
    task = create_task(dataset.task, dataset.classes)
    name, form = choose_form(dataset, config)
    plan = models.plan(name, (form.channels, form.height_px, form.width_px), classes=task.outputs, stem=config.stem)
    if plan.output != (task.outputs,):
        given = "x".join(map(str, plan.output))
        raise ModelError(f"{name} gives {given}, not a number for each class; end it with: gap | fc classes.")
    _check_training_memory(plan, name, config)
    model = models.build(plan, name, seed=config.seed)
    device = default_device()
    with _new_run_folder(config, dataset, name) as folder:
        stores = _decode_splits(dataset, form, config)
        mean, std = channel_statistics(stores["train"])
        record = RunRecord(
            task=dataset.task,
            model=name,
            line=plan.line,
            classes=dataset.classes,
            preprocessing=Preprocessing(**asdict(form), mean=mean, std=std),
            augment="light" if config.augment == "auto" else config.augment,
            config=config,
            data={"location": dataset.location} | {split: len(store) for split, store in stores.items()},
            environment=environment(device),
        )
        _announce(record, model)
        writer = RunWriter(folder, record, task, _split_json(stores), began)
        policy = POLICIES[record.augment].suiting(dataset.samples.labels, mirror_safe=dataset.mirror_safe)
        _train_and_keep(model.to(device), task, config, policy, stores, writer)
    return load(folder)


def _check_training_memory(plan: Plan, name: str, config: TrainConfig) -> None:
    """Raise ModelError where weights, gradients, momentum and half of a batch's activations exceed the memory.

    Half, as training keeps between 55 and 75 per cent of the outputs of all layers.
    """
    wanted_bytes = 12 * plan.cost.parameters + plan.cost.activation_bytes * config.batch_size // 2
    if not fits_into_memory(wanted_bytes):
        raise ModelError(
            f"{name} on {plan.input[1]}x{plan.input[2]} images takes {wanted_bytes / 1e9:,.1f} GB or more to train, "
            "more than this machine's memory; choose a smaller --size, --batch-size or --model."
        )


def _refuse_nonsense(dataset: Dataset) -> None:
    """Raise DataError for labels that would teach nonsense, as far as that is seen without opening a picture."""
    problems = [problem for problem in cheap_problems(dataset) if problem.severity == "problem"]
    if problems:
        first, more = problems[0], f" (and {len(problems) - 1:,} more; see striate check)" if problems[1:] else ""
        raise DataError(f"{first.where}: {first.what}{more}; {first.fix}.")


def _decode_splits(dataset: Dataset, form: Form, config: TrainConfig) -> dict[SplitName, Store]:
    """Decode all splits; leave out what is there under two labels, and copies of training images outside of train."""
    whole = open_store(
        dataset.samples,
        form,
        name=dataset.name,
        location=dataset.location,
        keep=config.store,
        max_pixels=config.max_pixels,
    )
    stores = {split: whole.take(indices) for split, indices in dataset.splits.items()}
    if twofold := contradictory(whole.digests, whole.labels):
        say(f"left out: {listing(whole.names[place] for place in twofold)}, the same images under different labels")
        contents = {whole.digests[place] for place in twofold}
        stores = {split: store.without(contents) for split, store in stores.items()}
        emptied = [split for split, store in stores.items() if len(store) < (2 if split == "train" else 1)]
        if emptied:
            raise DataError(f"{dataset.location}: that leaves too few images for {emptied[0]}; correct the labels.")
    trained_on = set(stores["train"].digests)
    for split in dataset.splits:
        if split != "train":
            fresh = stores[split].without(trained_on)
            copies = len(stores[split]) - len(fresh)
            if not len(fresh):
                raise DataError(f"{dataset.location}: every image of {split} is a copy of one in train; give others.")
            if copies:
                say(f"left out: {copies:,} of {len(stores[split]):,} {split} images, copies of training images")
            stores[split] = fresh
    return stores


def choose_form(dataset: Dataset, config: TrainConfig) -> tuple[str, Form]:
    """Settle architecture, and the form of its input, by what the images are like."""
    height_px, width_px, channels = natural_form(dataset.split("train"), config.max_pixels)
    natural_px = min(height_px, width_px)
    name = config.model
    if name == "auto":
        name = models.suggest(natural_px if config.size == "auto" else config.size, channels)
    if config.size != "auto":
        size_px = config.size
    else:
        size_px = min(models.find(name).size_px, natural_px)
        if name in models.MODELS:  # images that are a little too small for it are enlarged
            size_px = max(size_px, models.smallest_px(name, channels, config.stem))
    return name, Form(height_px=size_px, width_px=size_px, channels=channels, fit=config.fit)


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

    def keep(self, result: EpochResult, model: nn.Module) -> None:
        """Write down an epoch, and its weights if they are the best; raises OutputError."""
        self.images += result.images
        self.train_seconds += result.train_seconds
        self.lines.append(strict_json.dumps(asdict(result) | {"images_per_s": result.images_per_s}, indent=None))
        atomic.write(self.folder / LOG, "".join(f"{line}\n" for line in self.lines))
        best = self.record.metrics
        if not best:
            atomic.write(self.folder / SPLIT, self.split_json)
        if not best or self.task.score(result.metrics) > self.task.score(best):
            weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
            atomic.write(self.folder / WEIGHTS, safetensors.torch.save(weights))
            self.record = replace(self.record, metrics=result.metrics, best_epoch=result.epoch)
        self.write_record(epochs=result.epoch)

    def stop(self, status: str) -> str:
        """Write down why training stops early, and say what is kept of it."""
        if not self.record.metrics:
            return "nothing is kept: no epoch had been measured"
        self.write_record(status=status)
        epoch = f"epoch {self.record.best_epoch}" if self.record.best_epoch else "within the first epoch"
        return f"the best weights so far, {epoch}, {self.task.brief(self.record.metrics)}, are in {self.folder}"

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
    model: nn.Module,
    task: Task,
    config: TrainConfig,
    policy: Policy,
    stores: Mapping[SplitName, Store],
    writer: RunWriter,
) -> None:
    """Train a model, keep the best of it, and measure that on the test images where there are any."""
    form, device = writer.record.preprocessing, next(model.parameters()).device
    batches = {
        split: Batches(
            store=store,
            preprocessing=form,
            batch_size=config.batch_size,
            device=device,
            classes=len(writer.record.classes),
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
                train_batches=lambda epoch: batches["train"].shuffled(config.seed, epoch, policy),
                val_batches=batches["val"].in_order,
                on_step=display.step,
            ):
                with hold_interrupt() as held:
                    writer.keep(result, model)
                display.end_epoch(result)
                if held:
                    raise KeyboardInterrupt
        if "test" in stores:
            model.load_state_dict(safetensors.torch.load_file(writer.folder / WEIGHTS))
            with progress_bar("testing", len(stores["test"])) as advance:
                figures = evaluate(model, task, batches["test"].in_order(), advance).compute()
            writer.write_record(metrics=figures, metrics_split="test")
        writer.write_record(status="complete")
    except KeyboardInterrupt:
        raise Interrupted(writer.stop("interrupted")) from None
    except (TrainingError, DataError) as error:  # the second, where pictures are decoded on the way
        raise type(error)(f"{error} ({writer.stop('failed')})") from None


def _announce(record: RunRecord, model: Network) -> None:
    """Say what is about to be trained on what."""
    form = record.preprocessing
    counts = " + ".join(f"{count:,} {split}" for split, count in record.data.items() if split != "location")
    say(
        f"{record.data['location']}: {counts} images, {len(record.classes)} classes, "
        f"{form.width_px}x{form.height_px} {'grey' if form.channels == 1 else 'RGB'}"
    )
    parameters = sum(parameter.numel() for parameter in model.parameters())
    say(f"{record.model}: {parameters:,} parameters, on {record.environment['device']}")
    for note in model.plan.notes():
        say(note)


@contextmanager
def _new_run_folder(config: TrainConfig, dataset: Dataset, model: str) -> Iterator[Path]:
    """Make the run's folder; if the block leaves no run in it, it goes again. Raises OutputError."""
    path = (
        _free_name(dataset, model if model in models.MODELS else "line") if config.out == "auto" else Path(config.out)
    )
    if Path(dataset.location).resolve() in path.resolve().parents:
        raise OutputError(f"{path}: inside the data, where it would be taken for a class; choose another --out.")
    with atomic.new_folder(path) as folder:
        try:
            yield folder
        except BaseException:
            if not (folder / RECORD).exists():
                for name in (LOG, SPLIT, WEIGHTS):
                    (folder / name).unlink(missing_ok=True)
            raise


def _free_name(dataset: Dataset, model: str) -> Path:
    """Find the first free one of runs/TASK/DATA-MODEL, runs/TASK/DATA-MODEL-2, …."""
    plain = Path("runs", dataset.task, f"{dataset.name}-{model}")
    numbered = (plain.with_name(f"{plain.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([plain], numbered) if not path.exists())


def _split_json(stores: Mapping[SplitName, Store]) -> str:
    """Write down which image is in which split: split -> name -> content hash."""
    names = {split: dict(zip(store.names, store.digests, strict=True)) for split, store in stores.items()}
    return strict_json.dumps(names, indent=0) + "\n"
