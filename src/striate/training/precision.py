"""dtype, memory format and number of threads: measured on the network that is to be trained.

bfloat16 and channels-last are several times faster than PyTorch's defaults on some machines and several times slower on
others; and some kernels are wrong (pytorch#163347, #169688). So each combination is tried on the real network and a
real batch, and the fastest one is chosen whose loss and gradient agree with float32.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from striate.batching.targets import Batch
from striate.errors import OutputError
from striate.system import atomic, strict_json
from striate.tasks.task import Task
from striate.training.hardware import out_of_memory, threads
from striate.training.options import PrecisionName
from striate.training.state import train_mode

_Value = TypeVar("_Value", Tensor, nn.Module)

LOSS_BOUND, GRADIENT_BOUND, ROUNDING_BOUND, HIGHEST_BOUND = 0.05, 0.02, 2.0, 0.7
"""Largest relative errors of loss and gradient, compared with float32.

bfloat16 keeps eight bits, and how much that changes a gradient depends on the network: ResNet-20's by 9 per cent,
ResNet-18's by 36, that of a randomly initialised ResNet-50 on small images by more than its length. Nearly all of it
comes from rounding weights and images alone: in float32 that changes the same gradients by 7, 25 and 104 per cent
(random images, random initialisation). So a gradient may be off by 2 per cent, plus twice what this rounding does in
float32, but never by more than 70 per cent: a wrong kernel gives a gradient that has nothing to do with the true one,
off by its length and more. Where rounding alone does as much, agreement cannot be shown, and float32 is chosen.
"""

_PASS_S, _SHORT_PASS_S, _TRIAL_S, _MOST_REPEATS = 0.6, 0.1, 0.25, 5
_HOPELESS = 3.0  # times as slow as the best so far on a few images: not tried on a whole batch
_FEW = 4
_PROCEDURE = 4  # counts the changes to all this: choices of an older procedure are measured again
_CHANNEL_BLOCK = 16  # channels that oneDNN's kernels for AVX-512 work on together
_HANDICAP: dict[PrecisionName, float] = {"float32": 1.0, "bfloat16": 1.1}


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How forward and backward passes compute; weights and updates are float32 in any case.

    Attributes:
        dtype: dtype of convolutions and matrix products; bfloat16 by autocast.
        channels_last: whether the memory format is channels-last, else contiguous.
        threads: number of threads on the CPU; 0 leaves torch's own.
    """

    dtype: PrecisionName = "float32"
    channels_last: bool = True
    threads: int = 0

    def passes(self, device: torch.device) -> torch.autocast:
        """Return the context of a forward pass."""
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.dtype == "bfloat16")

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format of images and weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def to_memory_format(self, value: _Value) -> _Value:
        """Bring images, or the weights of a network (in place), into the memory format."""
        if isinstance(value, Tensor):
            return value.contiguous(memory_format=self.memory_format)
        return value.to(memory_format=self.memory_format)  # type: ignore[call-overload, no-any-return]  # for tensors


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Speed and errors of one precision.

    Attributes:
        precision: what was tried.
        images: number of images in the batch; a few where the precision was hopelessly slow.
        images_per_s: images per second, forward and backward, without an update.
        loss_error: relative error of the loss, compared with float32.
        gradient_error: length of the difference of the gradients, relative to that of float32.
        rounding_error: the same for float32 with weights and images rounded to the precision's dtype.
    """

    precision: Precision
    images: int
    images_per_s: float
    loss_error: float
    gradient_error: float
    rounding_error: float

    @property
    def agrees(self) -> bool:
        """Whether the errors are within the bounds; nan is not."""
        bound = min(GRADIENT_BOUND + ROUNDING_BOUND * self.rounding_error, HIGHEST_BOUND)
        return self.loss_error <= LOSS_BOUND and self.gradient_error <= bound

    def figures(self) -> dict[str, Any]:
        """Return the trial as a JSON object for `run.json`."""
        rest = {name: value for name, value in asdict(self).items() if name != "precision"}
        return asdict(self.precision) | rest | {"agrees": self.agrees}


def choose_precision(
    model: nn.Module,
    task: Task,
    batch: Batch,
    *,
    wanted: Literal["auto", "float32", "bfloat16"],
    memory: Path,
    network: str,
    short_pass_s: float = _SHORT_PASS_S,
) -> tuple[Precision, list[dict[str, Any]]]:
    """Measure several precisions, and return the fastest that agrees with float32, and the figures of all.

    The choice is kept, so that the next run on this machine makes the same one.

    Args:
        model: network; neither its weights nor its running statistics change.
        task: gives the loss.
        batch: real images and targets.
        wanted: a dtype, or `auto` for either.
        memory: JSON file of earlier choices; a file that is damaged, or cannot be written, does no harm.
        network: identifies the network: its line, and what is built on that.
        short_pass_s: where a pass takes less than this, in seconds, fewer threads are tried as well.
    """
    device = batch.images.device
    key = _key(network, batch, wanted, device)
    known = _read_choices(memory)
    try:
        return Precision(**known[key]["taken"]), known[key]["figures"]
    except (KeyError, TypeError):
        pass  # not tried so far, or by another version
    trials = _Trials(model, task, batch, short_pass_s)
    try:
        figures = [trial.figures() for trial in trials.all(wanted)]
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        dtype: PrecisionName = "bfloat16" if wanted == "bfloat16" else "float32"
        return Precision(dtype=dtype, channels_last=channels_last_works(model, device)), []  # a step tries even less
    best = trials.best()
    _write_choices(memory, _read_choices(memory) | {key: {"taken": asdict(best.precision), "figures": figures}})
    return best.precision, figures


def channels_last_works(model: nn.Module, device: torch.device) -> bool:
    """Tell whether every convolution of a network can be trained in the channels-last memory format.

    On CPUs, oneDNN's backward pass of a 1x1 convolution with a stride writes beyond its buffer where the input has
    fewer channels than its kernels work on together (oneDNN#6035): the process ends with a segmentation fault, or its
    memory is corrupted.
    """
    return device.type != "cpu" or not any(
        layer.kernel_size == (1, 1) and max(layer.stride) > 1 and layer.in_channels < _CHANNEL_BLOCK
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d)
    )


class _Trials:
    """Precisions, tried one after the other on one network and one batch."""

    def __init__(self, model: nn.Module, task: Task, batch: Batch, short_pass_s: float) -> None:
        self.model, self.task, self.batch, self.short_pass_s = model, task, batch, short_pass_s
        self.few = _first_images(batch, _FEW)
        self.done: list[Trial] = []
        self._fastest_of_few = 0.0
        self._references: dict[tuple[int, PrecisionName], tuple[float, Tensor]] = {}

    def all(self, wanted: str) -> list[Trial]:
        """Try dtypes and memory formats; where a pass is short, fewer threads as well.

        Small networks lose more by waiting for threads than these gain, and on a machine that is busy with other
        things much more. What is not hopeless is timed twice, in turns, and the better time counts.
        """
        candidates = self._candidates(wanted)
        for precision in list(candidates):
            if precision in candidates:
                self.attempt(precision)
                if self.done[-1].images < len(self.batch.images):  # nor will the other format make up for that
                    candidates = [
                        other for other in candidates if other.dtype != precision.dtype or self._is_measured(other)
                    ]
        fewer = torch.get_num_threads() // 2
        if self.batch.images.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ and self._is_short():
            while fewer >= 1:
                for precision in candidates:
                    self.attempt(replace(precision, threads=fewer))
                fewer //= 2
        for index, trial in enumerate(self.done):
            if trial.images == len(self.batch.images):
                again = self._time(trial.precision)
                self.done[index] = max(trial, again, key=lambda trial: trial.images_per_s)
        return self.done

    def _candidates(self, wanted: str) -> list[Precision]:
        """List the precisions to try on all threads."""
        formats = (True, False) if channels_last_works(self.model, self.batch.images.device) else (False,)
        dtypes: tuple[PrecisionName, ...] = ("float32", "bfloat16")
        return [
            Precision(dtype=dtype, channels_last=channels_last, threads=torch.get_num_threads())
            for dtype in dtypes
            for channels_last in formats
            if wanted in ("auto", dtype)
        ]

    def _is_measured(self, precision: Precision) -> bool:
        """Tell whether a precision was tried on the whole batch."""
        return any(trial.precision == precision and trial.images == len(self.batch.images) for trial in self.done)

    def _is_short(self) -> bool:
        """Tell whether a pass is over so soon that threads may take longer to meet than to work."""
        best = self.best()
        return best.images / best.images_per_s < self.short_pass_s

    def best(self) -> Trial:
        """Return the fastest trial that agrees with float32; the first one where none does.

        bfloat16 has to be worth its rounding: a tenth faster.
        """
        agreeing = [trial for trial in self.done if trial.agrees] or self.done[:1]
        return max(agreeing, key=lambda trial: trial.images_per_s / _HANDICAP[trial.precision.dtype])

    def attempt(self, precision: Precision) -> None:
        """Try a precision; where memory is too small for the whole batch, on half of it from then on."""
        while True:
            try:
                self.done.append(self._time(precision))
                return
            except RuntimeError as error:
                if not out_of_memory(error) or len(self.batch.images) <= len(self.few.images):
                    raise
            self.batch = _first_images(self.batch, len(self.batch.images) // 2)
            self._references.clear()

    def _time(self, precision: Precision) -> Trial:
        """Time forward and backward passes: on a few images first, so that what is hopelessly slow is over soon."""
        with threads(precision.threads):
            speed, loss, gradient = self._pass(precision, self.few)
            if speed * 2 * _HOPELESS > self._fastest_of_few:  # the first pass is a slow one
                speed, loss, gradient = self._pass(precision, self.few)
            if not self.done:  # a pass of the first precision is not to take long
                self.batch = _first_images(self.batch, int(speed * _PASS_S))
            measured = self.few
            if speed * _HOPELESS > self._fastest_of_few:
                measured = self.batch
                _, loss, gradient = self._pass(precision, self.batch)
                speeds: list[float] = []
                began = time.perf_counter()
                while not speeds or (time.perf_counter() - began < _TRIAL_S and len(speeds) < _MOST_REPEATS):
                    speeds.append(self._pass(precision, self.batch)[0])
                self._fastest_of_few = max(self._fastest_of_few, speed)
                speed = max(speeds)
        true_loss, true_gradient = self._reference(measured, "float32")
        rounded = self._reference(measured, precision.dtype)[1]
        return Trial(
            precision=precision,
            images=len(measured.images),
            images_per_s=speed,
            loss_error=abs(loss - true_loss) / max(abs(true_loss), 1e-12),
            gradient_error=_relative(gradient, true_gradient),
            rounding_error=_relative(rounded, true_gradient),
        )

    def _reference(self, batch: Batch, rounded_to: PrecisionName) -> tuple[float, Tensor]:
        """Return loss and gradient in float32 and contiguous memory, with rounded weights and images."""
        key = len(batch.images), rounded_to
        if key not in self._references:
            self._references[key] = self._pass(Precision(channels_last=False), batch, rounded_to)[1:]
        return self._references[key]

    def _pass(
        self, precision: Precision, batch: Batch, rounded_to: PrecisionName = "float32"
    ) -> tuple[float, float, Tensor]:
        """Train a copy of the network for a pass: images per second, loss, gradient as a vector."""
        device = batch.images.device
        twin = train_mode(precision.to_memory_format(copy.deepcopy(self.model)))
        images = precision.to_memory_format(batch.images)
        if rounded_to == "bfloat16":
            images = images.bfloat16().float()
            with torch.no_grad():
                for weights in twin.parameters():
                    weights.copy_(weights.bfloat16().float())
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            _wait(device)
            began = time.perf_counter()
            with precision.passes(device):
                outputs = twin(images)
            loss_sum, targets = self.task.training.loss(outputs.float(), batch.targets)
            loss_sum.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            _wait(device)
            seconds = time.perf_counter() - began
        gradients = [parameter.grad.flatten() for parameter in twin.parameters() if parameter.grad is not None]
        return len(images) / seconds, float(loss_sum.detach()) / max(int(targets), 1), torch.cat(gradients)


def _first_images(batch: Batch, images: int) -> Batch:
    """Return the first images of a batch, at least a few; all of them where there are no more."""
    parts = max(1, len(batch.images) // max(images, _FEW))
    return next(iter(batch.parts(parts)))


def _relative(gradient: Tensor, true: Tensor) -> float:
    """Return the length of the difference of two vectors, relative to that of the true one."""
    return float((gradient - true).norm() / true.norm().clamp_min(1e-12))


def _wait(device: torch.device) -> None:
    """Wait until a GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _key(network: str, batch: Batch, wanted: str, device: torch.device) -> str:
    """Return the key of a choice: machine, version of torch, network and shape."""
    machine = [
        platform.machine(),
        _processor(),
        os.cpu_count(),
        torch.get_num_threads(),
        os.environ.get("OMP_NUM_THREADS"),
        torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    ]
    what = [_PROCEDURE, *machine, torch.__version__, network, list(batch.images.shape), wanted]
    return hashlib.sha256(strict_json.dumps(what).encode()).hexdigest()[:32]


def _processor() -> str:
    """Return the name of the processor and of the instructions that torch uses on it."""
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name} {torch.backends.cpu.get_cpu_capability()}"


def _read_choices(memory: Path) -> dict[str, Any]:
    try:
        choices = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return choices if isinstance(choices, dict) else {}


def _write_choices(memory: Path, choices: dict[str, Any]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(memory, strict_json.dumps(choices) + "\n")
    except (OSError, OutputError):
        pass  # it will be measured again
