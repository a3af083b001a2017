"""Seams: what windows (`striate predict --tile`) make of pictures, beside the same network on the whole picture.

python bench/seams.py RUN IMAGE… [--window 512] [--mosaic 2]

Pictures are brought to the size of the training's, and, with --mosaic, so many of them down and across make one.

Prints the share of pixels whose class differs, and how often the class changes from one row or column to the next where
a window begins or ends or two windows count alike, beside how often it does elsewhere: 1 means that no seam is seen.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import made
import numpy as np
import torch

import striate as st
from striate.batching.normalise import normalise
from striate.images.decode import decode
from striate.images.resize import ImageSpec
from striate.models.sliding import strips_by_windows, tile_windows
from striate.tasks.segmentation.resample import likeliest_classes


def changes(classes: np.ndarray, lines: list[int], axis: int) -> tuple[float, float]:
    """Return how often the class changes across some lines, and across all others."""
    moved = np.moveaxis(classes, axis, 0)
    differs = (moved[1:] != moved[:-1]).mean(1)  # between line i and i + 1
    at = np.zeros(len(differs), dtype=bool)
    at[[line - 1 for line in lines if 0 < line <= len(differs)]] = True
    return float(differs[at].mean()), float(differs[~at].mean())


def borders(parts: list[tuple[int, int]]) -> list[int]:
    """Return where windows begin and end, and where the weight of two that overlap is the same."""
    inner = [(start, end_before) for (_, end_before), (start, _) in pairwise(parts)]
    return sorted({place for start, end in inner for place in (start, end, (start + end) // 2)})


def main(words: list[str]) -> None:
    """Look at each picture both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--mosaic", type=int, default=1)
    given = parser.parse_args(words)
    run = st.load(given.run)
    preprocessing, differing, across = run.record.preprocessing, [], []
    form = ImageSpec(
        height_px=preprocessing.height_px, width_px=preprocessing.width_px, channels=preprocessing.channels
    )
    side = given.mosaic
    size, unit = (side * form.height_px, side * form.width_px), run.model.unit
    for begin in range(0, len(given.images) - side**2 + 1, side**2):
        parts = [decode(path.read_bytes(), form).pixels for path in given.images[begin : begin + side**2]]
        pixels = np.concatenate([np.concatenate(parts[row * side : (row + 1) * side], 1) for row in range(side)])
        image = normalise(preprocessing, torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
        with torch.inference_mode():
            whole = run.model(image)[0].argmax(0).numpy()
            strips = strips_by_windows(run.model, image, (given.window, given.window), unit)
            tiled = likeliest_classes((strip.numpy() for strip in strips), size[0], size)
        differing.append(float((whole != tiled).mean()))
        for axis in (0, 1):
            lines = borders(tile_windows(size[axis], given.window, unit[axis]))
            if lines:
                across.append((*changes(tiled, lines, axis), changes(whole, lines, axis)[0]))
    at, elsewhere, whole_at = np.mean(across, axis=0)
    print(f"{len(differing)} pictures, windows of {given.window}: {np.mean(differing):.2%} of pixels differ")
    print(f"class changes across window borders {at:.3%}, elsewhere {elsewhere:.3%}; same lines, whole {whole_at:.3%}")
    print(f"windows over whole, on those lines: {at / whole_at:.3f}")


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made images."""
    data = made.masks(folder / "data")
    run = made.trained(data, folder / "run", made.MASK_LINE)
    return [str(run), *map(str, sorted((data / "images").iterdir())[:4]), "--window", "128", "--mosaic", "2"]


if __name__ == "__main__":
    made.run(main, tiny)
