"""System calls of a process, counted by strace."""

import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from harness.tools import tool
from harness.waiting import until


def system_calls_of(pid: int, work: Callable[[], object], output: Path) -> Counter[str]:
    """What all threads of a process ask of the kernel while `work` is done."""
    command = [tool("strace"), "-f", "-c", "-U", "calls,name", "-o", str(output), "-p", str(pid)]
    strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(lambda: strace.poll() is not None or is_traced(pid), "strace is attached")
        assert strace.poll() is None, strace.stderr.read().decode() if strace.stderr else ""
        work()
    finally:
        strace.send_signal(signal.SIGINT)
        strace.communicate(timeout=20)
    rows = [line.split() for line in output.read_text().splitlines()]
    return Counter({row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit() and row[1] != "total"})


def is_traced(pid: int) -> bool:
    """Whether each thread of a process is being traced."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all("TracerPid:\t0\n" not in (task / "status").read_text() for task in tasks)
