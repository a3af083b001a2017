"""A learning rate for data and a network, found by a range test."""

from __future__ import annotations

from pathlib import Path

from striate.data import Dataset
from striate.errors import ConfigError
from striate.runs.prepare import build_network, decode_splits, prepare
from striate.runs.probe import fit_last_layer
from striate.runs.run import default_device
from striate.runs.settle import Feeds, choose_precision
from striate.training.config import TrainConfig
from striate.training.distributed import World
from striate.training.hardware import settings, threads
from striate.training.range_test import RangeTest, range_test
from striate.training.schedules import constant
from striate.training.step import Engine


def find_lr(data: Dataset | str | Path, config: TrainConfig | None = None) -> RangeTest:
    """Test the rates from 1e-5 to 10 on the network and the batches that `train` would have; no run is written.

    Raises:
        InputError: data, model or options cannot be used.
        TrainingError: the loss is not finite from the beginning.
    """
    config, device = config or TrainConfig(), default_device()
    if config.probe:
        raise ConfigError("probe: the last layer is fitted exactly, so there is no rate to be found; leave it out.")
    with settings(deterministic=False):
        prepared = prepare(data, config)
        config = prepared.config
        stores = decode_splits(prepared, config)
        preprocessing = prepared.preprocessing(stores["train"])
        prepared.study(stores["train"], preprocessing)
        model = build_network(prepared, config, device)
        feeds = Feeds.of(prepared, config, World(), stores, preprocessing, device)
        fit_last_layer(model, prepared.task, feeds, start=prepared.start)
        precision, _ = choose_precision(model, prepared, feeds)
        engine = Engine(task=prepared.task, config=config, lr=1.0, schedule=constant(), precision=precision)
        with threads(precision.threads):
            return range_test(precision.lay_out(model), engine, feeds.train)
