"""The walk through the lecture runs as it stands, and its pictures are those that it makes."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "bricks.md").read_text()


CODE = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, list[str]]:
    """Run the page's code, from the first line to the last, in an empty folder; return its pictures' and its lines."""
    folder = tmp_path_factory.mktemp("page")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with contextlib.redirect_stdout(printed):
            exec(compile(CODE, "bricks.md", "exec"), {})
        assert main(["inspect", "lenet5", "--draw", "bricks/lenet5.svg"]) == 0
    return folder / "bricks", printed.getvalue().splitlines()


def test_pictures_are_those_that_the_code_makes(made):
    folder, _ = made
    shown = set(re.findall(r"!\[[^\]]+\]\(bricks/([\w.]+)\)", PAGE))
    assert shown == {path.name for path in folder.iterdir()} == {path.name for path in (DOCS / "bricks").iterdir()}
    for path in folder.glob("*.png"):
        ours, theirs = (np.asarray(Image.open(place / path.name), dtype=int) for place in (folder, DOCS / "bricks"))
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= 2, path.name  # other processors round otherwise
    assert (folder / "lenet5.svg").read_text() == (DOCS / "bricks" / "lenet5.svg").read_text()


def test_what_the_comments_say_is_printed(made):
    _, printed = made
    assert [f"# {line}" for line in printed] == [line for line in CODE.splitlines() if line.startswith("# ")]
