"""Whether a series of counts is flat: by its slope, when it has warmed up."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

WARM_UP = 1 / 6
"""This part of the samples is not judged."""


@dataclass(frozen=True)
class Trend:
    """What became of one column."""

    column: str
    first: float
    last: float
    growth: float
    """By the median of the slopes of all pairs, or from the first to the last quarter: single peaks do not count."""
    allowed: float

    @property
    def flat(self) -> bool:
        """Whether it has not grown by more than is allowed."""
        return self.growth <= self.allowed


def trend(column: str, minutes: Sequence[float], values: Sequence[float], allowed: float) -> Trend:
    """The trend of the samples after the warm-up."""
    skipped = round(len(values) * WARM_UP)
    judged = list(zip(minutes, values, strict=True))[skipped:]
    slopes = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in combinations(judged, 2)]
    slope = statistics.median(slopes) if slopes else 0.0
    quarter = max(len(judged) // 4, 1)
    first, last = (statistics.median(value for _, value in part) for part in (judged[:quarter], judged[-quarter:]))
    growth = max(slope * (judged[-1][0] - judged[0][0]), last - first)
    return Trend(column, judged[0][1], judged[-1][1], growth, allowed)


def allowance(column: str, values: Sequence[float]) -> float:
    """By how much a column of `harness.tally` may grow over the whole time: what noise alone does."""
    mean = statistics.fmean(values)
    match column:
        case "server memory" | "helpers memory":
            return max(8192.0, mean / 10)
        case "data":
            # The database's journal grows to four megabytes and begins anew.
            return max(6144.0, mean / 20)
        case "descriptors" | "threads":
            return 8.0
        case "logs" | "ledger":
            return float("inf")
        case _:
            return 1.0
