"""What is set for a training is put back after it; on a GPU a training is what it is on the CPU."""

from __future__ import annotations

import contextlib

import pytest
import torch
from tests.conftest import QUICK
from torch import nn

import striate as st
from striate.errors import ConfigError
from striate.training import compiled
from striate.training.hardware import settings
from striate.training.precision import Precision

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def test_settings_are_put_back():
    def now() -> tuple[bool, ...]:
        flushed = float(torch.tensor(1e-30) * 1e-10) == 0
        return flushed, torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()

    before = now()
    with contextlib.suppress(KeyError), settings(deterministic=True):
        assert now()[0]
        raise KeyError
    assert now() == before


def test_a_compiled_network_is_what_steps_run(monkeypatch, colour_folders, tmp_path):
    calls = []

    class Program:
        """As torch's: it runs the network, and has no length."""

        def __init__(self, model: nn.Module) -> None:
            self.model = model

        def __call__(self, images):
            calls.append(len(images))
            return self.model(images)

        def __len__(self) -> int:
            raise TypeError("does not support len()")

    monkeypatch.setattr(torch, "compile", Program)
    run = st.train(colour_folders(), st.TrainConfig(**QUICK, compile=True, out=str(tmp_path / "run")))
    assert len(calls) == 1 + 4 * 3  # once to try it, then every step
    plain = st.train(tmp_path / "colours", st.TrainConfig(**QUICK, out=str(tmp_path / "plain")))
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name])


def test_a_compiler_that_does_not_work_is_said_before_anything_is_written(monkeypatch, colour_folders, tmp_path):
    def compiler(model: nn.Module):
        def program(images):
            raise RuntimeError("no C++ compiler\nwas found")

        return program

    monkeypatch.setattr(torch, "compile", compiler)
    with pytest.raises(ConfigError, match=r"does not work here \(no C\+\+ compiler was found\); leave it out"):
        st.train(colour_folders(), st.TrainConfig(**QUICK, compile=True, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_trying_a_program_leaves_the_network_as_it_was(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: model)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compiled.compile_network(model, Precision(), torch.randn(4, 3, 5, 5))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_on_a_gpu_learns_and_says_where_it_ran(colour_folders, tmp_path, precision):
    run = st.train(colour_folders(), st.TrainConfig(**QUICK, precision=precision, out=str(tmp_path / "run")))
    assert run.record.environment["device"].startswith("cuda")
    assert run.record.choices["precision"]["dtype"] == precision
    assert run.record.metrics["accuracy"] > 0.9


@pytest.mark.gpu
@needs_gpu
def test_a_deterministic_training_on_a_gpu_gives_the_same_weights_twice(colour_folders, tmp_path):
    data = colour_folders()
    runs = [
        st.train(data, st.TrainConfig(**QUICK, deterministic=True, out=str(tmp_path / name))) for name in ("a", "b")
    ]
    for one, other in zip(*(run.model.state_dict().values() for run in runs), strict=True):
        assert torch.equal(one, other)
