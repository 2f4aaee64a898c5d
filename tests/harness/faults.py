"""Faults of the disk and sudden deaths, put into a running server by strace: a system call fails, or kills."""

import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.server import Server
from harness.system_calls import is_traced
from harness.tools import tool
from harness.waiting import until

DETACH_SECONDS = 120.0
STUCK_SECONDS = 5.0
DEATH_SECONDS = 60.0


@dataclass(frozen=True)
class Fault:
    """What happens to one system call of each thread of the server."""

    call: str
    """Name of the system call."""
    effect: str
    """`error=ENOSPC`, `signal=KILL`, as strace takes it."""
    number: int
    """Which call of a thread, from 1."""

    @property
    def kills(self) -> bool:
        """Whether the server is dead afterwards."""
        return self.effect == "signal=KILL"

    def __str__(self) -> str:
        return f"{self.effect} at {self.call} number {self.number}"


@dataclass
class Outcome:
    """What is known when a fault's time is over."""

    happened: bool = False
    """Whether there were so many calls."""


@contextmanager
def failing(server: Server, fault: Fault) -> Iterator[Outcome]:
    """The fault lies in wait while the body runs; afterwards the outcome says whether it has happened."""
    outcome, was_stuck = Outcome(), False
    with tempfile.TemporaryDirectory(prefix="wuwei-faults-") as directory:
        log = Path(directory) / "log"
        inject = f"inject={fault.call}:{fault.effect}:when={fault.number}"
        command = [tool("strace"), "-f", "-o", str(log), "-e", f"trace={fault.call}", "-e", inject]
        strace = subprocess.Popen(
            [*command, "-p", str(server.pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        is_over = threading.Event()
        watch = threading.Thread(target=let_go, args=(strace, log, is_over), daemon=True)
        try:
            until(lambda: strace.poll() is not None or is_traced(server.pid), "strace is attached", DETACH_SECONDS)
            assert strace.poll() is None, strace.stderr.read().decode() if strace.stderr else ""
            if fault.kills:
                watch.start()
            yield outcome
        finally:
            is_over.set()
            if strace.poll() is None:
                strace.send_signal(signal.SIGINT)
            try:
                strace.communicate(timeout=STUCK_SECONDS if fault.kills else DETACH_SECONDS)
            except subprocess.TimeoutExpired:
                strace.kill()
                strace.communicate(timeout=DETACH_SECONDS)
            was_stuck = strace.returncode == -signal.SIGKILL
        if fault.kills:
            # A process that was killed is gone soon after nobody looks at it any more; one that was not stays.
            within = DEATH_SECONDS if was_stuck or is_logged(log) else 0.0
            with suppress(AssertionError):
                until(lambda: not server.is_running(), "the server is dead", within)
            outcome.happened = not server.is_running()
        else:
            outcome.happened = is_logged(log)


def let_go(strace: subprocess.Popen[bytes], log: Path, is_over: threading.Event) -> None:
    """Ends a strace that holds what it has killed.

    Now and then it misses the end of one of the threads; the others, and the connection of a client that waits, are
    then held for ever.
    """
    while not is_over.wait(0.1) and strace.poll() is None:
        if is_logged(log):
            if not is_over.wait(STUCK_SECONDS) and strace.poll() is None:
                strace.kill()
            return


def is_logged(log: Path) -> bool:
    """Whether strace says that it has meddled."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "(INJECTED)" in text or "killed by SIGKILL" in text
