"""Runs the comparison and writes the page: `scripts/bench.sh [--quick]` builds and installs what it needs, then this.

Exit status: 0 written; 3 a section was refused, because its floor was too noisy, or all, because a function was not
confined; 1 anything else.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from comparison import figures, machine, peers, report, syscalls
from comparison.accounting import AccountingError
from comparison.arms import ATTEMPTS, Measured
from comparison.plan import FULL, QUICK, Plan
from comparison.quiet import IDLE_WANTED, Quiet
from comparison.tools import BENCH, ROOT, RunError
from comparison.wuwei import MEMORY_MB, NotConfinedError

RESULTS = BENCH / "results"
REFUSED = 3
MINUTES_MAX = 21
"""No section, and no second try of one, begins later."""


def main() -> int:
    """Measures, then writes; what is refused is not written."""
    arguments = argparse.ArgumentParser(prog="bench")
    arguments.add_argument("--quick", action="store_true", help="a few minutes; its figures are not for quoting")
    arguments.add_argument(
        "--only", metavar="TEXT", help="only groups whose key contains the text; nothing is published"
    )
    options = arguments.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    plan = Plan(QUICK if options.quick else FULL)
    measured: list[Measured] = []
    lines: list[str] = []
    load_before = machine.load_average()
    begin = time.monotonic()
    try:
        plan.start()
        lines, measured = _measure(plan, options.only)
    except NotConfinedError as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return REFUSED
    except (RunError, AccountingError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    finally:
        plan.stop()
    minutes = (time.monotonic() - begin) / 60
    page = "\n".join([*_head(plan, options.quick, load_before, minutes), *lines])
    _write(page, measured, publish=not options.quick and not options.only)
    return REFUSED if any(group.refused for group in measured) else 0


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(f"signal {number}")


def _measure(plan: Plan, only: str | None) -> tuple[list[str], list[Measured]]:
    begin = time.monotonic()
    measured, lines, tail = [], [], []
    quiet = Quiet(plan.effort.patience_s, 5 * plan.effort.patience_s)
    for group in plan.groups():
        if only is not None and only not in group.key:
            continue
        print(f"==> {group.title}", file=sys.stderr, flush=True)
        found = group.measure(plan.effort.blocks, quiet, begin + MINUTES_MAX * 60)
        measured.append(found)
        lines += report.group(found)
        if group.key == "warm-1-apart":
            tail += report.memory(plan.memory())
            try:
                tail += report.syscalls(syscalls.count(plan.functions["wuwei-python"]))
            except (RunError, OSError) as failure:
                tail += ["## System calls of one warm call", "", f"Not counted: {failure}", ""]
    plan.probe_all()
    return [*lines, *tail], measured


def _head(plan: Plan, quick: bool, load_before: str, minutes: float) -> list[str]:
    facts = machine.description() | {
        "Load average": f"{load_before} before, {machine.load_average()} after",
        "Command": f"`make {'bench-quick' if quick else 'bench'}`, {minutes:.0f} minutes",
        "Functions": f"{MEMORY_MB} MB, full sandbox; {len(plan.functions)} probed before and after the measurement",
        "Peers": ", ".join(f"{peer.title} {peer.version()}" for peer in peers.PEER_LIST if peer.missing() is None),
    }
    lines = ["# Benchmarks", ""]
    if quick:
        lines += ["**A quick run: too few samples to quote.**", ""]
    lines += ["Written by the run; do not edit. `bench/README.md` says how it measures.", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += [
        "",
        "p50 is the median of the blocks' medians, p99 that of all blocks' times together. A ratio is the median of "
        "per-block ratios of p50s, with its 95 % bootstrap interval. *× floor*: against the section's floor, smaller "
        "is better. *× wuwei*: a peer's time in parts of wuwei's own for the same work; above 1 the peer is slower. "
        "wuwei's times are rounded up and its rates down, the others' the other way. A section is refused when more "
        f"than a quarter of its floor's changes from block to block are above {figures.NOISE_MAX:.0%} (the third "
        f"quartile is its *noise*), {ATTEMPTS} times; a function that is not confined ends the run. Each block waits "
        f"until {IDLE_WANTED:.0%} of the machine are idle, at most "
        f"{plan.effort.patience_s:.0f} s in a section and five times that in the run.",
        "",
    ]
    notes = BENCH / "NOTES.md"
    # Notes say what figures mean; those of another commit may no longer be true.
    if not quick and notes.exists() and machine.commit() in notes.read_text():
        lines += [notes.read_text().strip(), ""]
    if plan.absent:
        lines += ["## Not measured", "", *(f"- {title}: {reason}" for title, reason in plan.absent.items()), ""]
    return lines


def _write(page: str, measured: list[Measured], *, publish: bool) -> None:
    RESULTS.mkdir(exist_ok=True)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    raw = {"machine": machine.description(), "groups": [each.raw() for each in measured]}
    (RESULTS / f"{stamp}.json").write_text(json.dumps(raw))
    target: Path = ROOT / "docs/benchmarks.md" if publish else RESULTS / "latest.md"
    target.write_text(page.rstrip() + "\n")
    print(f"{target.relative_to(ROOT)} and bench/results/{stamp}.json", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
