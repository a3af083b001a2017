"""Settings of torch that hold for a whole process: made while a training runs, and put back after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from striate.system.machine import keep_freed_memory


@contextmanager
def settings(*, deterministic: bool) -> Iterator[None]:
    """Compute fast, or the same every time, while a block runs.

    Numbers near zero (denormals) are taken for zero, in this thread and those that it starts: processors take
    a hundred times as long for them. Memory that is freed is kept (`keep_freed_memory`). On GPUs cuDNN tries its
    kernels for every shape and takes the fastest, unless the training is to be deterministic; then only kernels are
    used that always give the same.

    Args:
        deterministic: whether the same training gives the same weights on a GPU, too; on the CPU it does anyway.
    """
    keep_freed_memory()
    flushed = float(torch.tensor(1e-30) * 1e-10) == 0
    searched, strict = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    torch.set_flush_denormal(True)
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = not deterministic
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS wants for that
            torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.backends.cudnn.benchmark = searched
        if strict != torch.are_deterministic_algorithms_enabled():  # else an interrupt waits for what this imports
            torch.use_deterministic_algorithms(strict)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute on so many threads while a block runs; 0 leaves the number as it is."""
    before = torch.get_num_threads()
    if count and count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def out_of_memory(error: RuntimeError) -> bool:
    """Tell whether memory ran out: torch has a class for that on GPUs, and words on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
