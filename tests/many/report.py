"""What the measurement of many functions writes down."""

import platform
import statistics
from dataclasses import dataclass
from datetime import datetime, timezone

RATIO_MAX = 1.1
START_SECONDS_MAX = 1.0


@dataclass
class Measured:
    """Figures of the server with few functions and of the one with many, in this order."""

    few: int
    many: int
    latencies: dict[str, tuple[list[float], list[float]]]
    starts: list[list[float]]
    fresh: list[int]
    """Memory after a start, in bytes."""
    used: list[int]
    """Memory when every function has been asked for."""

    @property
    def steady(self) -> list[str]:
        """What has a goal: everything but what is asked for the first time, which is read from the disk."""
        return [kind for kind in self.latencies if "first" not in kind]

    def ratio(self, kind: str) -> float:
        """Of the medians."""
        few, many = self.latencies[kind]
        return statistics.median(many) / statistics.median(few)

    @property
    def good(self) -> bool:
        """Whether every goal was met."""
        ratios = all(self.ratio(kind) <= RATIO_MAX for kind in self.steady)
        return ratios and statistics.median(self.starts[1]) <= START_SECONDS_MAX


def render(measured: Measured) -> str:
    """The page."""
    few, many = f"{measured.few:,} functions", f"{measured.many:,} functions"
    lines = [
        "# Many functions",
        "",
        f"Made by `make bench-functions` on {datetime.now(timezone.utc):%Y-%m-%d}; {platform.machine()}, Linux "
        f"{platform.release().split('-')[0]}.",
        f"Two servers of one binary, one with {few}, one with {many} of one package, asked in turns, over one "
        "connection each.",
        "Which function is asked for is chance's choice among all.",
        "",
        f"| | {few} | {many} | ratio | goal |",
        "|---|---|---|---|---|",
    ]
    for kind, (with_few, with_many) in measured.latencies.items():
        medians = [f"{statistics.median(each) * 1e6:,.0f} µs" for each in (with_few, with_many)]
        goal = f"≤ {RATIO_MAX}" if kind in measured.steady else ""
        lines.append(f"| {kind}, median | {medians[0]} | {medians[1]} | {measured.ratio(kind):.2f} | {goal} |")
        tails = [statistics.quantiles(each, n=100)[98] * 1e6 for each in (with_few, with_many)]
        lines.append(f"| {kind}, p99 | {tails[0]:,.0f} µs | {tails[1]:,.0f} µs | {tails[1] / tails[0]:.2f} | |")
    starts = [statistics.median(each) for each in measured.starts]
    shown = " | ".join(f"{seconds:.2f} s" for seconds in starts)
    lines.append(f"| start until `/healthz` answers, median | {shown} | | ≤ {START_SECONDS_MAX:g} s |")
    more = measured.many - measured.few
    for what, (with_few, with_many) in (
        ("memory of the server after a start", measured.fresh),
        ("the same when each function was asked for", measured.used),
    ):
        each = (with_many - with_few) / more
        lines.append(
            f"| {what} | {with_few / 2**20:.1f} MiB | {with_many / 2**20:.1f} MiB | {each:,.0f} bytes a function | |"
        )
    return "\n".join([*lines, ""])
