"""Schedules are what their definitions say: PyTorch's, step for step, where it has them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.optim import lr_scheduler

from striate.errors import ConfigError
from striate.training.options import TAKEN_BY, ScheduleName, ScheduleOptions
from striate.training.schedules import (
    SCHEDULES,
    Schedule,
    Span,
    build_schedule,
    constant,
    cosine,
    exp_range,
    one_cycle,
    polynomial,
    step_decay,
    triangular,
    triangular2,
    warm_up,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
SPAN = Span(steps=200, steps_per_epoch=10)


def torchs(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], steps: int) -> list[float]:
    """Return the rates that a scheduler of PyTorch gives an optimiser whose own is 1."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimiser)
    rates = []
    for step in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if step + 1 < steps:
            scheduler.step()
    return rates


def factors(schedule: Schedule, steps: int) -> list[float]:
    return [schedule(step) for step in range(steps)]


@pytest.mark.parametrize("steps", [10, 63, 1000])
def test_one_cycle_is_torchs_step_for_step(steps):
    expected = torchs(
        lambda optimiser: lr_scheduler.OneCycleLR(optimiser, max_lr=1.0, total_steps=steps, cycle_momentum=False), steps
    )
    assert factors(one_cycle(steps=steps), steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("steps", range(1, 12))
def test_one_cycle_is_sane_for_any_number_of_steps(steps):
    shares = factors(one_cycle(steps=steps), steps)
    assert all(0 < share <= 1 for share in shares)
    assert max(shares) > 0.7


@given(st.lists(st.integers(1, 40), max_size=4).map(sorted), st.floats(0.01, 1))
def test_step_decay_is_torchs_step_for_step(at, decay):
    expected = torchs(lambda optimiser: lr_scheduler.MultiStepLR(optimiser, at, gamma=decay), 45)
    assert factors(step_decay(at=at, decay=decay), 45) == pytest.approx(expected, rel=1e-9)


def test_a_decay_at_the_first_step_holds_from_there():
    assert factors(step_decay(at=(0, 2), decay=0.5), 3) == [0.5, 0.5, 0.25]


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@given(half_cycle=st.integers(1, 15), low=st.floats(0, 0.9), gamma=st.floats(0.5, 1))
def test_cycles_are_torchs_step_for_step(mode, half_cycle, low, gamma):
    def make(optimiser: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        return lr_scheduler.CyclicLR(
            optimiser, low, 1.0, step_size_up=half_cycle, mode=mode, gamma=gamma, cycle_momentum=False
        )

    schedule = {
        "triangular": triangular(half_cycle=half_cycle, low=low),
        "triangular2": triangular2(half_cycle=half_cycle, low=low),
        "exp_range": exp_range(half_cycle=half_cycle, low=low, gamma=gamma),
    }[mode]
    assert factors(schedule, 70) == pytest.approx(torchs(make, 70), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_cosine_is_torchs_step_for_step(steps):
    expected = torchs(lambda optimiser: lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps), steps)
    assert factors(cosine(steps=steps), steps) == pytest.approx(expected, rel=1e-9)


@given(first=st.integers(1, 8), cycles=st.integers(1, 4), growth=st.integers(1, 3))
def test_cosine_with_warm_restarts_is_torchs_step_for_step(first, cycles, growth):
    steps = first * sum(growth**cycle for cycle in range(cycles))
    expected = torchs(
        lambda optimiser: lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=first, T_mult=growth), steps
    )
    assert factors(cosine(steps=steps, cycles=cycles, growth=growth), steps) == pytest.approx(expected, rel=1e-9)


@given(steps=st.integers(1, 200), cycles=st.integers(1, 300), growth=st.floats(1, 10))
def test_every_cycle_of_cosine_that_has_a_step_starts_at_the_peak_and_falls(steps, cycles, growth):
    shares = factors(cosine(steps=steps, cycles=cycles, growth=growth), steps)
    assert shares[0] == 1
    assert all(0 < share <= 1 for share in shares)
    assert all(later == 1 or later < share for share, later in pairwise(shares))
    assert shares.count(1.0) == cycles or growth > 1 or cycles > steps


@pytest.mark.parametrize("steps", [1, 2, 30])
@pytest.mark.parametrize("power", [0.5, 0.9, 1.0, 2.0])
def test_polynomial_is_torchs_step_for_step(steps, power):
    expected = torchs(lambda optimiser: lr_scheduler.PolynomialLR(optimiser, total_iters=steps, power=power), steps)
    assert factors(polynomial(steps=steps, power=power), steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # with which SequentialLR itself calls its schedulers
@pytest.mark.parametrize("steps", [2, 5, 17])
def test_warm_up_is_torchs_linear_one_with_the_schedule_behind_it(steps):
    def make(optimiser: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        rise = lr_scheduler.LinearLR(optimiser, start_factor=1 / steps, total_iters=steps - 1)
        fall = lr_scheduler.CosineAnnealingLR(optimiser, T_max=40)
        return lr_scheduler.SequentialLR(optimiser, [rise, fall], milestones=[steps])

    expected = torchs(make, steps + 40)
    assert factors(warm_up(cosine(steps=40), steps=steps), steps + 40) == pytest.approx(expected, rel=1e-9)


def test_warm_up_goes_before_any_schedule_and_before_itself():
    low = warm_up(triangular(half_cycle=2, low=0.5), steps=2)
    assert factors(low, 5) == [0.25, 0.5, 0.5, 0.75, 1.0]
    assert factors(warm_up(warm_up(constant(), steps=2), steps=2), 5) == [0.25, 0.5, 0.5, 1.0, 1.0]
    assert warm_up(low, steps=0) is low


def test_the_table_has_the_names_that_can_be_chosen_and_options_are_for_schedules_that_there_are():
    assert tuple(SCHEDULES) == get_args(ScheduleName)
    fields = set(ScheduleOptions.__dataclass_fields__)
    assert fields == {"schedule", "warmup_epochs", *TAKEN_BY}
    assert {name for takers in TAKEN_BY.values() for name in takers} <= set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
@given(epochs=st.integers(1, 5), steps_per_epoch=st.integers(1, 7), warmup=st.floats(0, 5))
def test_every_schedule_is_sane_for_any_span_and_warm_up(name, epochs, steps_per_epoch, warmup):
    span = Span(steps=epochs * steps_per_epoch, steps_per_epoch=steps_per_epoch)
    schedule = build_schedule(ScheduleOptions(schedule=name, warmup_epochs=warmup % epochs), span)
    shares = factors(schedule, span.steps)
    assert all(0 < share <= 1 for share in shares)


def test_options_are_in_epochs():
    step = build_schedule(ScheduleOptions(schedule="step", decay_at=(2.5, 15), decay=0.5), SPAN)
    assert factors(step, 200) == [1.0] * 25 + [0.5] * 125 + [0.25] * 50
    assert factors(build_schedule(ScheduleOptions(schedule="step"), SPAN), 200) == pytest.approx(
        [1] * 100 + [0.1] * 50 + [0.01] * 50
    )
    wave = build_schedule(ScheduleOptions(schedule="triangular", cycle_epochs=5, low=0), SPAN)
    assert factors(wave, 200) == factors(triangular(half_cycle=25, low=0), 200)
    waves = build_schedule(ScheduleOptions(schedule="exp_range", gamma=0.5), SPAN)
    assert waves(20) == pytest.approx(0.25 + 0.75 * 0.5**2)
    restarts = build_schedule(ScheduleOptions(schedule="cosine", cycles=2, cycle_growth=3), SPAN)
    assert [step for step in range(200) if restarts(step) == 1] == [0, 50]


def test_behind_a_warm_up_a_schedule_has_the_steps_that_are_left_and_decays_stay_where_they_are():
    fall = build_schedule(ScheduleOptions(schedule="polynomial", power=1, warmup_epochs=5), SPAN)
    assert factors(fall, 200)[50:] == factors(polynomial(steps=150, power=1), 150)
    assert fall(0) == 1 / 50
    step = build_schedule(ScheduleOptions(schedule="step", decay_at=(8,), warmup_epochs=5), SPAN)
    assert [step(79), step(80)] == [1.0, 0.1]


def test_a_warm_up_leaves_at_least_a_step():
    schedule = build_schedule(ScheduleOptions(warmup_epochs=0.9), Span(steps=1, steps_per_epoch=1))
    assert schedule(0) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schedule": "steps"}, "^schedule: must be one of constant, step.*, not steps"),
        ({"warmup_epochs": -1}, "^warmup_epochs: must be 0 or more, not -1"),
        (
            {"schedule": "step", "decay_at": (60, 30)},
            "^decay_at: must be epochs above 0 in asc.*, not 60,30",
        ),
        ({"schedule": "step", "decay_at": (0, 30)}, "epochs above 0"),
        ({"schedule": "step", "decay_at": (float("nan"),)}, "epochs above 0"),
        ({"schedule": "step", "decay_at": [30]}, "must be epochs above 0"),
        ({"schedule": "step", "decay_at": (3, 9), "warmup_epochs": 5}, "epochs after those of the warm-up"),
        ({"schedule": "step", "decay": 1}, "above 0 and below 1"),
        ({"schedule": "triangular", "cycle_epochs": 0}, "a positive number"),
        ({"schedule": "triangular", "low": 1.0}, "at least 0 and below 1"),
        ({"schedule": "exp_range", "gamma": 0}, "above 0 and below 1"),
        ({"schedule": "cosine", "cycles": 1.5}, "a whole number, 1 or more"),
        ({"schedule": "cosine", "cycles": 2, "cycle_growth": 0.5}, "1 or more"),
        ({"schedule": "cosine", "cycle_growth": 2}, "^cycle_growth: changes nothing where cycles is 1; leave it out"),
        ({"schedule": "polynomial", "power": 0}, "a positive number"),
        ({"power": 2}, "^power: is for the schedule polynomial, not for onecycle; leave it out"),
        ({"decay_at": (3,)}, "^decay_at: is for the schedule step, not for onecycle; leave it out"),
        ({"schedule": "cosine", "low": 0.5}, "for the schedules triangular, triangular2, exp_range"),
    ],
)
def test_an_option_that_makes_no_sense_or_would_do_nothing_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        ScheduleOptions(**wrong)


@pytest.mark.parametrize(
    "late",
    [{"warmup_epochs": 20}, {"schedule": "step", "decay_at": (5, 20)}, {"schedule": "cosine", "cycles": 21}],
)
def test_what_does_not_fit_into_the_training_is_refused(late):
    with pytest.raises(ConfigError, match=r"20 epochs of the training|end of the training, after 20 epochs"):
        build_schedule(ScheduleOptions(**late), SPAN)


def test_schedules_load_no_torch():
    code = "import striate.training.schedules, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_picture_of_the_page_is_what_its_code_makes(tmp_path, monkeypatch):
    page = (DOCS / "schedules.md").read_text()
    assert all(f"| `{name}` |" in page for name in SCHEDULES)
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "schedules.md", "exec"), {})
    made, shown = (np.asarray(Image.open(path).convert("L"), float) for path in ("all.png", DOCS / "schedules/all.png"))
    assert made.shape == shown.shape
    assert abs(made - shown).mean() < 2  # another version of matplotlib may set letters a pixel elsewhere
