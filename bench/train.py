"""Training against a plain PyTorch script; ratios of one run.

python bench/train.py CIFAR10 FLOWERS [--rounds 3] [--seconds 20] [--batches 256 32]

Both are folders of class folders of JPEGs. The plain script is what one writes after PyTorch's tutorials: a Dataset
that opens a file with Pillow, crops, flips and normalises it, a DataLoader with a worker a core, float32, torch's own
order in memory, SGD. Ours is what `striate train` does: the store, batches, precision that is measured, a step. They
take turns; each round gives a ratio, the median is told, and beside it the share of the machine's own matrix products.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import made
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import striate as st
from striate import models
from striate.sessions.prepare import build_network, decode_splits, prepare
from striate.sessions.tune import Loaders
from striate.training.distributed import DistributedContext
from striate.training.hardware import settings, threads
from striate.training.precision import choose_precision
from striate.training.schedules import constant
from striate.training.state import start_state
from striate.training.step import StepContext, train_step

MEAN, STD = torch.tensor([0.485, 0.456, 0.406])[:, None, None], torch.tensor([0.229, 0.224, 0.225])[:, None, None]


class PlainFolder(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Images of class folders, decoded when they are wanted, cropped at random, flipped and normalised."""

    def __init__(self, root: Path, size_px: int) -> None:
        classes = sorted(path for path in root.iterdir() if path.is_dir())
        self.files = [(path, label) for label, folder in enumerate(classes) for path in sorted(folder.iterdir())]
        self.size_px = size_px

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        scale = self.size_px * 9 / 8 / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
        left, top = (random.randint(0, side - self.size_px) for side in image.size)
        image = image.crop((left, top, left + self.size_px, top + self.size_px))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (pixels - MEAN) / STD, label


def plain_speeds(root: Path, name: str, size_px: int, batch: int, seconds: float) -> Iterator[float]:
    """Train as a tutorial does; yields images a second of one stretch after the other."""
    data = PlainFolder(root, size_px)
    classes = 1 + max(label for _, label in data.files)
    model = models.create(name, classes=classes, size_px=size_px, stem="large" if size_px > 64 else "auto").train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    loader = torch.utils.data.DataLoader(
        data, batch, shuffle=True, num_workers=os.cpu_count() or 1, drop_last=True, persistent_workers=True
    )
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    next(batches)  # the workers have started
    while True:
        began, images = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            pixels, targets = next(batches)
            loss = nn.functional.cross_entropy(model(pixels), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
            images += len(pixels)
        yield images / (time.perf_counter() - began)


def our_speeds(root: Path, name: str, size_px: int, batch: int, seconds: float) -> Iterator[float]:
    """Train as `striate train` does; the first thing that is yielded is the precision, then likewise."""
    config = st.TrainConfig(model=name, size=size_px, batch_size=batch, lr=0.01)
    prepared = prepare(str(root), config)
    config = prepared.config
    stores, device = decode_splits(prepared, config), torch.device("cpu")
    feeds = Loaders.of(prepared, config, DistributedContext(), stores, prepared.preprocessing(stores["train"]), device)
    stream = (found for epoch in itertools.count() for found in feeds.train(epoch, 0))
    model = build_network(prepared, config, device)
    with tempfile.TemporaryDirectory() as folder:
        precision, _ = choose_precision(
            model,
            prepared.task,
            next(stream),
            wanted="auto",
            memory=Path(folder) / "p.json",
            network=prepared.plan.line,
        )
    print(
        f"  ours: {precision.dtype}, {'channels-last' if precision.channels_last else 'channels-first'}, "
        f"{precision.threads} threads"
    )
    state = start_state(precision.to_memory_format(model), config)
    context = StepContext(task=prepared.task, config=config, lr=0.01, schedule=constant(), precision=precision)
    yield prepared.plan.cost.macs
    while True:
        with threads(precision.threads):
            began, images = time.perf_counter(), 0
            while time.perf_counter() - began < seconds:
                found = next(stream)
                train_step(state, context, found)
                images += len(found.images)
            speed = images / (time.perf_counter() - began)
        yield speed


def matmul_flops(dtype: torch.dtype) -> float:
    """Return the best rate of matrix products, in floating-point operations a second; slow ones are small ones."""
    best = 0.0
    for side in (256, 2048):
        one, other = torch.randn(2, side, side).to(dtype)
        for _ in range(5):
            began = time.perf_counter()
            torch.mm(one, other)
            best = max(best, 2 * side**3 / (time.perf_counter() - began))
        if best < 1e10:
            break
    return best


def compare(root: Path, name: str, size_px: int, batch: int, rounds: int, seconds: float) -> None:
    """Let both take turns, and tell speeds, ratios and the share of the machine's rate."""
    print(f"{name}, {size_px} px, batches of {batch}:")
    ours, plain = our_speeds(root, name, size_px, batch, seconds), plain_speeds(root, name, size_px, batch, seconds)
    macs = next(ours)
    pairs = [(next(ours), next(plain)) for _ in range(rounds + 1)][1:]  # the first round warms up
    ratios = sorted(one / other for one, other in pairs)
    speed = statistics.median(one for one, _ in pairs)
    print(f"  ours {speed:,.0f} images/s, plain {statistics.median(other for _, other in pairs):,.0f} images/s")
    print(f"  ratio {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f} in {rounds} rounds)")
    # forward once, backward twice: by the inputs and by the weights
    share = 3 * 2 * macs * speed / matmul_flops(torch.float32)
    print(f"  {3 * 2 * macs * speed / 1e9:,.0f} GFLOP/s in convolutions, {share:.0%} of float32 matrix products here")


def main(words: list[str]) -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar10", type=Path)
    parser.add_argument("flowers", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--batches", type=int, nargs=2, default=[256, 32], help="images in a batch")
    options = parser.parse_args(words)
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}")
    for dtype in (torch.float32, torch.bfloat16):
        print(f"matrix products in {dtype}: {matmul_flops(dtype) / 1e9:,.0f} GFLOP/s")
    with settings(deterministic=False):
        compare(options.cifar10, "resnet20", 32, options.batches[0], options.rounds, options.seconds)
        compare(options.flowers, "resnet18", 224, options.batches[1], options.rounds, options.seconds)


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made images."""
    data = [str(made.class_folders(folder / name, side_px=side)) for name, side in (("small", 32), ("large", 240))]
    return [*data, "--rounds", "1", "--seconds", "0.1", "--batches", "8", "4"]


if __name__ == "__main__":
    made.run(main, tiny)
