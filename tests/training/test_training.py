"""The pieces of training are what their definitions say."""

from __future__ import annotations

import collections
import itertools
import os
import signal
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from striate.errors import ConfigError, TrainingError
from striate.tasks.base import Batch
from striate.tasks.classification import Classification
from striate.training.config import TrainConfig
from striate.training.display import EpochLines
from striate.training.loop import EpochResult, evaluate, fit, start, train_step

TASK = Classification(("a", "b"))


def a_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 2))


def a_batch(seed: int = 0, scale: float = 1.0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(6, 3, 2, 2, generator=generator) * scale
    return Batch(images=images, targets=(images.sum((1, 2, 3)) > 0).long())


def test_a_step_is_nesterovs_written_out():
    model, config = a_model(), TrainConfig(lr=0.3, momentum=0.8, weight_decay=0.01)
    state = start(model, config)
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    velocity = {name: torch.zeros_like(value) for name, value in weights.items()}
    for step, lr in enumerate((0.1, 0.3, 0.2)):
        batch = a_batch(step)
        copy = {name: value.clone().requires_grad_() for name, value in weights.items()}
        logits = torch.func.functional_call(model, copy, (batch.images,))
        loss = nn.functional.cross_entropy(logits, batch.targets)
        gradients = torch.autograd.grad(loss, list(copy.values()))
        for (name, value), gradient in zip(weights.items(), gradients, strict=True):
            gradient = gradient + 0.01 * value
            velocity[name] = 0.8 * velocity[name] + gradient
            weights[name] = value - lr * (gradient + 0.8 * velocity[name])
        assert train_step(state, TASK, batch, lr) == pytest.approx(loss.item())
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.detach(), weights[name])
    assert state.steps_taken == 3


def test_a_loss_that_is_not_finite_stops_training_before_the_weights_change():
    model = a_model()
    state = start(model, TrainConfig())
    before = [value.clone() for value in model.parameters()]
    with pytest.raises(TrainingError, match=r"loss became (nan|inf) at step 1; .* --lr 0.005"):
        train_step(state, TASK, a_batch(scale=float("inf")), 0.1)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_evaluation_leaves_mode_and_weights_as_they_were():
    model = nn.Sequential(nn.BatchNorm2d(3), a_model()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, TASK, [a_batch()])
    assert model.training
    assert model[0].training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def run_fit(config: TrainConfig, on_step=lambda images, loss: None, on_validation=lambda: None):
    """Yield the epochs of a training on four batches."""
    batches = [a_batch(seed) for seed in range(4)]

    def val_batches():
        on_validation()
        return batches[:1]

    return fit(
        start(a_model(), config),
        TASK,
        config,
        steps_per_epoch=4,
        train_batches=lambda epoch: batches,
        val_batches=val_batches,
        on_step=on_step,
    )


def test_training_learns_and_counts():
    results = list(run_fit(TrainConfig(epochs=30, lr=0.3)))
    assert [result.epoch for result in results] == list(range(1, 31))
    assert results[-1].train_loss < results[0].train_loss / 2
    assert results[-1].metrics["accuracy"] == 1
    assert all(result.images == 24 and result.images_per_s > 0 for result in results)


def follow(epochs: Iterator[EpochResult]) -> list[int]:
    """Collect the numbers of the epochs that come before an interrupt."""
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        collections.deque((seen.append(result.epoch) for result in epochs), maxlen=0)
    return seen


def interrupt_at_call(wanted: int):
    calls = itertools.count(1)

    def call(*arguments) -> None:
        if next(calls) == wanted:
            os.kill(os.getpid(), signal.SIGINT)

    return call


@pytest.mark.parametrize(("step", "epochs"), [(2, [0]), (4 + 2, [1])])
def test_an_interrupt_in_the_first_epoch_still_yields_its_weights(step, epochs):
    assert follow(run_fit(TrainConfig(epochs=3), on_step=interrupt_at_call(step))) == epochs


@pytest.mark.parametrize(("validation", "epochs"), [(1, [1]), (2, [1])])
def test_an_interrupt_in_the_first_validation_waits_for_its_end(validation, epochs):
    assert follow(run_fit(TrainConfig(epochs=3), on_validation=interrupt_at_call(validation))) == epochs


def test_a_second_interrupt_is_not_held_back():
    def impatient() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    assert follow(run_fit(TrainConfig(epochs=3), on_validation=impatient)) == []


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
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(ConfigError, match=rf"{name} \(={value}\) must be"):
        TrainConfig(**wrong)


def test_an_epochs_line_says_losses_figures_speed_and_time_left(capsys):
    lines = EpochLines(20, TASK.brief)
    result = EpochResult(
        epoch=3, lr=0.1, train_loss=0.5, metrics={"loss": 0.25, "accuracy": 0.9}, images=5000, train_seconds=2.0
    )
    lines.end_epoch(result)
    line = capsys.readouterr().err
    assert line.startswith("epoch  3/20  loss 0.500, val 0.250  accuracy 90.0%  2,500 images/s  0:00 left")
    assert len(line) <= 80
