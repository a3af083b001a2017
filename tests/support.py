"""What tests of several rooms share."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from striate.cli import main
from striate.errors import InputError


@contextmanager
def raises(
    kind: type[InputError], *, where: str = "", what: str = "", fix: str = ""
) -> Iterator[pytest.ExceptionInfo[InputError]]:
    """Have a block raise an error whose fields each match a pattern, which is searched for in that field."""
    with pytest.raises(kind) as caught:
        yield caught
    for field, pattern in (("where", where), ("what", what), ("fix", fix)):
        text = getattr(caught.value, field)
        assert re.search(pattern, text), f"{field} is {text!r}, and does not match {pattern!r}"


def mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Give a command words that it cannot use, and return the fields of its answer, which is also a line on stderr."""
    capsys.readouterr()
    assert main([*words, "--json"]) == 2
    told = capsys.readouterr()
    document = json.loads(told.out)
    error = document["error"]
    assert set(document) == {"error"}
    assert set(error) - {"notes"} == {"where", "what", "fix"}
    line = told.err.splitlines()[-1]
    assert line.startswith(f"striate: {error['where']}{': ' if error['where'] else ''}{error['what']}")
    assert line.endswith(f"; {error['fix']}." if error["fix"] else ".")
    return error


def interrupting(fit: Callable, step: int) -> Callable:
    """Return `fit` with Ctrl-C coming in its step of that number, counted from 1."""
    steps = [0]

    def interrupted(*arguments, on_step, **others):
        def counted(images, loss):
            steps[0] += 1
            if steps[0] == step:
                os.kill(os.getpid(), signal.SIGINT)
            on_step(images, loss)

        return fit(*arguments, on_step=counted, **others)

    return interrupted
