"""Blocks of load, cold starts and process starts, by the measuring programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from comparison.accounting import Group
from comparison.arms import Block
from comparison.tools import RunError, measure

FIRST = '"first"'
AGAIN = '"again"'
MARK = "bench-event"
EVENTS = 64
"""Different events, sent in turn."""


def event(number: int, **more: Any) -> str:
    """About 200 bytes; `wait_ms` makes the function wait."""
    text = "The way that can be told is not the constant way. " * 3
    return json.dumps({"mark": MARK, "number": number, "text": text} | more)


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
        result = measure("sequence", {"address": address, "rounds": rounds()})
        samples = result["samples_ns"]
        return Block.of_samples(samples, (group.cpu_ns() - before) / len(samples), result["phases"])

    return run


def chain(address: str, requests: Callable[[], list[str]], chains: int, group: Group) -> Callable[[], Block]:
    """A block of chains: all requests one after another on one connection, and the time of each whole chain."""

    def run() -> Block:
        before = group.cpu_ns()
        spans = []
        for _ in range(chains):
            calls = requests()
            steps = [
                {"request": call, "pause_ms": 0, "timed": True, "must_contain": MARK, "repeat": False} for call in calls
            ]
            spans.append(sum(measure("sequence", {"address": address, "rounds": [steps]})["samples_ns"]))
        return Block.of_samples(spans, (group.cpu_ns() - before) / chains)

    return run


@dataclass(frozen=True)
class Burst:
    """Requests of the same moment, and what makes them cold."""

    prepare: list[dict[str, Any]]
    pause_ms: int
    requests: list[str]
    firsts_min: int
    """So many answers must be those of new instances."""


def burst(address: str, bursts: Callable[[], list[Burst]], group: Group, *, spans: bool) -> Callable[[], Block]:
    """A block of bursts: the times until all are answered, or those of the single requests."""

    def run() -> Block:
        rounds = bursts()
        keys = ("prepare", "pause_ms", "requests")
        documents = [{key: getattr(each, key) for key in keys} for each in rounds]
        before = group.cpu_ns()
        document = {"address": address, "rounds": documents, "must_contain": MARK, "marks_first": FIRST}
        result = measure("burst", document)
        calls = len(result["samples_ns"])
        cpu_ns = (group.cpu_ns() - before) / calls
        for each, firsts in zip(rounds, result["firsts"], strict=True):
            if firsts < each.firsts_min:
                raise RunError(f"{firsts} of {len(each.requests)} calls were cold, at least {each.firsts_min} must be")
        return Block.of_samples(result["spans_ns" if spans else "samples_ns"], cpu_ns, result["phases"])

    return run


def processes(document: dict[str, Any], group: Group, *, spans: bool) -> Callable[[], Block]:
    """A block of bursts of bare processes."""

    def run() -> Block:
        before = group.cpu_ns()
        result = measure("spawn-burst", document, group)
        cpu_ns = (group.cpu_ns() - before) / len(result["samples_ns"])
        return Block.of_samples(result["spans_ns" if spans else "samples_ns"], cpu_ns)

    return run


def process_rate(document: dict[str, Any], group: Group) -> Callable[[], Block]:
    """A block of bare processes, started as often as possible."""

    def run() -> Block:
        before = group.cpu_ns()
        result = measure("spawn-rate", document, group)
        started = result["started"]
        rate = started / result["elapsed_ns"] * 1e9
        return Block(started, per_second=rate, cpu_ns=(group.cpu_ns() - before) / started)

    return run


def program(subcommand: str, document: dict[str, Any], group: Group) -> Callable[[], Block]:
    """A block of a measuring program whose own children are what is measured."""

    def run() -> Block:
        before = group.cpu_ns()
        samples = measure(subcommand, document, group)["samples_ns"]
        return Block.of_samples(samples, (group.cpu_ns() - before) / len(samples))

    return run
