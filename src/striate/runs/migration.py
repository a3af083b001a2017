"""Records of older formats, read as if they had been written today."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_RENAMED_OPTIONS = {"early_lr": "layer_lr_decay", "mix": "mixup", "store": "cache"}
_RENAMED_VALUES = {("freeze", "norms"): "batchnorm", ("last_layer", "drawn"): "random"}


def migrated(fields: dict[str, Any], found: int) -> dict[str, Any] | None:
    """Return the fields of a `run.json` of some format as they are today; None where that format is not known."""
    while found in _STEPS:
        fields, found = _STEPS[found](fields), found + 1
    return fields if found == _NEWEST else None


def _from_4(fields: dict[str, Any]) -> dict[str, Any]:
    """Give statistics and options the names that they have from format 5 on."""
    options = {_RENAMED_OPTIONS.get(name, name): value for name, value in fields["config"].items()}
    for (name, value), new in _RENAMED_VALUES.items():
        if options.get(name) == value:
            options[name] = new
    rest = {name: value for name, value in fields.items() if name not in ("config", "learned")}
    return rest | {"config": options, "target_statistics": fields["learned"]}


_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {4: _from_4}
_NEWEST = max(_STEPS) + 1
