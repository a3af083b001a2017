"""What the machine has."""

from __future__ import annotations

import os


def memory_bytes() -> int | None:
    """Return the size of the physical memory, or None where the system does not tell (Windows)."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def fits_into_memory(wanted_bytes: float) -> bool:
    """Tell whether so much can be held at all; the doubt counts as yes."""
    memory = memory_bytes()
    return memory is None or wanted_bytes < memory
