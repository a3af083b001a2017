"""How data are read: options of every command that opens a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le

from striate.system.options import Options, Wanted
from striate.tasks import TASKS

if TYPE_CHECKING:
    TaskChoice = str
else:
    TaskChoice = Literal[("auto", *TASKS)]
CacheChoice = Literal["auto", "disk", "none"]


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """How data are read, where that is not plain.

    Raises:
        ConfigError: a value makes no sense.
    """

    task: TaskChoice = "auto"
    """What the labels are for. auto: as the layout of the data tells."""

    ignore: Annotated[tuple[str, ...], Wanted("names of classes, or values in masks")] = ()
    """Classes in masks, by name or value, that count as no label, in addition to void and the like."""

    threshold: Annotated[int | None, Ge(1), Le(255)] = None
    """Split grey masks into two classes, JPEG or not: values from this one on (1 to 255) are the second."""

    split_seed: Annotated[int, Ge(0)] = 0
    """Seed of the split, if the data define none."""

    max_pixels: Annotated[int, Ge(1)] = 89_478_485
    """Images with more pixels are refused before they are decoded."""

    def reading(self) -> dict[str, Any]:
        """Return what `open_data` needs to know."""
        return {
            "task": self.task,
            "ignore": self.ignore,
            "threshold": self.threshold,
            "split_seed": self.split_seed,
        }
