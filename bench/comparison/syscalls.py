"""Where a warm call's time goes: system calls per call, counted by strace in the server and in the instance."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from comparison.arms import Block
from comparison.load import Load, closed
from comparison.tools import RunError
from comparison.wuwei import Function

CALLS = 300
SHOWN = 12


@dataclass(frozen=True)
class Count:
    """System calls of one side, per call of the function."""

    side: str
    total: float
    by_name: list[tuple[str, float]]


def count(function: Function) -> list[Count]:
    """Counts both sides in turn, outside of any timing: strace slows what it watches."""
    if shutil.which("strace") is None:
        raise RunError("strace is not installed: apt-get install -y strace")
    instance = function.instance_pids()
    return [_of("server", function, [function.server.server_pid()]), _of("instance", function, instance)]


def _of(side: str, function: Function, pids: list[int]) -> Count:
    output = function.server.directory / "strace"
    attach = [argument for pid in pids for argument in ("-p", str(pid))]
    strace = subprocess.Popen(
        ["strace", "-f", "-c", "-U", "calls,name", "-o", str(output), *attach],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_traced(pids)
        block = _calls(function)
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(20)
    rows = [line.split() for line in output.read_text().splitlines()]
    counts = [(row[1], int(row[0]) / block) for row in rows if len(row) == 2 and row[0].isdigit() and row[1] != "total"]
    counts.sort(key=lambda row: -row[1])
    return Count(side, sum(number for _, number in counts), counts[:SHOWN])


def _calls(function: Function) -> int:
    run = closed(function.server.address, function.invocations, 1, Load(0, 0, CALLS), function.server.group)
    block: Block = run()
    return block.samples


def _wait_until_traced(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
        if all("TracerPid:\t0\n" not in (task / "status").read_text() for task in tasks):
            return
        time.sleep(0.01)
    raise RunError("strace does not attach within 10 s")
