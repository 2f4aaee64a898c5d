"""The phases of a cold start, as the server tells them in the header `x-wuwei-cold-start`: `queue=0.1ms;init=2ms`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from statistics import median

UNITS = {"": 1e3, "ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
"""Nanoseconds of each; a number without a unit is in microseconds."""
_PHASE = re.compile(r"([a-z][a-z_-]*)=([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|)")


def parsed(text: str) -> dict[str, float]:
    """Nanoseconds of each phase, in the header's order; what is not a phase is an error."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        phase = _PHASE.fullmatch(part)
        if phase is None:
            raise ValueError(f"`{part}` is no phase of a cold start")
        found[phase[1]] = float(phase[2]) * UNITS[phase[3]]
    return found


def medians(told: Iterable[str]) -> dict[str, float]:
    """Of each phase over many cold starts."""
    times: dict[str, list[float]] = {}
    for text in told:
        for name, time in parsed(text).items():
            times.setdefault(name, []).append(time)
    return {name: median(values) for name, values in times.items()}
