"""The command line: one thin file per command.

A command is a module with a keyword-only dataclass `Command`: its fields are the flags, and its `run`
does the work through the Python API and may return an exit code. A new command is one file here and one line in
`COMMANDS`. Only the module of the requested command is imported, so that help is instant.

With `--json` an error is the one document on stdout: `{"error": {"where": ..., "what": ..., "fix": ...}}` for wrong
input, `{"error": {"what": ...}}` for everything else.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pkgutil import resolve_name
from typing import Any

from striate.cli.terminal import is_first_process, terminal_output
from striate.errors import ConfigError, InputError, StriateError, nearest
from striate.system import strict_json
from striate.version import __version__

COMMANDS = {
    "train": "train a network on labelled images",
    "find-lr": "find a learning rate with a range test",
    "evaluate": "measure a trained network on labelled images",
    "predict": "apply a trained network to images",
    "report": "write a page about a run: curves, mistakes, what the network has learned",
    "explain": "show where a network looks in images, and what its layers see",
    "data": "show how data are read, and what augmentation does to them",
    "check": "report all problems of a data set",
    "cache": "show or clear the decoded images that are kept on disk",
    "schedule": "show a learning rate schedule",
    "models": "list the architectures",
    "inspect": "show a network layer by layer",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # names of classes or files may hold what a terminal cannot show
    warnings.filterwarnings("ignore", module="PIL")  # about metadata; errors that matter are raised as ours
    warnings.filterwarnings("ignore", message=".*draws checkerboards")  # a command says so in its own words
    if not is_first_process():  # of the processes of one training only the first prints
        sys.stdout = io.StringIO()
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"striate {__version__}")
        return 0
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, a training saves what it has
    try:
        with terminal_output():
            code: int | None = _parse(words[0], words[1:]).run()
            sys.stdout.flush()
        return code or 0
    except BrokenPipeError:  # the reader of our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (StriateError, OSError, KeyboardInterrupt) as error:
        return _complain(error, as_json="--json" in words)


def _help() -> str:
    """Return the list of commands, without importing any of them."""
    commands = "\n".join(f"  {name:10}{summary}" for name, summary in COMMANDS.items())
    return (
        "usage: striate COMMAND …\n\n"
        "Train, open up and ship convolutional networks for images.\n\n"
        f"commands:\n{commands}\n\n"
        "striate COMMAND --help lists the options of a command; striate --version prints the version.\n"
        "To try it: striate train mnist"
    )


def find_command(name: str) -> type[Any]:
    """Import a command's module, whose name has an underscore for each hyphen, and return its `Command`."""
    command: type[Any] = resolve_name(f"striate.cli.{name.replace('-', '_')}:Command")
    return command


def _parse(name: str, words: list[str]) -> Any:
    """Parse the words after a command into its `Command`; raises InputError."""
    if name not in COMMANDS:
        raise InputError("", f"unknown command {name!r}{nearest(name, COMMANDS)}", "see striate --help")
    import tyro

    from striate.cli.flags import FLAGS, Values

    box = io.StringIO()
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    try:
        with contextlib.redirect_stderr(box):
            values = tyro.cli(find_command(name), prog=f"striate {name}", args=words, config=config, registry=FLAGS)
    except SystemExit as end:
        if end.code == 0:  # help was asked for, and printed
            raise
        raise InputError(*_unbox(box.getvalue()), f"see striate {name} --help") from None
    assert isinstance(values, Values)
    return values.build()


def _unbox(text: str) -> tuple[str, str]:
    """Extract the place and the problem from tyro's error message: a box with a title, the problem, and hints.

    On a terminal without UTF-8 the box is drawn with hyphens, and there is a rule below its title too.
    """
    rows = [row.strip(" │") for row in text.splitlines() if row.strip() and row[0] not in "╭╰"]
    parts = [" ".join(part) for rule, part in itertools.groupby(rows, lambda row: set(row) <= {"─", "-"}) if not rule]
    problem, *more = parts if text.startswith("╭") else parts[1:] or [text.strip()]
    for pattern, plainly in _PLAIN_WORDS:
        problem = re.sub(pattern, plainly, problem)
    first, *rest = problem.split(": ", 1)
    where, what = (first, rest[0]) if rest and " " not in first else ("", problem)
    meant = nearest(where, re.findall(r"--[\w-]+", " ".join(more))) if what == _UNKNOWN else ""
    return where, what.rstrip(".") + meant


_UNKNOWN = "is not a known option"
_PLAIN_WORDS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"Error parsing (--\S+): no type matching (\S+) could be instantiated from \['(.*?)'\].*", r"\1: '\3' is not \2"),
    (r"is not (?:INT|FLOAT)\|\{([\w,]+)\}", lambda words: f"is neither a number nor {words[1].replace(',', ' or ')}"),
    (r"Error parsing (--\S+): ", r"\1: "),
    (r"invalid literal for int\(\) with base 10: ('.*')", r"\1 is not a whole number"),
    (r"could not convert string to float: ('.*')", r"\1 is not a number"),
    (r"Missing from [\w -]+: (\S+).*", r"\1: is missing"),
    (r"Missing value for argument '(\S+)'.*", r"\1: a value is missing"),
    (r"Unrecognized options: ([^\s,]+).*", rf"\1: {_UNKNOWN}"),
    (
        r"invalid choice '(.*?)' for argument '(\S+)'\. Expected one of \((.*)\)",
        lambda words: f"{words[2]}: '{words[1]}' is not one of {words[3].replace(chr(39), '')}",
    ),
)


def _complain(error: BaseException, *, as_json: bool) -> int:
    """Print an error on stderr, and with --json as the document on stdout; return the exit code."""
    code, document = 1, {"what": (str(error) or "interrupted").removesuffix(".")}
    message = f"{document['what']}."
    if isinstance(error, OSError):  # from a place where no error was expected
        error = InputError(str(error.filename or "the file system"), error.strerror or str(error))
    if isinstance(error, InputError):
        error = _in_flags(error)
        code, document, message = 2, error.document(), str(error)
    elif isinstance(error, KeyboardInterrupt):
        code = 130
    if as_json:
        print(strict_json.dumps({"error": document}))
    if is_first_process() or code == 1:  # wrong input is the same for all processes of a training
        print(f"striate: {message}", file=sys.stderr)
    return code


def _in_flags(error: InputError) -> InputError:
    """Return an error about the option `layer_lr_decay` as one about --layer-lr-decay, and any other as it is."""
    if not isinstance(error, ConfigError) or not re.fullmatch(r"[a-z][a-z0-9_]*", error.where):
        return error
    return ConfigError(f"--{error.where.replace('_', '-')}", error.what, error.fix, error.notes)
