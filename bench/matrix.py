"""The matrix view against what one would do without it; ratios of one run.

python bench/matrix.py [--channels 64]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from operator import matmul
from pathlib import Path

import made
import numpy as np
import torch
from torch import nn

from striate.layers import LinearMap, as_matrix


def seconds(*works: Callable[[], object], repeats: int = 5) -> list[float]:
    """Return the shortest time of each piece of work: in turns, so that a busy machine is unkind to all alike."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(1 + repeats):  # the first turn warms up
        for work, taken in zip(works, times, strict=True):
            begin = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begin)
    return [min(taken[1:]) for taken in times]


def push_unit_vectors(layer: nn.Module, shape: tuple[int, int, int], begin: int, count: int) -> torch.Tensor:
    """Return `count` columns of a layer's matrix: what it makes of images that are 1 in one place."""
    units = torch.zeros(count, int(np.prod(shape)))
    units[torch.arange(count), torch.arange(begin, begin + count)] = 1
    with torch.inference_mode():
        return layer(units.view(count, *shape)).flatten(1).to_sparse()


def building(layers: list[tuple[int, int]]) -> None:
    """Time `as_matrix` against pushing every unit vector through the layer, 256 at a time."""
    print(f"{'3x3 convolution':28}{'non-zeros':>13}{'as_matrix':>12}{'unit vectors':>15}{'ratio':>9}")
    for channels, side in layers:
        layer, shape = nn.Conv2d(channels, channels, 3, padding=1, bias=False), (channels, side, side)
        columns = channels * side * side
        step = min(256, columns)
        begins = list(range(0, columns, step))
        measured = begins[:: -(-len(begins) // 8)]  # eight of the pieces at most, spread over all
        pieces = [partial(push_unit_vectors, layer, shape, begin, min(step, columns - begin)) for begin in measured]
        ours, *pushed = seconds(partial(as_matrix, layer, shape), *pieces, repeats=3)
        theirs = sum(pushed) * len(begins) / len(measured)
        label = f"{channels} channels, {side}x{side}"
        non_zeros = as_matrix(layer, shape).nnz
        print(
            f"{label:28}{non_zeros:13,}{ours:10.4f} s{theirs:13.3f} s{theirs / ours:8.0f}x"
            f"  ({len(measured)} of {len(begins)} pieces measured)"
        )


def applying(layers: list[tuple[int, int]]) -> None:
    """Time `LinearMap @ x` against the layer itself in the same precision, and against the sparse matrix."""
    print(
        f"\n{'3x3 convolution, float64':28}{'layer':>12}{'LinearMap @ x':>16}{'ratio':>8}{'matrix @ x':>14}{'ratio':>8}"
    )
    for channels, side in layers:
        layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).double()
        shape = (channels, side, side)
        operator, matrix = LinearMap(layer, shape), as_matrix(layer, shape)
        image = torch.rand(1, *shape, dtype=torch.float64)
        x = image.flatten().numpy()
        with torch.inference_mode():
            plain, ours, sparse = seconds(
                partial(layer, image), partial(matmul, operator, x), partial(matmul, matrix, x), repeats=50
            )
        label = f"{channels} channels, {side}x{side}"
        print(
            f"{label:28}{plain * 1e3:9.3f} ms{ours * 1e3:13.3f} ms{ours / plain:7.1f}x"
            f"{sparse * 1e3:11.3f} ms{sparse / plain:7.1f}x"
        )


def main(words: list[str]) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=64, help="of the largest layers")
    most = parser.parse_args(words).channels
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    torch.manual_seed(0)
    building([layer for layer in ((1, 28), (8, 28), (16, 28), (64, 56)) if layer[0] <= most])
    applying([layer for layer in ((1, 28), (16, 28), (64, 28)) if layer[0] <= most])


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on the smallest layers."""
    return ["--channels", "1"]


if __name__ == "__main__":
    made.run(main, tiny)
