"""What the README tells works, as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
from PIL import Image

from striate.batching.augmentation import POLICIES
from striate.cli import main
from striate.datasets import open_data
from striate.datasets.layouts import LAYOUTS
from striate.datasets.samples import SAMPLES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DATA = (ROOT / "docs" / "data.md").read_text()


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def run_commands(page: str, capsys) -> int:
    commands = [line for block in blocks("bash", page) for line in block.splitlines()]
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "striate"
        assert main(words) == 0, capsys.readouterr().err
    return len(commands)


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
    assert run_commands(README, capsys) == 9
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 1 + 1 + 6
    capsys.readouterr()
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert "accuracy" in capsys.readouterr().out


def test_the_tour_runs_as_written_and_draws_its_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "tour.md").read_text()
    assert run_commands(page, capsys) == 4
    for code in blocks("python", page):
        exec(compile(code, "tour.md", "exec"), {})
    shown = re.findall(r"!\[[^]]*\]\(tour/([^)]+)\)", page)
    assert len(shown) == 7
    for name in shown:
        with Image.open(tmp_path / "tour" / name) as drawn, Image.open(ROOT / "docs" / "tour" / name) as kept:
            assert drawn.size == kept.size
            assert np.asarray(drawn).std() > 10  # something is to be seen


def test_the_page_on_training_runs_as_written(colour_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    colour_folders("flowers")
    page = (ROOT / "docs" / "training.md").read_text()
    assert run_commands(page, capsys) == 2
    (code,) = blocks("python", page)
    exec(compile(code, "training.md", "exec"), {})


def test_the_commands_of_the_page_on_data_run_as_written(colour_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    colour_folders("flowers")
    assert run_commands(DATA, capsys) == 5
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 1000


def test_the_joints_of_the_page_on_data_are_read(picture, tmp_path):
    (text,) = blocks("json", DATA)
    (tmp_path / "joints.json").write_text(text)
    picture(size=(128, 128)).save(tmp_path / "a.jpg")
    data = open_data(tmp_path)
    assert data.skeleton.joints == ("pelvis", "l_hip", "r_hip")
    assert data.samples.labels.visible.tolist() == [[True, True, False]]


def test_the_page_on_data_lists_every_layout_sample_and_policy():
    for name in SAMPLES:
        assert f"| `{name}` |" in DATA
    for name in POLICIES:
        assert re.search(rf"--augment [a-z|]*{name}", DATA)
    rows = DATA.split("| layout | task | on disk |")[1].split("\n\n")[0].splitlines()[2:]
    tasks = [resolve_name(home).TASKS for home in (*LAYOUTS.values(), *SAMPLES.values())]
    assert sorted(row.split("|")[2].strip() for row in rows) == sorted(", ".join(sorted(each)[::-1]) for each in tasks)


@pytest.mark.parametrize("page", ["README.md", "docs/data.md"])
def test_nothing_is_left_to_fill_in(page):
    assert not re.search(r"^(CAPTURE|MEASURED)|TODO|TBD|XXX|_TABLE", (ROOT / page).read_text(), re.MULTILINE)


def test_links_lead_to_files():
    for name in ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/bricks.md", "docs/data.md"):
        page = ROOT / name
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{name}: {target}"
