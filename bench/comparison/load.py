"""Blocks of load, cold starts and process starts, by the measuring programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from comparison.accounting import Group
from comparison.arms import Block
from comparison.tools import measure

FIRST = '"first"'
AGAIN = '"again"'
MARK = "bench-event"
EVENTS = 64
"""Different events, sent in turn."""


def event(number: int) -> str:
    """About 200 bytes."""
    return json.dumps(
        {"mark": MARK, "number": number, "text": "The way that can be told is not the constant way. " * 3}
    )


@dataclass(frozen=True)
class Load:
    """How much of it."""

    warm_up: int
    milliseconds: int
    samples_min: int


def closed(
    address: str, requests: Callable[[], list[str]], connections: int, load: Load, group: Group
) -> Callable[[], Block]:
    """A block of requests over kept-alive connections; `requests` are made ahead, for each block anew."""

    def run() -> Block:
        document = {
            "address": address,
            "connections": connections,
            "requests": requests(),
            "warm_up": load.warm_up * connections,
            "milliseconds": load.milliseconds,
            "samples_min": load.samples_min,
            "must_contain": MARK,
            "marks_first": FIRST,
        }
        before = group.cpu_ns()
        result = measure("load", document)
        cpu_ns = (group.cpu_ns() - before) / result["completed"]
        rate = result["samples"] / result["elapsed_ns"] * 1e9
        times = result["thinned_ns"]
        return Block(result["samples"], result["p50_ns"], result["p99_ns"], times, cpu_ns, rate, result["firsts"])

    return run


def sequence(address: str, rounds: Callable[[], list[list[dict[str, Any]]]], group: Group) -> Callable[[], Block]:
    """A block of rounds of which one step each is timed."""

    def run() -> Block:
        before = group.cpu_ns()
        samples = measure("sequence", {"address": address, "rounds": rounds()})["samples_ns"]
        return Block.of_samples(samples, (group.cpu_ns() - before) / len(samples))

    return run


def program(subcommand: str, document: dict[str, Any], group: Group) -> Callable[[], Block]:
    """A block of a measuring program whose own children are what is measured."""

    def run() -> Block:
        before = group.cpu_ns()
        samples = measure(subcommand, document, group)["samples_ns"]
        return Block.of_samples(samples, (group.cpu_ns() - before) / len(samples))

    return run
