"""What the README tells works, as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from striate.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_first_block_is_the_two_commands_that_ci_runs():
    assert blocks("")[0].splitlines() == [
        'pip install ".[samples]" && striate train mnist',
        'pip install -e ".[dev]" && scripts/check',
    ]


def test_commands_and_python_run_as_written(colour_folders, picture, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    colour_folders("flowers")
    colour_folders("more_photos", seed=99, images=2)
    picture().save("photo.jpg")
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == 6
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "striate"
        assert main(words) == 0, capsys.readouterr().err
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 1 + 1 + 6
    capsys.readouterr()
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert "accuracy" in capsys.readouterr().out


def test_nothing_is_left_to_fill_in():
    assert not re.search(r"^(CAPTURE|MEASURED)|TODO|TBD|XXX", README, re.MULTILINE)


def test_links_lead_to_files():
    for name in ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/bricks.md"):
        page = ROOT / name
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{name}: {target}"
