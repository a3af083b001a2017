"""An interrupt waits until what must not be cut short is done."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from striate.system.signals import hold_interrupt

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_and_is_told_of(number):
    before = signal.getsignal(number)
    with hold_interrupt() as held:
        assert held == []
        os.kill(os.getpid(), number)
        assert held == [number]
    assert signal.getsignal(number) is before


def test_a_second_interrupt_does_not_wait():
    with hold_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_threads_that_get_no_signals_hold_none():
    seen: list[object] = []

    def work() -> None:
        with hold_interrupt() as held:
            seen.append(held)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[]]
