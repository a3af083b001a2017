"""Pictures of two dots whose places are to be found: poses that a small network learns in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

LINE = "conv 8@3x3 stride=2 pad=1 | bn | relu | conv 16@3x3 stride=2 pad=1 | bn | relu | gap | fc classes"
QUICK = {"model": LINE, "epochs": 8, "batch_size": 8, "precision": "float32", "augment": "none"}


def point(folder: Path, name: str, *, samples: int = 60, in_space: bool = True, off: int | None = None) -> Path:
    """Pictures of a red dot and a blue dot: joints whose places can be seen."""
    rng = np.random.default_rng(0)
    (folder / name).mkdir()
    listed = []
    for index in range(samples):
        places = rng.uniform(6, 26, (2, 2))
        while np.linalg.norm(places[1] - places[0]) < 8:
            places = rng.uniform(6, 26, (2, 2))
        pixels = np.full((32, 32, 3), 120, np.uint8)
        y, x = np.mgrid[:32, :32] + 0.5
        for (u, v), colour in zip(places, ((230, 30, 30), (30, 30, 230)), strict=True):
            pixels[(x - u) ** 2 + (y - v) ** 2 < 12] = colour
        Image.fromarray(pixels).save(folder / name / f"{index}.png")
        sample = {"image": f"{index}.png", "split": "val" if index >= samples - 12 else "train"}
        sample["uv"] = [[round(float(c), 2) for c in place] for place in places]
        if index == off:
            sample["uv"][1] = [60.0, 5.0]
        if in_space:
            sample["xyz"] = [[0, 0, 900], [*(20 * (places[1] - places[0])).round(2).tolist(), 900]]
        listed.append(sample)
    document = {"joints": ["red", "blue"], "parents": [-1, 0], "unit": "mm", "samples": listed}
    (folder / name / "joints.json").write_text(json.dumps(document))
    return folder / name
