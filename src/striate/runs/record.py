"""`run.json`: all that is needed to use a network, and how it came to be."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import safetensors.numpy
import torch
from safetensors import SafetensorError

from striate.batching.augmentation import POLICIES
from striate.batching.options import PolicyName
from striate.errors import RunError, listing
from striate.geometry import Shape
from striate.images.preprocessing import Preprocessing
from striate.models import MODELS, is_line
from striate.models.plan import Plan
from striate.runs.migration import migrated
from striate.system import atomic, strict_json
from striate.tasks import TASKS, create_task
from striate.tasks.skeleton import Skeleton
from striate.tasks.spec import TargetStatistics
from striate.tasks.task import Task
from striate.tasks.vocabulary import Vocabulary
from striate.training.config import TrainConfig
from striate.version import __version__

FILE = "run.json"
SPLIT = "split.json"
WEIGHTS = "model.safetensors"
LOG = "metrics.jsonl"
TENSORS = "learned.safetensors"
_FORMAT = 5


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The fields of `run.json`.

    Attributes:
        task: a key of `TASKS`.
        model: a key of `MODELS`, or a line.
        line: the architecture as text, with the stem that was taken.
        classes: class names, in the order of the network's outputs.
        colours: of the classes in masks; none where the data give none.
        skeleton: the joints, where they are what is found.
        preprocessing: what happens to an image before the network sees it.
        augment: the policy by which training images were changed, a key of `POLICIES`.
        config: the options of training; first weights, optimiser, rate and freezing as they were settled.
        learned: what the task found in the training targets.
        labels: a hash of the labels of every split, in the order of its images.
        choices: what was measured before it began: precision and the figures of all that were tried, the peak
            learning rate, the number of steps, whether the last layer was fitted first.
        data: where the images were, and how many of them each split holds.
        environment: versions, operating system, device and threads.
        status: whether training ended, was interrupted, failed, or is still going on (or was killed).
        epochs: how many epochs have ended.
        best_epoch: the one that the weights are of, by the validation images; 0: of the fitted last layer before
            training; None while there are none.
        metrics: the weights' figures; of a whole training in float32, as `evaluate` measures, of one that was
            interrupted as training computed.
        baselines: what needs no network reaches on the images of `metrics`, once training has ended; by name.
        metrics_split: the images that `metrics` are of: `test` where the data have one, else `val`.
        seconds: from the start of training to its end, decoding included.
        images_per_s: training images a second, validation and decoding left out.
    """

    task: str
    model: str
    line: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    augment: PolicyName
    config: TrainConfig
    data: dict[str, Any]
    environment: dict[str, Any]
    colours: tuple[tuple[int, int, int], ...] = ()
    skeleton: Skeleton | None = None
    target_statistics: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    status: Literal["training", "complete", "interrupted", "failed"] = "training"
    epochs: int = 0
    best_epoch: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, Any] = field(default_factory=dict)
    metrics_split: str = "val"
    seconds: float = 0.0
    images_per_s: float = 0.0

    @property
    def is_published(self) -> bool:
        """Whether these are published weights, of which nobody here knows what they were trained on."""
        return not self.labels

    @property
    def candidates(self) -> int:
        """Among the weights of how many epochs the best were chosen, the fitted last layer before them included."""
        return self.epochs + bool(self.choices.get("fitted"))

    @property
    def planned_epochs(self) -> int:
        """How many epochs there are to be, a part of one counted as one."""
        epochs: int = -(-self.choices["steps"] // self.choices["steps_per_epoch"])
        return epochs

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels are about."""
        return Vocabulary(classes=self.classes, colours=self.colours, skeleton=self.skeleton)

    def create_task(self) -> Task:
        """Create its task, with what `run.json` has of its statistics."""
        statistics = TargetStatistics(self.target_statistics)
        return create_task(self.task, self.vocabulary, statistics, self.config.of_task(self.task))

    def statistics(self, folder: Path) -> TargetStatistics:
        """Return all statistics of the training targets; raises RunError where those in the folder are damaged."""
        path = folder / TENSORS
        try:
            tensors = safetensors.numpy.load_file(path) if path.exists() else {}
            statistics = TargetStatistics(self.target_statistics, tensors)
            _ = self.create_task().with_statistics(statistics).spec  # which checks them
        except (OSError, SafetensorError, ValueError) as error:
            raise RunError(str(path), f"damaged ({' '.join(str(error).split())[:200]})", "train again") from None
        return statistics

    def plan(self, shape: Shape | None = None) -> Plan:
        """Work its network out, for images [channels, height, width]; those it was trained on by default."""
        form, task = self.preprocessing, self.create_task()
        shape = shape or (form.channels, form.height_px, form.width_px)
        return task.training.plan_network(self.model, shape, line=self.line)

    def write(self, folder: Path) -> None:
        """Write `run.json` into a run's folder, atomically; raises OutputError."""
        fields = {"format": _FORMAT, **asdict(self)}
        atomic.write(folder / FILE, strict_json.dumps(fields) + "\n")

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Read a run's `run.json`.

        Raises:
            RunError: the folder holds no run, or its record is damaged or of another format.
        """
        path = folder / FILE
        try:
            fields = json.loads(path.read_bytes())
            found = fields.pop("format")
            fields = migrated(fields, found)
            if fields is None:
                raise RunError(
                    str(path),
                    f"written in format {found}, and this striate ({__version__}) reads formats 4 to {_FORMAT}",
                )
            for name in ("mean", "std"):
                fields["preprocessing"][name] = tuple(fields["preprocessing"][name])
            if fields["task"] not in TASKS or not (fields["model"] in MODELS or is_line(fields["model"])):
                raise RunError(
                    str(path), f"this striate ({__version__}) knows no {fields['task']} with {fields['model']}"
                )
            if fields["augment"] not in POLICIES:
                raise RunError(str(path), f"this striate ({__version__}) knows no augmentation {fields['augment']}")
            record = cls(
                **fields
                | {
                    "classes": tuple(fields["classes"]),
                    "colours": tuple(map(tuple, fields["colours"])),
                    "skeleton": _skeleton(fields["skeleton"]),
                    "preprocessing": Preprocessing(**fields["preprocessing"]),
                    "config": _config(fields["config"]),
                }
            )
            _ = record.create_task().spec  # a damaged record may not have what its task needs
            if record.best_epoch is not None and not record.target_statistics:
                raise RunError(str(path), "damaged (learned is empty)", "train again")
            return record
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(str(folder), f"no run here (there is no {FILE}){_runs_nearby(folder)}") from None
        except OSError as error:
            raise RunError(str(path), f"cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(str(path), f"damaged ({error})", "train again") from None


def _skeleton(fields: dict[str, Any] | None) -> Skeleton | None:
    """Read joints back."""
    if fields is None:
        return None
    mirror = tuple((left, right) for left, right in fields["mirror"])
    names, parents = tuple(fields["joints"]), tuple(fields["parents"])
    return Skeleton(joints=names, parents=parents, mirror=mirror, unit=fields["unit"])


def _config(fields: dict[str, Any]) -> TrainConfig:
    """Read options back: JSON knows no tuples."""
    options: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return TrainConfig(**options)


def environment(device: torch.device) -> dict[str, Any]:
    """Describe what a run is made with: versions, operating system, device and threads."""
    return {
        "striate": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "numpy", "pillow")},
        "platform": platform.platform(),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def _runs_nearby(folder: Path) -> str:
    """Name the runs below a folder, or else below `runs/`, for a message."""
    for place in (folder, Path("runs")):
        found = sorted(str(path.parent) for pattern in ("*", "*/*") for path in place.glob(f"{pattern}/{FILE}"))
        if found:
            return f"; there are: {listing(found)}"
    return ""
