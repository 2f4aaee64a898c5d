"""The judgement of series of counts: slow growth is seen, noise and single peaks are not."""

import random

import pytest

from harness.flatness import trend

MINUTES = [float(minute) for minute in range(1, 61)]


def test_a_slow_leak_is_seen_and_noise_is_not() -> None:
    chance = random.Random(1)
    noise = [100 + chance.uniform(-10, 10) for _ in MINUTES]
    assert trend("processes", MINUTES, noise, allowed=4).flat
    leak = [value + minute / 5 for value, minute in zip(noise, MINUTES, strict=True)]
    found = trend("processes", MINUTES, leak, allowed=4)
    assert not found.flat and found.growth == pytest.approx(10, rel=0.5)


def test_a_single_peak_is_no_growth() -> None:
    peak = [7.0] * 59 + [900.0]
    assert trend("processes", MINUTES, peak, allowed=1).flat


def test_the_warm_up_is_not_judged() -> None:
    values = [float(minute) for minute in range(10)] + [10.0] * 50
    found = trend("server memory", MINUTES, values, allowed=0)
    assert found.flat and found.first == found.last == 10


def test_a_step_that_stays_is_growth() -> None:
    step = [1.0] * 40 + [3.0] * 20
    assert trend("groups", MINUTES, step, allowed=1).growth == 2
