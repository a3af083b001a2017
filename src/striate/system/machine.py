"""What the machine has, and where things are kept on it that can be made anew."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's malloc.h


@functools.cache
def keep_freed_memory() -> bool:
    """Have this process keep memory that is freed, for what comes next; on Linux with glibc.

    Else it goes back to the system, and every large feature map is new memory, which is filled with zeros first: of the
    time that EfficientNet-Lite0 took on a processor, that was two thirds in prediction and a third in training.
    Whoever has set malloc up (`MALLOC_…`), or brings another one (`LD_PRELOAD`), is left alone.

    Returns:
        Whether it has been done.
    """
    if not sys.platform.startswith("linux") or any(key.startswith(("MALLOC_", "LD_PRELOAD")) for key in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_MMAP_MAX, 0))


def memory_bytes() -> int | None:
    """Return the size of the physical memory, or None where the system does not tell (Windows)."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def cache_folder() -> Path:
    """Return the cache's folder: `STRIATE_CACHE`, or the platform's place for caches."""
    given = os.environ.get("STRIATE_CACHE")
    if given:
        return Path(given)
    import platformdirs

    return platformdirs.user_cache_path("striate", appauthor=False)


def fits_into_memory(wanted_bytes: float) -> bool:
    """Tell whether so much can be held at all; the doubt counts as yes."""
    memory = memory_bytes()
    return memory is None or wanted_bytes < memory
