"""What a user can choose about pose estimation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from striate.system.options import Options

Head = Literal["vector", "heatmap"]


@dataclass(frozen=True, kw_only=True)
class PoseOptions(Options):
    """Options of the network's head.

    Raises:
        ConfigError: a value makes no sense.
    """

    head: Head = "vector"
    """What outputs the coordinates: the model's own head, or transposed convolutions to one heatmap per joint."""
