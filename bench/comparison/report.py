"""The page of figures. Nothing is rounded in wuwei's favour: its times up, its rates down, the others' otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from comparison import figures, goals
from comparison.arms import RATE, TAIL, Label, Measured
from comparison.quiet import IDLE_WANTED
from comparison.runner import RETRIES

UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))


def time(nanoseconds: float, *, ours: bool) -> str:
    """With the unit that fits."""
    for size, unit in UNITS:
        if nanoseconds >= size:
            return f"{figures.rounded(nanoseconds / size, up=ours)} {unit}"
    return f"{figures.rounded(nanoseconds, up=ours)} ns"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; all columns but the first are numbers."""
    rule = "|".join(["---", *["--:"] * (len(head) - 1)])
    return [f"| {' | '.join(head)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows), ""]


def size(count: float, *, ours: bool) -> str:
    """In MiB."""
    return f"{figures.rounded(count / 1048576, up=ours)} MiB"


def page(document: Mapping[str, Any]) -> str:
    """The whole page, from what a run has kept: nothing else goes into it."""
    measured = [Measured.from_raw(raw) for raw in document["groups"]]
    lines = ["# Benchmarks", ""]
    if document["quick"]:
        lines += ["**A quick run: too few samples to quote.**", ""]
    lines += ["Written by the run; do not edit. `bench/README.md` says how it measures.", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in document["facts"].items()]
    lines += ["", *verdicts(measured), *_reading(document["patience_s"])]
    if document["notes"]:
        lines += [document["notes"], ""]
    if document["absent"]:
        lines += ["## Not measured", "", *(f"- {title}: {reason}" for title, reason in document["absent"].items()), ""]
    for each in measured:
        lines += group(each)
    if document["memory"]:
        lines += memory(document["memory"])
    if document["syscalls"]:
        lines += syscalls(document["syscalls"])
    return "\n".join(lines).rstrip() + "\n"


def _reading(patience_s: float) -> list[str]:
    return [
        "## How to read the sections",
        "",
        "p50 is the median of the blocks' medians, p99 that of all blocks' times together. A ratio is the median of "
        "per-block ratios (of p50s, where nothing else is said), with its 95 % bootstrap interval. *× floor*: against "
        "the section's floor, of times and sizes smaller is better. *× wuwei*: a peer's time in parts of wuwei's own "
        "for the same work; above 1 the peer is slower. wuwei's times are rounded up and its rates down, the others' "
        "the other way. A section is refused when more than a quarter of its floor's changes from block to block are "
        f"above {figures.NOISE_MAX:.0%} (the third quartile is its *noise*); it is measured again at the end of the "
        f"run, up to {RETRIES} times. A function that is not confined ends the run. Each block waits until "
        f"{IDLE_WANTED:.0%} of the machine are idle, at most {patience_s:.0f} s in a section and five times that in "
        "the run.",
        "",
    ]


def verdicts(measured: Sequence[Measured]) -> list[str]:
    """The table of goals: computed from the sections, and judged."""
    groups = {each.key: each for each in measured}
    rows = []
    for goal in goals.GOALS:
        verdict = goals.judged(goal, groups)
        sign = "≤" if goal.at_most else "≥"
        found, interval = verdict.reason, ""
        if verdict.found is not None:
            found = figures.rounded(verdict.found.value, up=goal.at_most)
            low = figures.rounded(verdict.found.low, up=False)
            interval = f"{low}-{figures.rounded(verdict.found.high, up=True)}"
        if verdict.variant:
            found += f" ({verdict.variant})"
        limits = [f"{sign} {goal.must:g}", f"{sign} {goal.aim:g}"]
        rows.append([goal.title, *limits, found, interval, verdict.reaches(goal.must), verdict.reaches(goal.aim)])
    note = (
        "Ratios against floors and peers measured beside it, in turn with it. Of cold starts one at a time and of "
        "several neighbours, the worst counts and is named."
    )
    head = ["ratio", "must", "aim", "measured", "95 %", "must met", "aim met"]
    return ["## What wuwei wants to reach", "", note, "", *table(head, rows)]


def comparison(measured: Measured, arm: Label, other: str, metric: str, *, up: bool) -> str:
    """Median of the block ratios, and its interval."""
    if arm.key == other or other not in measured.blocks:
        return ""
    found = figures.ratio(measured.values(arm.key, metric), measured.values(other, metric))
    value = figures.rounded(found.value, up=up)
    return f"{value} ({figures.rounded(found.low, up=False)}-{figures.rounded(found.high, up=True)})"


def row(measured: Measured, arm: Label) -> list[str]:
    """One arm's."""
    blocks, ours = measured.blocks[arm.key], arm.ours
    firsts = sum(block.firsts for block in blocks) if ours else 0

    def middle(metric: str, show: Any) -> str:
        values = [value for block in blocks if (value := getattr(block, metric))]
        return show(median(values)) if values else ""

    tail = median(measured.values(arm.key, TAIL)) if measured.metric == TAIL else measured.p99(arm.key)
    # Of rates, larger is better: rounded down for wuwei.
    up = ours != (measured.metric == RATE)
    return [
        arm.title + (f" ({firsts} cold starts within)" if firsts else ""),
        middle("p50_ns", lambda value: time(value, ours=ours)),
        time(tail, ours=ours) if tail else "",
        middle("bytes", lambda value: size(value, ours=ours)),
        middle("pss_bytes", lambda value: size(value, ours=ours)),
        comparison(measured, arm, measured.denominator, measured.metric, up=up),
        comparison(measured, arm, arm.rival, "p50_ns", up=False) if arm.rival else "",
        middle("cpu_ns", lambda value: time(value, ours=ours)),
        middle("per_second", lambda value: figures.rounded(value, up=not ours)),
    ]


def group(measured: Measured) -> list[str]:
    """A group's section."""
    if measured.refused:
        return [f"## {measured.title}", "", measured.refused, ""]
    floor = next(arm for arm in measured.arms if arm.key == measured.denominator)
    tail = "p99, of blocks" if measured.metric == TAIL else "p99"
    size_head = "resident" if measured.key == "memory-server" else "available memory"
    head = [
        "",
        "p50",
        tail,
        size_head,
        "proportional",
        "× floor (95 %)",
        "× wuwei (95 %)",
        "CPU per call",
        "per second",
    ]
    rows = [row(measured, arm) for arm in measured.arms]
    rows += [[f"{title}: {reason}", *[""] * (len(head) - 1)] for title, reason in measured.absent.items()]
    used = [0, *(column for column in range(1, len(head)) if any(cells[column] for cells in rows))]
    samples = min(block.samples for blocks in measured.blocks.values() for block in blocks)
    count = len(measured.blocks[measured.denominator])
    again = f" Measured {measured.attempts} times: a denominator was too noisy before." if measured.attempts > 1 else ""
    facts = (
        f"Floor: {floor.title}, noise {measured.noise():.3f}. "
        f"{count} blocks, at least {samples} samples each; "
        f"{measured.disturbed} blocks began while other work used the machine.{again}"
    )
    lines = table([head[column] for column in used], [[cells[column] for column in used] for cells in rows])
    return [f"## {measured.title}", "", measured.note, "", *lines, facts, "", *breakdown(measured)]


def breakdown(measured: Measured) -> list[str]:
    """Phases of the group's cold starts, where the server tells them."""
    told = {arm.title: measured.phases(arm.key) for arm in measured.arms}
    names = list(dict.fromkeys(name for phases in told.values() for name in phases))
    if not names:
        return []
    rows = [
        [title, *(time(phases[name], ours=True) if phases.get(name) else "0" for name in names)]
        for title, phases in told.items()
        if phases
    ]
    return ["Phases, as the server tells them (medians; they need not add up):", "", *table(["", *names], rows)]


def memory(rows: Sequence[Sequence[Any]]) -> list[str]:
    """The memory section."""
    cells = [[title, size(count, ours=title.startswith(("wuwei", "one")))] for title, count in rows]
    note = "Proportional set size: a page that several processes share counts in parts. After calls on one connection."
    return ["## Memory after warm calls", "", note, "", *table(["", "memory"], cells)]


def syscalls(counts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The system calls section."""
    lines = ["## System calls of one warm call", "", "wuwei, Python, one connection; counted by strace, not timed.", ""]
    rows = []
    for count in counts:
        names = ", ".join(f"{name} {number:.2f}" for name, number in count["by_name"] if number >= 0.005)
        rows.append([count["side"], f"{count['total']:.1f}", names])
    lines += ["| | per call | of them |", "|---|--:|---|", *(f"| {' | '.join(cells)} |" for cells in rows), ""]
    return lines
