"""A victim's calls, alone and beside functions that do what they can to hurt it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from comparison.accounting import Group as Accounting
from comparison.arms import TAIL, Arm, Block, Group
from comparison.context import Context
from comparison.goals import NEIGHBOURS
from comparison.load import FIRST, MARK, closed
from comparison.tools import BENCH, RunError, bench_tools
from comparison.wuwei import Function

SOURCE = BENCH / "functions/hostile/app.py"
COUNTS = {"fork-bomb": 1, "busy-loops": 2, "memory-hog": 1}
"""Calls at the same time."""
CALL_S = 1.0
"""An attack's call ends by itself, and is made again while the attack lasts."""
FLOOD_CONNECTIONS = 32
LONG_MS = 60_000
UNDER_WAY_S = 20
NOTE = (
    "One connection calls a Python function while another function of the same server attacks: processes without end, "
    "two endless loops, memory and /tmp without end, or calls on 32 connections. The flood's client runs at the lowest "
    "priority: on a real network it is another machine."
)


@dataclass
class Neighbours:
    """The victim and its attackers."""

    context: Context
    hostile: list[Function] = field(default_factory=list)

    def groups(self) -> list[Group]:
        """None on a host without a Python runtime."""
        if "wuwei-python" not in self.context.functions:
            return []
        arms = [Arm("alone", "alone", self._victim, ours=True, warm_up=self._victim)]
        arms += [
            Arm(key, f"beside a {name}" if key != "busy-loops" else f"beside {name}", self._beside(key), ours=True)
            for key, name in NEIGHBOURS.items()
        ]
        title = "A victim beside a hostile neighbour"
        return [Group("neighbours", title, NOTE, "alone", arms, TAIL, self._attackers)]

    @contextmanager
    def _attackers(self) -> Iterator[None]:
        if not self.hostile:
            settings = {"Runtime": self.context.server.newest("python3.") or "", "Handler": "app.handler"}
            self.hostile = self.context.server.create("hostile", len(NEIGHBOURS), SOURCE, settings)
        yield
        for function in (self.hostile[0], self.hostile[-1]):
            function.probe()

    def _victim(self) -> Block:
        server, victim = self.context.server, self.context.functions["wuwei-python"]
        return closed(server.address, victim.invocations, 1, self.context.effort.victim, server.group)()

    def _beside(self, key: str) -> Callable[[], Block]:
        def run() -> Block:
            function = self.hostile[list(NEIGHBOURS).index(key)]
            with self._flood(function) if key == "flood" else self._attack(function, key):
                return self._victim()

        return run

    @contextmanager
    def _attack(self, function: Function, key: str) -> Iterator[None]:
        over = threading.Event()
        document = {"attack": key, "seconds": min(CALL_S, self.context.effort.victim.milliseconds / 1000)}

        def attack() -> None:
            while not over.is_set():
                # That it is killed for its memory is part of the attack.
                with suppress(RunError):
                    function.invoke(document)

        threads = [threading.Thread(target=attack, daemon=True) for _ in range(COUNTS[key])]
        for thread in threads:
            thread.start()
        try:
            self._wait_until_busy(COUNTS[key])
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(60)

    @contextmanager
    def _flood(self, function: Function) -> Iterator[None]:
        group = Accounting("flood")
        document = {
            "address": self.context.server.address,
            "connections": FLOOD_CONNECTIONS,
            "requests": function.invocations(),
            "warm_up": 0,
            "milliseconds": LONG_MS,
            "samples_min": 1,
            "must_contain": MARK,
            "marks_first": FIRST,
        }
        command = ["/usr/bin/env", "nice", "-n", "19", bench_tools(), "load"]
        nothing = subprocess.DEVNULL
        process = subprocess.Popen(group.entering(command), stdin=subprocess.PIPE, stdout=nothing, stderr=nothing)
        try:
            if process.stdin is not None:
                process.stdin.write(json.dumps(document).encode())
                process.stdin.close()
            self._wait_until_busy(2)
            if process.poll() is not None:
                raise RunError("the flood's client has ended")
            yield
        finally:
            group.end_all()
            process.wait(20)
            group.remove()

    def _wait_until_busy(self, wanted: int) -> None:
        deadline = time.monotonic() + UNDER_WAY_S
        while time.monotonic() < deadline:
            if self.context.server.metrics().get('wuwei_instances{state="busy"}', 0) >= wanted:
                return
            time.sleep(0.005)
        raise RunError(f"the attack is not under way within {UNDER_WAY_S} s")
