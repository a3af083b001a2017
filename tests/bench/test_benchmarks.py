"""Every benchmark runs: on made data, for seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
BENCHMARKS = sorted(path.name for path in BENCH.glob("*.py") if path.name != "made.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark_runs(name, tmp_path):
    command = [sys.executable, str(BENCH / name), "--tiny"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert not list(tmp_path.iterdir())  # what it writes, it writes elsewhere
