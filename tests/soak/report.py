"""What the soak writes down: the machine, the command, what was called, and the counts."""

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from harness.flatness import Trend, allowance, trend
from harness.tally import COLUMNS, Tally
from harness.tools import REPOSITORY
from soak.load import Load


@dataclass
class Samples:
    """The counts, taken again and again."""

    minutes: list[float] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    busy_memory: list[int] = field(default_factory=list)
    """Of the server, just before it came to rest."""
    calls: list[int] = field(default_factory=list)

    def trends(self) -> list[Trend]:
        """One for each column."""
        columns = {column: [float(each[column]) for each in self.tallies] for column in COLUMNS}
        return [trend(name, self.minutes, values, allowance(name, values)) for name, values in columns.items()]


def render(samples: Samples, load: Load, command: str, faults: Sequence[str], kernel_groups: tuple[int, int]) -> str:
    """The page."""
    trends = samples.trends()
    good = not faults and all(each.flat for each in trends)
    calls = ", ".join(f"{count:,} {kind}" for kind, count in sorted(load.calls.items()))
    outcomes = ", ".join(f"{count:,} × {went}" for went, count in load.outcomes.most_common())
    lines = [
        "# Soak",
        "",
        "Honest functions in Python, Node.js and a native runtime, whose every answer is checked, beside hostile ones:",
        "each attempt of [the attack suite](security.md) as a real function tries it, and functions that fork, fill,",
        "flood, hang, forge and crash. Regularly the callers rest, until no instance is left, and all that the server",
        "then holds is counted. A count is flat when neither its slope (the median over all pairs of samples) nor the",
        "step from its first to its last quarter is more than is allowed; the first sixth warms up.",
        "The network is the test's own.",
        "",
        f"- Result: **{'flat, no wrong answer, no attempt succeeded' if good else 'FAILED'}**",
        f"- Date: {datetime.now(timezone.utc):%Y-%m-%d}, commit {_commit()}",
        f"- Machine: {_machine()}",
        f"- Command: `{command}`; {samples.minutes[-1]:.0f} minutes, {len(samples.minutes)} samples",
        f"- Calls: {calls}",
        f"- Outcomes of hostile calls: {outcomes}",
        "- Control groups that the kernel knows (of the whole machine, and removed ones that memory still belongs to): "
        f"{kernel_groups[0]:,} before, {kernel_groups[1]:,} after",
        *(f"- Wrong: {fault}" for fault in faults),
        "",
        "| count, at rest | what it is | first | last | growth | allowed | |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in trends:
        allowed = "not judged" if each.allowed == float("inf") else f"{each.allowed:,.0f}"
        verdict = "flat" if each.flat else "**GROWS**"
        numbers = f"{each.first:,.0f} | {each.last:,.0f} | {each.growth:+,.1f}"
        lines.append(f"| {each.column} | {COLUMNS[each.column]} | {numbers} | {allowed} | {verdict} |")
    lines += ["", "First and last: of the judged samples. All samples:", ""]
    lines += ["| minute | calls | busy memory | " + " | ".join(COLUMNS) + " |", "|" + "---|" * (3 + len(COLUMNS))]
    rows = zip(samples.minutes, samples.calls, samples.busy_memory, samples.tallies, strict=True)
    for minute, count, busy, tally in rows:
        numbers = " | ".join(f"{tally[column]:,}" for column in COLUMNS)
        lines.append(f"| {minute:.1f} | {count:,} | {busy:,} | {numbers} |")
    return "\n".join([*lines, ""])


def known_to_kernel() -> int:
    """Control groups of memory that the kernel has, dead ones included."""
    for line in Path("/proc/cgroups").read_text().splitlines():
        if line.startswith("memory"):
            return int(line.split()[2])
    return 0


def _commit() -> str:
    asked = subprocess.run(
        ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return f"`{asked.stdout.strip()}`" if asked.returncode == 0 else "unknown"


def _machine() -> str:
    information = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in information.splitlines() if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    cpu = f"{len(names)} × {names[0]}" if names else platform.machine()
    return f"{cpu}, {memory:,} MiB, Linux {platform.release()}"
