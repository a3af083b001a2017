"""A range test finds a rate at which training is stable and fast, and leaves no trace."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from striate.batching.targets import Batch
from striate.errors import TrainingError
from striate.training.config import TrainConfig
from striate.training.lr_range_test import HIGHEST, LOWEST, STEPS, range_test, suggest
from striate.training.state import start_state
from striate.training.step import train_step


@pytest.fixture
def epochs(toy_batch):
    """Make the batches of an epoch, the same ones in each."""

    def make(count: int = 4, *, scale: float = 1.0):
        batches = [toy_batch(seed, images=16, scale=scale) for seed in range(count)]
        return lambda epoch, passed: batches[passed:]

    return make


def test_rates_rise_by_the_same_factor_from_the_lowest_to_the_highest(toy, context, epochs):
    def flat(model: nn.Module) -> nn.Module:
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        return nn.Sequential(model, nn.Hardtanh(-1, 1), Scaled())

    class Scaled(nn.Module):
        """A loss that can never be far off."""

        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return x * self.factor.clamp(0, 0.1)

    found = range_test(flat(toy()), context(), epochs())
    assert len(found.rates) == len(found.losses) == STEPS
    assert (found.rates[0], found.rates[-1]) == (pytest.approx(LOWEST), pytest.approx(HIGHEST))
    growth = [after / before for before, after in zip(found.rates, found.rates[1:], strict=False)]
    assert growth == [pytest.approx(growth[0])] * (STEPS - 1)


def test_the_model_is_left_as_it_was(toy, context, epochs):
    model = toy(nn.BatchNorm2d(3), nn.Dropout(0.2)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.get_rng_state()
    range_test(model, context(), epochs())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not model.training


def test_a_model_in_evaluation_mode_is_tested_in_training_mode(toy, context, epochs):
    one, other = (range_test(toy(nn.BatchNorm2d(3)).train(mode), context(), epochs()) for mode in (True, False))
    assert one == other


def test_it_stops_when_the_loss_is_far_off(toy, context, epochs):
    found = range_test(toy(), context(), epochs(scale=20.0))
    assert len(found.losses) < STEPS
    far_off = [loss > 3 * min(found.losses[: place + 1]) for place, loss in enumerate(found.losses)]
    assert far_off == [False] * (len(far_off) - 1) + [True]


def test_a_loss_that_is_no_number_at_a_high_rate_ends_it(toy, context, epochs):
    class Overflows(nn.Module):
        def forward(self, x):
            return x + 0 * x.pow(2).mul(1e38)

    found = range_test(nn.Sequential(toy(), Overflows()), context(), epochs(scale=0.3))
    assert 2 <= len(found.losses) < STEPS
    assert all(map(math.isfinite, found.losses))


def test_a_loss_that_is_no_number_from_the_beginning_is_an_error(toy, context, epochs):
    with pytest.raises(TrainingError, match="the loss is not finite at the lowest of rates"):
        range_test(toy(), context(on_nonfinite="skip"), epochs(scale=math.inf))


@pytest.mark.parametrize("batches", [1, 3, 40, 200])
def test_an_epoch_may_have_any_number_of_batches(toy, context, toy_batch, batches):
    asked: list[tuple[int, int]] = []

    def train_batches(epoch: int, passed: int) -> list[Batch]:
        asked.append((epoch, passed))
        return [toy_batch(1000 * epoch + place) for place in range(batches)]

    found = range_test(toy(), context(), train_batches)
    assert asked[: math.ceil(len(found.losses) / batches)] == asked
    assert asked == [(epoch, 0) for epoch in range(len(asked))]


def trained(model: nn.Module, run, batches, steps: int = 40) -> float:
    """Return the mean loss of the last steps of a training; infinite where it broke off."""
    state, losses = start_state(model, run.config), []
    try:
        for step in range(steps):
            loss_sum, targets, *_ = train_step(state, run, batches(0, 0)[step % 4])
            losses.append(loss_sum / targets)
    except TrainingError:
        return math.inf
    return sum(losses[-8:]) / 8


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0])
def test_training_at_the_suggestion_is_stable_and_at_30_times_it_is_worse(toy, context, epochs, scale, optimiser):
    def deep() -> nn.Module:
        return nn.Sequential(toy(), nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))

    options, batches = {"optimiser": optimiser}, epochs(scale=scale)
    suggestion = range_test(deep(), context(**options), batches).suggestion
    first = trained(deep(), context(1e-9, **options), batches)
    there = trained(deep(), context(suggestion, **options), batches)
    assert there < 0.7 * first
    assert there < trained(deep(), context(30 * suggestion, **options), batches)


def test_the_suggestion_does_not_depend_on_how_long_the_loss_lies_at_its_floor():
    rates = [LOWEST * 10 ** (place / 10) for place in range(50)]
    falling = [2.0] * 20 + [2 - 0.19 * place for place in range(11)]
    short, long = falling + [0.1] * 2, falling + [0.1 - 0.001 * place for place in range(19)]
    one, other = (suggest(rates[: len(losses)], losses) for losses in (short, long))
    assert one == pytest.approx(other, rel=0.3)
    assert rates[20] < one < rates[30]


def test_the_suggestion_has_two_digits():
    assert suggest([0.0123456, 0.123456, 1.23456], [2.0, 1.0, 3.0]) in {round(x / 1000, 4) for x in range(1000)}
    assert TrainConfig().peak(100) == 0.05
    assert TrainConfig().peak(99) == 0.01
    assert TrainConfig(lr=0.3).peak(5) == 0.3
