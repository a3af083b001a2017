"""The loop counts, stops between two steps, and goes on from anywhere as if it had never stopped."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import logging
import os
import signal
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from tests.support import raises
from torch import nn

from striate.errors import ConfigError, DataError, RunError, TrainingError
from striate.system.progress import report_progress
from striate.tasks import create_task
from striate.tasks.figures import brief
from striate.tasks.skeleton import Skeleton
from striate.tasks.spec import TargetStatistics
from striate.tasks.vocabulary import Vocabulary
from striate.training.budget import Length
from striate.training.config import TrainConfig
from striate.training.loop import EpochResult, Stopped, evaluate_model, fit
from striate.training.state import TrainingProgress, start_state
from striate.training.training_log import training_log


@pytest.fixture
def training(toy, toy_batch, context):
    """Make a state and the generator of its epochs, of four batches each."""
    batches = [toy_batch(seed) for seed in range(4)]

    def make(epochs: int = 3, *, state=None, steps=None, on_step=lambda *_: None, on_val=lambda: None, **options):
        run = context(0.3, epochs=epochs, **options)
        state = state or start_state(toy(nn.BatchNorm2d(3), nn.Dropout(0.2)), run.config)

        def val_batches():
            on_val()
            return batches[:2]

        return state, fit(
            state,
            run,
            steps=lambda: steps or 4 * epochs,
            steps_per_epoch=4,
            train_batches=lambda epoch, passed: batches[passed:],
            val_batches=val_batches,
            on_step=on_step,
        )

    return make


def figures(result: EpochResult) -> dict:
    return {name: value for name, value in dataclasses.asdict(result).items() if name != "train_seconds"}


def test_training_learns_and_counts(toy, training):
    _, epochs = training(30, state=start_state(toy(), TrainConfig()))
    results = list(epochs)
    assert [result.epoch for result in results] == list(range(1, 31))
    assert results[-1].train_loss < results[0].train_loss / 2
    assert results[-1].metrics["accuracy"] == 1
    assert all(result.images == 24 and result.images_per_s > 0 for result in results)


def test_the_last_epoch_may_be_a_part_of_one(training):
    state, epochs = training(steps=6)
    assert [result.images for result in epochs] == [24, 12]
    assert state.progress.steps == 6


def interrupt_at(wanted: int):
    calls = itertools.count(1)

    def call(*arguments) -> None:
        if next(calls) == wanted:
            os.kill(os.getpid(), signal.SIGINT)

    return call


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"optimiser": "adamw"}])
@pytest.mark.parametrize("when", [*({"on_step": step} for step in range(1, 13)), *({"on_val": n} for n in (1, 2, 3))])
def test_stopped_anywhere_and_gone_on_with_it_ends_bit_for_bit_alike(toy, training, when, options):
    whole, epochs = training(**options)
    expected = [figures(result) for result in epochs]
    first, epochs = training(**options, **{name: interrupt_at(place) for name, place in when.items()})
    found = []
    with pytest.raises(Stopped):
        collections.deque((found.append(figures(result)) for result in epochs), maxlen=0)
    tensors = {name: value.clone() for name, value in first.tensors().items()}
    progress = dataclasses.asdict(first.progress)
    second = start_state(toy(nn.BatchNorm2d(3), nn.Dropout(0.2)), TrainConfig(**options))
    second.restore(tensors, progress)
    _, epochs = training(state=second, **options)
    found += [figures(result) for result in epochs]
    assert found == expected
    after, before = second.tensors(), whole.tensors()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_second_interrupt_is_not_held_back(training):
    def impatient() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    _, epochs = training(on_val=impatient)
    with pytest.raises(KeyboardInterrupt) as caught:
        list(epochs)
    assert caught.type is KeyboardInterrupt


def test_a_state_of_another_network_is_refused(toy):
    state = start_state(toy(), TrainConfig())
    other = start_state(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), TrainConfig())
    with pytest.raises(RunError, match="the checkpoint is of another network"):
        other.restore(state.tensors(), dataclasses.asdict(TrainingProgress()))


def test_momentum_comes_back_as_its_weights_lie_in_memory(toy_batch, context):
    model = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten(), nn.Linear(4, 2)).to(memory_format=torch.channels_last)
    state = start_state(model, TrainConfig())
    model(toy_batch().images).sum().backward()
    state.optimiser.step()
    kept = {name: value.clone().contiguous() for name, value in state.tensors().items()}
    state.restore(kept, dataclasses.asdict(TrainingProgress()))
    momentum = state.optimiser.state[model[0].weight]["momentum_buffer"]
    assert momentum.stride() == model[0].weight.stride()
    assert torch.equal(momentum, kept["optimiser.momentum_buffer.0.weight"])


def test_evaluation_leaves_mode_and_weights_as_they_were(toy, toy_batch):
    model = toy(nn.BatchNorm2d(3)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate_model(model, create_task("classify", Vocabulary(classes=("a", "b"))), [toy_batch()])
    assert model.training
    assert model[0].training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_validation_loss_that_is_not_finite_stops_training(toy, toy_batch, context):
    run = context(epochs=1)
    epochs = fit(
        start_state(toy(), run.config),
        run,
        steps=lambda: 1,
        steps_per_epoch=1,
        train_batches=lambda epoch, passed: [toy_batch()],
        val_batches=lambda: [toy_batch(scale=float("inf"))],
        on_step=lambda *_: None,
    )
    with pytest.raises(TrainingError, match=r"the validation loss became nan in epoch 1; .* --lr 0.01"):
        list(epochs)


def test_validation_images_that_show_nothing_that_counts_are_refused(toy_batch, context):
    skeleton = Skeleton(joints=("a", "b"), parents=(-1, 0), unit="px")
    target_statistics = {"visible": [3, 3], "placed": [3, 3], "mean_uv": [[0.0, 0.0]] * 2, "deviation_uv": [1.0, 1.0]}
    run = context(
        epochs=1, task=create_task("pose", Vocabulary(skeleton=skeleton), TargetStatistics(target_statistics))
    )
    nowhere = {
        "xyz_mm": torch.zeros(6, 2, 3),
        "uv_px": torch.full((6, 2, 2), 9.0),  # cut off by a crop
        "visible": torch.ones(6, 2, dtype=torch.bool),
        "placed": torch.ones(6, 2, dtype=torch.bool),
        "side_px": torch.full((6, 2), 2.0),
    }
    epochs = fit(
        start_state(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), run.config),
        run,
        steps=lambda: 1,
        steps_per_epoch=1,
        train_batches=lambda epoch, passed: [],
        val_batches=lambda: [dataclasses.replace(toy_batch(), targets=nowhere)],
        on_step=lambda *_: None,
    )
    with pytest.raises(DataError, match="no validation image shows anything that counts"):
        list(epochs)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 2.5},
        {"epochs": True},
        {"size": "big"},
        {"lr": "0.1"},
        {"augment": "fliip"},
        {"model": 5},
        {"out": ""},
        {"batch_size": 1},
        {"size": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"seed": -1},
        {"optimiser": "lion"},
        {"label_smoothing": 1.0},
        {"clip": -1},
        {"accumulate": 0},
        {"accumulate": 33, "batch_size": 64},
        {"ema": 1.0},
        {"mixup": 1.5},
        {"stochastic_depth": 1},
        {"precision": "float16"},
        {"checkpoint_minutes": 0},
        {"on_nonfinite": "go"},
        {"budget": "ten minutes"},
        {"budget": "0s"},
        {"schedule": "linear"},
        {"warmup_epochs": 20},
        {"threshold": 0},
        {"threshold": 256},
        {"threshold": True},
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(wrong):
    (name, value), *_ = wrong.items()
    with raises(ConfigError, where=f"^{name}$", what=f"^must be .*, not {value}$"):
        TrainConfig(**wrong)


def test_epochs_and_a_budget_are_not_given_together():
    with raises(ConfigError, where="^budget$", what="takes the place of epochs", fix="leave one out"):
        TrainConfig(budget="10m", epochs=3)
    assert [TrainConfig(budget=text).budget_s for text in ("90s", "10m", "1.5h", "")] == [90, 600, 5400, None]


class Follower:
    """A reporter that remembers what it is told of a training."""

    def __init__(self) -> None:
        self.told: list[dict] = []

    @contextmanager
    def training(self, **facts):
        self.told.append(facts)
        yield self

    def step(self, **facts) -> None:
        self.told.append(facts)

    def end_epoch(self, **facts) -> None:
        self.told.append(facts)


def log_an_epoch() -> None:
    length = Length(TrainConfig(epochs=20), steps_per_epoch=10, steps=200)
    figures = create_task("classify", Vocabulary(classes=("a", "b"))).spec.figures
    result = EpochResult(
        epoch=3,
        lr=0.1,
        train_loss=0.5,
        gradient_norm=0.1,
        metrics={"loss": 0.25, "accuracy": 0.9},
        images=5000,
        train_seconds=2.0,
    )
    with training_log(length, TrainingProgress(steps=30, epochs=3), partial(brief, figures)) as log:
        log.step(8, 0.5)
        log.end_epoch(result)


def test_epoch_is_logged_in_a_line(caplog, capsys):
    caplog.set_level(logging.INFO, "striate")
    log_an_epoch()
    (line,) = caplog.messages
    assert line.startswith("epoch  3/20  loss 0.500, val 0.250  accuracy 90.0%  2,500 images/s  0:00 left")
    assert len(line) <= 80
    assert capsys.readouterr().out == ""


def test_reporter_is_told_of_steps_and_epochs():
    follower = Follower()
    with report_progress(follower):
        log_an_epoch()
    assert follower.told == [
        {"epoch": 4, "done": 30, "steps": 200},
        {"steps": 200, "images": 8, "loss": 0.5},
        {"epoch": 3, "epochs": 20, "summary": "accuracy 90.0%"},
    ]
