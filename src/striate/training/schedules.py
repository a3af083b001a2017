"""Learning rates as plain functions: `step, steps -> factor` of the peak rate."""

from __future__ import annotations

import math


def one_cycle(step: int, steps: int) -> float:
    """Return the one-cycle factor of a step: up along a cosine for 30 % of the steps, then down to almost nothing.

    Starts at 1/25, peaks at 1, ends at 1/250,000. L. N. Smith and N. Topin, "Super-convergence", 2018; the
    numbers are those of torch's OneCycleLR.

    Args:
        step: counts from 0 to `steps` - 1.
        steps: of the whole training, 1 or more; a single one is taken at the peak.

    >>> [round(one_cycle(step, 10), 3) for step in (0, 2, 9)]
    [0.04, 1.0, 0.0]
    """
    if steps == 1:
        return 1.0
    first, last = 1 / 25, 1 / 250_000
    peak_at = 0.3 * steps - 1
    if step <= peak_at:
        return _cosine(first, 1.0, step / peak_at)
    way_down = steps - 1 - peak_at
    return _cosine(1.0, last, (step - peak_at) / way_down)


def _cosine(start: float, end: float, share: float) -> float:
    """Go from start to end along half a cosine; `share` of the way, 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
