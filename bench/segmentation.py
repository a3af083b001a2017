"""The ways back up, compared at equal time: decoders with and without skips, trained on one data set.

python bench/segmentation.py CAMVID --results FILE.jsonl [--budget 5m] [--seeds 1] [--pictures FOLDER] [OPTION=VALUE …]

Each decoder trains for the same time. What is in the results is not trained again; the runs lie beside that file. At
the end the table is printed; --pictures draws cuttings of validation pictures where thin things are: the picture, the
truth, and what each decoder makes of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import striate as st
from striate.drawing import paint_classes

DECODERS: dict[str, dict[str, Any]] = {
    "upsample, U-Net": {"decoder": "upsample"},
    "transposed, U-Net": {"decoder": "transposed"},
    "upsample, FCN": {"decoder": "upsample", "merge": "sum"},
    "transposed, FCN": {"decoder": "transposed", "merge": "sum"},
    "upsample, no skips": {"decoder": "upsample", "skips": False},
    "transposed, no skips": {"decoder": "transposed", "skips": False},
}
_GAP, _CAPTION = 6, 16


def value(text: str) -> Any:
    """Read an option's value: a number, or a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def train(data: Path, place: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Train once; returns the figures."""
    run = st.train(data, st.TrainConfig(**options, out=str(place)))
    found = run.evaluate(data)
    return {
        "run": str(run.folder),
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "images_per_s": run.record.images_per_s,
        "epochs": run.record.epochs,
        "seconds": run.record.seconds,
        "metrics": found["metrics"],
        "per_class": {row["class"]: row["iou"] for row in found["per_class"]},
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print a row a decoder: means over the seeds, and the spread of the mean IoU."""
    print("| decoder | parameters | images/s | epochs | mean IoU | boundary F1 | pixel accuracy |")
    print("|---" * 7 + "|")
    for name in DECODERS:
        found = [row for row in rows if row["decoder"] == name]
        if found:
            speed, epochs = (statistics.mean(row[key] for row in found) for key in ("images_per_s", "epochs"))
            shares = [
                " ± ".join(
                    f"{spread:.1%}"
                    for spread in (statistics.mean(each), statistics.stdev(each) if len(each) > 1 else None)
                    if spread is not None
                )
                for key in ("mean_iou", "boundary_f1", "pixel_accuracy")
                for each in [[row["metrics"][key] for row in found]]
            ]
            print(f"| {name} | {found[0]['parameters']:,} | {speed:.1f} | {epochs:.0f} | {' | '.join(shares)} |")


def draw(data: Path, rows: list[dict[str, Any]], names: list[str], folder: Path) -> None:
    """Draw a cutting of each picture: itself, the truth, and what each decoder makes of it."""
    dataset = st.open_data(data)
    samples, colours = dataset.split("val"), dataset.vocabulary.drawn_in
    runs = {row["decoder"]: st.load(row["run"]) for row in rows if row["seed"] == 0}
    font = ImageFont.load_default(13)
    for text in names:
        name, _, corner = text.partition("@")
        left, top = (int(part) for part in corner.split(",")) if corner else (120, 60)
        box = (left, top, left + 200, top + 200)
        index = next(place for place, known in enumerate(samples.names) if name in known)
        picture, mask = samples.pictures.files(index)
        with Image.open(picture) as opened, Image.open(mask) as truth:
            image, labels = opened.convert("RGB"), np.array(truth)
        labels = np.where(labels < len(colours), labels, 255).astype(np.uint8)
        tiles = {"picture": image, "truth": paint_classes(np.asarray(image), labels, colours)}
        for decoder, run in runs.items():
            ((_, prediction),) = run.predictions([picture])
            tiles[decoder] = run.overlay(picture, prediction)
        sheet = Image.new("RGB", (4 * (200 + _GAP) + _GAP, 2 * (200 + _CAPTION + _GAP) + _GAP), "white")
        pen = ImageDraw.Draw(sheet)
        for place, (caption, tile) in enumerate(tiles.items()):
            x, y = _GAP + place % 4 * (200 + _GAP), _GAP + place // 4 * (200 + _CAPTION + _GAP)
            sheet.paste(tile.crop(box), (x, y + _CAPTION))
            pen.text((x, y), caption, fill=(40, 40, 40), font=font)
        folder.mkdir(parents=True, exist_ok=True)
        sheet.save(folder / f"{Path(name).stem}.png")


def main() -> None:
    """Train what is missing, print the table, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pictures", type=Path, help="a folder")
    parser.add_argument("--draw", nargs="*", default=[], help="names of validation pictures, with @left,top")
    parser.add_argument("options", nargs="*", help="of all trainings, such as model=resnet18")
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.results.read_text().splitlines()] if given.results.exists() else []
    common = {name: value(text) for name, _, text in (one.partition("=") for one in given.options)}
    for seed in range(given.seeds):
        for place, (decoder, options) in enumerate(DECODERS.items()):
            if not any((row["decoder"], row["seed"]) == (decoder, seed) for row in rows):
                out = given.results.parent / f"{given.results.stem}-{place}-{seed}"
                chosen = {"budget": given.budget, "seed": seed} | common | options
                rows.append({"decoder": decoder, "seed": seed, **train(given.data, out, chosen)})
                with given.results.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    print_table(rows)
    if given.pictures:
        draw(given.data, rows, given.draw, given.pictures)


if __name__ == "__main__":
    main()
