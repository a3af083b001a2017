"""Good and bad cases: what a run finds in validation pictures, above what is true, by their MPJPE.

python bench/poses.py RUN DATA --out cases.png [--each 2]

The best, the middle and the worst ones: each is drawn as `predict --overlay` draws it, and beside that the truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import made
import numpy as np
from PIL import Image, ImageDraw

import striate as st
from striate.images.decode import decode, open_image, upright_size
from striate.images.drawing import INK, font
from striate.images.resize import ImageSpec
from striate.tasks.pose.joint_prediction import JointPrediction

_CAPTION, _GAP, _SHARE = 24, 8, 0.6


def case(picture: Path, prediction: JointPrediction, true: JointPrediction, caption: str) -> Image.Image:
    """Draw one: prediction and truth, side by side, under a caption."""
    content = picture.read_bytes()
    height, width = upright_size(open_image(content))
    pixels = decode(content, ImageSpec(height_px=height, width_px=width, channels=3)).pixels
    tiles = [one.overlay(pixels) for one in (prediction, true)]
    sheet = Image.new("RGB", (sum(tile.width for tile in tiles) + _GAP, tiles[0].height + _CAPTION), "white")
    pen, x = ImageDraw.Draw(sheet), 0
    for tile, text in zip(tiles, (caption, "truth"), strict=True):
        pen.text((x + 4, 4), text, fill=INK, font=font(16))
        sheet.paste(tile, (x, _CAPTION))
        x += tile.width + _GAP
    return sheet.resize((round(sheet.width * _SHARE), round(sheet.height * _SHARE)), Image.Resampling.LANCZOS)


def main(words: list[str]) -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=2)
    given = parser.parse_args(words)
    run, dataset = st.load(given.run), st.open_data(given.data)
    samples = dataset.split("val")
    labels = samples.labels
    paths = [samples.images.paths[place] for place in range(len(samples))]
    found = [prediction for _, prediction in run.predictions(paths)]
    errors = np.array(
        [
            np.linalg.norm(one.xyz_mm - labels.xyz_mm[place], axis=1)[labels.visible[place]].mean()
            for place, one in enumerate(found)
        ]
    )
    order, middle = np.argsort(errors), len(errors) // 2
    chosen = [*order[: given.each], *order[middle : middle + given.each], *order[-given.each :]]
    sheets = []
    for place in chosen:
        true = JointPrediction(dataset.skeleton, labels.xyz_mm[place], labels.uv_px[place])
        sheets.append(case(paths[place], found[place], true, f"{errors[place]:.0f} mm"))
    whole = Image.new("RGB", (max(one.width for one in sheets), sum(one.height + _GAP for one in sheets)), "white")
    y = 0
    for one in sheets:
        whole.paste(one, (0, y))
        y += one.height + _GAP
    whole.save(given.out)


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made images."""
    data = made.joints(folder / "data")
    run = made.trained(data, folder / "run", made.CLASS_LINE)
    return [str(run), str(data), "--out", str(folder / "cases.png"), "--each", "1"]


if __name__ == "__main__":
    made.run(main, tiny)
