"""Train, be killed, train on: run by test_resume.py in a process of its own, so that every start is a cheap fork.

Takes a JSON document: data, options, and a list of kills; trains again and again until the list is used up and the
training has come to its end. Prints how each process ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import striate as st
from striate import api
from striate.errors import StriateError
from striate.sessions import session as assembly
from striate.system import atomic

api.report_on = lambda run: None  # for the time that it takes


def die_at_write(name: str, number: int) -> None:
    """Be killed in the middle of the n-th write of a file whose name ends so: its bytes are there, its name is not."""
    left = [number]
    flush = os.fsync
    write = atomic.write
    writing = [""]

    def counted_write(path, content):
        writing[0] = path.name
        write(path, content)

    def deadly_flush(handle):
        flush(handle)
        if writing[0].endswith(name):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    atomic.write, os.fsync = counted_write, deadly_flush


def die_in_step(number: int) -> None:
    """Be killed in the n-th step of this process, after the weights have moved and before anything is written."""
    left = [number]
    real = assembly.fit

    def fit(*arguments, on_step, **others):
        def deadly(images, loss):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            on_step(images, loss)

        return real(*arguments, on_step=deadly, **others)

    assembly.fit = fit


def child(data: str, options: dict, kill: dict) -> None:
    if "write" in kill:
        die_at_write(kill["write"], kill["number"])
    if "step" in kill:
        die_in_step(kill["step"])
    try:
        st.train(data, st.TrainConfig(**options))
    except StriateError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(2)
    os._exit(0)


def main() -> None:
    task = json.loads(sys.stdin.read())
    kills, ends = list(task["kills"]), []
    while True:
        kill = kills.pop(0) if kills else {}
        process = os.fork()
        if process == 0:
            child(task["data"], task["options"], kill)
        if "after_s" in kill:
            time.sleep(kill["after_s"])
            os.kill(process, signal.SIGKILL)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
        if ends[-1] >= 0:
            break
    print(json.dumps(ends))


if __name__ == "__main__":
    main()
