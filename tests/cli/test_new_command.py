"""A new command is one file and one line: this test adds one, as CONTRIBUTING.md tells."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated

import pytest
from annotated_types import Ge
from tests.support import mistake

from striate.cli import COMMANDS, main
from striate.cli.output import Data, JsonFlag, print_json
from striate.errors import ConfigError
from striate.system.options import Options


@dataclass(frozen=True, kw_only=True)
class Command(Options):
    """Count the images of a data set."""

    data: Data
    times_over: Annotated[int, Ge(1)] = 1
    """How often every image counts: 1 or more."""
    json: JsonFlag = False

    def run(self) -> int:
        """Print the count; 1 is returned where it is odd."""
        from striate.datasets import open_data

        count = self.times_over * len(open_data(self.data).samples)
        if count > 10**6:
            raise ConfigError("times_over", f"makes {count:,} of them", "choose less")
        if self.json:
            print_json({"images": count})
        else:
            print(f"{count:,} images")
        return count % 2


@pytest.fixture(autouse=True)
def _added(monkeypatch):
    module = ModuleType("striate.cli.count_images")
    module.Command = Command
    monkeypatch.setitem(sys.modules, "striate.cli.count_images", module)
    monkeypatch.setitem(COMMANDS, "count-images", "count images")


def test_it_runs_and_its_exit_code_counts(colour_folders, capsys):
    folder = str(colour_folders())
    assert main(["count-images", folder]) == 0
    assert capsys.readouterr().out == "36 images\n"
    assert main(["count-images", folder, "--times-over", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"images": 108}


def test_it_is_listed_and_has_help(capsys):
    assert main(["--help"]) == 0
    assert "count-images" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["count-images", "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert Command.__doc__ in told
    assert "How often every image counts" in told


def test_its_mistakes_are_answered(colour_folders, capsys):
    assert mistake(["count-images"], capsys)["where"] == "DATA"
    assert mistake(["count-images", "nowhere"], capsys)["what"]
    too_few = mistake(["count-images", "nowhere", "--times-over", "0"], capsys)
    assert (too_few["where"], too_few["what"]) == ("--times-over", "must be a whole number, 1 or more, not 0")
    too_many = mistake(["count-images", str(colour_folders()), "--times-over", "99999"], capsys)
    assert (too_many["where"], too_many["fix"]) == ("--times-over", "choose less")
