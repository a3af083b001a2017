"""What a user can choose about pose estimation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from striate.system.options import Options

Head = Literal["vector", "heatmap"]


@dataclass(frozen=True, kw_only=True)
class PoseOptions(Options):
    """Options of the network's head.

    Raises:
        ConfigError: a value makes no sense.
    """

    head: Head = "vector"
    """What ends in coordinates: the model's own head, or transposed convolutions to a heatmap for each joint."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(("head", self.head in get_args(Head), f"one of {', '.join(get_args(Head))}"))
