"""The callers of the soak: threads that call until they are told to rest or to end."""

import random
import threading
from collections import Counter
from collections.abc import Callable

from botocore.client import BaseClient

from harness.functions import Functions
from harness.server import Server
from harness.waiting import until
from soak import honest
from soak.honest import Honest
from soak.hostile import Hostile, choose

HOSTILE_CALLERS = 3
PACE_SECONDS = 0.05
"""Between two calls of an honest function: most of the time is for the hostile ones."""
CHANGE_SECONDS = 2.0
FAULTS_KEPT = 20
REST_WITHIN = 60.0


class Load:
    """All callers; `calls`, `outcomes` and `faults` say how it goes."""

    def __init__(self, functions: Functions, honest_ones: list[Honest], hostile_ones: list[Hostile], seed: int) -> None:
        self.functions, self.seed = functions, seed
        self.calls: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        self.fault_count = 0
        self._lock = threading.Lock()
        self._working = 0
        self._going, self._ended = threading.Event(), threading.Event()
        jobs: list[tuple[str, float, Callable[[random.Random, int], str]]] = [
            (each.name, PACE_SECONDS, self._honestly(each)) for each in honest_ones
        ]
        jobs += [("hostile", 0, self._hostilely(hostile_ones))] * HOSTILE_CALLERS
        jobs.append(("changes of code", CHANGE_SECONDS, lambda _, number: honest.change(functions, number)))
        self._threads = [
            threading.Thread(target=self._run, args=(kind, pace, job, index), daemon=True)
            for index, (kind, pace, job) in enumerate(jobs)
        ]
        for thread in self._threads:
            thread.start()

    def go(self) -> None:
        """Lets all callers call."""
        self._going.set()

    def rest(self) -> None:
        """Returns when no call is under way."""
        self._going.clear()
        until(lambda: self._working == 0, "all calls have been answered", REST_WITHIN)

    def wait(self, seconds: float) -> bool:
        """Lets time pass; whether something has gone wrong so badly that there is no sense in going on."""
        return self._ended.wait(seconds)

    def end(self) -> None:
        """Ends all callers."""
        self._ended.set()
        self._going.set()
        for thread in self._threads:
            thread.join(REST_WITHIN)

    def _run(self, kind: str, pace: float, job: Callable[[random.Random, int], str], index: int) -> None:
        chance = random.Random(self.seed * 1000 + index)
        number = 1
        while not self._ended.is_set():
            self._going.wait()
            with self._lock:
                self._working += 1
            try:
                # Between the look at `_going` and the count somebody may have asked for rest.
                if self._going.is_set() and not self._ended.is_set():
                    self._count(kind, job(chance, number))
            except Exception as error:
                self._count(kind, f"{kind}, call {number}: {error!r}")
            finally:
                with self._lock:
                    self._working -= 1
            number += 1
            self._ended.wait(pace)

    def _count(self, kind: str, fault: str) -> None:
        with self._lock:
            self.calls[kind] += 1
            if fault:
                self.fault_count += 1
                self.faults = [*self.faults, fault][:FAULTS_KEPT]

    def _honestly(self, function: Honest) -> Callable[[random.Random, int], str]:
        return lambda chance, number: function.call(self.functions, number, chance)

    def _hostilely(self, hostile_ones: list[Hostile]) -> Callable[[random.Random, int], str]:
        def call(chance: random.Random, _number: int) -> str:
            chosen = choose(hostile_ones, chance)
            went, fault = chosen.call(self.functions)
            with self._lock:
                self.outcomes[went] += 1
            return fault

        return call


def check_alive(server: Server, client: BaseClient) -> str:
    """What is wrong with the server itself, or nothing."""
    if not server.is_running():
        return "the server has ended"
    client.list_functions(MaxItems=1)
    return "the server has panicked" if "panicked at" in server.stderr else ""
