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
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from comparison import machine, peers, plan, report, syscalls
from comparison.accounting import AccountingError
from comparison.arms import Group, Measured
from comparison.context import FULL, QUICK, Context
from comparison.quiet import Quiet
from comparison.runner import Runner, say
from comparison.tools import BENCH, ROOT, RunError
from comparison.wuwei import MEMORY_MB, NotConfinedError

RESULTS = BENCH / "results"
PUBLISHED = ROOT / "docs/benchmarks.json"
"""Without the single times; the page beside it is made from this and nothing else."""
REFUSED = 3


def main() -> int:
    """Measures, then writes."""
    arguments = argparse.ArgumentParser(prog="bench")
    arguments.add_argument("--quick", action="store_true", help="a few minutes; its figures are not for quoting")
    arguments.add_argument(
        "--only", metavar="TEXT,…", help="only groups whose key contains one of the texts; nothing is published"
    )
    arguments.add_argument("--list", action="store_true", help="only print the keys of the groups")
    arguments.add_argument("--render", metavar="FILE", type=Path, help="only write the page of an earlier run's file")
    options = arguments.parse_args()
    if options.render is not None:
        print(report.page(json.loads(options.render.read_text())), end="")
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    context = Context(QUICK if options.quick else FULL)
    try:
        context.start()
        groups = _chosen(plan.groups(context), options.only)
        if options.list:
            print("\n".join(group.key for group in groups))
            return 0
        raw = RESULTS / f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}.json"
        document, measured = _measure(context, groups, raw, quick=options.quick)
    except NotConfinedError as refusal:
        say(f"refused: {refusal}")
        return REFUSED
    except (RunError, AccountingError, OSError) as failure:
        say(f"error: {failure}")
        return 1
    finally:
        context.stop()
    _write(document, measured, raw, publish=not options.quick and not options.only)
    return REFUSED if any(group.refused for group in measured) else 0


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(f"signal {number}")


def _chosen(groups: Sequence[Group], only: str | None) -> list[Group]:
    texts = [text.strip() for text in (only or "").split(",") if text.strip()]
    found = [group for group in groups if not texts or any(text in group.key for text in texts)]
    if not found:
        raise RunError(f"no group is called `{only}`: {', '.join(group.key for group in groups)}")
    return found


def _measure(
    context: Context, groups: Sequence[Group], raw: Path, *, quick: bool
) -> tuple[dict[str, Any], list[Measured]]:
    """All groups, and what is counted beside them, as the document that is kept."""
    load_before, begin = machine.load_average(), time.monotonic()
    extra: dict[str, Any] = {"memory": [], "syscalls": []}

    def after(group: Group) -> None:
        if group.key != plan.WARM_ALONE:
            return
        extra["memory"] = context.memory()
        try:
            extra["syscalls"] = [asdict(count) for count in syscalls.count(context.functions["wuwei-python"])]
        except (RunError, OSError) as failure:
            context.absent["System calls"] = f"not counted: {failure}"

    minutes = plan.MINUTES[quick]
    say(f"==> {len(groups)} groups; all that there are take about {minutes} minutes, longer when the machine is noisy")
    deadline = begin + minutes * plan.LONGEST * 60
    quiet = Quiet(context.effort.patience_s, 5 * context.effort.patience_s)

    def document() -> dict[str, Any]:
        facts = machine.description() | {
            "Load average": f"{load_before} before, {machine.load_average()} after",
            "Command": f"`make {'bench-quick' if quick else 'bench'}`, {(time.monotonic() - begin) / 60:.0f} minutes",
            "Functions": f"{MEMORY_MB} MB, full sandbox; probed before and after the measurement",
            "Peers": ", ".join(f"{peer.title} {peer.version()}" for peer in peers.PEER_LIST if peer.missing() is None),
        }
        return extra | {
            "quick": quick,
            "facts": facts,
            "patience_s": context.effort.patience_s,
            "notes": "" if quick else _notes(),
            "absent": context.absent,
        }

    def keep(done: list[Measured]) -> None:
        _keep(raw, document(), done)

    measured = Runner(context.effort.blocks, quiet, deadline, after, keep).run(groups)
    context.probe_all()
    return document(), measured


def _notes() -> str:
    """What figures mean; what was written of another commit may no longer be true."""
    notes = BENCH / "NOTES.md"
    return notes.read_text().strip() if notes.exists() and machine.commit() in notes.read_text() else ""


def _keep(raw: Path, document: dict[str, Any], measured: Sequence[Measured]) -> None:
    RESULTS.mkdir(exist_ok=True)
    raw.write_text(json.dumps(document | {"groups": [each.raw(whole=True) for each in measured]}))


def _write(document: dict[str, Any], measured: Sequence[Measured], raw: Path, *, publish: bool) -> None:
    _keep(raw, document, measured)
    short = document | {"groups": [each.raw(whole=False) for each in measured]}
    target = PUBLISHED if publish else RESULTS / "latest.json"
    target.write_text(json.dumps(short, indent=1) + "\n")
    target.with_suffix(".md").write_text(report.page(json.loads(target.read_text())))
    say(f"{target.with_suffix('.md').relative_to(ROOT)}, {target.name} beside it, and {raw.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
