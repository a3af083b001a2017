"""A learning rate for data and a network, found by a range test."""

from __future__ import annotations

from pathlib import Path

from striate.datasets import Dataset
from striate.errors import ConfigError
from striate.runs.run import default_device
from striate.sessions.prepare import build_network, decode_splits, prepare
from striate.sessions.probe import fit_last_layer
from striate.sessions.tune import Loaders, settle_precision
from striate.training.config import TrainConfig
from striate.training.distributed import DistributedContext
from striate.training.hardware import settings, threads
from striate.training.lr_range_test import RangeTest, range_test
from striate.training.schedules import constant
from striate.training.step import StepContext


def find_lr(data: Dataset | str | Path, config: TrainConfig | None = None) -> RangeTest:
    """Test the rates from 1e-5 to 10 on the network and the batches that `train` would have; no run is written.

    Raises:
        InputError: data, model or options cannot be used.
        TrainingError: the loss is not finite from the beginning.
    """
    config, device = config or TrainConfig(), default_device()
    if config.probe:
        raise ConfigError("probe", "the last layer is fitted exactly, so there is no rate to be found", "leave it out")
    with settings(deterministic=False):
        prepared = prepare(data, config)
        config = prepared.config
        stores = decode_splits(prepared, config)
        preprocessing = prepared.preprocessing(stores["train"])
        prepared = prepared.with_statistics(prepared.fit_target_statistics(stores["train"], preprocessing))
        model = build_network(prepared, config, device)
        feeds = Loaders.of(prepared, config, DistributedContext(), stores, preprocessing, device)
        fit_last_layer(model, prepared.task, feeds, start=prepared.start)
        precision, _ = settle_precision(model, prepared, feeds)
        context = StepContext(task=prepared.task, config=config, lr=1.0, schedule=constant(), precision=precision)
        with threads(precision.threads):
            return range_test(precision.to_memory_format(model), context, feeds.train)
