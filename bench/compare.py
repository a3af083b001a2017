"""Choices compared: the same training with one thing and another, over several seeds, a training to a core.

python bench/compare.py DATA --results FILE.jsonl --choices "NAME: OPTION=VALUE …" … [--seeds 3] [--show METRIC …]
    [--cores 2] [OPTION=VALUE …]

The options at the end are those of all trainings: an equal --epochs, or an equal budget of time (budget=5m), must be
among them. {seed} in DATA stands for the seed. Each training has one thread, so that as many as there are cores can
run at once; compare what is measured with what is measured beside it. What is in the results is not trained again; the
runs lie beside that file. At the end the table is printed: the mean over the seeds, and the standard deviation.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import made

# a training in a process of its own, on one thread
_CHILD = """
import json, sys
import torch
torch.set_num_threads(1)
import striate as st
options = json.loads(sys.argv[1])
run = st.train(options.pop("data"), st.TrainConfig(**options))
record = run.record
print(json.dumps({"run": str(run.folder), "metrics": record.metrics, "baselines": record.baselines,
                  "split": record.metrics_split, "epochs": record.epochs, "seconds": record.seconds,
                  "images_per_s": record.images_per_s,
                  "parameters": sum(parameter.numel() for parameter in run.model.parameters())}))
"""


def train(data: Path | str, out: Path | str, options: dict[str, Any]) -> dict[str, Any]:
    """Train once, in float32 unless said; returns the figures."""
    document = json.dumps({"precision": "float32"} | options | {"data": str(data), "out": str(out)})
    result = subprocess.run(
        [sys.executable, "-c", _CHILD, document],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    if result.returncode:
        raise RuntimeError(result.stderr[-2000:])
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def read_options(words: list[str]) -> dict[str, Any]:
    """Read OPTION=VALUE words: numbers, true and false, or text."""
    pairs = (word.partition("=") for word in words)
    return {name: _value(text) for name, _, text in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def spread(values: list[float], form: str) -> str:
    """Write a mean, and the standard deviation where there are several."""
    deviation = f" ± {statistics.stdev(values):{form}}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{deviation}"


def print_table(rows: list[dict[str, Any]], names: list[str], shown: list[str]) -> None:
    """Print a row a choice; metrics below 1 are taken for shares."""
    columns = ["parameters", "images/s", "epochs", *shown, "seeds"]
    print(f"| | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for name in names:
        found = [row for row in rows if row["choice"] == name]
        if found:
            cells = [
                f"{found[0]['parameters']:,}",
                f"{statistics.mean(row['images_per_s'] for row in found):.1f}",
                f"{statistics.mean(row['epochs'] for row in found):.0f}",
            ]
            for metric in shown:
                values = [row["metrics"][metric] for row in found]
                cells.append(spread(values, ".1%" if max(values) <= 1 else ".1f"))
            print(f"| {name} | {' | '.join(cells)} | {len(found)} |")


def main(words: list[str]) -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("options", nargs="*", help="of all trainings, such as budget=5m model=resnet18")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--choices", nargs="+", required=True, help='such as "heatmap: head=heatmap"')
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--show", nargs="+", default=["loss"])
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    given = parser.parse_intermixed_args(words)
    choices = {
        name.strip(): read_options(words.split()) for name, _, words in (c.partition(":") for c in given.choices)
    }
    rows = [json.loads(line) for line in given.results.read_text().splitlines()] if given.results.exists() else []
    lock, common = Lock(), {"data": given.data} | read_options(given.options)

    def work(job: tuple[int, str]) -> None:
        seed, name = job
        options = common | choices[name] | {"seed": seed}
        place = given.results.parent / f"{given.results.stem}-{name.replace(' ', '-').replace(',', '')}-{seed}"
        found = train(
            given.data.replace("{seed}", str(seed)),
            place,
            {key: value for key, value in options.items() if key != "data"},
        )
        with lock, given.results.open("a") as file:
            rows.append({"choice": name, "options": options, **found})
            file.write(json.dumps(rows[-1]) + "\n")
            print(f"{name}, seed {seed}: {found['metrics']}", file=sys.stderr, flush=True)

    done = [row["options"] for row in rows]
    jobs = [
        (seed, name)
        for seed, name in itertools.product(range(given.seeds), choices)
        if common | choices[name] | {"seed": seed} not in done
    ]
    with ThreadPoolExecutor(given.cores) as pool:
        list(pool.map(work, jobs))
    print_table([row for row in rows if common.items() <= row["options"].items()], list(choices), given.show)


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made images."""
    data, results = made.class_folders(folder / "data"), folder / "results.jsonl"
    choices = ["--choices", "plain: augment=none", "augmented: augment=light"]
    return [
        str(data),
        "--results",
        str(results),
        *choices,
        "--show",
        "accuracy",
        "loss",
        "--",
        "model=lenet5",
        "epochs=1",
    ]


if __name__ == "__main__":
    made.run(main, tiny)
