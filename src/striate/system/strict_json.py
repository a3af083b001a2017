"""JSON that every reader takes: ASCII, whatever the terminal, and null for what is not a finite number."""

from __future__ import annotations

import json
import math
from typing import Any


def dumps(document: object, *, indent: int | None = 2) -> str:
    """Write a document; names that are no UTF-8 (lone surrogates in Python) survive a round trip.

    >>> dumps({"class": "grün", "loss": float("inf")}, indent=None)
    '{"class": "gr\\\\u00fcn", "loss": null}'
    """
    return json.dumps(_finite(document), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    """Put None for every infinite number and every NaN in a document."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
