"""Tasks: what differs between classifying, segmenting, and finding a pose. Nothing else lives here.

A new task is one file here, a class that keeps `base.Task` and is built from the class names, and one
line in `TASKS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.tasks.base import Task

__all__ = ["TASKS", "create_task"]

TASKS: dict[str, str] = {
    "classify": "striate.tasks.classification:Classification",
}


def create_task(name: str, classes: Sequence[str], **options: float) -> Task:
    """Build the task of a data set or a run with its classes, and the options of its loss."""
    task: Task = resolve_name(TASKS[name])(classes, **options)
    return task
