"""What pays in a recipe: one thing changed at a time, on two data sets, over several seeds.

python bench/recipe.py CIFAR10 FLOWERS --results recipe.jsonl [--seeds 3] [--only cifar10]

CIFAR10 has train/ and test/ with class folders, FLOWERS class folders. Of CIFAR-10 a tenth of the training images is
taken, by the hash of their names, and all test images; both sets at 32 pixels with ResNet-20, so that the whole table
takes hours and not weeks on two cores. A training to a core, on one thread. Results are appended to a file, and what is
in it is not trained again; at the end the table is printed: mean accuracy over the seeds and the standard deviation.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import made
from compare import train

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "ema": {"ema": 0.99},
    "smoothing": {"label_smoothing": 0.1},
    "mixup": {"mixup": 0.5},
    "depth": {"stochastic_depth": 0.1},
    "progressive": {"progressive": True},
}
SETS: dict[str, dict[str, Any]] = {
    "cifar10": {"size": 32, "epochs": 8},
    "flowers": {"size": 32, "epochs": 10},
}
_TENTH = 26  # of 256


def a_tenth(cifar10: Path, place: Path) -> Path:
    """Link a tenth of the training images, and all test images, into a folder."""
    for path in cifar10.glob("t*/*/*"):
        split, label, name = path.parts[-3:]
        if split == "train" and hashlib.sha256(f"{label}/{name}".encode()).digest()[0] >= _TENTH:
            continue
        (place / split / label).mkdir(parents=True, exist_ok=True)
        os.link(path, place / split / label / name)
    return place


def print_table(rows: list[dict[str, Any]], sets: list[str]) -> None:
    """Print accuracies: mean, standard deviation and difference to the base, of the seeds that both have."""
    print("| | " + " | ".join(sets) + " |")
    print("|---" * (1 + len(sets)) + "|")
    for variant in VARIANTS:
        cells = []
        for name in sets:
            found = {row["seed"]: row["accuracy"] for row in rows if (row["set"], row["variant"]) == (name, variant)}
            base = {row["seed"]: row["accuracy"] for row in rows if (row["set"], row["variant"]) == (name, "base")}
            if not found:
                cells.append("–")
                continue
            spread = statistics.stdev(found.values()) if len(found) > 1 else math.nan
            both = found.keys() & base.keys()
            difference = statistics.mean(found[seed] - base[seed] for seed in both) if both else math.nan
            mean = statistics.mean(found.values())
            cells.append(f"{mean:.1%} ± {100 * spread:.1f} ({100 * difference:+.1f}), {len(found)} seeds")
        print(f"| {variant} | " + " | ".join(cells) + " |")


def main(words: list[str]) -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar10", type=Path)
    parser.add_argument("flowers", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=SETS)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--epochs", type=int, help="of all trainings; default: 8 of CIFAR-10, 10 of the flowers")
    options = parser.parse_args(words)
    rows = [json.loads(line) for line in options.results.read_text().splitlines()] if options.results.exists() else []
    sets, lock = [options.only] if options.only else list(SETS), Lock()
    common, fewer = {"model": options.model}, {"epochs": options.epochs} if options.epochs else {}
    with tempfile.TemporaryDirectory(dir=options.results.parent) as place:
        places = {"flowers": options.flowers}
        if "cifar10" in sets:
            places["cifar10"] = a_tenth(options.cifar10, Path(place))

        def work(job: tuple[int, str, str]) -> None:
            seed, variant, name = job
            began = time.time()
            with tempfile.TemporaryDirectory() as folder:
                options_of_all = common | SETS[name] | fewer | VARIANTS[variant] | {"seed": seed}
                figures = train(places[name], f"{folder}/run", options_of_all)
            found = {"accuracy": figures["metrics"]["accuracy"], "split": figures["split"]}
            with lock, options.results.open("a") as file:
                rows.append({"set": name, "variant": variant, "seed": seed, **found})
                file.write(json.dumps(rows[-1]) + "\n")
                print(
                    f"{name} {variant} seed {seed}: {found['accuracy']:.1%} in {time.time() - began:.0f} s", flush=True
                )

        done = {(row["seed"], row["variant"], row["set"]) for row in rows}
        jobs = [job for job in itertools.product(range(options.seeds), VARIANTS, sets) if job not in done]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(work, jobs))
    print_table(rows, sets)


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made images."""
    data = [str(made.cifar10(folder / "cifar10", images=60)), str(folder), "--only", "cifar10"]
    # a residual block, for stochastic depth
    return [
        *data,
        "--results",
        str(folder / "recipe.jsonl"),
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--model",
        made.MASK_LINE,
    ]


if __name__ == "__main__":
    made.run(main, tiny)
