"""What a user can choose about counting dots."""

from __future__ import annotations

from dataclasses import dataclass

from striate.system.options import Options


@dataclass(frozen=True, kw_only=True)
class DotsOptions(Options):
    """Options of the loss."""

    outlier: float = 5.0
    """Differences beyond this, in deviations, count linearly."""
