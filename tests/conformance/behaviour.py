"""What one behaviour is, and how a client's observation is judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.subject import Subject


@dataclass(frozen=True)
class Difference:
    """What a client does instead, on AWS too."""

    expected: Any
    why: str


@dataclass(frozen=True)
class Behaviour:
    """One row of the table: the same observation of every client."""

    name: str
    observe: Callable[[Subject], Any]
    expected: Any
    differs: Mapping[str, Difference] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    """Clients that cannot have the behaviour, with the reason."""


@dataclass(frozen=True)
class Verdict:
    """How a client did."""

    mark: str
    """What the table shows."""
    note: str | None = None
    fault: str | None = None
    """What is wrong, when the client did as neither the platform nor the client promises."""


def judge(behaviour: Behaviour, subject: Subject) -> Verdict:
    """Observes a client and compares."""
    key = subject.client.key
    if key in behaviour.absent:
        return Verdict("n/a", behaviour.absent[key])
    try:
        observed = behaviour.observe(subject)
    except Exception as error:
        return Verdict("failed", fault=f"{type(error).__name__}: {error}")
    difference = behaviour.differs.get(key)
    expected = difference.expected if difference else behaviour.expected
    if not same(observed, expected):
        return Verdict("failed", fault=f"expected {expected!r:.2000}\nobserved {observed!r:.2000}")
    return Verdict("differs", difference.why) if difference else Verdict("ok")


def same(observed: Any, expected: Any) -> bool:
    """Equality that tells `true` from `1`, which Python's does not."""
    if isinstance(observed, bool) != isinstance(expected, bool):
        return False
    if isinstance(expected, dict) and isinstance(observed, dict):
        return observed.keys() == expected.keys() and all(same(observed[key], expected[key]) for key in expected)
    if isinstance(expected, list) and isinstance(observed, list):
        return len(observed) == len(expected) and all(map(same, observed, expected))
    return bool(observed == expected)
