"""The plan of the house holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest

import striate as st
from striate.cli import COMMANDS, find_command
from striate.datasets.layouts import LAYOUTS
from striate.datasets.samples import SAMPLES
from striate.models import MODELS
from striate.tasks import TASKS
from striate.tasks.explaining import TaskExplaining
from striate.tasks.skeleton import Skeleton
from striate.tasks.spec import TaskSpec
from striate.tasks.task import Task
from striate.tasks.training import TaskTraining
from striate.tasks.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "striate"


def _all_kinds(kind: type) -> set[type]:
    """Return a class's subclasses, and theirs."""
    return {below for child in kind.__subclasses__() for below in ({child} | _all_kinds(child))}


def test_imports_go_down_the_floors_only():
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert f"{len(contracts)} kept, 0 broken" in result.stdout


def test_the_public_names_are_these():
    assert st.__all__ == [
        "Dataset",
        "InputError",
        "Run",
        "StriateError",
        "TrainConfig",
        "TrainingError",
        "__version__",
        "load",
        "models",
        "open_data",
        "train",
    ]
    for name in st.__all__:
        assert getattr(st, name) is not None
        assert name in dir(st)
    assert callable(st.train)  # and no submodule of that name hides it
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = st.nonsense


def test_every_line_of_every_table_leads_somewhere():
    for architecture in MODELS.values():
        assert architecture.plan().output == (architecture.classes,)
    for home in TASKS.values():
        skeleton = Skeleton(joints=("root",), parents=(-1,))
        task = Task("a name", resolve_name(home), Vocabulary(classes=("a", "b"), skeleton=skeleton))
        for face, protocol in ((task.spec, TaskSpec), (task.training, TaskTraining), (task.explaining, TaskExplaining)):
            assert isinstance(face, protocol)
            methods = [name for name in vars(protocol) if not name.startswith("_") and callable(vars(protocol)[name])]
            assert 1 < len(methods) <= 8
    for home in LAYOUTS.values():
        source = resolve_name(home)
        assert source.DESCRIPTION
        assert source.matches("no such place") is False
        assert callable(source.read)
    for home in SAMPLES.values():
        assert callable(resolve_name(home).read)
    for name in COMMANDS:
        assert callable(find_command(name).run)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_functions_stay_short_and_nothing_is_pickled(path):
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            documentation = ast.get_docstring(node, clean=False) or ""
            lines = node.end_lineno - node.lineno + 1 - len(documentation.splitlines())
            assert lines <= 50, f"{node.name} has {lines} lines"
    forbidden = (
        "torch.load(",
        "torch.save(",
        "import pickle",
        "from pickle",
        "allow_pickle=True",
        "shell=True",
    )
    for word in forbidden:
        assert word not in text or (path.name, word) == ("weights.py", "torch.load("), word


def test_torchs_format_is_read_in_one_place_as_weights_only():
    text = (SOURCE / "models" / "pretrained" / "weights.py").read_text()
    assert text.count("torch.load(") == text.count("weights_only=True)") == 1


def test_tasks_are_never_told_apart_by_name():
    """Figures alone are of two tasks: their labels are what the task asks for."""
    words = r"""["'](?:classify|segment|pose)["']"""
    asks = re.compile(rf"task(?:\.name)?\s*(?:[!=]=|\bin)\s*[(\[{{]?\s*{words}|{words}\s*[!=]=")
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line in path.read_text().splitlines()
        if asks.search(line)
    ]
    assert found == ['datasets/samples/figures.py: masked = task == "segment"']
    for wrong in (
        'if task == "pose":',
        "x = record.task != 'segment'",
        'if "pose" == task',
        'task in ("pose", "segment")',
    ):
        assert asks.search(wrong)


def names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} | {
        part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)
    }


def asks_for_kinds(node: ast.AST) -> bool:
    """Whether a piece of code asks which labels, targets or task it has before it."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
        of, kinds = map(names_in, node.args)
        return bool({"labels", "targets"} & of or {"ClassLabels", "MaskLabels", "JointLabels"} & kinds)
    if isinstance(node, ast.Dict):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        return len({*keys} & {*TASKS}) > 1
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return getattr(node.value, "id", "") == "row" and node.slice.value in ("class", "joint")
    return False


@pytest.mark.parametrize(
    ("code", "asks"),
    [
        ("isinstance(labels, ClassLabels)", True),
        ("isinstance(store.labels, JointLabels | MaskLabels)", True),
        ("isinstance(batch.targets, Tensor)", True),
        ("isinstance(fields, dict)", False),
        ("{'classify': 1, 'pose': 2}", True),
        ("{'pose': 2}", False),
        ("row['class']", True),
        ("row['samples']", False),
    ],
)
def test_code_that_asks_for_kinds_is_found(code, asks):
    assert any(map(asks_for_kinds, ast.walk(ast.parse(code)))) == asks


def test_kinds_of_labels_and_targets_are_asked_for_in_few_places():
    """In tasks, which know their own; in targets, which say what they can be; in checks of labels, for mypy."""
    allowed = ("tasks/", "datasets/labels.py", "batching/targets.py", "datasets/checks/")
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sorted(SOURCE.rglob("*.py"))
        if not str(path.relative_to(SOURCE)).startswith(allowed)
        for node in ast.walk(ast.parse(path.read_text()))
        if asks_for_kinds(node)
    ]
    assert found == []


def test_no_module_but_the_command_line_prints():
    for path in SOURCE.rglob("*.py"):
        if path.parent.name != "cli":
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            assert not any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls), path


def test_examples_in_docstrings_run():
    import doctest
    import importlib

    tried = 0
    for path in SOURCE.rglob("*.py"):
        if path.name != "__main__.py":
            name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
            outcome = doctest.testmod(importlib.import_module(name))
            assert outcome.failed == 0, name
            tried += outcome.attempted
    assert tried >= 8


KINDS_OF_MISTAKES = {"InputError"} | {kind.__name__ for kind in _all_kinds(st.InputError)}


def test_errors_are_raised_in_fields():
    """Where, what and what to do about it: no message as a whole."""
    whole = [
        f"{path.relative_to(SOURCE)}:{call.lineno}"
        for path in sorted(SOURCE.rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in KINDS_OF_MISTAKES
        and len(call.args) + len(call.keywords) == 1
        and not isinstance(call.args[0], ast.Starred)
    ]
    assert len(whole) <= 320, whole  # to become none


PROTOCOL_NAMES = {"Command", "matches", "read"}
"""What each command, layout and sample has, so that tables can list them."""

SHARED_NAMES = {"Figure", "build_network", "describe"}  # to be mended


def test_no_public_name_is_defined_twice():
    homes: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    shared = {name: paths for name, paths in homes.items() if len(paths) > 1 and name not in PROTOCOL_NAMES}
    assert set(shared) <= SHARED_NAMES, shared
