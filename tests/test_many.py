"""The measurement of many functions, in small: it is made, written down, and sees what misses a goal."""

import subprocess
import sys
from pathlib import Path

from harness.tools import TESTS, plain_environment
from many.report import Measured, render

FAST = [0.001] * 200


def measured(*, slower: float = 1.0, start_seconds: float = 0.5) -> Measured:
    latencies = {"get": (FAST, [each * slower for each in FAST]), "get, the first": (FAST, [each * 9 for each in FAST])}
    return Measured(10, 1_010, latencies, [[0.2], [start_seconds]], [1 << 20, 2 << 20], [1 << 20, 3 << 20])


def test_a_goal_that_is_missed_is_seen() -> None:
    assert measured().good
    assert not measured(slower=1.2).good
    assert not measured(start_seconds=1.1).good
    page = render(measured())
    assert "| get, median | 1,000 µs | 1,000 µs | 1.00 | ≤ 1.1 |" in page
    assert "1,049 bytes a function" in page and "2,097 bytes a function" in page


def test_a_small_measurement_is_made_and_written_down(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    command = [sys.executable, "-m", "many", "--functions", "30", "--rounds", "2", "--report", str(report)]
    environment = plain_environment(PYTHONPATH=str(TESTS))
    # Whether its goals are met says nothing, on a machine that does other things, too.
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1) and report.is_file(), done.stderr
    for row in ("list of 10, median", "get, median", "warm call, p99", "start until", "memory of the server"):
        assert f"| {row}" in report.read_text()
