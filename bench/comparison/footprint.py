"""Memory: what one more idle instance costs, and what the server itself takes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from comparison import peers
from comparison.accounting import memory_bytes, resident_bytes
from comparison.arms import MEMORY, Arm, Block, Group
from comparison.context import Context
from comparison.figures import slope
from comparison.load import AGAIN, FIRST, event
from comparison.machine import python
from comparison.tools import BENCH, ENVIRONMENT, RunError, measure
from comparison.wuwei import CONFIGURATION, Function, Server, step

SOURCE = BENCH / "functions/python/app.py"
STEPS = 8
"""Memory is read after each of so many equal parts; the first part is not in the slope, what starts up is in it."""
IDLE_PYTHON = "print('', flush=True); __import__('_signal').pause()"
"""Says when it has started, then waits for ever."""


@dataclass
class Footprint:
    """Servers of their own: nothing else that they hold disturbs."""

    context: Context
    server: Server | None = None
    functions: list[Function] = field(default_factory=list)
    echo: peers.Running | None = None

    def groups(self) -> list[Group]:
        """None on a host without a Python runtime."""
        return [] if self.context.server.newest("python3.") is None else [self._instance(), self._server()]

    def _instance(self) -> Group:
        count = self.context.effort.crowd
        arms = [
            Arm("python", f"bare `{python()}`, waiting", self._bare),
            Arm("wuwei-python", "wuwei, Python", self._instances, ours=True),
        ]
        note = (
            f"{count} functions with one idle instance each, beside as many bare interpreters: by how much the host's "
            "available memory (`MemAvailable`) falls with each, and the growth of all proportional set sizes."
        )
        title = "Memory of one more idle instance"
        return Group("memory-instance", title, note, "python", arms, MEMORY, lambda: self._running(count))

    def _server(self) -> Group:
        count = self.context.effort.registered
        arms = [
            Arm("echo", "bare hyper echo", lambda: _resident(self._echo().group.pids())),
            Arm("server", "wuwei, the server", lambda: _resident([self._own().server_pid()]), ours=True),
            Arm("all", "wuwei, with its helpers", lambda: _resident(self._own().own_pids()), ours=True),
        ]
        note = f"Resident memory, idle, after {count:,} functions were made by the API. The bare echo has just started."
        return Group("memory-server", "Memory of the server", note, "echo", arms, MEMORY, lambda: self._running(count))

    @contextmanager
    def _running(self, count: int) -> Iterator[None]:
        self.server = Server("footprint", CONFIGURATION)
        self.echo = peers.start_echo()
        try:
            settings = {"Runtime": self.server.newest("python3.") or "", "Handler": "app.handler"}
            self.functions = self.server.create("crowd", count, SOURCE, settings)
            yield
        finally:
            self.server.stop()
            self.echo.stop()

    def _own(self) -> Server:
        if self.server is None:
            raise RunError("its server is not running")
        return self.server

    def _echo(self) -> peers.Running:
        if self.echo is None:
            raise RunError("the echo is not running")
        return self.echo

    def _instances(self) -> Block:
        server = self._own()
        server.restart()
        functions = [Function(server, function.name) for function in self.functions]

        def more(begin: int, end: int) -> None:
            calls = [functions[number].invocation(event(number)) for number in range(begin, end)]
            steps = [step(call, must_contain=FIRST) for call in calls]
            measure("sequence", {"address": server.address, "rounds": [steps]})

        block = self._growth(len(functions), more, server.group.pids)
        for function in (functions[0], functions[-1]):
            function.probe()
            # They have all stayed.
            step_again = step(function.invocation(event(0)), must_contain=AGAIN)
            measure("sequence", {"address": server.address, "rounds": [[step_again]]})
        server.restart()
        return block

    def _bare(self) -> Block:
        processes: list[subprocess.Popen[bytes]] = []

        def more(begin: int, end: int) -> None:
            command = [str(python()), "-I", "-S", "-c", IDLE_PYTHON]
            pipe = subprocess.PIPE
            processes.extend(subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe) for _ in range(begin, end))
            for process in processes[begin:end]:
                if process.stdout is None or process.stdout.readline() != b"\n":
                    raise RunError("a bare interpreter does not start")

        try:
            return self._growth(self.context.effort.crowd, more, lambda: [process.pid for process in processes])
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait(20)
                if process.stdout is not None:
                    process.stdout.close()

    def _growth(self, count: int, more: Callable[[int, int], None], pids: Callable[[], list[int]]) -> Block:
        """Starts all in equal parts and gives what one more costs."""
        numbers, available, shares = [], [], []
        marks = sorted({max(1, count * part // STEPS) for part in range(1, STEPS + 1)})
        begin = 0
        for mark in marks:
            more(begin, mark)
            begin = mark
            # Frozen, and whatever is refilled in the background is full again.
            time.sleep(self.context.effort.settle_ms / 1000)
            numbers.append(float(mark))
            available.append(float(_available_bytes()))
            if mark in (marks[0], marks[-1]):
                shares.append((mark, memory_bytes(pids())))
        (first, low), (last, high) = shares
        return Block(count, bytes=-slope(numbers, available), pss_bytes=(high - low) / (last - first))


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise RunError("/proc/meminfo has no MemAvailable")


def _resident(pids: list[int]) -> Block:
    return Block(1, bytes=float(resident_bytes(pids)), pss_bytes=float(memory_bytes(pids)))
