"""striate trains, opens up and ships convolutional networks for images.

>>> import striate as st
>>> data = st.open_data("flowers")                                   # doctest: +SKIP
>>> run = st.train(data, st.TrainConfig(model="resnet18", epochs=5)) # doctest: +SKIP
>>> run.predict(["rose.jpg"])                                        # doctest: +SKIP

Names are imported when they are first used (PEP 562): `import striate` alone loads neither torch nor numpy.
"""

from __future__ import annotations

import logging
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from striate.version import __version__

if TYPE_CHECKING:
    from striate import models
    from striate.api import train
    from striate.datasets import Dataset, open_data
    from striate.errors import InputError, StriateError, TrainingError
    from striate.runs import Run, load
    from striate.training.config import TrainConfig


logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library is silent unless it is listened to

__all__ = [
    "Dataset",
    "InputError",
    "Run",
    "StriateError",
    "TrainConfig",
    "TrainingError",
    "__version__",
    "load",
    "models",
    "open_data",
    "train",
]

_HOMES = {
    "Dataset": "striate.datasets:Dataset",
    "InputError": "striate.errors:InputError",
    "Run": "striate.runs:Run",
    "StriateError": "striate.errors:StriateError",
    "TrainConfig": "striate.training.config:TrainConfig",
    "TrainingError": "striate.errors:TrainingError",
    "load": "striate.runs:load",
    "models": "striate.models",
    "open_data": "striate.datasets:open_data",
    "train": "striate.api:train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'striate' has no attribute {name!r}")
    value = resolve_name(_HOMES[name])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
