"""The statistics: medians of per-block ratios, their bootstrap interval, and the rule for a denominator's noise."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

NOISE_MAX = 0.25
"""A denominator is too noisy when more than a quarter of its changes from block to block are larger than this."""
RESAMPLES = 4000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """Median of the per-block ratios, and the interval that holds it with 95 % confidence."""

    value: float
    low: float
    high: float


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed; no interpolation, so p99 is a real one."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def ratio(numerators: Sequence[float], denominators: Sequence[float], seed: int = 1) -> Ratio:
    """Compares two arms block by block; whole blocks are resampled: samples of one block depend on each other."""
    if len(numerators) != len(denominators) or not numerators:
        raise ValueError(f"{len(numerators)} blocks against {len(denominators)}")
    ratios = [above / below for above, below in zip(numerators, denominators, strict=True)]
    chance = random.Random(seed)
    medians = [median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES)]
    tail = (1 - CONFIDENCE) / 2
    return Ratio(median(ratios), quantile(medians, tail), quantile(medians, 1 - tail))


def noise(blocks: Sequence[float]) -> float:
    """Third quartile of the relative changes from one block's median to the next's.

    What a ratio of one block suffers from are changes while the block runs; a machine that becomes slower over many
    blocks slows numerator and denominator alike.
    """
    changes = [max(pair) / min(pair) - 1 for pair in pairwise(blocks)]
    return quantile(changes, 0.75) if changes else 0.0


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the straight line that lies nearest (least squares): what one more costs."""
    if len(xs) != len(ys) or len(set(xs)) < 2:
        raise ValueError(f"no line through {len(xs)} and {len(ys)} values")
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - middle_x) ** 2 for x in xs)


def is_too_noisy(blocks: Sequence[float]) -> bool:
    """The rule by which a group of arms is refused."""
    return noise(blocks) > NOISE_MAX


def rounded(value: float, digits: int = 3, *, up: bool) -> str:
    """The value with so many significant digits, never rounded the other way."""
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    step = 10.0**-places
    # The tiny margin undoes what a division adds to a value that is exact already.
    steps = math.ceil(value / step - 1e-9) if up else math.floor(value / step + 1e-9)
    return f"{steps * step:,.{max(0, places)}f}"
