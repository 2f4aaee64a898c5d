"""Bounded waits on a state: the only place of the tests that lets time pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02


def until(state: Callable[[], T | None], what: str, within: float = 15.0) -> T:
    """Polls `state` until it is truthy and returns it; fails naming `what` when `within` seconds have passed."""
    deadline = time.monotonic() + within
    while True:
        value = state()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not so after {within:g} s (last seen: {value!r})")
        time.sleep(POLL_SECONDS)


def seconds_of(action: Callable[[], object]) -> float:
    """Wall-clock seconds that `action` takes."""
    begin = time.monotonic()
    action()
    return time.monotonic() - begin
