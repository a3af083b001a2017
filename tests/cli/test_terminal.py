"""The library is silent; the command line shows messages on stderr and, on a terminal, live bars."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

OPTIONS = {"model": "lenet5", "epochs": 2, "batch_size": 8, "precision": "float32"}
WITHOUT_REPORT = "import sys; from striate import api; api.report_on = lambda run: None\n"  # saves time
FROM_PYTHON = "import striate as st; st.train(sys.argv[1], st.TrainConfig(**eval(sys.argv[2])))"
FROM_COMMAND_LINE = "from striate.cli import main; sys.exit(main(sys.argv[1:]))"


def in_python(code: str, *words: str) -> list[str]:
    """Return a command that runs some code in a process of its own."""
    return [sys.executable, "-c", WITHOUT_REPORT + code, *words]


def train_command(data, out) -> list[str]:
    """Return a command that does what `striate train` does."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in (OPTIONS | {"out": str(out)}).items()]
    return in_python(FROM_COMMAND_LINE, "train", str(data), *flags)


def test_training_from_python_prints_nothing(colour_folders, tmp_path):
    command = in_python(FROM_PYTHON, str(colour_folders()), repr(OPTIONS | {"out": str(tmp_path / "run")}))
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_command_writes_a_line_per_epoch(colour_folders, tmp_path):
    command = train_command(colour_folders(), tmp_path / "run")
    result = subprocess.run(command, capture_output=True, text=True)
    assert len(re.findall(r"^epoch \d/2  loss ", result.stderr, re.MULTILINE)) == 2
    assert "\x1b" not in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_terminal_shows_lines_above_a_live_bar(colour_folders, tmp_path):
    command = train_command(colour_folders(), tmp_path / "run")
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while part := read_some(ours):
        shown += part
    os.close(ours)
    process.communicate()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert process.returncode == 0
    assert len(re.findall(r"epoch \d/2  loss \d\.\d{3}, val \d\.\d{3}  accuracy ", text)) == 2
    assert re.search(r"epoch 1 .*loss \d\.\d{3}  [\d,]+ images/s", text)  # the bar
    assert b"\x1b[2K" in shown  # which is cleared


def read_some(terminal: int) -> bytes:
    """Read what has been shown; nothing when the other end is closed, which Linux calls an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
