"""The page of figures. Nothing is rounded in wuwei's favour: its times up, its rates down, the others' otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from comparison import figures
from comparison.arms import Arm, Measured
from comparison.syscalls import Count

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


def comparison(measured: Measured, arm: Arm, other: str, *, ours: bool) -> str:
    """Median of the block ratios, and its interval."""
    if arm.key == other or other not in measured.blocks:
        return ""
    found = figures.ratio(measured.medians(arm.key), measured.medians(other))
    value = figures.rounded(found.value, up=ours)
    return f"{value} ({figures.rounded(found.low, up=False)}-{figures.rounded(found.high, up=True)})"


def row(measured: Measured, arm: Arm) -> list[str]:
    """One arm's."""
    blocks = measured.blocks[arm.key]
    cpu = [block.cpu_ns for block in blocks if block.cpu_ns is not None]
    rates = [block.per_second for block in blocks if block.per_second is not None]
    firsts = sum(block.firsts for block in blocks) if arm.ours else 0
    title = arm.title + (f" ({firsts} cold starts within)" if firsts else "")
    return [
        title,
        time(median(measured.medians(arm.key)), ours=arm.ours),
        time(measured.p99(arm.key), ours=arm.ours),
        comparison(measured, arm, measured.denominator, ours=arm.ours),
        comparison(measured, arm, arm.rival, ours=False) if arm.rival else "",
        time(median(cpu), ours=arm.ours) if cpu else "",
        figures.rounded(median(rates), up=not arm.ours) if rates else "",
    ]


def group(measured: Measured) -> list[str]:
    """A group's section."""
    if measured.refused:
        return [f"## {measured.title}", "", measured.refused, ""]
    floor = next(arm for arm in measured.arms if arm.key == measured.denominator)
    head = ["", "p50", "p99", "× floor (95 %)", "× wuwei (95 %)", "CPU per call", "calls/s"]
    rows = [row(measured, arm) for arm in measured.arms]
    rows += [[f"{title}: {reason}", *[""] * (len(head) - 1)] for title, reason in measured.absent.items()]
    used = [0, *(column for column in range(1, len(head)) if any(cells[column] for cells in rows))]
    samples = min(block.samples for blocks in measured.blocks.values() for block in blocks)
    count = len(measured.blocks[measured.denominator])
    again = f" Measured {measured.attempts} times: the floor was too noisy before." if measured.attempts > 1 else ""
    facts = (
        f"Floor: {floor.title}, noise {measured.noise():.3f}. "
        f"{count} blocks, at least {samples} samples each; "
        f"{measured.disturbed} blocks began while other work used the machine.{again}"
    )
    lines = table([head[column] for column in used], [[cells[column] for column in used] for cells in rows])
    return [f"## {measured.title}", "", measured.note, "", *lines, facts, ""]


def memory(rows: Sequence[tuple[str, int]]) -> list[str]:
    """The memory section."""
    cells = [
        [title, f"{figures.rounded(size / 1048576, up=title.startswith(('wuwei', 'one')))} MiB"] for title, size in rows
    ]
    note = "Proportional set size: a page that several processes share counts in parts. After calls on one connection."
    return ["## Memory", "", note, "", *table(["", "memory"], cells)]


def syscalls(counts: Sequence[Count]) -> list[str]:
    """The system calls section."""
    lines = ["## System calls of one warm call", "", "wuwei, Python, one connection; counted by strace, not timed.", ""]
    rows = []
    for count in counts:
        names = ", ".join(f"{name} {number:.2f}" for name, number in count.by_name if number >= 0.005)
        rows.append([count.side, f"{count.total:.1f}", names])
    lines += ["| | per call | of them |", "|---|--:|---|", *(f"| {' | '.join(cells)} |" for cells in rows), ""]
    return lines
