"""Tasks: what differs between classifying, segmenting, and finding a pose. Nothing else lives here.

A new task is one file here, a class that keeps `base.Task` and is built from what labels are about, and one
line in `TASKS`.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.tasks.base import Task
    from striate.tasks.vocabulary import Vocabulary

__all__ = ["TASKS", "create_task"]

TASKS: dict[str, str] = {
    "classify": "striate.tasks.classification:Classification",
    "segment": "striate.tasks.segmentation:Segmentation",
    "pose": "striate.tasks.pose:Pose",
}


def create_task(
    name: str, vocabulary: Vocabulary, *, target_statistics: dict[str, Any] | None = None, **options: Any
) -> Task:
    """Build the task of a data set or a run.

    Args:
        name: a key of `TASKS`.
        vocabulary: what the labels are about.
        learned: what an earlier `study` of the training targets has found.
        options: of the network's head, and of the loss.
    """
    task: Task = resolve_name(TASKS[name])(vocabulary, target_statistics=target_statistics or {}, **options)
    return task
