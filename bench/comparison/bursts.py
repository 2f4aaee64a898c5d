"""Many cold starts at once: 16 and 32 functions, one function from nothing to 100 calls, as many as the host can."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from comparison.arms import RATE, Arm, Block, Group
from comparison.context import Context, python_command
from comparison.goals import PAUSED
from comparison.load import Burst, Load, burst, chain, closed, event, process_rate, processes
from comparison.tools import BENCH, RunError
from comparison.wuwei import MEMORY_MB, Function, Server

SOURCE = BENCH / "functions/python/app.py"
PAUSE_MS = 200
PARALLEL = 64
ROOM = 160
"""Instances that fit into the server whose functions take turns: it must end one for each that it starts."""
WAIT_MS = 100
CHANGED = "Each round, all configurations are changed first, so that no instance fits any more; that is not timed."


@dataclass
class Bursts:
    """The functions of the groups, made when the first group needs them."""

    context: Context
    many: list[Function] = field(default_factory=list)
    turns: list[Function] = field(default_factory=list)
    second: Server | None = None

    def groups(self) -> list[Group]:
        """All of them; none on a host without a Python runtime."""
        if self.context.server.newest("python3.") is None:
            return []
        return [self._together(), self._at_once(), self._scale_quick(), self._scale_slow(), self._rate()]

    def settings(self) -> dict[str, str]:
        """Of every function here."""
        return {"Runtime": self.context.server.newest("python3.") or "", "Handler": "app.handler"}

    @property
    def together(self) -> int:
        """Calls at a time whose spread is measured."""
        return 16 // self.context.effort.smaller

    @property
    def at_once(self) -> int:
        """Functions of a burst."""
        return 32 // self.context.effort.smaller

    @property
    def calls(self) -> int:
        """Calls of one function at once."""
        return 100 // self.context.effort.smaller

    # --- functions ---

    @contextmanager
    def _functions(self) -> Iterator[None]:
        if not self.many:
            self.many = self.context.server.create("burst", self.at_once, SOURCE, self.settings())
        yield
        for function in (self.many[0], self.many[-1]):
            function.probe()

    @contextmanager
    def _turns(self) -> Iterator[None]:
        """A server that cannot hold all its functions: each cold start ends another instance."""
        room = min(ROOM, self.context.effort.churn // 3)
        self.second = Server("turns", f"memory_mb = {room * MEMORY_MB}\nkeep_alive_s = 3600\n")
        try:
            self.turns = self.second.create("turn", self.context.effort.churn, SOURCE, self.settings())
            yield
            for function in (self.turns[0], self.turns[-1]):
                function.probe()
        finally:
            self.second.stop()

    # --- groups ---

    def _together(self) -> Group:
        rounds = 2 * self.context.effort.bursts
        document = {"command": python_command(), "samples": rounds, "parallel": self.together}
        bare = processes(document, self.context.starter, spans=False)
        arms = [Arm("python", f"`{' '.join(python_command())}`", bare)]
        for suffix, title, pause_ms in (("", "", 0), (PAUSED, f", after {PAUSE_MS} ms", PAUSE_MS)):
            block = self._burst(partial(self._cold, self.together, rounds, pause_ms), spans=False)
            arms.append(Arm("wuwei-python" + suffix, "wuwei, Python" + title, block, ours=True))
        title = f"{self.together} cold starts at a time: Python"
        note = f"{self.together} functions are called at the same moment; the times of the single calls. {CHANGED}"
        return Group("cold-16", title, note, "python", arms, place=self._functions)

    def _at_once(self) -> Group:
        rounds, refill_ms = self.context.effort.bursts, self.context.effort.refill_ms
        document = {"command": python_command(), "samples": rounds, "parallel": self.at_once}
        bare = processes(document, self.context.starter, spans=True)
        ours = self._burst(partial(self._cold, self.at_once, rounds, refill_ms), spans=True)
        arms = [
            Arm("python", f"{self.at_once} `{' '.join(python_command())}`", bare),
            Arm("wuwei-python", f"wuwei, {self.at_once} Python functions", ours, ours=True),
        ]
        silence = f"{refill_ms / 1000:g} s after anything else: a stock is full"
        note = f"From the first request to the last answer, {silence}. {CHANGED}"
        return Group("cold-burst", f"{self.at_once} cold starts at once", note, "python", arms, place=self._functions)

    def _scale_quick(self) -> Group:
        """Late binding: most calls are served by the first instances."""
        server, rounds = self.context.server, self.context.effort.bursts
        warm = chain(server.address, self._warm_calls, rounds, server.group)
        arms = [
            Arm("one-by-one", f"{self.calls} warm calls, one after another", warm, ours=True, warm_up=self._warm_up)
        ]
        arms += self._scaled({})
        note = f"One cold function is called {self.calls} times at once; until all are answered. {CHANGED}"
        return Group("scale-quick", f"0 → {self.calls}: quick calls", note, "one-by-one", arms, place=self._functions)

    def _scale_slow(self) -> Group:
        server, rounds = self.context.server, self.context.effort.bursts
        warm = chain(server.address, lambda: [self._call(self.many[1], WAIT_MS)], rounds, server.group)
        arms = [Arm("one-warm", f"one warm call, waits {WAIT_MS} ms", warm, ours=True, warm_up=self._warm_up)]
        arms += self._scaled({"wait_ms": WAIT_MS})
        note = f"The same with a handler that waits {WAIT_MS} ms: {self.calls} instances are needed. {CHANGED}"
        title = f"0 → {self.calls}: calls that wait {WAIT_MS} ms"
        return Group("scale-slow", title, note, "one-warm", arms, place=self._functions)

    def _rate(self) -> Group:
        effort = self.context.effort
        document = {"command": ["/bin/true"], "parallel": PARALLEL, "milliseconds": effort.rate_ms}
        arms = [
            Arm("true", f"`/bin/true`, {PARALLEL} at a time", process_rate(document, self.context.starter)),
            Arm("wuwei-python", f"wuwei, Python, {PARALLEL} connections", self._cold_rate, ours=True),
        ]
        note = (
            f"{effort.churn} functions are called in turn on a server with room for {min(ROOM, effort.churn // 3)} "
            "instances, so that every call starts one and ends another. Only cold answers count. Of ratios, larger is "
            "better."
        )
        title = "Cold starts per second"
        return Group("cold-rate", title, note, "true", arms, metric=RATE, place=self._turns)

    # --- blocks ---

    def _burst(self, bursts: Callable[[], list[Burst]], *, spans: bool) -> Callable[[], Block]:
        return burst(self.context.server.address, bursts, self.context.server.group, spans=spans)

    def _cold(self, count: int, rounds: int, pause_ms: int) -> list[Burst]:
        base, functions = time.time_ns(), self.many[:count]

        def one(number: int) -> Burst:
            steps = [function.retiring(base + number) for function in functions]
            # First all changes, then all waits for their ends.
            prepare = [each[part] for part in (0, 1) for each in steps]
            return Burst(prepare, pause_ms, [self._call(function) for function in functions], count)

        return [one(number) for number in range(rounds)]

    def _scaled(self, more: dict[str, int]) -> list[Arm]:
        def bursts(pause_ms: int) -> list[Burst]:
            base, function = time.time_ns(), self.many[0]
            calls = [function.invocation(event(number, **more)) for number in range(self.calls)]
            rounds = range(self.context.effort.bursts)
            return [Burst(function.retiring(base + number), pause_ms, calls, 1) for number in rounds]

        arms = []
        for suffix, pause_ms in (("", PAUSE_MS), (PAUSED, self.context.effort.refill_ms)):
            block = self._burst(partial(bursts, pause_ms), spans=True)
            arms.append(Arm("wuwei-python" + suffix, f"wuwei, Python, after {pause_ms:,} ms", block, ours=True))
        return arms

    def _call(self, function: Function, wait_ms: int = 0) -> str:
        return function.invocation(event(0, **({"wait_ms": wait_ms} if wait_ms else {})))

    def _warm_calls(self) -> list[str]:
        return [self.many[1].invocation(event(number)) for number in range(self.calls)]

    def _warm_up(self) -> None:
        self.many[1].invoke({"mark": "ahead"})

    def _cold_rate(self) -> Block:
        if self.second is None:
            raise RunError("its server is not running")
        effort, second = self.context.effort, self.second

        def requests() -> list[str]:
            return [self._call(function) for function in self.turns]

        # So many calls that every place is taken, before anything counts.
        load = Load(min(ROOM, effort.churn // 3) // PARALLEL + 1, effort.rate_ms, min(PARALLEL, effort.churn))
        connections = min(PARALLEL, effort.churn // 5)
        block = closed(second.address, requests, connections, load, second.group)()
        if block.firsts < 0.9 * block.samples:
            raise RunError(f"{block.firsts} of {block.samples} calls were cold")
        rate = (block.per_second or 0.0) * block.firsts / block.samples
        return Block(block.firsts, block.p50_ns, block.p99_ns, block.times_ns, block.cpu_ns, rate)
