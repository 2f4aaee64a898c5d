"""Measures two servers of one binary, one with ten functions and one with many, in turns: `python -m many`."""

import argparse
import http.client
import itertools
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from harness.functions import ECHO, Functions, boto_client
from harness.packages import zip_of
from harness.server import ROLE, RUNNING, Server
from harness.servers import finish, make_server, newest_python
from harness.tools import REPOSITORY
from harness.wire import signed_headers
from many.report import Measured, render

FEW = 10
CREATORS = 4
FIRST_GET = "get, the first after a start"
SETTLED_SECONDS = 2.0
PER_ROUND = 50
STARTS = 7
SEED = 20261120
CONFIG = "stock = 0\nkeep_alive_s = 3600\n"


@dataclass
class Arm:
    """One server and its functions."""

    server: Server
    names: list[str]
    connection: http.client.HTTPConnection | None = None
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def connect(self) -> None:
        """A new connection, after a start."""
        self.connection = http.client.HTTPConnection(*self.server.address, timeout=60)

    def ask(self, kind: str, method: str, path: str, body: bytes = b"") -> None:
        """One request, timed without its signing."""
        assert self.connection is not None
        headers = signed_headers(self.server, method, path, body)
        begin = time.perf_counter()
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        answer.read()
        self.seconds.setdefault(kind, []).append(time.perf_counter() - begin)
        assert answer.status == 200, (kind, answer.status)


def main() -> int:
    """Exit status 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="make bench-functions")
    parser.add_argument("--functions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=40, help=f"of {PER_ROUND} requests of each kind on each server")
    parser.add_argument("--report", type=Path, help="default: docs/many-functions.md, for 10,000 functions")
    options = parser.parse_args()
    record = options.functions >= 10_000 and options.rounds >= 40
    report = options.report or REPOSITORY / ("docs" if record else "target") / "many-functions.md"
    with_few, with_many = arms = [prepared(FEW), prepared(options.functions)]
    try:
        for arm in arms:
            read_all(arm, "first")
        questions = list(kinds(random.Random(SEED)))
        for _ in range(options.rounds):
            for ask_several in questions:
                for arm in arms:
                    ask_several(arm)
        starts = [start_seconds(arm) for arm in arms]
        fresh = [memory_bytes(arm) for arm in arms]
        for arm in arms:
            read_all(arm, FIRST_GET)
        used = [memory_bytes(arm) for arm in arms]
        kinds_of = [kind for kind in with_few.seconds if kind != "first"]
        latencies = {kind: (with_few.seconds[kind], with_many.seconds[kind]) for kind in kinds_of}
    finally:
        for arm in arms:
            finish(arm.server)
    measured = Measured(len(with_few.names), len(with_many.names), latencies, starts, fresh, used)
    report.write_text(render(measured))
    print(report.read_text(), f"\nwritten to {report}", sep="")
    return 0 if measured.good else 1


def prepared(count: int) -> Arm:
    """A server with so many functions, all of one package, and one of them warm."""
    server = make_server(CONFIG)
    RUNNING.append(server)
    server.start()
    functions = Functions(boto_client(server), newest_python(server))
    package = zip_of({"app.py": ECHO})
    names = [f"function-{number:05}" for number in range(count)]
    clients = itertools.cycle([boto_client(server) for _ in range(CREATORS)])

    def create(name: str) -> None:
        next(clients).create_function(
            FunctionName=name, Runtime=functions.python, Handler="app.handler", Role=ROLE, Code={"ZipFile": package}
        )

    begin = time.monotonic()
    with ThreadPoolExecutor(CREATORS) as pool:
        for done, _ in enumerate(pool.map(create, names), 1):
            if done % 1_000 == 0:
                print(f"{done:,} functions after {time.monotonic() - begin:.0f} s", file=sys.stderr)
    for name in names:
        functions.wait_active(name)
    time.sleep(SETTLED_SECONDS)
    arm = Arm(server, names)
    arm.connect()
    for name in (names[0], names[-1]):
        functions.call(name, 1)
    return arm


def kinds(chance: random.Random) -> Iterator[Callable[[Arm], None]]:
    """What is asked, PER_ROUND times each before the next kind; functions are chosen by chance among all."""

    def several(ask: Callable[[Arm], None]) -> Callable[[Arm], None]:
        def run(arm: Arm) -> None:
            for _ in range(PER_ROUND):
                ask(arm)

        return run

    functions = "/2015-03-31/functions"
    yield several(lambda arm: arm.ask("list of 10", "GET", f"{functions}/?MaxItems=10"))
    yield several(lambda arm: arm.ask("get", "GET", f"{functions}/{chance.choice(arm.names)}/configuration"))
    yield several(lambda arm: arm.ask("warm call", "POST", f"{functions}/{arm.names[-1]}/invocations", b"1"))


def start_seconds(arm: Arm) -> list[float]:
    """From the start of the process until it serves."""
    taken = []
    for number in range(STARTS):
        arm.server.stop()
        arm.server.start()
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        taken.append(now - process_start(arm.server.pid))
        arm.connect()
        if number + 1 < STARTS and len(arm.names) <= FEW:
            # They are few: each start gives some more samples.
            read_all(arm, FIRST_GET)
    return taken


def process_start(pid: int) -> float:
    """When a process began, in seconds since the machine did."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def memory_bytes(arm: Arm) -> int:
    """What the server process has for itself."""
    text = Path(f"/proc/{arm.server.pid}/smaps_rollup").read_text()
    kib = [int(line.split()[1]) for line in text.splitlines() if line.startswith(("Private_Clean", "Private_Dirty"))]
    return sum(kib) * 1024


def read_all(arm: Arm, kind: str) -> None:
    """Every function is asked for once."""
    for name in arm.names:
        arm.ask(kind, "GET", f"/2015-03-31/functions/{name}/configuration")


if __name__ == "__main__":
    sys.exit(main())
