"""Ctrl-C, and a polite request to end (SIGTERM), at moments when they would lose work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def hold_interrupt() -> Iterator[list[int]]:
    """Let an interrupt wait: yields a list that is empty unless one came during the block.

    The caller looks at the list afterwards, and raises KeyboardInterrupt when it has done what must be
    done. A second one interrupts at once. Outside of the main thread, which alone gets signals,
    nothing is held.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return

    def note(number: int, frame: FrameType | None) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield held
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
