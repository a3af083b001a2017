"""A linear probe: the network looks once at every picture, as it is, and its last layer is fitted exactly."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.data.batches import epoch_order
from striate.progress import progress_bar
from striate.runs.settle import Feeds
from striate.tasks.base import Batch, Features, Task
from striate.training.loop import EpochResult, measure

_TWICE_UP_TO = 1_000  # images are looked at once more, augmented, where there are few


def probe(network: nn.Module, task: Task, feeds: Feeds) -> tuple[EpochResult, dict[str, dict[str, Any]]]:
    """Fit the last layer of a network to what reaches it, all else as it is.

    Returns:
        That as an epoch of training, and the figures of the task's baselines on the same validation images.

    Raises:
        ConfigError: the task has no last layer that could be fitted.
    """
    began = time.perf_counter()
    network.eval()
    seen: list[tuple[nn.Linear, Features]] = []

    def look(last: nn.Linear) -> Features:
        seen.append((last, _look(network, last, feeds)))
        return seen[0][1]

    task.fit_last_layer(network, look)
    seconds = time.perf_counter() - began
    last, features = seen[0]
    loss_sum, count = 0.0, 0
    with torch.inference_mode():
        for values, targets in zip(features.values, features.targets, strict=True):
            loss, valid = task.loss(last(values), targets)
            loss_sum, count = loss_sum + float(loss), count + valid
    metrics, baselines = measure(network, task, feeds.val())
    result = EpochResult(
        epoch=1,
        lr=0.0,
        train_loss=loss_sum / max(count, 1),
        metrics=metrics.compute(),
        images=len(features.groups),
        train_seconds=seconds,
    )
    return result, {name: found.compute() for name, found in baselines.items()}


@torch.inference_mode()
def _look(network: nn.Module, last: nn.Linear, feeds: Feeds) -> Features:
    """Run the network over the training images, and collect what reaches its last layer."""
    batches, policy = feeds.batches["train"], replace(feeds.policy, mix=0.0)
    samples, seed = len(batches.store), feeds.config.seed
    passes: list[Iterable[Batch]] = [batches.in_order()]
    groups = [np.arange(samples)]
    if samples <= _TWICE_UP_TO and (policy.moves or policy.colours):
        passes.append(batches.shuffled(seed, 0, policy))
        groups.append(epoch_order(samples, seed, 0))
    features = Features(values=[], targets=[], groups=np.concatenate(groups))

    def collect(_: nn.Module, inputs: tuple[Tensor]) -> None:
        features.values.append(inputs[0].float())

    handle = last.register_forward_pre_hook(collect)
    try:
        with progress_bar("looking", len(features.groups)) as advance:
            for batch in (batch for one in passes for batch in one):
                network(batch.images.contiguous())
                features.targets.append(batch.targets)
                advance(len(batch.images))
    finally:
        handle.remove()
    return features
