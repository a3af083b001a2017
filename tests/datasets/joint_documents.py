"""Documents of joints, and what can be done to them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Document = dict[str, Any]
Spoil = Callable[[Document], Any]

SKELETON: Document = {
    "joints": ["pelvis", "l_hip", "r_hip"],
    "parents": [-1, 0, 0],
    "mirror": [["l_hip", "r_hip"]],
    "unit": "mm",
}


def sample(name: str, **more: Any) -> Document:
    xyz = [[10.0, 20, 3000], [110.0, 20, 3000], [-90.5, 20, 3000]]
    return {"image": name, "xyz": xyz, "uv": [[12.5, 8], [15, 8.5], [10, 8]], **more}


def write(folder: Path, document: Document | str | bytes, name: str = "joints.json") -> str:
    text = json.dumps(document) if isinstance(document, dict) else document
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder / name)


def change(path: str, value: Any) -> Spoil:
    """Return what sets the value at a path such as `samples.0.uv`."""
    *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]

    def spoil(document: Document) -> None:
        place: Any = document
        for step in way:
            place = place[step]
        place[last] = value

    return spoil


def without(*keys: str) -> Spoil:
    return lambda document: [document.pop(key) for key in keys]


def rename(old: str, new: str) -> Spoil:
    return lambda document: document.update({new: document.pop(old)})


def in_all(**more: Any) -> Spoil:
    return lambda document: [entry.update(copy.deepcopy(more)) for entry in document["samples"]]


NAN, INFINITY = float("nan"), float("inf")
B = r"samples\[1\] \(b\.png\)"
