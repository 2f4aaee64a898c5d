"""Instances between and beside calls."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from conformance.behaviour import Behaviour
from conformance.subject import Subject

PAUSE_MS = 1000
HOLD_MS = 4000


def counts(subject: Subject) -> Any:
    """How a counter in the instance's memory goes on."""
    first = subject.call("count")
    second = subject.call("count")
    return [second["instance"] == first["instance"], second["calls"] - first["calls"]]


def at_once(subject: Subject) -> Any:
    """In how many instances two calls run that overlap."""
    barrier = threading.Barrier(2)
    subject.name("pair")

    def call(_: int) -> Any:
        barrier.wait(20)
        # Long enough that both are under way together, also where an instance takes its time to start.
        return subject.call("count", HOLD_MS, "pair")["instance"]

    with ThreadPoolExecutor(2) as pool:
        return len(set(pool.map(call, range(2))))


def many_at_once(subject: Subject) -> Any:
    """Whether each of ten callers at once gets the answer to its own event."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: subject.echo(f'{{"number": {number}}}'), range(10)))
    return [answer["number"] for answer in answers]


def versions_apart(subject: Subject) -> Any:
    """Whether a published version and `$LATEST` share an instance."""
    subject.name("published", Publish=True)
    published = subject.call("count", variant="published", Qualifier="1")["instance"]
    return published == subject.call("count", variant="published")["instance"]


def frozen(subject: Subject) -> Any:
    """Whether a background thread stood still between two calls, and goes on in the second.

    Another instance's sleep is the time that passes. The thread notes the longest pause between two of its turns.
    """
    subject.name("ticks", Environment={"Variables": {"FIRST": "ticks"}})
    before = subject.call("ticks", True, "ticks")
    subject.call("sleep", PAUSE_MS)
    after = subject.call("ticks", False, "ticks")
    return [before < PAUSE_MS * 0.9, after >= PAUSE_MS * 0.9]


BEHAVIOURS = [
    Behaviour("memory is kept from call to call", counts, [True, 1]),
    Behaviour(
        "an instance serves many calls", lambda subject: len({subject.call("count")["instance"] for _ in range(20)}), 1
    ),
    Behaviour("two calls at once run in two instances", at_once, 2),
    Behaviour("ten calls at once get their own answers", many_at_once, list(range(10))),
    Behaviour("a published version has instances of its own", versions_apart, False),
    Behaviour("between calls everything stands still", frozen, [True, True]),
]
