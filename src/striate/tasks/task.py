"""A task and its three faces, each built when it is first used: the spec alone needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from striate.tasks.spec import TargetStatistics, TaskSpec

if TYPE_CHECKING:
    from striate.tasks.explaining import TaskExplaining
    from striate.tasks.training import TaskTraining
    from striate.tasks.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """Where the parts of a task are, each as "module:name".

    Attributes:
        spec: class of the `TaskSpec`, made of vocabulary, statistics and options.
        training: class of the `TaskTraining`, made of the spec.
        explaining: class of the `TaskExplaining`, made of the spec.
        options: dataclass of the options that the task takes.
        training_options: names of further options of training that make sense for some tasks alone, this one included.
    """

    spec: str
    training: str
    explaining: str
    options: str
    training_options: tuple[str, ...] = ()


class Task:
    """What differs between tasks, in three faces.

    Args:
        name: a key of `TASKS`.
        entry: where its parts are.
        vocabulary: what the labels are about.
        statistics: statistics of the training targets; None: not known yet.
        options: fields of the task's options; what is left out has its default.

    Raises:
        ConfigError: an option has a value that makes no sense.
    """

    def __init__(
        self,
        name: str,
        entry: TaskEntry,
        vocabulary: Vocabulary,
        statistics: TargetStatistics | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.vocabulary = vocabulary
        self.statistics = statistics or TargetStatistics()
        self.options = resolve_name(entry.options)(**(options or {}))
        self._entry = entry
        self._given = options

    @cached_property
    def spec(self) -> TaskSpec:
        """What the outputs mean; raises ValueError where the statistics are not as the task leaves them."""
        spec: TaskSpec = resolve_name(self._entry.spec)(self.vocabulary, self.statistics, self.options)
        return spec

    @cached_property
    def training(self) -> TaskTraining:
        """What the network is and how it learns."""
        training: TaskTraining = resolve_name(self._entry.training)(self.spec)
        return training

    @cached_property
    def explaining(self) -> TaskExplaining:
        """What can be asked about the outputs, and how good they are."""
        explaining: TaskExplaining = resolve_name(self._entry.explaining)(self.spec)
        return explaining

    def with_statistics(self, statistics: TargetStatistics) -> Task:
        """Return the same task, with statistics of the training targets."""
        return Task(self.name, self._entry, self.vocabulary, statistics, self._given)
