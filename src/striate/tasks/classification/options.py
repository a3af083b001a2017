"""What a user can choose about classification."""

from __future__ import annotations

from dataclasses import dataclass

from striate.tasks.options import SmoothingOptions


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions(SmoothingOptions):
    """Options of the loss.

    Raises:
        ConfigError: a value makes no sense.
    """
