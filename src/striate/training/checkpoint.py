"""Checkpoints: the state of a training on disk, old or new, never half of each.

    checkpoints/step-00000120.safetensors    all tensors
    checkpoints/step-00000120.json           numbers, and the hash of the tensors' file: written last

The second file is what makes a checkpoint: tensors without it are those of a process that was killed while it wrote.
Both are written under another name, flushed to disk and renamed. The newest two are kept. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as unpack
from safetensors.torch import save as pack
from torch import Tensor

from striate.errors import RunError
from striate.system import atomic, strict_json

FOLDER = "checkpoints"
_FORMAT, _KEPT = 1, 2
_NAME = re.compile(r"step-(\d{8,})\.json")


@dataclass(frozen=True)
class Checkpoint:
    """One that was read.

    Attributes:
        path: of its numbers.
        tensors: by name.
        facts: its numbers.
    """

    path: Path
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Save a state in a run's folder; older ones go, but for the newest two.

    Raises:
        OutputError: it cannot be written; the ones before are as they were.
    """
    place = folder / FOLDER
    atomic.make_folder(place)
    payload = packed(tensors)
    content = {"format": _FORMAT, "tensors": hashlib.sha256(payload).hexdigest(), "facts": dict(facts)}
    content["self"] = _own_hash(content)
    name = f"step-{step:08}"
    atomic.write(place / f"{name}.safetensors", payload)
    atomic.write(place / f"{name}.json", strict_json.dumps(content) + "\n")
    _tidy(place)


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Return tensors as the content of a safetensors file."""
    return pack({name: value.detach().cpu().contiguous() for name, value in tensors.items()})


def exists(folder: Path) -> bool:
    """Tell whether a run has a checkpoint, without reading it."""
    return bool(_pointers(folder / FOLDER))


def newest(folder: Path) -> Checkpoint | None:
    """Read the newest checkpoint of a run; None where there is none.

    Raises:
        RunError: it is damaged; the message names it, and the one before.
    """
    pointers = _pointers(folder / FOLDER)
    if not pointers:
        return None
    try:
        return _read(pointers[0])
    except RunError as error:
        raise RunError(error.where, error.what, _way_out(pointers)) from None


def remove(folder: Path) -> None:
    """Remove the checkpoints of a training that has come to its end."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _read(path: Path) -> Checkpoint:
    """Read and verify a checkpoint; raises RunError."""
    payload_path = path.with_suffix(".safetensors")
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT:
            raise RunError(str(path), f"written in format {content['format']}, and this striate reads format {_FORMAT}")
        if content["self"] != _own_hash(content):
            raise RunError(str(path), "damaged or edited")
        payload = payload_path.read_bytes()
    except FileNotFoundError:
        raise RunError(str(payload_path), "missing") from None
    except OSError as error:
        raise RunError(str(path), f"cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RunError(str(path), "damaged or edited") from None
    if hashlib.sha256(payload).hexdigest() != content["tensors"]:
        raise RunError(str(payload_path), "damaged or edited")
    return Checkpoint(path, unpack(payload), content["facts"])


def _way_out(pointers: list[Path]) -> str:
    """Say which checkpoint before a damaged one can be gone on with."""
    for position, path in enumerate(pointers[1:], start=1):
        try:
            _read(path)
        except RunError:
            continue
        broken = " and ".join(str(other) for other in pointers[:position])
        return f"remove {broken} to resume from the one before, of step {_step(path):,}"
    return "start again with another --out, as there is no other checkpoint"


def _own_hash(content: Mapping[str, Any]) -> str:
    """Hash the numbers of a checkpoint, the hash of its tensors among them."""
    rest = {name: value for name, value in content.items() if name != "self"}
    return hashlib.sha256(strict_json.dumps(rest, indent=None).encode()).hexdigest()


def _pointers(place: Path) -> list[Path]:
    """List the checkpoints of a folder, the newest first."""
    try:
        found = [path for path in place.iterdir() if _NAME.fullmatch(path.name)]
    except OSError:
        return []
    return sorted(found, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _tidy(place: Path) -> None:
    """Remove all but the newest checkpoints, and what a process left that was killed while it wrote."""
    kept = {path.stem for path in _pointers(place)[:_KEPT]}
    for path in place.iterdir():
        if path.name.startswith((".step-", "step-")) and path.stem not in kept:
            with contextlib.suppress(OSError):  # it can be removed another time
                path.unlink()
