"""What is measured before a training starts: how to compute, how fast to learn, how many steps there are."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from striate.batching.augmentation import POLICIES, Policy
from striate.batching.batches import Batches, smallest_share
from striate.batching.targets import Batch
from striate.cache import folder as cache
from striate.datasets.splits import SplitName
from striate.datasets.store import Store
from striate.errors import BudgetError, ConfigError
from striate.images.preprocessing import Preprocessing
from striate.sessions.prepare import Prepared, window_px
from striate.training.budget import Budget, Length
from striate.training.compiled import compile_network
from striate.training.config import TrainConfig
from striate.training.distributed import DistributedContext
from striate.training.hardware import threads
from striate.training.loop import evaluate_model, evaluate_with_baselines
from striate.training.lr_range_test import range_test
from striate.training.precision import Precision, choose_precision
from striate.training.schedules import constant
from striate.training.state import start_state, train_mode
from striate.training.step import StepContext, train_step

logger = logging.getLogger(__name__)

_FILE = "precision.json"
_PROBE_S = 1.5  # of steps, to find how long one takes
_REPORT_IMAGES, _REPORT_S = 300, 3.0  # that a report at the end of a training looks at, and what else it takes
_REPORT_SHARE = 0.05  # of a budget, at most


@dataclass(frozen=True)
class Loaders:
    """Where the batches of a training come from.

    Attributes:
        batches: by split; of the training images each process has its share.
        policy: what may happen to a training image.
        config: the seed, and whether images begin smaller.
        distributed: the processes that share the validation images.
    """

    batches: Mapping[SplitName, Batches]
    policy: Policy
    config: TrainConfig
    distributed: DistributedContext

    @classmethod
    def of(
        cls,
        prepared: Prepared,
        config: TrainConfig,
        distributed: DistributedContext,
        stores: Mapping[SplitName, Store],
        preprocessing: Preprocessing,
        device: torch.device,
    ) -> Loaders:
        """Put decoded splits into batches; raises ConfigError where there are too few images for the processes."""
        if distributed.size > 1 and smallest_share(len(stores["train"]), prepared.batch_size, distributed.size) < 2:
            raise ConfigError(
                "",
                f"{len(stores['train']):,} images in batches of {prepared.batch_size} leave one of "
                f"{distributed.size} processes with less than two",
                "start fewer, or choose another --batch-size",
            )
        dataset, policy = prepared.dataset, POLICIES[config.policy]
        if config.mixup != "auto":
            policy = replace(policy, mixup=config.mixup)
        if policy.flip and dataset.skeleton and not dataset.skeleton.mirror:
            logger.info("no mirror images: no joints are paired as left and right (mirror in joints.json)")
        policy = policy.valid_for(dataset.samples.labels, mirror_safe=dataset.mirror_safe)
        window, most = window_px(prepared.task, config, prepared.form), prepared.task.spec.batch_size
        batches = {
            split: Batches(
                store=store,
                preprocessing=preprocessing,
                # validation has whole images, where training may cut windows out of them
                batch_size=prepared.batch_size if split == "train" else min(prepared.batch_size, most),
                device=device,
                classes=len(dataset.classes),
                share=(distributed.rank, distributed.size),
                window_px=window if split == "train" else None,
            )
            for split, store in stores.items()
        }
        return cls(batches, policy, config, distributed)

    def train(self, epoch: int, passed: int, scale: int | float = 1.0) -> Iterable[Batch]:
        """Return an epoch's batches, without those that are passed over."""
        return self.batches["train"].shuffled(self.config.seed, epoch, self.policy, passed=passed, scale=scale)

    def val(self) -> Iterable[Batch]:
        """Return this process's validation images."""
        return self.batches["val"].in_order(*self.place)

    @property
    def last(self) -> SplitName:
        """Which images the whole training is measured on."""
        return "test" if "test" in self.batches else "val"

    @property
    def place(self) -> tuple[int, int]:
        """Which process this is, of how many."""
        return self.distributed.rank, self.distributed.size


@dataclass(frozen=True)
class TrainingPlan:
    """What was measured, and what follows from it.

    Attributes:
        trials: the figures of all ways of computing that were tried.
        context: what a step needs.
        length: how many steps there are.
        budget: the time that they have, where there is one.
    """

    trials: list[dict[str, Any]]
    context: StepContext
    length: Length
    budget: Budget | None

    def choices(self) -> dict[str, Any]:
        """Return what `run.json` keeps, and a training that goes on takes over."""
        return {
            "precision": asdict(self.context.precision),
            "tried": self.trials,
            "lr": self.context.lr,
            "steps": self.length.steps,
            "steps_per_epoch": self.length.steps_per_epoch,
        }

    def scale(self, epoch: int) -> float:
        """Return how large the images of an epoch are, as a share of their side: where wanted, half of it at first."""
        if not self.context.config.progressive:
            return 1.0
        return min(1.0, 0.5 + epoch / max(1, self.length.epochs))

    def keep_to_budget(self, done: int) -> None:
        """Lay out a new plan where the old one would miss the budget; asked after every step, it looks at some."""
        if self.budget is None:
            return
        self.budget.observe(self.length, done)
        if done % max(1, self.length.steps // 20) or done >= self.length.steps:
            return
        distributed = self.context.distributed
        steps = distributed.agree(self.budget.corrected(self.length, done) if distributed.first else 0)
        if steps != self.length.steps:
            self.length.lay_out_anew(steps)


def tune(
    model: nn.Module, prepared: Prepared, feeds: Loaders, *, began: float, known: Mapping[str, Any]
) -> TrainingPlan:
    """Measure what is left to be measured, and take the rest from the choices of a training that goes on.

    Raises:
        BudgetError: not a single step fits into the budget.
        TrainingError: another process has ended.
    """
    config, distributed = feeds.config, feeds.distributed
    if known:
        precision, trials = Precision(**known["precision"]), known["tried"]
    else:
        precision, trials = settle_precision(model, prepared, feeds)
    with threads(precision.threads):
        model = precision.to_memory_format(model)
        if note := distributed.join_norms(model):
            logger.info(note)
        compiled_model = None
        if config.compile:
            logger.info("compiling the network: this takes a minute or so")
            compiled_model = compile_network(model, precision, next(iter(feeds.train(0, 0))).images)
        context = StepContext(
            task=prepared.task,
            config=config,
            lr=config.peak(0),
            schedule=constant(),
            precision=precision,
            distributed=distributed,
            compiled_model=compiled_model,
        )
        steps_per_epoch, budget = len(feeds.batches["train"]), None
        steps = config.epochs * steps_per_epoch
        if config.budget_s is not None:
            budget = _measure_pace(model, context, feeds, config.budget_s, began)
            steps = known.get("steps") or distributed.agree(budget.steps(steps_per_epoch, 0))
            logger.info(f"{steps:,} steps, {steps / steps_per_epoch:.3g} epochs, fit into {config.budget}")
        length = Length(config, steps_per_epoch, steps)
        context = replace(context, schedule=length.factor, lr=known.get("lr", config.peak(steps)))
        if config.lr == "auto" and "lr" not in known:
            found = range_test(model, context, feeds.train)
            logger.info(f"learning rate {found.suggestion:.2g}, from a range test of {len(found.losses)} steps")
            context = replace(context, lr=distributed.agree(found.suggestion))
    return TrainingPlan(trials, context, length, budget)


def settle_precision(model: nn.Module, prepared: Prepared, feeds: Loaders) -> tuple[Precision, list[dict[str, Any]]]:
    """Measure the ways of computing, on one process for all, and say which one is taken."""
    config, distributed = feeds.config, feeds.distributed
    chosen: dict[str, Any] = {}
    if distributed.first:
        options = config.of_task(prepared.dataset.task)
        precision, trials = choose_precision(
            model,
            prepared.task,
            next(iter(next(iter(feeds.train(0, 0))).parts(config.accumulate))),
            wanted=config.precision,
            memory=cache.folder() / _FILE,
            network=f"{prepared.plan.line} {prepared.task.spec.outputs} {options} {config.freeze}",
        )
        chosen = {"precision": asdict(precision), "trials": trials}
    chosen = distributed.agree(chosen)
    precision = Precision(**chosen["precision"])
    order = "channels-last" if precision.channels_last else "channels-first"
    logger.info(f"computes in {precision.dtype}, {order}{_on_threads(precision)}")
    for trial in chosen["trials"]:
        if trial["dtype"] == "bfloat16" and trial["dtype"] == config.precision and not trial["agrees"]:
            logger.info(
                f"warning: bfloat16 does not agree with float32 here: the loss is off by {trial['loss_error']:.1%}, "
                f"the gradient by {trial['gradient_error']:.0%}"
            )
            break
    return precision, chosen["trials"]


def _on_threads(precision: Precision) -> str:
    return f", on {precision.threads} thread{'s' * (precision.threads > 1)}" if precision.threads else ""


def _measure_pace(model: nn.Module, context: StepContext, feeds: Loaders, budget_s: float, began: float) -> Budget:
    """Time steps and validation on a copy of the network, for a moment; raises BudgetError where they do not fit."""
    twin = start_state(train_mode(copy.deepcopy(model)), context.config)
    seconds: list[float] = []
    started = now = time.perf_counter()
    probe_s = min(_PROBE_S, budget_s / 20)
    for batch in feeds.train(0, 0):
        train_step(twin, replace(context, compiled_model=None), batch)
        before, now = now, time.perf_counter()
        seconds.append(now - before)
        if context.distributed.any(now - started > probe_s and len(seconds) > 2):  # all take the same number of steps
            break
    step_s = sorted(seconds)[len(seconds) // 2]
    started = time.perf_counter()
    batch = next(iter(feeds.batches["val"].in_order()))
    evaluate_model(twin.best, context.task, [batch], precision=context.precision)
    share = len(feeds.batches["val"].store) / context.distributed.size / len(batch.images)
    val_s = (time.perf_counter() - started) * share
    last = len(feeds.batches[feeds.last].store) / len(batch.images)
    started = time.perf_counter()
    evaluate_with_baselines(twin.best, context.task, [batch])
    measured_s = time.perf_counter() - started
    end_s = measured_s * last + 0.2
    report_s = _REPORT_IMAGES * measured_s / len(batch.images) + _REPORT_S
    if report_s > _REPORT_SHARE * budget_s:
        report_s = 0.0
    if context.distributed.any(began + budget_s - time.perf_counter() < step_s + val_s + end_s):
        raise BudgetError(
            "budget",
            f"{context.config.budget} must leave time for a step and a validation: {time.perf_counter() - began:.0f} s "
            f"have gone by, and these take {step_s + val_s + end_s:.0f} s",
        )
    return Budget(
        budget_s=budget_s,
        began=began,
        step_s=step_s,
        epoch_s=val_s + 0.2,
        end_s=end_s + report_s,
        report_s=report_s,
    )
