"""As if few pictures had been labelled: a table of some of a data set's pictures, and others to measure with.

python bench/few.py FOLDER OUT.csv [--each 10] [--test 100] [--seed 0]

FOLDER has class folders. Of each class the same `--test` pictures are set aside for validation, whatever the seed;
of the others `--each`, chosen by the seed, are there to train with, or all of them with --each 0. For bench/compare.py,
which puts the seed in the place of {seed} in the name of its data.
"""

from __future__ import annotations

import argparse
import csv
import random
from pathlib import Path

import made


def main(words: list[str]) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    rows = []
    for folder in sorted(path for path in given.folder.iterdir() if path.is_dir()):
        pictures = sorted(folder.iterdir())
        random.Random(f"test {folder.name}").shuffle(pictures)
        test, rest = pictures[: given.test], pictures[given.test :]
        random.Random(f"{given.seed} {folder.name}").shuffle(rest)
        chosen = rest[: given.each] if given.each else rest
        rows += [
            (path.resolve(), folder.name, split)
            for split, paths in (("train", chosen), ("val", test))
            for path in paths
        ]
    with given.out.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "split"), *rows])


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made images."""
    return [str(made.class_folders(folder / "data")), str(folder / "few.csv"), "--each", "4", "--test", "4"]


if __name__ == "__main__":
    made.run(main, tiny)
