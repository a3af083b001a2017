"""Run something in several processes that belong together, as torchrun would start them: for test_distributed.py.

Takes a JSON document: how many processes, what they do, and its arguments. Prints a JSON list of what each returned.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

import torch
from torch import nn

import striate as st
from striate import api
from striate.batching.targets import Batch, take_targets
from striate.errors import Interrupted, StriateError
from striate.sessions import session as assembly
from striate.tasks import Task, create_task
from striate.tasks.classification.training import ClassificationTraining
from striate.tasks.skeleton import Skeleton
from striate.tasks.vocabulary import Vocabulary
from striate.training import loop
from striate.training.config import TrainConfig
from striate.training.distributed import DistributedContext, join
from striate.training.precision import Precision
from striate.training.state import start_state
from striate.training.step import StepContext, train_step


class HalfCounted(ClassificationTraining):
    """Targets of class 1 do not count."""

    def loss(self, outputs, targets):
        kept = targets == 0
        return super().loss(outputs[kept], targets[kept])[0], int(kept.sum())


def half_counted() -> Task:
    task = create_task("classify", Vocabulary(classes=("a", "b")))
    task.training = HalfCounted(task.spec)
    return task


def gradients(distributed: DistributedContext, *, accumulate: int, bad: int = -1) -> dict:
    """Take three steps of a network with group norm on batches of seven, of which few and uneven targets count."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    config = TrainConfig(accumulate=accumulate, clip=0.5)
    context = StepContext(
        task=half_counted(),
        config=config,
        lr=0.1,
        schedule=lambda step: 1.0,
        precision=Precision(),
        distributed=distributed,
    )
    state, found = start_state(model, config), []
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(14, 3, 4, 4, generator=generator)
        targets = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0])  # six of seven even ones, one odd one
        if distributed.rank == bad and step == 1:
            images = images * float("inf")
        own = slice(distributed.rank, None, distributed.size)
        try:
            step_result = train_step(state, context, Batch(images=images[own], targets=targets[own]))
            found.append([step_result.loss_sum, step_result.targets])
            assert step_result.images == 14
        except StriateError as error:
            return {"steps": found, "error": str(error), "weights": weights(model)}
    return {"steps": found, "weights": weights(model)}


def pixels(distributed: DistributedContext, *, accumulate: int) -> dict:
    """Take three steps on masks of which few and uneven pixels count, and measure the network on seven more."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 3, 1))
    config, task = (
        TrainConfig(accumulate=accumulate),
        create_task("segment", Vocabulary(classes=("a", "b", "c")), options={"dice": 0.5}),
    )
    context = StepContext(
        task=task, config=config, lr=0.1, schedule=lambda step: 1.0, precision=Precision(), distributed=distributed
    )
    state, found = start_state(model, config), []
    images = torch.randn(6, 3, 5, 6)
    targets = torch.randint(0, 3, (6, 5, 6))
    targets[0], targets[1, 1:], targets[4, :, 2:] = 255, 255, 255  # none, few and some are labelled
    own = slice(distributed.rank, None, distributed.size)
    batch = Batch(images=images[own], targets=targets[own])
    for _ in range(3):
        step = train_step(state, context, batch)
        found.append([step.loss_sum, step.targets])
    own = slice(distributed.rank, 5, distributed.size)
    measured = loop.evaluate_model(
        model, task, [Batch(images=images[own], targets=targets[own])], distributed=distributed
    )
    return {"steps": found, "weights": weights(model), "figures": measured.compute(), "per_class": measured.rows()}


def flags(rows: str) -> torch.Tensor:
    return torch.tensor([[digit == "1" for digit in row] for row in rows.split()])


def joints(distributed: DistributedContext, *, accumulate: int, hidden: bool = False) -> dict:
    """Take three steps on poses of which few and uneven joints count, and measure the network on five of them.

    Where every second pose is hidden, one of two processes has no joint that counts.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 20))
    skeleton = Skeleton(joints=("a", "b", "c", "d"), parents=(-1, 0, 1, 2))
    config = TrainConfig(accumulate=accumulate)
    task = create_task("pose", Vocabulary(skeleton=skeleton))
    targets = {
        "xyz_mm": 100 * torch.randn(6, 4, 3),
        "uv_px": 6 * torch.rand(6, 4, 2),
        "visible": torch.tensor([[1, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 0], [1, 0, 0, 0], [0, 1, 1, 1], [1, 0, 1, 0]])
        > 0,
        "placed": torch.tensor([[1, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
        > 0,
        "side_px": torch.full((6, 2), 6.0),
    }
    if hidden:
        targets["visible"][1::2], targets["placed"][1::2] = False, False
    images = torch.randn(6, 3, 6, 6)
    task = task.with_statistics(task.training.fit_target_statistics([targets], lambda chosen: [images[chosen]]))
    context = StepContext(
        task=task, config=config, lr=0.1, schedule=lambda step: 1.0, precision=Precision(), distributed=distributed
    )
    state, found = start_state(model, config), []
    own = slice(distributed.rank, None, distributed.size)
    batch = Batch(images=images[own], targets=take_targets(targets, own))
    for _ in range(3):
        step = train_step(state, context, batch)
        found.append([step.loss_sum, step.targets])
    own = slice(distributed.rank, 5, distributed.size)
    measured = loop.evaluate_model(
        model, task, [Batch(images=images[own], targets=take_targets(targets, own))], distributed=distributed
    )
    return {"steps": found, "weights": weights(model), "figures": measured.compute(), "rows": measured.rows()}


def weights(model: nn.Module) -> list[float]:
    return torch.cat([value.detach().flatten() for value in model.parameters()]).tolist()


def metrics(distributed: DistributedContext, *, samples: int) -> dict:
    """Measure a network on some samples, each of which is one process's."""
    torch.manual_seed(0)
    images, targets = torch.randn(samples, 3, 4, 4), torch.arange(samples) % 3
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    own = slice(distributed.rank, None, distributed.size)
    batches = [Batch(images=images[own], targets=take_targets(targets, own))] if len(targets[own]) else []
    found = loop.evaluate_model(
        model, create_task("classify", Vocabulary(classes=tuple("abc"))), batches, distributed=distributed
    )
    return {"figures": found.compute(), "per_class": found.rows()}


def training(distributed: DistributedContext, *, data: str, options: dict, stop_at: int = 0, log: str = "") -> dict:
    """Train; writes down which images were in which step; process 0 is interrupted after some steps."""
    real = loop.train_step

    def noted(state, context, batch, **others):
        with Path(f"{log}-{distributed.rank}").open("a") as file:
            ids = [round(float(image.sum()), 2) for image in batch.images]
            file.write(json.dumps({"step": state.progress.steps, "images": ids}) + "\n")
        result = real(state, context, batch, **others)
        if distributed.first and state.progress.steps == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return result

    loop.train_step = noted
    api.report_on = lambda run: None  # for the time that it takes
    try:
        run = assembly.train_run(data, st.TrainConfig(**options))
    except Interrupted as end:
        return {"interrupted": str(end)}
    return {"metrics": run.record.metrics, "epochs": run.record.epochs}


def main() -> None:
    task = json.loads(sys.stdin.read())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(task["processes"]):
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            os.environ |= {
                "RANK": str(rank),
                "WORLD_SIZE": str(task["processes"]),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            with join() as distributed:
                answer = globals()[task["what"]](distributed, **task["arguments"])
            with os.fdopen(writing, "w") as file:
                file.write(json.dumps(answer))
            os._exit(0)
        os.close(writing)
        children.append((process, reading))
    answers = []
    for process, reading in children:
        with os.fdopen(reading) as file:
            answers.append(json.loads(file.read()))
        os.waitpid(process, 0)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
