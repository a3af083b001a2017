"""Where a training keeps its run: in a new folder, or in the one of a training that is gone on with."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from striate.errors import OutputError, RunError, listing
from striate.runs.record import FILE as RECORD
from striate.runs.record import SPLIT, RunRecord
from striate.sessions.prepare import Prepared
from striate.sessions.resume import place_of, restarted
from striate.system import atomic
from striate.training.config import TrainConfig

_MAY_CHANGE = {"out", "resume", "checkpoint_minutes", "on_nonfinite", "cache", "max_pixels", "ignore"}
_SETTLED = {"task", "model", "stem", "size", "fit", "augment"}  # compared by what came of them


@contextmanager
def run_folder(prepared: Prepared, config: TrainConfig) -> Iterator[tuple[Path, RunRecord | None]]:
    """Have a folder to oneself while a block runs: yields it, and the record of the training to go on with, if any.

    A new folder that the block leaves without a record goes again.

    Raises:
        OutputError: there is something else in it, another process is at work there, or it cannot be written.
        RunError: the training to go on with has come to its end meanwhile.
    """
    if begun := prepared.begun:
        with atomic.held_folder(begun.folder):
            record = RunRecord.read(begun.folder)  # again: it may have gone on while another process held it
            if record.status == "complete" and not restarted():
                raise RunError(str(begun.folder), "its training has come to its end, so there is nothing to resume")
            yield begun.folder, record
        return
    path = Path(config.out) if config.out != "auto" else _free_place(prepared)
    if Path(prepared.dataset.location).resolve() in path.resolve().parents:
        raise OutputError(str(path), "inside the data, where it would be taken for a class", "choose another --out")
    with atomic.new_folder(path) as folder:
        try:
            yield folder, None
        except BaseException:
            if not (folder / RECORD).exists():
                (folder / SPLIT).unlink(missing_ok=True)
            raise


def _free_place(prepared: Prepared) -> Path:
    plain = place_of(prepared.dataset, prepared.model)
    numbered = (plain.with_name(f"{plain.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([plain], numbered) if not path.exists())


def check_unchanged(
    folder: Path,
    record: RunRecord,
    prepared: Prepared,
    config: TrainConfig,
    split_json: str,
    labels: dict[str, str],
) -> None:
    """Raise RunError that names what is not as it was when a training began."""
    changed = [
        f"{name} (was {_say(before)}, is {_say(now)})"
        for name, before, now in _options(record, prepared, config)
        if before != now
    ]
    if changed:
        raise RunError(
            str(folder),
            f"cannot go on, as this has changed: {listing(changed)}",
            "give the options that it began with, or another --out",
        )
    try:
        before = json.loads((folder / SPLIT).read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(str(folder / SPLIT), f"missing or damaged ({error})", "start again with another --out") from None
    difference = _difference(before, json.loads(split_json))
    if difference is None and labels != record.labels:
        difference = f"the labels of {listing(split for split in labels if labels[split] != record.labels.get(split))}"
    if difference is not None:
        raise RunError(
            str(folder),
            f"cannot go on, as the data have changed: {difference}",
            "put them back, or start again with another --out",
        )


def _options(record: RunRecord, prepared: Prepared, config: TrainConfig) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, value at the beginning and value now of all that decides what a training gives."""
    form = {name: getattr(record.preprocessing, name) for name in asdict(prepared.form)}
    yield "task", record.task, prepared.dataset.task
    if record.model == prepared.model:
        yield "line", record.line, prepared.plan.line
    yield "model", record.model, prepared.model
    yield "classes", record.classes, prepared.dataset.classes
    before, now = (skeleton and asdict(skeleton) for skeleton in (record.skeleton, prepared.dataset.skeleton))
    for part in ("joints", "parents", "mirror", "unit"):
        yield part, before and before[part], now and now[part]
    yield "images", form, asdict(prepared.form)
    yield "augment", record.augment, config.policy
    for option in fields(TrainConfig):
        if option.name not in _MAY_CHANGE | _SETTLED:
            yield option.name, getattr(record.config, option.name), getattr(config, option.name)


def _difference(before: dict[str, dict[str, str]], now: dict[str, dict[str, str]]) -> str | None:
    """Name the first image that is new, gone or another one."""
    for split in {**before, **now}:
        old, new = before.get(split, {}), now.get(split, {})
        for name in old.keys() - new.keys():
            return f"{name} is not in {split} any more"
        for name in new.keys() - old.keys():
            return f"{name} is new in {split}"
        for name, digest in old.items():
            if new[name] != digest:
                return f"{name} is another image"
        if list(old) != list(new):
            return f"the order of {split}"
    return None


def _say(value: Any) -> str:
    if isinstance(value, dict):
        words = [part for part in value.values() if isinstance(part, str)]
        return " ".join(["x".join(str(part) for part in value.values() if part not in words), *words])
    return "none" if value is None else str(value) or "none"
