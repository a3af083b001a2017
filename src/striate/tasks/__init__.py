"""Tasks: what differs between classification, segmentation and pose estimation. Nothing else knows which task it is.

A new task is one folder here, whose `TASK` names its three faces and its options, and one line in `TASKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from striate.tasks.task import Task, TaskEntry

if TYPE_CHECKING:
    from striate.tasks.spec import TargetStatistics
    from striate.tasks.vocabulary import Vocabulary

__all__ = ["TASKS", "Task", "TaskEntry", "create_task", "find_task"]

TASKS: dict[str, str] = {
    "classify": "striate.tasks.classification:TASK",
    "segment": "striate.tasks.segmentation:TASK",
    "pose": "striate.tasks.pose:TASK",
}


def find_task(name: str) -> TaskEntry:
    """Return the entry of a task by its name, a key of `TASKS`."""
    entry: TaskEntry = resolve_name(TASKS[name])
    return entry


def create_task(
    name: str,
    vocabulary: Vocabulary,
    statistics: TargetStatistics | None = None,
    options: Mapping[str, Any] | None = None,
) -> Task:
    """Create the task of a data set or a run.

    Args:
        name: a key of `TASKS`.
        vocabulary: what the labels are about.
        statistics: statistics of the training targets, from `fit_target_statistics`; None: not known yet.
        options: fields of the task's options; what is left out has its default.

    Raises:
        ConfigError: an option has a value that makes no sense.
    """
    return Task(name, find_task(name), vocabulary, statistics, options)
