"""Ctrl-C at moments when it would lose work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def hold_interrupt(wanted: bool = True) -> Iterator[list[int]]:
    """Let a Ctrl-C wait: yields a list that is empty unless one came during the block.

    The caller looks at the list afterwards, and raises KeyboardInterrupt when it has done what must be
    done. A second Ctrl-C interrupts at once. Outside of the main thread, which alone gets signals, and
    where it is not `wanted`, nothing is held.
    """
    held: list[int] = []
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield held
        return

    def note(number: int, frame: FrameType | None) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(number)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, previous)
