"""The data path against what one would write without it; ratios of one run.

python bench/data.py FOLDER [--parts epochs training memory affine] [--batch-size 256] [--turns 12]

FOLDER has class folders of small images, such as those of CIFAR-10's training images as JPEGs. torchvision and kornia
are compared with where they are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import itertools
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import made
import numpy as np
import scipy.ndimage
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from striate import models
from striate.batching.augmentation import Policy, SampledAugmentation, draw
from striate.batching.batches import Batches
from striate.batching.warp import move_images, sampling_grid
from striate.datasets import open_data
from striate.datasets.store import Store, open_store
from striate.images.preprocessing import Preprocessing
from striate.images.resize import ImageSpec

SIZE = 32
POLICY = Policy(flip=0.5, rotate_deg=15, scale=1.1, translate=1 / 8)
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


class PlainFolder(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """What torchvision's ImageFolder does with flip, affine, crop, to-tensor and normalise, written out with Pillow."""

    def __init__(self, root: Path) -> None:
        classes = sorted(path for path in root.iterdir() if path.is_dir())
        self.files = [(path, label) for label, folder in enumerate(classes) for path in sorted(folder.iterdir())]
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        with path.open("rb") as file:
            image = Image.open(file).convert("RGB")
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        image = pillow_affine(image, math.radians(random.uniform(-15, 15)), random.uniform(1 / 1.1, 1.1))
        image = ImageOps.expand(image, SIZE // 8)
        left, top = random.randint(0, SIZE // 4), random.randint(0, SIZE // 4)
        image = image.crop((left, top, left + SIZE, top + SIZE))
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div_(255)
        return tensor.sub_(self.mean).div_(self.std), label


def torchvision_folder(root: Path) -> torch.utils.data.Dataset:  # type: ignore[type-arg]
    """Return the same from torchvision itself; raises ImportError where it does not fit torch."""
    try:
        from torchvision import datasets, transforms
    except RuntimeError as error:  # an operator that a torch of another build lacks
        raise ImportError(str(error)) from None

    bilinear = transforms.InterpolationMode.BILINEAR
    steps = [
        transforms.RandomHorizontalFlip(),
        transforms.RandomAffine(15, scale=(1 / 1.1, 1.1), interpolation=bilinear),
        transforms.RandomCrop(SIZE, padding=SIZE // 8),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    return datasets.ImageFolder(root, transforms.Compose(steps))


def pillow_affine(image: Image.Image, angle: float, scale: float) -> Image.Image:
    """Rotate and scale about the centre in one bilinear resampling."""
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    x, y = image.width / 2, image.height / 2
    matrix = (cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def open_training(folder: Path) -> Store:
    """Open the training images as `striate train` does."""
    dataset = open_data(folder)
    form = ImageSpec(height_px=SIZE, width_px=SIZE, channels=3)
    store = open_store(dataset.samples, form, name=dataset.name, location=dataset.location)
    return store.take(np.concatenate([dataset.splits["train"], dataset.splits["val"]]))


@contextlib.contextmanager
def empty_cache() -> Iterator[None]:
    """Use a cache of its own, in which nothing is yet, while a block runs."""
    before = os.environ.get("STRIATE_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STRIATE_CACHE"] = folder
        try:
            yield
        finally:
            del os.environ["STRIATE_CACHE"]
            if before is not None:
                os.environ["STRIATE_CACHE"] = before


def make_batches(store: Store, batch_size: int) -> Batches:
    """Put a store into batches."""
    form = Preprocessing(height_px=SIZE, width_px=SIZE, channels=3, fit="crop", mean=MEAN, std=STD)
    return Batches(store=store, preprocessing=form, batch_size=batch_size, device=torch.device("cpu"))


def seconds(batches: Iterable[object]) -> float:
    """Return how long going through batches once takes."""
    begin = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - begin


def epochs(folder: Path, batch_size: int, turns: int) -> None:
    """Time the first epoch, with all that comes before it, and later ones."""
    for path in folder.rglob("*.*"):  # all find the files in memory
        path.read_bytes()
    ways: dict[str, Callable[[], Iterable[object]]] = {}
    folders = {"Pillow": PlainFolder, "torchvision": torchvision_folder}
    for name, make in folders.items():
        with contextlib.suppress(ImportError):
            data = make(folder)
            ways[f"{name}, DataLoader"] = torch.utils.data.DataLoader(
                data, batch_size, shuffle=True, num_workers=2, persistent_workers=True
            ).__iter__
    with empty_cache():
        begin = time.perf_counter()
        store = open_training(folder)
        opened = time.perf_counter() - begin
        count, batches, numbers = len(store), make_batches(store, batch_size), itertools.count()
        ways = {"striate": lambda: batches.shuffled(0, next(numbers), POLICY)} | ways
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(4):  # in turns, so that a busy machine is unkind to all
            for name, way in ways.items():
                taken[name].append(seconds(way()))
        taken["striate"][0] += opened
        begin = time.perf_counter()
        open_training(folder)
        again = time.perf_counter() - begin
    print(f"epochs of {count:,} JPEGs of {SIZE}x{SIZE}, flip + affine + crop, batches of {batch_size}, images/s")
    print(f"{'':28}{'first':>10}{'ratio':>8}{'later':>10}{'ratio':>8}    (later: median of 3)")
    first, later = taken["striate"][0], np.median(taken["striate"][1:])
    for name, times in taken.items():
        rest = np.median(times[1:])
        print(f"{name:28}{count / times[0]:10,.0f}{times[0] / first:7.2f}x{count / rest:10,.0f}{rest / later:7.2f}x")
    print(f"opening the data takes {opened:.1f} s the first time, {again:.1f} s later\n")


def training_step() -> Callable[[Tensor, Tensor], None]:
    """Return a step of training ResNet-20."""
    network = models.create("resnet20", classes=10)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)

    def step(images: Tensor, targets: Tensor) -> None:
        loss = nn.functional.cross_entropy(network(images), targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def training(folder: Path, batch_size: int, turns: int) -> None:
    """Time training from the store against the same step on one batch that is in memory, in turns of ten steps."""
    with empty_cache():  # which may go: what is mapped stays
        batches = make_batches(open_training(folder), batch_size)
    step, stream = training_step(), stream_of(batches)
    kept = next(stream)
    times: dict[str, list[float]] = {"data": [], "memory": []}
    for turn in range(1 + turns):
        for name, taken in times.items():
            begin = time.perf_counter()
            for _ in range(10):
                batch = next(stream) if name == "data" else kept
                step(batch.images, batch.targets)
            if turn:  # the first turn warms up
                taken.append(10 * batch_size / (time.perf_counter() - begin))
    ratios = np.array(times["data"]) / np.array(times["memory"])
    print(f"training ResNet-20, images/s (medians of {turns} turns)")
    print(
        f"from the store {np.median(times['data']):,.0f}, one batch repeated {np.median(times['memory']):,.0f}: ",
        end="",
    )
    print(f"{np.median(ratios):.1%} (turns from {ratios.min():.1%} to {ratios.max():.1%})\n")


def stream_of(batches: Batches) -> Iterator[object]:
    """Yield batches without end."""
    epoch = 0
    while True:
        yield from batches.shuffled(0, epoch, POLICY)
        epoch += 1


MEMORY = """
import resource, sys, torch
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import data
step, batch_size = data.training_step(), int(sys.argv[3])
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for _ in range(3):
    zeros = torch.zeros(batch_size, 32, 32, 3).permute(0, 3, 1, 2)
    step(zeros, torch.zeros(batch_size, dtype=torch.int64))
before = peak()
batches = data.make_batches(data.open_training(Path(sys.argv[2])), batch_size)
for number, batch in enumerate(batches.shuffled(0, 0, data.POLICY)):
    if number < 10 or number >= len(batches) - 10:  # before and after all pixels have been in memory
        step(batch.images, batch.targets)
print(f"{len(batches.store):,} {before:.0f} {peak() - before:.0f}")
"""


def memory(folder: Path, batch_size: int, turns: int) -> None:
    """Measure what the data add to the memory of a process that trains ResNet-20; worker processes are not counted."""
    command = [sys.executable, "-c", MEMORY, str(Path(__file__).parent), str(folder), str(batch_size)]
    with empty_cache():
        images, before, more = subprocess.check_output(command, text=True).split()
    print(f"memory: training ResNet-20 on zeros takes {before} MiB, on {images} images {more} MiB more\n")


def affine(folder: Path, batch_size: int, turns: int) -> None:
    """Time one composed resampling against others, and measure their distance from the exact one."""
    images = smooth_images(batch_size, SIZE)
    policy = Policy(flip=0.5, rotate_deg=15, scale=1.1, shear_deg=8, translate=1 / 8)
    matrices = SampledAugmentation(policy, draw(batch_size, 0, 0), height_px=SIZE, width_px=SIZE).matrices
    exact = np.stack([exact_warp(image, matrix) for image, matrix in zip(images, matrices, strict=True)])
    inside = np.ones((batch_size, SIZE, SIZE, 1))
    for step in steps_of(policy, batch_size):  # where no way looks beyond the border, in between or in the end
        inside = np.stack([exact_warp(mask, matrix, "constant") for mask, matrix in zip(inside, step, strict=True)])
    whole = np.stack([exact_warp(np.ones((SIZE, SIZE, 1)), matrix, "constant") for matrix in matrices])
    inside = np.minimum(inside, whole) > 0.999
    ways: dict[str, Callable[[], np.ndarray]] = {
        "striate, one matrix": lambda: ours(images, matrices),
        "Pillow, one matrix": lambda: pillow_composed(images, matrices),
        "Pillow, an operation each": lambda: pillow_steps(images, policy),
    }
    if importlib.util.find_spec("kornia"):
        ways |= {
            "kornia, one matrix": lambda: kornia_composed(images, matrices),
            "kornia, an operation each": lambda: kornia_steps(images, policy),
        }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(6):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - begin)
    print(f"flip, rotation, scale, shear, translation of {batch_size} images of {SIZE}x{SIZE}")
    print(f"{'':28}{'images/s':>10}{'ratio':>8}{'mean error':>13}{'largest':>9}   (of 255, away from borders)")
    base = min(times["striate, one matrix"][1:])
    for name, way in ways.items():
        error = np.abs(way() - exact)[np.broadcast_to(inside, exact.shape)]
        taken = min(times[name][1:])
        print(f"{name:28}{batch_size / taken:10,.0f}{base / taken:7.2f}x{error.mean():13.3f}{error.max():9.1f}")


def smooth_images(count: int, size: int) -> np.ndarray:
    """Make images with edges and detail as photographs have them: noise, blurred, enlarged in contrast."""
    noise = np.random.default_rng(0).normal(size=(count, size, size, 3))
    blurred = scipy.ndimage.gaussian_filter(noise, (0, 1.5, 1.5, 0.5))
    return (128 + blurred / blurred.std() * 60).clip(0, 255).astype(np.uint8)


def exact_warp(image: np.ndarray, matrix: np.ndarray, mode: str = "nearest") -> np.ndarray:
    """Resample bilinearly in float64."""
    back = np.linalg.inv(matrix)
    swap = back[:2, :2][::-1, ::-1]
    offset = back[:2, 2][::-1] + swap @ [0.5, 0.5] - 0.5
    planes = np.moveaxis(image.astype(np.float64), -1, 0)
    moved = [scipy.ndimage.affine_transform(plane, swap, offset, order=1, mode=mode) for plane in planes]
    return np.stack(moved, -1)


def ours(images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Move images as striate does."""
    grid = sampling_grid(matrices, (SIZE, SIZE), (SIZE, SIZE), torch.device("cpu"))
    return move_images(torch.from_numpy(images), grid).permute(0, 2, 3, 1).numpy()


def pillow_composed(images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Move images one by one with Pillow."""
    moved = []
    for image, back in zip(images, np.linalg.inv(matrices), strict=True):
        picture, given = Image.fromarray(image), tuple(back[:2].ravel())
        moved.append(
            np.asarray(picture.transform((SIZE, SIZE), Image.Transform.AFFINE, given, Image.Resampling.BILINEAR))
        )
    return np.stack(moved)


def steps_of(policy: Policy, images: int) -> list[np.ndarray]:
    """Return the matrices of each operation alone, in their order; their product is that of `SampledAugmentation`."""
    drawn = draw(images, 0, 0)
    moves = SampledAugmentation(policy, drawn, height_px=SIZE, width_px=SIZE)
    whole = moves.matrices
    centre = np.array([[1, 0, SIZE / 2], [0, 1, SIZE / 2], [0, 0, 1]])
    angle, _, shear = (2 * drawn[:, column].astype(np.float64) - 1 for column in (1, 2, 3))
    scale = policy.scale ** (2 * drawn[:, 2].astype(np.float64) - 1)
    found = [np.tile(np.eye(3), (images, 1, 1)) for _ in range(4)]
    found[0][:, 0, 0] = np.where(moves.flipped, -1, 1)
    found[1][:, 0, 1] = np.tan(np.deg2rad(policy.shear_deg * shear))
    found[2][:, 0, 0] = found[2][:, 1, 1] = scale
    turn = np.deg2rad(policy.rotate_deg * angle)
    found[3][:, 0, 0] = found[3][:, 1, 1] = np.cos(turn)
    found[3][:, 1, 0], found[3][:, 0, 1] = np.sin(turn), -np.sin(turn)
    about = [centre @ step @ np.linalg.inv(centre) for step in found]
    product = about[3] @ about[2] @ about[1] @ about[0]
    about.append(whole @ np.linalg.inv(product))
    return about


def pillow_steps(images: np.ndarray, policy: Policy) -> np.ndarray:
    """Move images with Pillow, resampling after every operation."""
    for matrices in steps_of(policy, len(images)):
        images = pillow_composed(images, matrices)
    return images


def kornia_composed(images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Move a batch of images with kornia."""
    import kornia

    planes = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    # kornia counts from the centre of the top left pixel
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    given = torch.from_numpy((np.linalg.inv(shift) @ matrices @ shift)[:, :2].astype(np.float32))
    moved = kornia.geometry.warp_affine(planes, given, (SIZE, SIZE), padding_mode="border", align_corners=True)
    return moved.permute(0, 2, 3, 1).numpy()


def kornia_steps(images: np.ndarray, policy: Policy) -> np.ndarray:
    """Move a batch with kornia, resampling after every operation."""
    for matrices in steps_of(policy, len(images)):
        images = kornia_composed(images, matrices)
    return images


def main(words: list[str]) -> None:
    """Run the parts that are asked for."""
    parts = {"epochs": epochs, "training": training, "memory": memory, "affine": affine}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--turns", type=int, default=12, help="of training")
    given = parser.parse_args(words)
    for name in given.parts:
        parts[name](given.folder, given.batch_size, given.turns)


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made images."""
    return [str(made.class_folders(folder / "data")), "--batch-size", "8", "--turns", "1"]


if __name__ == "__main__":
    made.run(main, tiny)
