"""A step is what the textbook says, whatever it is cut into, and leaves nothing behind when it fails."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.batching.targets import Batch
from striate.errors import TrainingError
from striate.tasks import Task, create_task
from striate.tasks.classification.training import ClassificationTraining
from striate.tasks.vocabulary import Vocabulary
from striate.training.config import TrainConfig
from striate.training.state import start_state, update_average
from striate.training.step import train_step


def same(one, other) -> bool:
    return all(torch.equal(value, kept) for value, kept in zip(one, other, strict=True))


def copies(module: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def test_a_step_of_sgd_is_nesterovs_written_out(toy, toy_batch, context):
    rates = (0.1, 0.3, 0.2)
    model, run = toy(), context(1.0, momentum=0.8, weight_decay=0.01, schedule=lambda step: rates[step])
    state = start_state(model, run.config)
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    velocity = {name: torch.zeros_like(value) for name, value in weights.items()}
    for step, lr in enumerate(rates):
        batch = toy_batch(step)
        copy = {name: value.clone().requires_grad_() for name, value in weights.items()}
        logits = torch.func.functional_call(model, copy, (batch.images,))
        loss = nn.functional.cross_entropy(logits, batch.targets)
        gradients = torch.autograd.grad(loss, list(copy.values()))
        for (name, value), gradient in zip(weights.items(), gradients, strict=True):
            if name.endswith("weight"):  # biases are not pulled towards zero
                gradient = gradient + 0.01 * value
            velocity[name] = 0.8 * velocity[name] + gradient
            weights[name] = value - lr * (gradient + 0.8 * velocity[name])
        loss_sum, targets, *_ = train_step(state, run, batch)
        assert loss_sum / targets == pytest.approx(loss.item())
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.detach(), weights[name])
    assert state.progress.steps == 3


def test_a_step_of_adamw_is_loshchilovs_written_out(toy, toy_batch, context):
    model, run = toy(), context(0.01, optimiser="adamw", weight_decay=0.1)
    state = start_state(model, run.config)
    weight = model[1].weight.detach().clone()
    first, second = torch.zeros_like(weight), torch.zeros_like(weight)
    for step in range(1, 4):
        batch = toy_batch(step)
        logits = batch.images.flatten(1) @ weight.requires_grad_().T + model[1].bias.detach()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits, batch.targets), weight)
        weight = weight.detach()
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        moved = (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        weight = weight - 0.01 * 0.1 * weight - 0.01 * moved
        train_step(state, run, batch)
        torch.testing.assert_close(model[1].weight.detach(), weight)


def test_norms_and_biases_are_not_pulled_towards_zero():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    pulled, free = start_state(model, TrainConfig(weight_decay=0.1)).optimiser.param_groups
    assert [value.shape for value in pulled["params"]] == [(4, 3, 3, 3), (2, 4)]
    assert pulled["weight_decay"] == 0.1
    assert all(value.ndim == 1 for value in free["params"])
    assert free["weight_decay"] == 0


@pytest.mark.parametrize("parts", [2, 3])
def test_a_batch_in_parts_gives_the_same_step(toy, toy_batch, context, parts):
    whole, cut = start_state(toy(), TrainConfig()), start_state(toy(), TrainConfig())
    batch = toy_batch(images=7)
    assert train_step(whole, context(), batch)[0] == pytest.approx(train_step(cut, context(accumulate=parts), batch)[0])
    for one, other in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


AB = Vocabulary(classes=("a", "b"))


class HalfCounted(ClassificationTraining):
    """Targets of class 1 do not count, as pixels without a label would not."""

    def loss(self, outputs, targets):
        kept = targets == 0
        return super().loss(outputs[kept], targets[kept])[0], int(kept.sum())


def half_counted() -> Task:
    task = create_task("classify", AB)
    task.training = HalfCounted(task.spec)
    return task


def test_parts_with_few_valid_targets_weigh_less(toy, toy_batch, context):
    images = torch.cat([toy_batch(1).images, toy_batch(2).images])
    batch = Batch(images=images, targets=torch.tensor([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]))
    whole, cut = start_state(toy(), TrainConfig()), start_state(toy(), TrainConfig())
    loss_sum, targets, *_ = train_step(whole, context(task=half_counted()), batch)
    assert targets == 7
    assert train_step(cut, context(task=half_counted(), accumulate=2), batch)[:3] == (pytest.approx(loss_sum), 7, 12)
    for one, other in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_without_a_single_valid_target_changes_no_weight(toy, toy_batch, context):
    state = start_state(toy(), TrainConfig())
    before = copies(state.model)
    batch = Batch(images=toy_batch().images, targets=torch.ones(6, dtype=torch.int64))
    assert train_step(state, context(task=half_counted()), batch)[:3] == (0, 0, 6)
    assert same(before, state.model.state_dict().values())
    assert state.progress.steps == 1


def test_a_long_gradient_is_shortened_and_a_short_one_is_not(toy, toy_batch, context):
    def moved(clip: float) -> float:
        state = start_state(toy(), TrainConfig(momentum=0, weight_decay=0))
        before = torch.cat([value.detach().flatten() for value in state.model.parameters()])
        train_step(state, context(1.0, momentum=0, weight_decay=0, clip=clip), toy_batch())
        return float((torch.cat([value.detach().flatten() for value in state.model.parameters()]) - before).norm())

    free = moved(0)
    assert moved(free / 2) == pytest.approx(free / 2, rel=1e-5)
    assert moved(free * 2) == pytest.approx(free, rel=1e-5)


def test_the_average_is_polyaks_exponential_one(toy):
    model, average = toy(nn.BatchNorm2d(3)), toy(nn.BatchNorm2d(3))
    expected = {name: value.clone().double() for name, value in average.state_dict().items()}
    for step in range(1, 300):
        with torch.no_grad():
            for value in model.parameters():
                value.copy_(torch.randn_like(value))
            model[0].running_mean.copy_(torch.randn(3))
            model[0].num_batches_tracked += 1
        decay = min(0.9, (1 + step) / (10 + step))
        update_average(average, model, 0.9, step)
        expected = {
            name: decay * value + (1 - decay) * model.state_dict()[name].double() for name, value in expected.items()
        }
    assert average.state_dict()["0.num_batches_tracked"] == 299
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [float("inf"), 1e38])
def test_a_loss_that_is_not_finite_stops_before_anything_changes(toy, toy_batch, context, scale):
    state = start_state(toy(nn.BatchNorm2d(3)) if scale == 1e38 else toy(), TrainConfig(ema=0.9))
    train_step(state, context(ema=0.9), toy_batch())
    before = copies(state.model), copies(state.average), state.optimiser.state_dict()
    with pytest.raises(TrainingError, match=r"at step 2, batch 2 of epoch 1; .* --lr 0.01.*--on-nonfinite skip"):
        train_step(state, context(ema=0.9), toy_batch(scale=scale))
    assert same(before[0], state.model.state_dict().values())
    assert same(before[1], state.average.state_dict().values())
    assert state.progress.steps == 1


def test_a_gradient_that_is_not_finite_is_found_where_the_loss_is(toy, toy_batch, context):
    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient * math.inf

    class Layer(nn.Module):
        def forward(self, x):
            return Steep.apply(x)

    state = start_state(nn.Sequential(toy(), Layer()), TrainConfig())
    before = copies(state.model)
    with pytest.raises(TrainingError, match="the gradient of step 1, batch 1 of epoch 1 is not finite"):
        train_step(state, context(), toy_batch())
    assert same(before, state.model.state_dict().values())


def test_ten_bad_steps_in_a_row_are_left_out_and_no_more(toy, toy_batch, context, capsys):
    state, run = start_state(toy(), TrainConfig()), context(on_nonfinite="skip")
    before = copies(state.model)
    for _ in range(9):
        assert train_step(state, run, toy_batch(scale=math.inf))[1] == 0
    assert same(before, state.model.state_dict().values())
    assert math.isfinite(train_step(state, run, toy_batch())[0])  # one that is not ends the row
    for _ in range(10):
        train_step(state, run, toy_batch(scale=math.inf))
    assert state.progress.steps == 20
    with pytest.raises(TrainingError, match="after 10 steps in a row that were left out"):
        train_step(state, run, toy_batch(scale=math.inf))
    assert capsys.readouterr().err.count("left out: the loss became nan at step") == 19


class Small(nn.Module):
    """A layer for which memory is too small beyond some images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return x


def test_out_of_memory_halves_the_parts_and_keeps_the_batch(toy, toy_batch, context, capsys):
    batch = toy_batch(images=16)
    short = start_state(toy(nn.Dropout(0.5), Small(5)), TrainConfig())
    cut = start_state(toy(nn.Dropout(0.5), Small(99)), TrainConfig())
    found = [train_step(short, context(), batch) for _ in range(3)]
    assert short.progress.parts == 4
    assert found == [train_step(cut, context(accumulate=4), batch) for _ in range(3)]
    assert same(copies(short.model), copies(cut.model))
    assert capsys.readouterr().err.splitlines() == [
        "out of memory: batches of 16 are now worked through in 2 parts",
        "out of memory: batches of 16 are now worked through in 4 parts",
    ]


def test_statistics_of_a_step_that_ran_out_of_memory_do_not_count_twice(toy, toy_batch, context):
    batch = toy_batch(images=16)
    short = start_state(toy(nn.BatchNorm2d(3), Small(8)), TrainConfig())
    cut = start_state(toy(nn.BatchNorm2d(3), Small(99)), TrainConfig())
    train_step(short, context(), batch)
    train_step(cut, context(accumulate=2), batch)
    assert torch.equal(short.model[0].running_mean, cut.model[0].running_mean)


def test_memory_that_is_too_small_for_two_images_is_said(toy, toy_batch, context):
    with pytest.raises(TrainingError, match="a step on 2 images does not fit into memory; choose a smaller --size"):
        train_step(start_state(toy(Small(1)), TrainConfig()), context(), toy_batch(images=16))


def test_another_runtime_error_is_none_of_memory(toy, toy_batch, context):
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        train_step(start_state(toy(Broken()), TrainConfig()), context(), toy_batch())


def test_what_a_step_draws_depends_on_seed_and_step_alone(toy, toy_batch, context):
    def weights(seed: int, disturb: bool) -> list[torch.Tensor]:
        state = start_state(toy(nn.Dropout(0.5)), TrainConfig())
        for step in range(3):
            if disturb:
                torch.rand(7)
            train_step(state, context(seed=seed), toy_batch(step))
        return copies(state.model)

    torch.manual_seed(3)
    before = torch.get_rng_state()
    plain = weights(1, disturb=False)
    assert same(plain, weights(1, disturb=True))
    assert not same(plain, weights(2, disturb=False))
    torch.set_rng_state(before)
    train_step(
        start_state(nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Linear(12, 2)), TrainConfig()),
        context(),
        toy_batch(),
    )
    torch.set_rng_state(before)
    drawn = torch.rand(1)
    torch.set_rng_state(before)
    state = start_state(toy(), TrainConfig())
    torch.set_rng_state(before)
    train_step(state, context(), toy_batch())
    assert torch.equal(torch.rand(1), drawn)


class HostReads(TorchDispatchMode):
    """Notes the operations after which a host would have waited for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select"):
            self.names.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("options", [{}, {"clip": 0.1, "ema": 0.9}, {"optimiser": "adamw"}, {"accumulate": 3}])
def test_step_reads_nothing_but_its_sums(toy, toy_batch, context, options):
    state = start_state(toy(nn.BatchNorm2d(3)), TrainConfig(**options))
    train_step(state, context(**options), toy_batch())  # an optimiser makes its state in the first step
    with HostReads() as reads:
        train_step(state, context(**options), toy_batch(1))
    # AdamW counts its steps on the host; the sums are read as a list, which is one copy and no such operation
    most = len(list(state.model.parameters())) if "optimiser" in options else 0
    assert reads.names == ["_local_scalar_dense"] * most


def test_loss_of_pixels_is_counted_on_the_device(toy_batch):
    outputs, targets = torch.randn(2, 2, 4, 5), torch.randint(0, 2, (2, 4, 5))
    with HostReads() as reads:
        create_task("segment", AB, options={"dice": 0.5}).training.loss(outputs, targets)
    assert reads.names == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.filterwarnings("default")
def test_step_waits_once_for_a_gpu(toy, toy_batch, context):
    batch = toy_batch()
    batch = Batch(images=batch.images.cuda(), targets=batch.targets.cuda())
    state = start_state(toy(nn.BatchNorm2d(3)).cuda(), TrainConfig())
    train_step(state, context(), batch)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing") as waits:
            train_step(state, context(), batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(waits) == 1


def test_step_tells_whether_to_stop(toy, toy_batch, context):
    state = start_state(toy(), TrainConfig())
    assert not train_step(state, context(), toy_batch()).stop
    assert train_step(state, context(), toy_batch(), stop=True).stop
