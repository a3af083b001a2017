"""What a network for poses can end in; without torch, as the options of training name it too."""

from __future__ import annotations

from typing import Literal

Head = Literal["vector", "heatmap"]
