"""What the machine has is asked, and what a user has set is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from striate.system import machine


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    assert machine.cache_folder() == tmp_path
    monkeypatch.delenv("STRIATE_CACHE")
    assert machine.cache_folder().name == "striate"
    assert machine.cache_folder() != Path(tmp_path)


def test_what_fits_into_memory_is_asked_of_the_machine():
    assert machine.fits_into_memory(1)
    if machine.memory_bytes() is not None:
        assert not machine.fits_into_memory(1e18)


@pytest.mark.skipif(sys.platform != "linux", reason="malloc is glibc's")
def test_who_has_set_malloc_up_is_left_alone():
    code = "from striate.system.machine import keep_freed_memory; print(keep_freed_memory())"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "LD_PRELOAD"))}
    for given, kept in (({}, "True"), ({"MALLOC_ARENA_MAX": "2"}, "False")):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment | given, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == kept
