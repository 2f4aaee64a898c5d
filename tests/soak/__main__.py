"""Runs the soak: `python -m soak --minutes 60`; see `report.py` for what it writes. Needs root, as the attempts do."""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.flatness import WARM_UP
from harness.functions import Functions, boto_client
from harness.network import test_host
from harness.server import RUNNING, Server
from harness.servers import finish, make_server, newest_node, newest_python
from harness.tally import at_rest, tally
from harness.tools import REPOSITORY
from soak import honest, hostile
from soak.hostile import Hostile
from soak.load import HOSTILE_CALLERS, Load, check_alive
from soak.report import Samples, known_to_kernel, render

# Of sandboxes that are built ahead always the same number, so that they can be told from a leak.
CONFIG = f"keep_alive_s = 2\nstock = 3\nlog_bytes_per_function = {8 << 20}\nlog_bytes_total = {64 << 20}\n"
SAMPLES_MIN = 12
RECORD_MINUTES = 30
"""Shorter runs are no record."""


def main() -> int:
    """The whole soak; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1, help="of the choice of attempts")
    parser.add_argument("--report", type=Path, help="default: docs/soak.md, from 30 minutes on")
    options = parser.parse_args()
    record = options.minutes >= RECORD_MINUTES
    report = options.report or REPOSITORY / ("docs" if record else "target") / "soak.md"
    with test_host() as world:
        server = make_server(CONFIG, prefix=world.prefix)
        RUNNING.append(server)
        try:
            server.start()
            text, wrong = soak(server, options.minutes, options.seed)
        finally:
            finish(server)
    report.write_text(text)
    print(text.partition("First and last")[0] + f"written to {report}")
    return 1 if wrong else 0


def soak(server: Server, minutes: float, seed: int) -> tuple[str, bool]:
    """The page, and whether something was wrong."""
    functions = Functions(boto_client(server), newest_python(server), newest_node(server))
    samples, faults, kernel_groups = Samples(), [], known_to_kernel()
    interval = min(60.0, minutes * 60 / SAMPLES_MIN)
    with hostile.mix(functions) as hostile_ones:
        say(f"{len(hostile_ones)} hostile programs on a server at {server.data_dir}")
        load = Load(functions, honest.deploy(functions), hostile_ones, seed)
        warm_up(functions, hostile_ones)
        resting = at_rest(server, within=30)
        begin = time.monotonic()
        due = begin
        try:
            while due < begin + minutes * 60 and not faults:
                due += interval
                load.go()
                load.wait(max(due - time.monotonic(), 1.0))
                busy = tally(server)["server memory"]
                load.rest()
                samples.tallies.append(at_rest(server, resting, poll=load.wait))
                samples.minutes.append((time.monotonic() - begin) / 60)
                samples.busy_memory.append(busy)
                samples.calls.append(sum(load.calls.values()))
                say_sample(samples)
                faults += [fault for fault in [check_alive(server, functions.client)] if fault]
        finally:
            load.end()
            (REPOSITORY / "target" / "soak-server.log").write_text(server.stderr)
        faults += [f"{load.fault_count} calls went wrong; the first:", *load.faults] if load.faults else []
    command = f"make soak MINUTES={minutes:g}"
    text = render(samples, load, command, faults, (kernel_groups, known_to_kernel()))
    return text, bool(faults) or not all(each.flat for each in samples.trends())


def warm_up(functions: Functions, hostile_ones: list[Hostile]) -> None:
    """Each function is called once: from then on the server holds the log of each open."""
    firsts = {each.function: each for each in hostile_ones}
    with ThreadPoolExecutor(HOSTILE_CALLERS) as pool:
        for _ in pool.map(lambda each: each.call(functions), firsts.values()):
            pass
    for number in range(honest.FLEETING):
        honest.change(functions, number)


def say(text: str) -> None:
    """Tells who waits."""
    print(text, file=sys.stderr, flush=True)


def say_sample(samples: Samples) -> None:
    """One line for each sample."""
    counts = ", ".join(f"{name} {count}" for name, count in samples.tallies[-1].items())
    judged = "" if len(samples.minutes) > SAMPLES_MIN * WARM_UP else " (warming up)"
    say(f"minute {samples.minutes[-1]:.1f}{judged}: {samples.calls[-1]} calls; {counts}")


if __name__ == "__main__":
    sys.exit(main())
