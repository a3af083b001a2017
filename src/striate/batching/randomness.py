"""Random numbers as functions of (seed, epoch): no global generator, nothing drawn before matters."""

from __future__ import annotations

from typing import Literal

import numpy as np

_STREAMS = {"order": 0, "augmentation": 1}


def generator(seed: int, epoch: int, stream: Literal["order", "augmentation"]) -> np.random.Generator:
    """Return the generator of one purpose in one epoch.

    Philox is counter-based: its key, (seed, epoch), and the counter at which a purpose's stream starts
    decide all that follows (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

    Args:
        seed: 0 to 2^64 - 1.
        epoch: counts from 0.
        stream: the purpose; streams are 2^192 draws apart.
    """
    key = np.array([seed, epoch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, _STREAMS[stream]]))
