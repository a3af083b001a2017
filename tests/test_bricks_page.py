"""The walk through the lecture runs as it stands, and its pictures are those that it makes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli import main

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "bricks.md").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Run the page's code, from the first line to the last, in an empty folder; return its pictures'."""
    folder = tmp_path_factory.mktemp("page")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(code, "bricks.md", "exec"), {})
        assert main(["inspect", "lenet5", "--draw", "bricks/lenet5.svg"]) == 0
    return folder / "bricks"


def test_pictures_are_those_that_the_code_makes(made):
    shown = set(re.findall(r"!\[[^\]]+\]\(bricks/([\w.]+)\)", PAGE))
    assert shown == {path.name for path in made.iterdir()} == {path.name for path in (DOCS / "bricks").iterdir()}
    for path in made.glob("*.png"):
        ours, theirs = (np.asarray(Image.open(folder / path.name), dtype=int) for folder in (made, DOCS / "bricks"))
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= 2, path.name  # other processors round otherwise
    assert (made / "lenet5.svg").read_text() == (DOCS / "bricks" / "lenet5.svg").read_text()


def test_what_the_comments_say_is_printed(made, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(made.parent)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    exec(compile(code, "bricks.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert [f"# {line}" for line in printed] == [line for line in code.splitlines() if line.startswith("# ")]
