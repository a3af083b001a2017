"""The fastest way of computing is taken, unless it computes something else; and trying it leaves no trace."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
import torch
from torch import nn

from striate.batching.targets import Batch
from striate.tasks import create_task
from striate.tasks.vocabulary import Vocabulary
from striate.training.hardware import settings, threads
from striate.training.precision import Precision, Trial, channels_last_works, choose_precision

TASK = create_task("classify", Vocabulary(classes=("a", "b", "c")))
DEFAULT = Precision(channels_last=False)


def is_bfloat16() -> bool:
    return torch.is_autocast_enabled("cpu")


class Slow(nn.Module):
    """Takes its time, but where it is told to be quick."""

    def __init__(self, quick, seconds: float = 0.03) -> None:
        super().__init__()
        self.quick, self.seconds = quick, seconds

    def forward(self, x):
        if not self.quick(x):
            time.sleep(self.seconds)
        return x


class WrongForward(nn.Module):
    """A kernel that is right in float32 alone."""

    def forward(self, x):
        return x.flip(0) * 3 if is_bfloat16() else x


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.wrong = is_bfloat16()
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return -gradient if context.wrong else gradient


class WrongGradient(nn.Module):
    """A kernel whose loss is right, and whose gradient is not in bfloat16."""

    def forward(self, x):
        return _Turned.apply(x)


def network(*first: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), *first, nn.Flatten(), nn.Dropout(0.1), nn.Linear(8 * 36, 3)
    )


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(images=torch.randn(8, 3, 8, 8, generator=generator), targets=torch.arange(8) % 3)


@pytest.fixture
def choosing(tmp_path, batch):
    def run(model, *, wanted="auto", memory=None, line="a line", on=batch, **others):
        memory = memory or tmp_path / "choices.json"
        return choose_precision(model, TASK, on, wanted=wanted, memory=memory, network=line, **others)

    return run


def test_a_right_and_faster_way_is_taken(choosing):
    taken, figures = choosing(network(Slow(lambda x: is_bfloat16())))
    assert taken.dtype == "bfloat16"
    assert all(trial["agrees"] for trial in figures)


def test_float32_always_agrees(choosing):
    for model in (network(), network(WrongForward()), network(WrongGradient())):
        _, figures = choosing(model, wanted="float32", line=str(model))
        assert len(figures) == 2
        assert all(trial["agrees"] and trial["dtype"] == "float32" for trial in figures)
        assert all(trial["gradient_error"] < 1e-3 and trial["rounding_error"] < 1e-3 for trial in figures)


@pytest.mark.parametrize("wrong", [WrongForward, WrongGradient])
def test_a_faster_way_that_computes_something_else_is_not_taken(choosing, wrong):
    taken, figures = choosing(network(wrong(), Slow(lambda x: is_bfloat16())))
    assert taken.dtype == "float32"
    speeds = {trial["dtype"]: trial["images_per_s"] for trial in figures}
    assert speeds["bfloat16"] > speeds["float32"]
    assert [trial["agrees"] for trial in figures if trial["dtype"] == "bfloat16"] == [False, False]


def test_an_error_that_is_no_number_does_not_agree(choosing):
    class Nothing(nn.Module):
        def forward(self, x):
            return x * torch.nan if is_bfloat16() else x

    taken, figures = choosing(network(Nothing()))
    assert taken.dtype == "float32"
    assert not any(trial["agrees"] for trial in figures if trial["dtype"] == "bfloat16")


def test_what_is_asked_for_is_taken_though_it_be_wrong(choosing):
    taken, figures = choosing(network(WrongForward()), wanted="bfloat16")
    assert taken.dtype == "bfloat16"
    assert not any(trial["agrees"] for trial in figures)


def test_a_hopelessly_slow_way_is_tried_on_few_images_alone(choosing):
    steady = Slow(lambda x: False, seconds=0.02)  # a pass of microseconds could be three times another by chance
    _, figures = choosing(network(steady, Slow(lambda x: not is_bfloat16(), seconds=0.4)))
    images = {trial["dtype"]: trial["images"] for trial in figures}
    assert images == {"float32": 8, "bfloat16": 4}


def test_a_choice_is_remembered_for_its_line_shape_and_wish(choosing, batch, tmp_path):
    model = network()
    first = choosing(model)
    assert choosing(model) == first  # to the last figure of its speeds: it was not measured again
    smaller = Batch(images=batch.images[:6], targets=batch.targets[:6])
    others = [choosing(model, line="another"), choosing(model, on=smaller), choosing(model, wanted="float32")]
    assert all(other != first for other in others)
    assert len(json.loads((tmp_path / "choices.json").read_text())) == 4
    assert choosing(model) == first


@pytest.mark.parametrize("damage", ["", "{", "[]", "cut", "other"])
def test_a_damaged_memory_does_no_harm(choosing, tmp_path, damage):
    memory = tmp_path / "choices.json"
    taken = choosing(network(Slow(lambda x: is_bfloat16())))[0]
    (key,) = json.loads(memory.read_text())
    contents = {"cut": json.dumps({key: {"taken": {"dtype": "float32", "bits": 3}}}), "other": json.dumps({key: 3})}
    memory.write_text(contents.get(damage, damage))
    assert choosing(network(Slow(lambda x: is_bfloat16())))[0].dtype == taken.dtype == "bfloat16"
    assert json.loads(memory.read_text())[key]["taken"]["dtype"] == "bfloat16"


def test_a_memory_that_cannot_be_written_does_no_harm(choosing, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for memory in (tmp_path / "file" / "choices.json", tmp_path / "folder"):
        assert isinstance(choosing(network(), memory=memory)[0], Precision)


def test_trying_leaves_no_trace(choosing, batch, monkeypatch):
    model = network().eval()
    model[0].requires_grad_(False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = batch.images.clone()
    with threads(2):
        drawn = torch.get_rng_state()
        _, figures = choosing(model, short_pass_s=60.0)  # on a busy machine, too
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), drawn)
    assert {trial["threads"] for trial in figures} == {1, 2}  # fewer were tried
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.grad is None for value in model.parameters())
    assert all(value.is_contiguous() for value in model.parameters())
    assert torch.equal(batch.images, images)
    assert batch.images.is_contiguous()
    assert not model.training


def test_threads_are_as_before_when_a_trial_fails(choosing, monkeypatch):
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("broken")

    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="broken"), threads(before + 1):
        choosing(network(Broken()))
    assert torch.get_num_threads() == before


def test_threads_that_are_given_are_not_made_fewer(choosing, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with threads(2):
        assert {trial["threads"] for trial in choosing(network())[1]} == {2}


@pytest.mark.parametrize("before", [True, False])
def test_denormals_are_as_before_after_the_block(before):
    def flushes() -> bool:
        return float(torch.tensor(1e-30) * 1e-10) == 0

    was = flushes()
    try:
        torch.set_flush_denormal(before)
        with settings(deterministic=False):
            assert flushes()
        assert flushes() is before
        with contextlib.suppress(KeyError), settings(deterministic=False):
            raise KeyError
        assert flushes() is before
    finally:
        torch.set_flush_denormal(was)


def test_bfloat16_is_for_convolutions_and_not_for_weights(batch):
    model, seen = network(), []
    for layer in (model[0], model[-1]):
        layer.register_forward_hook(lambda layer, inputs, output: seen.append(output.dtype))
    for precision, expected in ((Precision(dtype="bfloat16"), torch.bfloat16), (DEFAULT, torch.float32)):
        with precision.passes(batch.images.device):
            outputs = model(precision.to_memory_format(batch.images))
        TASK.training.loss(outputs.float(), batch.targets)[0].backward()
        assert seen == [expected, expected]
        assert {value.dtype for value in model.parameters()} == {torch.float32}
        assert {value.grad.dtype for value in model.parameters()} == {torch.float32}
        seen.clear()


def test_order_in_memory_changes_no_value(batch):
    for channels_last, order in ((True, torch.channels_last), (False, torch.contiguous_format)):
        precision = Precision(channels_last=channels_last)
        model = precision.to_memory_format(network())
        laid = precision.to_memory_format(batch.images)
        assert laid.is_contiguous(memory_format=order)
        assert model[0].weight.is_contiguous(memory_format=order)
        assert torch.equal(laid, batch.images)
        assert torch.equal(model[0].weight, network()[0].weight)


def test_a_gradient_that_is_all_wrong_never_agrees():
    figures = {"images": 8, "images_per_s": 1.0, "loss_error": 0.0}
    for rounding in (0.0, 0.3, 1.04, 5.0):
        reversed_one = Trial(precision=Precision(), gradient_error=2.0, rounding_error=rounding, **figures)
        none = Trial(precision=Precision(), gradient_error=1.0, rounding_error=rounding, **figures)
        assert not reversed_one.agrees
        assert not none.agrees
        assert Trial(precision=Precision(), gradient_error=0.019, rounding_error=rounding, **figures).agrees


def test_a_batch_that_does_not_fit_into_memory_is_tried_in_part(tmp_path):
    class Small(nn.Module):
        most = 5

        def forward(self, x):
            if len(x) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return x

    model = nn.Sequential(Small(), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    batch = Batch(images=torch.randn(16, 3, 4, 4), targets=torch.arange(16) % 2)
    _, figures = choose_precision(model, TASK, batch, wanted="float32", memory=tmp_path / "p.json", network="small")
    assert {trial["images"] for trial in figures} == {4}
    nothing = nn.Sequential(*(Small() for _ in range(2)), nn.Flatten(), nn.Linear(48, 2))
    nothing[0].most = 3
    found = choose_precision(nothing, TASK, batch, wanted="float32", memory=tmp_path / "q.json", network="none")
    assert found == (Precision(), [])


@pytest.mark.parametrize(
    ("layer", "works"),
    [
        (nn.Conv2d(8, 16, 1, stride=2), False),
        (nn.Conv2d(15, 16, 1, stride=(1, 2)), False),
        (nn.Conv2d(16, 32, 1, stride=2), True),
        (nn.Conv2d(8, 16, 1), True),
        (nn.Conv2d(8, 16, 3, stride=2), True),
    ],
)
def test_channels_last_is_not_tried_where_it_corrupts(choosing, layer, works):
    """A backward pass of the first two, in this format, ends the process (oneDNN#6035)."""
    assert channels_last_works(nn.Sequential(layer), torch.device("cpu")) is works
    assert channels_last_works(nn.Sequential(layer), torch.device("cuda"))
    model = nn.Sequential(nn.Conv2d(3, layer.in_channels, 1), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    _, figures = choosing(nn.Sequential(model, nn.Linear(layer.out_channels, 3)), wanted="float32")
    assert {trial["channels_last"] for trial in figures} == ({True, False} if works else {False})
