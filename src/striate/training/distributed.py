"""Several processes that train one network: who is who, and how they add up.

`torchrun --nproc-per-node 2 -m striate train …` starts the processes (PyTorch's own launcher) and tells each its rank
through the environment. Gradients are added up once a step, when all parts of the batch are through: a process that
runs short of memory can halve its parts without the others noticing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from striate.errors import ConfigError, TrainingError
from striate.system import strict_json

_PATIENCE = timedelta(minutes=30)  # decoding, that one process does for all, may take its time


@dataclass(frozen=True)
class DistributedContext:
    """The processes of a training; alone, all of it does nothing.

    Attributes:
        rank: of this process, from 0; process 0 writes and speaks.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over all processes in the place of each tensor, in one message a type of number.

        Raises:
            TrainingError: another process has ended.
        """
        if self.size == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in alike]).to(_message_device())
            with _peers_alive():
                dist.all_reduce(flat)
            for tensor, total in zip(alike, torch.split(flat, [tensor.numel() for tensor in alike]), strict=True):
                tensor.copy_(total.view_as(tensor))

    def agree(self, document: Any) -> Any:
        """Return what process 0 has, a JSON document, in all of them; raises TrainingError as `add_up` does."""
        if self.size == 1:
            return document
        content = strict_json.dumps(document).encode() if self.first else b""
        length = torch.tensor([len(content)], device=_message_device())
        with _peers_alive():
            dist.broadcast(length, 0)
            message = torch.zeros(int(length), dtype=torch.uint8, device=length.device)
            if self.first:
                message.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
            dist.broadcast(message, 0)
        return json.loads(bytes(message.tolist()))

    def any(self, answer: bool) -> bool:
        """Tell whether the answer of any process is yes; raises TrainingError as `add_up` does."""
        answers = torch.tensor([int(answer)], device=_message_device() if self.size > 1 else "cpu")
        self.add_up([answers])
        return bool(answers)

    def join_norms(self, model: nn.Module) -> str:
        """Have batch norms norm over the batches of all processes, where that can be done; says where it cannot.

        PyTorch's SyncBatchNorm is for GPUs alone.
        """
        normed = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())
        if self.size == 1 or not normed:
            return ""
        if next(model.parameters()).device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
            return ""
        return (
            "batch norm: each process norms its own share of a batch (over all of them PyTorch can on GPUs alone); "
            "running statistics are averaged after every step"
        )


@contextmanager
def join() -> Iterator[DistributedContext]:
    """Be one of the processes that torchrun started, while a block runs; alone where it started none.

    Raises:
        ConfigError: there are more processes than GPUs.
        TrainingError: the others cannot be reached.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield DistributedContext()
        return
    if dist.is_initialized():
        yield DistributedContext(dist.get_rank(), dist.get_world_size())
        return
    on_gpu, place = torch.cuda.is_available(), int(os.environ.get("LOCAL_RANK", "0"))
    if on_gpu and place >= torch.cuda.device_count():
        raise ConfigError("", f"this machine has {torch.cuda.device_count()} GPUs: start as many processes, no more")
    if on_gpu:
        torch.cuda.set_device(place)
    with _peers_alive():
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=_meeting_place(size),
            rank=int(os.environ["RANK"]),
            world_size=size,
            timeout=_PATIENCE,
        )
    try:
        yield DistributedContext(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def _meeting_place(size: int) -> Any:
    """Return where processes leave each other their addresses.

    Of every start anew a place of its own: torchrun's store outlives a restart, and the addresses of processes that
    are no more would be found there (torch 2.13 hands it out without the prefix that older versions gave it).
    """
    store = dist.TCPStore(  # type: ignore[attr-defined]  # its stubs do not list it
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        size,
        is_master=os.environ["RANK"] == "0" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        timeout=_PATIENCE,
    )
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(f"striate-{attempt}", store)  # type: ignore[attr-defined]


def _message_device() -> str:
    """Return where messages lie: NCCL carries those of GPUs alone."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


@contextmanager
def _peers_alive() -> Iterator[None]:
    """Say plainly that another process has ended, where the block waits for it in vain."""
    try:
        yield
    except RuntimeError as error:  # dist.DistError and what gloo raises
        reason = " ".join(str(error).split())[:120]
        raise TrainingError(f"another process of this training has ended, or cannot be reached ({reason}).") from None
