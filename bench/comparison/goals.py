"""What wuwei wants to reach: ratios, each with what it must be and what it aims at, judged by what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from comparison import figures
from comparison.arms import MEMORY, RATE, TAIL, TIME, Measured
from comparison.figures import Ratio

PAUSED = "-after-pause"
"""Ends the keys of arms that are silent before each sample."""


@dataclass(frozen=True)
class Quotient:
    """A figure of one arm over that of another one of the same group, block by block."""

    group: str
    arm: str
    floor: str
    metric: str = TIME
    floor_metric: str | None = None
    """When it is not the arm's own."""
    minus: str | None = None
    """Arm whose figure is taken off before."""
    constant: float | None = None
    """Divides instead of the floor, which then only shows how steady the machine was."""
    name: str = ""
    """Which of several variants this is."""

    @property
    def denominator(self) -> tuple[str, str]:
        """The arm that must be steady, and its metric."""
        return self.floor, self.floor_metric or self.metric

    def ratio(self, measured: Measured) -> Ratio:
        """Median of the blocks, and its interval."""
        above = measured.values(self.arm, self.metric)
        if self.minus is not None:
            above = [value - less for value, less in zip(above, measured.values(self.minus, self.metric), strict=True)]
        below = [self.constant] * len(above) if self.constant else measured.values(*self.denominator)
        return figures.ratio(above, below)


@dataclass(frozen=True)
class Goal:
    """One line of the table; of several variants the worst counts, and all of them must have been measured."""

    title: str
    must: float
    aim: float
    variants: tuple[Quotient, ...]
    at_most: bool = True


@dataclass(frozen=True)
class Verdict:
    """What came of a goal."""

    goal: Goal
    found: Ratio | None
    variant: str
    reason: str
    """Why there is no figure."""

    def reaches(self, limit: float) -> str:
        """`yes`, `no`, or that the figure is on one side and an end of its interval on the other."""
        if self.found is None:
            return "?"
        ends = (self.found.low, self.found.high)
        within = [value <= limit if self.goal.at_most else value >= limit for value in (self.found.value, *ends)]
        if not within[0]:
            return "no"
        return "**yes**" if all(within) else "yes, within its interval no"


def judged(goal: Goal, groups: Mapping[str, Measured]) -> Verdict:
    """The worst of its variants, or why there is none."""
    found: list[tuple[Ratio, str]] = []
    for variant in goal.variants:
        measured = groups.get(variant.group)
        if measured is None:
            return Verdict(goal, None, "", f"`{variant.group}` was not part of the run")
        if measured.refused:
            return Verdict(goal, None, "", f"`{variant.group}` was refused for noise")
        lacking = [key for key in (variant.arm, variant.floor, variant.minus) if key and key not in measured.blocks]
        if lacking:
            return Verdict(goal, None, "", f"`{lacking[0]}` of `{variant.group}` was not measured")
        noise = measured.noise(*variant.denominator)
        if noise > figures.NOISE_MAX:
            return Verdict(goal, None, "", f"refused: noise of `{variant.floor}` {noise:.2f}")
        found.append((variant.ratio(measured), variant.name))
    worst = max(found, key=lambda each: each[0].value if goal.at_most else -each[0].value)
    return Verdict(goal, worst[0], worst[1], "")


def denominators(group: str) -> set[tuple[str, str]]:
    """Arms of a group that goals divide by, and by which metric: all of them must be steady."""
    return {variant.denominator for goal in GOALS for variant in goal.variants if variant.group == group}


def _cold(language: str, floor: str) -> tuple[Quotient, ...]:
    group, arm = f"cold-{language}", f"wuwei-{language}"
    return (
        Quotient(group, arm, floor, name="back to back"),
        Quotient(group, arm + PAUSED, floor, name="after 200 ms"),
    )


def _spread(arm: str, name: str) -> Quotient:
    return Quotient("cold-16", arm, arm, TAIL, TIME, name=name)


def _scale(arm: str, floor: str, constant: float | None = None) -> tuple[Quotient, ...]:
    group = "scale-quick" if constant is None else "scale-slow"
    return (
        Quotient(group, arm, floor, constant=constant, name="after 200 ms"),
        Quotient(group, arm + PAUSED, floor, constant=constant, name="after 2 s"),
    )


def _warm_rate(arm: str, floor: str) -> tuple[Quotient, ...]:
    return (Quotient("warm-32", arm, floor, RATE),)


NEIGHBOURS = {
    "fork-bomb": "fork bomb", "busy-loops": "2 busy loops", "memory-hog": "memory hog", "flood": "request flood",
}  # fmt: skip

GOALS = (
    Goal("Python cold invoke over HTTP ÷ `python3 -I -S -c pass`", 0.35, 0.10, _cold("python", "python")),
    Goal("Node cold invoke over HTTP ÷ `node -e 0`", 0.20, 0.08, _cold("node", "node")),
    Goal("static native binary: cold invoke over HTTP ÷ fork, exec, exit", 5, 2, _cold("native", "static")),
    Goal(
        "Python cold, 16 at a time: p99 ÷ its p50", 8, 3,
        (_spread("wuwei-python", "back to back"), _spread(f"wuwei-python{PAUSED}", "after 200 ms")),
    ),
    Goal(
        "Python cold starts per second, 64 at a time ÷ `/bin/true` per second, 64 at a time", 0.12, 0.20,
        (Quotient("cold-rate", "wuwei-python", "true", RATE),), at_most=False,
    ),
    Goal(
        "32 cold starts of 32 Python functions at once ÷ 32 `python3 -I -S -c pass` at once", 0.5, 0.15,
        (Quotient("cold-burst", "wuwei-python", "python"),),
    ),
    Goal(
        "0 → 100 calls at once of one cold, quick Python function ÷ 100 warm calls one by one", 3, 1.5,
        _scale("wuwei-python", "one-by-one"),
    ),
    Goal("0 → 100 calls at once, each waits 100 ms ÷ 100 ms", 8, 3, _scale("wuwei-python", "one-warm", 100e6)),
    Goal(
        "(warm Python p50 − bare hyper p50) ÷ Unix-socket ping-pong on one core", 3, 1.3,
        (Quotient("warm-1-together", "wuwei-python", "same-core", minus="hyper"),),
    ),
    Goal("Python calls/s, 32 connections ÷ bare hyper", 0.12, 0.22, _warm_rate("wuwei-python", "hyper"), False),
    Goal("Node calls/s, 32 connections ÷ bare hyper", 0.10, 0.18, _warm_rate("wuwei-node", "hyper"), False),
    Goal(
        "Python calls/s, 32 connections ÷ functions-framework (Python)", 5, 12,
        _warm_rate("wuwei-python", "functions-framework-python"), False,
    ),
    Goal(
        "Node calls/s, 32 connections ÷ functions-framework (Node)", 2.5, 4.5,
        _warm_rate("wuwei-node", "functions-framework-node"), False,
    ),
    Goal("Node calls/s, 32 connections ÷ workerd", 0.8, 1.2, _warm_rate("wuwei-node", "workerd"), False),
    Goal(
        "memory of one more idle Python instance ÷ one more bare `python3`", 0.5, 0.25,
        (Quotient("memory-instance", "wuwei-python", "python", MEMORY),),
    ),
    Goal(
        "the server's RSS, idle with 1,000 functions ÷ bare hyper's", 20, 8,
        (Quotient("memory-server", "server", "echo", MEMORY),),
    ),
    Goal(
        "a victim's p99 beside a hostile neighbour ÷ alone", 2.0, 1.15,
        tuple(Quotient("neighbours", key, "alone", TAIL, name=name) for key, name in NEIGHBOURS.items()),
    ),
)  # fmt: skip
