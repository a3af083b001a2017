"""A linear probe: the network looks at pictures as it is, and its last layer is fitted exactly to what it sees.

That may be all (`--probe`), or what training begins with (`--last-layer`): first the head, then everything, as Kumar et
al. 2022 do it ("Fine-tuning can distort pretrained features and underperform out-of-distribution").
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.batching.augmentation import POLICIES
from striate.batching.batches import epoch_order
from striate.errors import ConfigError, DataError, NotFiniteError
from striate.models.network import Network
from striate.sessions.initial_weights import Start
from striate.sessions.tune import Loaders
from striate.system.machine import memory_bytes
from striate.system.progress import progress_bar
from striate.tasks.figures import brief
from striate.tasks.task import Task
from striate.tasks.training import Features
from striate.training.loop import EpochResult, evaluate_with_baselines

logger = logging.getLogger(__name__)

_TWICE_UP_TO = 1_000  # images are looked at once more, augmented, where there are few
_BEFORE_TRAINING, _IN_A_BUDGET = 1_000, 400  # images are enough to begin with
_MOST_OUTPUTS = 100  # that are fitted before training, unless asked for: more take minutes
_BYTES = 40  # of a feature or an output of an image while a layer is fitted: in float32, and several in float64
_MEMORY_SHARE = 0.5  # may be taken by them
_BUDGET_SHARE = 0.1  # of a training's budget may pass with looking


@dataclass(frozen=True)
class Fitted:
    """What a network is with its last layer fitted.

    Attributes:
        result: its figures, as epoch 0.
        baselines: the figures of the task's baselines on this process's validation images.
    """

    result: EpochResult
    baselines: dict[str, dict[str, Any]]


def fit_last_layer(network: nn.Module, task: Task, feeds: Loaders, *, start: Start | None) -> Fitted | None:
    """Fit the last layer of a network to what reaches it, all else as it is, where the options ask for that.

    Args:
        network: with its first weights; it is changed.
        task: fits the layer.
        feeds: the images, and the options.
        start: where the first weights come from; None: they are drawn.

    Raises:
        ConfigError: the last layer is to be fitted, but the network has none that could be.
    """
    config, distributed = feeds.config, feeds.distributed
    asked = config.probe or config.last_layer == "fitted"
    if not asked and (config.last_layer == "random" or start is None or not start.is_published):
        return None
    began = time.perf_counter()
    network.eval()
    last = last_layer(network)
    if last is None and asked:
        raise ConfigError(
            "probe, last_layer",
            "only a fully connected last layer can be fitted, and here is none",
            "leave them out, or take --freeze backbone",
        )
    if last is None or (task.spec.outputs > _MOST_OUTPUTS and not asked):
        return None
    features = _look(network, task, last, feeds)
    if not all(bool(values.isfinite().all()) for values in features.values):
        raise NotFiniteError("what reaches the last layer is not finite: its weights, or the images, are at fault.")
    with torch.no_grad():
        last.load_state_dict(task.training.fit_linear(features).state_dict())
        for parameter in last.parameters():  # what the first process has found; the others found it, too, or nearly
            parameter.mul_(float(distributed.first))
        distributed.add_up([parameter.data for parameter in last.parameters()])
    fitted = _measured(network, task, last, features, feeds, time.perf_counter() - began)
    if start is None:
        logger.info("all weights below the last layer are as they were drawn: see --pretrained")
    images, result = f"{len(np.unique(features.groups)):,} images", fitted.result
    said = brief(task.spec.figures, result.metrics)
    logger.info(f"last layer fitted to what the rest makes of {images}, in {result.train_seconds:.0f} s: {said}")
    return fitted


@torch.inference_mode()
def _measured(
    network: nn.Module, task: Task, last: nn.Linear, features: Features, feeds: Loaders, seconds: float
) -> Fitted:
    """Measure a network whose last layer was fitted to features, which took some seconds, as its epoch 0."""
    loss_sum, count = 0.0, 0
    for values, targets in zip(features.values, features.targets, strict=True):
        loss, valid = task.training.loss(last(values), targets)
        loss_sum, count = loss_sum + float(loss), count + int(valid)
    metrics, baselines = evaluate_with_baselines(network, task, feeds.val())
    feeds.distributed.add_up(metrics.sums())
    if not metrics.targets:
        raise DataError("", "no validation image shows anything that counts, so there is nothing to measure")
    result = EpochResult(
        epoch=0,
        lr=0.0,
        gradient_norm=0.0,
        train_loss=loss_sum / max(count, 1),
        metrics=metrics.compute(),
        images=len(features.groups),
        train_seconds=seconds,
    )
    return Fitted(result, {name: found.compute() for name, found in baselines.items()})


def _most(feeds: Loaders, images: int, numbers: int) -> tuple[int, float]:
    """Return at how many images to look, of so many that take so many numbers each, and for how many seconds."""
    config, memory = feeds.config, memory_bytes()
    if config.probe:  # each process looks at them all
        fit = images if memory is None else int(_MEMORY_SHARE * memory / (_BYTES * numbers * feeds.distributed.size))
        if fit < images:
            logger.info(f"{fit:,} of {images:,} images are looked at: what all of them give does not fit into memory")
        return min(fit, images), math.inf
    seconds = math.inf if config.budget_s is None else _BUDGET_SHARE * config.budget_s
    return min(images, _BEFORE_TRAINING if config.budget_s is None else _IN_A_BUDGET), seconds


def last_layer(network: nn.Module) -> nn.Linear | None:
    """Return the fully connected layer that a network ends in, where it does."""
    found = network.get_submodule(network.plan.layers[-1].name) if isinstance(network, Network) else None
    return found if isinstance(found, nn.Linear) else None


def _layout() -> torch.memory_format:
    """Return how images lie in memory that are looked at fastest: on one processor with AVX-512, and one without it."""
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return torch.channels_last if wide else torch.contiguous_format


@torch.inference_mode()
def _look(network: nn.Module, task: Task, last: nn.Linear, feeds: Loaders) -> Features:
    """Run the network over training images, in random order, and collect what reaches its last layer."""
    batches, seed, plain = feeds.batches["train"], feeds.config.seed, POLICIES["none"]
    most, within_s = _most(feeds, len(batches.store), last.in_features + task.spec.outputs)
    chosen = np.sort(epoch_order(len(batches.store), seed, 0)[:most])
    size = min(batches.batch_size, task.spec.batch_size)
    batches = replace(batches, store=batches.store.take(chosen), share=(0, 1), batch_size=size)
    policy, policies = replace(feeds.policy, mixup=0.0), [plain]
    if most <= _TWICE_UP_TO and (policy.moves or policy.colours):
        policies.append(policy)
    values: list[Tensor] = []
    targets = []

    def collect(_: nn.Module, inputs: tuple[Tensor]) -> None:
        values.append(inputs[0].float())

    began = time.perf_counter()
    handle = last.register_forward_pre_hook(collect)
    try:
        with progress_bar("looking", most * len(policies)) as advance:
            for batch in (batch for one in policies for batch in batches.shuffled(seed, 0, one)):
                network(batch.images.contiguous(memory_format=_layout()))
                targets.append(batch.targets)
                advance(len(batch.images))
                if time.perf_counter() - began > within_s:
                    break
    finally:
        handle.remove()
    groups = np.tile(epoch_order(most, seed, 0), len(policies))[: sum(map(len, values))]
    return Features(values=values, targets=targets, groups=groups)
