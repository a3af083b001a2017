"""Run command lines in a process whose tables have the toy's two lines from the beginning, as an added task has them.

Reads a JSON object of command lines by name, and writes what came of each: exit code, stdout and stderr.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from striate.tasks import TASKS

TASKS["count"] = "tests.tasks.toy:TASK"

from striate.datasets.layouts import LAYOUTS  # noqa: E402

LAYOUTS["dots"] = "tests.tasks.toy.layout"

from tests.support import interrupting  # noqa: E402

from striate.cli import main  # noqa: E402


def run(words: list[str], stop_at: int = 0) -> dict[str, object]:
    from striate.sessions import session

    out, err, fit = io.StringIO(), io.StringIO(), session.fit
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        session.fit = interrupting(fit, stop_at)
        code = main(words)
        session.fit = fit
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    commands = json.load(sys.stdin)
    results = {name: run(words, 9 if name == "interrupted" else 0) for name, words in commands.items()}
    json.dump(results, sys.stdout)
