"""The ways back up, side by side: what networks that bench/compare.py has trained make of the same cuttings.

python bench/compare.py CAMVID --results FILE.jsonl --choices "upsample, U-Net: decoder=upsample" … budget=8m …
python bench/segmentation.py CAMVID --results FILE.jsonl --out FOLDER NAME[@LEFT,TOP] …

For each NAME, part of a validation picture's, a picture is drawn: the cutting, the truth, and each choice of seed 0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import made
import numpy as np
from PIL import Image, ImageDraw

import striate as st
from striate.images.drawing import INK, font, paint_classes

_GAP, _CAPTION, _SIDE, _COLUMNS = 6, 18, 200, 4


def sheet_of(tiles: dict[str, Image.Image]) -> Image.Image:
    """Put pictures of one size side by side, each under its name."""
    rows = -(-len(tiles) // _COLUMNS)
    width, height = _COLUMNS * (_SIDE + _GAP) + _GAP, rows * (_SIDE + _CAPTION + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (caption, tile) in enumerate(tiles.items()):
        x, y = _GAP + place % _COLUMNS * (_SIDE + _GAP), _GAP + place // _COLUMNS * (_SIDE + _CAPTION + _GAP)
        sheet.paste(tile, (x, y + _CAPTION))
        pen.text((x, y), caption, fill=INK, font=font(13))
    return sheet


def main(words: list[str]) -> None:
    """Draw a sheet for each picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("pictures", nargs="+", help="names of validation pictures, with @left,top")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_intermixed_args(words)
    rows = [json.loads(line) for line in given.results.read_text().splitlines()]
    runs = {row["choice"]: st.load(row["run"]) for row in rows if row["options"]["seed"] == 0}
    dataset = st.open_data(given.data)
    samples, colours = dataset.split("val"), dataset.vocabulary.drawn_in
    given.out.mkdir(parents=True, exist_ok=True)
    for text in given.pictures:
        name, _, corner = text.partition("@")
        left, top = (int(part) for part in corner.split(",")) if corner else (120, 60)
        box = (left, top, left + _SIDE, top + _SIDE)
        index = next(i for i, known in enumerate(samples.names) if name in known)
        picture, mask = samples.images.paths[index], samples.labels.masks.paths[index]
        with Image.open(picture) as opened, Image.open(mask) as truth:
            image, labels = opened.convert("RGB"), np.array(truth)
        labels = np.where(labels < len(colours), labels, 255).astype(np.uint8)
        tiles = {"picture": image.crop(box), "truth": paint_classes(np.asarray(image), labels, colours).crop(box)}
        for choice, run in runs.items():
            ((_, prediction),) = run.predictions([picture])
            tiles[choice] = paint_classes(np.asarray(image), prediction.indices, colours).crop(box)
        sheet_of(tiles).save(given.out / f"{Path(name).stem}.png")


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made images."""
    data, results = made.masks(folder / "data"), folder / "results.jsonl"
    run = made.trained(data, folder / "run", made.MASK_LINE)
    results.write_text(json.dumps({"choice": "small", "run": str(run), "options": {"seed": 0}}) + "\n")
    name = st.open_data(data).split("val").names[0]
    return [str(data), f"{name}@10,10", "--results", str(results), "--out", str(folder / "sheets")]


if __name__ == "__main__":
    made.run(main, tiny)
