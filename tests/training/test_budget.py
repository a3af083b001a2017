"""A budget of time becomes steps that fit into it, and a plan that misses it is made anew."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from striate.errors import ConfigError
from striate.training.budget import Budget, Length
from striate.training.config import TrainConfig


@pytest.fixture
def clock(monkeypatch):
    """Make a clock that stands still until it is put forward."""

    class Clock:
        now = 100.0

    monkeypatch.setattr("striate.training.budget.time.perf_counter", lambda: Clock.now)
    return Clock


def length(steps: int = 1, steps_per_epoch: int = 10) -> Length:
    return Length(TrainConfig(), steps_per_epoch, steps)


def budget(budget_s: float, *, step_s: float = 1.0, epoch_s: float = 0.0, end_s: float = 0.0) -> Budget:
    return Budget(budget_s=budget_s, began=100.0, step_s=step_s, epoch_s=epoch_s, end_s=end_s)


def seconds(steps: int, one: Budget, *, done: int = 0, steps_per_epoch: int = 10) -> float:
    """Return what the steps that are left take, written out step by step."""
    ends = sum(step % steps_per_epoch == 0 or step == steps for step in range(done + 1, steps + 1))
    return (steps - done) * one.step_s + ends * one.epoch_s + one.end_s


@pytest.mark.parametrize("budget_s", [14, 15, 21.5, 37, 60, 123.4])
@pytest.mark.parametrize("epoch_s", [0, 0.3, 4, 25])
@pytest.mark.parametrize("done", [0, 3, 10, 19])
def test_the_most_steps_that_fit_are_taken_with_the_end_of_each_epoch(clock, budget_s, epoch_s, done):
    one = budget(budget_s, epoch_s=epoch_s, end_s=2.5)
    steps = one.steps(length().steps_per_epoch, done)
    fitting = [wanted for wanted in range(done + 1, done + 200) if seconds(wanted, one, done=done) <= budget_s]
    assert steps == max(fitting, default=done + 1)


def test_the_last_epoch_may_be_a_part_of_one(clock):
    assert budget(25).steps(length().steps_per_epoch, 0) == 25
    plan = length(25)
    assert plan.epochs == 3
    assert plan.factor(24) < 0.05 < plan.factor(12)  # the schedule comes to its end where the training does


def test_what_has_gone_by_is_gone(clock):
    clock.now += 10
    assert budget(25).steps(length().steps_per_epoch, 0) == 15
    assert budget(25).steps(length().steps_per_epoch, 12) == 27


@pytest.mark.parametrize("gone", [0, 4, 1000])
def test_one_step_at_least_is_to_come(clock, gone):
    clock.now += gone
    assert budget(0.5, epoch_s=3, end_s=2).steps(length().steps_per_epoch, 0) == 1
    assert budget(0.5, epoch_s=3, end_s=2).steps(length().steps_per_epoch, 7) == 8


def test_a_plan_that_is_near_enough_is_kept_and_another_is_made_anew(clock):
    one = budget(100)
    assert one.corrected(length(100), 0) == 100
    assert one.corrected(length(98), 0) == 98
    assert one.corrected(length(102), 0) == 102
    assert one.corrected(length(97), 0) == 100
    clock.now += 60  # for fifty steps
    assert one.corrected(length(100), 50) == 90


def test_a_new_plan_lays_the_schedule_out_anew(clock):
    plan = length(100)
    plan.lay_out(50)
    assert plan.factor(49) == length(50).factor(49) < 0.01


def test_steps_and_ends_of_epochs_that_take_longer_than_was_measured_are_noticed(clock):
    one, plan = budget(1000, step_s=1, epoch_s=5), length(100)
    for done in range(1, 300):
        clock.now += 2 if (done - 1) % 10 else 2 + 30
        one.observe(plan, done)
    assert one.step_s == pytest.approx(2, rel=0.01)
    assert one.epoch_s == pytest.approx(30, rel=0.01)


def test_a_single_long_step_changes_little(clock):
    one, plan = budget(1000), length(100)
    for done in (1, 2, 3):
        clock.now += 60 if done == 2 else 1
        one.observe(plan, done)
    assert one.step_s < 1.2


@pytest.mark.slow
def test_a_training_ends_within_a_twentieth_of_its_budget(tmp_path):
    code = (
        "import json, logging, sys, time; logging.basicConfig(level=logging.INFO)\n"
        "import striate as st; train = st.train  # torch is loaded here\n"
        "began = time.perf_counter()\n"
        "train('mnist', st.TrainConfig(budget='20s', out=sys.argv[1]))\n"
        "print(time.perf_counter() - began)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    wall_s = json.loads(result.stdout)
    assert "the budget leaves no time for a report" in result.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["seconds"] == pytest.approx(20, rel=0.05)
    assert wall_s == pytest.approx(20, rel=0.05)


def test_a_schedule_in_epochs_fits_a_budget_or_is_refused_for_it():
    config = TrainConfig(budget="2h", schedule="step", decay_at=(30, 60))  # how many epochs that is nobody knows yet
    assert Length(config, 10, 700).factor(600) == pytest.approx(0.01)
    with pytest.raises(ConfigError, match="decay_at: must be epochs before the end of the training, after 50 epochs"):
        Length(config, 10, 500)


def test_a_plan_that_becomes_too_short_for_its_schedule_goes_on_with_it():
    length = Length(TrainConfig(budget="1h", warmup_epochs=3), 10, 100)
    before = [length.factor(step) for step in range(25)]
    length.lay_out_anew(25)
    assert length.steps == 25
    assert [length.factor(step) for step in range(25)] == before
    length.lay_out_anew(80)
    assert length.factor(79) < 0.001  # and with a new one as soon as that fits


def test_there_is_time_for_a_report_where_one_was_planned_for_and_most_of_that_is_left(clock):
    planned = Budget(budget_s=100, began=100.0, step_s=1.0, epoch_s=0.0, end_s=5.5, report_s=5.0)
    assert planned.steps(10, 0) == 94
    clock.now += 95.5
    assert planned.has_time_to_report
    clock.now += 1
    assert not planned.has_time_to_report
    assert not budget(100).has_time_to_report
