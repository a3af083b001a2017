"""Work tells of its progress to whoever listens, and to nobody otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from striate.system.progress import Advance, progress_bar, progress_reporter, report_progress


class Listener:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[Advance]:
        self.told.append((description, total))
        yield self.told.append
        self.told.append("end")


def work() -> None:
    with progress_bar("decode", 3) as advance:
        advance(1)
        advance(1.5)


def test_nobody_is_told_unless_somebody_listens(capsys):
    work()
    listener = Listener()
    with report_progress(listener):
        assert progress_reporter() is listener
        work()
        with report_progress(None):
            work()
    work()
    assert listener.told == [("decode", 3), 1, 1.5, "end"]
    assert progress_reporter() is None
    assert capsys.readouterr() == ("", "")
