"""A run's folder while it is trained: after every epoch fit for use, at any time fit to go on with."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import safetensors.numpy

from striate.errors import OutputError
from striate.runs.record import LOG, SPLIT, TENSORS, WEIGHTS, RunRecord
from striate.system import atomic, strict_json
from striate.tasks.figures import brief, score
from striate.tasks.task import Task
from striate.training import checkpoint
from striate.training.budget import Length
from striate.training.loop import EpochResult
from striate.training.state import TrainState

logger = logging.getLogger(__name__)


class RunWriter:
    """Writes a run's files; of several processes the first one does.

    Args:
        folder: the run's.
        record: what is known of the run so far.
        task: ranks the epochs.
        length: how many steps there are to be.
        began: when training began, on the clock of `time.perf_counter`.
        first: whether this process writes.
    """

    def __init__(
        self, folder: Path, record: RunRecord, task: Task, length: Length, *, began: float, first: bool
    ) -> None:
        self.folder = folder
        self.record = record
        self.task = task
        self.length = length
        self.first = first
        self.best_digest = ""
        self.lines: list[str] = []
        self.images = 0
        self.train_seconds = 0.0
        self.began = began
        self.saved_at = time.perf_counter()

    def open(self, split_json: str) -> None:
        """Begin a new run: from now on it can be gone on with. Raises OutputError."""
        if self.first:
            atomic.write(self.folder / SPLIT, split_json)
            if self.task.statistics.tensors:
                atomic.write(self.folder / TENSORS, safetensors.numpy.save(dict(self.task.statistics.tensors)))
        self.write_record()

    def facts(self, state: TrainState) -> dict[str, Any]:
        """Return the numbers of a checkpoint: those of the state, and what is known of the epochs so far."""
        return {
            "progress": asdict(state.progress),
            "steps": self.length.steps,
            "log": self.lines,
            "best": {"epoch": self.record.best_epoch, "metrics": self.record.metrics, "weights": self.best_digest},
            "images": self.images,
            "train_seconds": self.train_seconds,
            "seconds": time.perf_counter() - self.began,
        }

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Go back to what a checkpoint knows."""
        self.lines = list(facts["log"])
        self.images, self.train_seconds = facts["images"], facts["train_seconds"]
        self.began = time.perf_counter() - facts["seconds"]
        best = facts["best"]
        self.best_digest = best["weights"]
        if self.best_digest != self._digest_of_weights():
            # of an epoch after this checkpoint: that will come again, and is better than what is known here
            best, self.best_digest = {"epoch": None, "metrics": {}}, ""
        self.record = replace(
            self.record,
            metrics=best["metrics"],
            metrics_split="val",
            best_epoch=best["epoch"],
            epochs=facts["progress"]["epochs"],
        )

    def _digest_of_weights(self) -> str:
        """Hash the file of the best weights; nothing where there is none."""
        try:
            return hashlib.sha256((self.folder / WEIGHTS).read_bytes()).hexdigest()
        except OSError:
            return ""

    def keep(self, result: EpochResult, state: TrainState) -> None:
        """Write down an epoch, and its weights if they are the best.

        Raises:
            OutputError: the epoch cannot be written.
        """
        if result.epoch:  # what comes before is no step
            self.images += result.images
            self.train_seconds += result.train_seconds
        self.lines.append(strict_json.dumps(asdict(result) | {"images_per_s": result.images_per_s}, indent=None))
        best = self.record.metrics
        if not best or score(self.task.spec.figures, result.metrics) > score(self.task.spec.figures, best):
            if self.first:
                content = checkpoint.packed(state.best.state_dict())
                atomic.write(self.folder / WEIGHTS, content)
                self.best_digest = hashlib.sha256(content).hexdigest()
            self.record = replace(self.record, metrics=result.metrics, best_epoch=result.epoch)
        if self.first:
            atomic.write(self.folder / LOG, "".join(f"{line}\n" for line in self.lines))
        self.write_record(epochs=result.epoch)

    def save(self, state: TrainState) -> None:
        """Save a checkpoint; raises OutputError."""
        if self.first:
            checkpoint.save(self.folder, state.progress.steps, state.tensors(), self.facts(state))
        self.saved_at = time.perf_counter()

    def try_to_save(self, state: TrainState) -> None:
        """Save a checkpoint; where that fails, say so, and that the one before is what there is."""
        try:
            self.save(state)
        except OutputError as error:
            self.saved_at = time.perf_counter()
            logger.info(
                f"no checkpoint could be saved at step {state.progress.steps:,}: {error} The one before it is kept."
            )

    def stop(self, status: str) -> str:
        """Write down why training stops early, and say what there is of it."""
        try:
            self.write_record(status=status)
        except OutputError as error:  # what happened is more than that
            logger.info(str(error))
        if not self.record.metrics:
            return "it had not come to the end of its first epoch"
        epoch = f"epoch {self.record.best_epoch}, {brief(self.task.spec.figures, self.record.metrics)}"
        return f"the best weights so far, {epoch}, are in {self.folder}"

    def write_record(self, **changes: object) -> None:
        """Write `run.json` with some fields changed, and the time that has gone by."""
        self.record = replace(
            self.record,
            seconds=time.perf_counter() - self.began,
            images_per_s=self.images / self.train_seconds if self.train_seconds else 0.0,
            choices=self.record.choices | {"steps": self.length.steps},
            **changes,  # type: ignore[arg-type]  # the fields' own types are checked where they are named
        )
        if self.first:
            self.record.write(self.folder)
