"""The order of blocks, and what happens to noise, failures and lateness."""

import math
from collections.abc import Callable
from itertools import cycle

import pytest

from comparison import goals
from comparison.arms import TAIL, Arm, Block, Group, Measured
from comparison.goals import Goal, Quotient
from comparison.quiet import Quiet
from comparison.runner import RETRIES, Runner, noisy_denominators
from comparison.wuwei import NotConfinedError


def arm(key: str, run: Callable[[], Block]) -> Arm:
    return Arm(key, key, run)


def group(key: str, arms: list[Arm]) -> Group:
    return Group(key, key, "", "floor", arms)


def measure(groups: list[Group], blocks: int = 3, deadline: float = math.inf) -> list[Measured]:
    return Runner(blocks, Quiet(0, 0), deadline).run(groups)


def block(milliseconds: float) -> Block:
    return Block.of_samples([int(milliseconds * 1e6)] * 3)


def steady() -> Arm:
    return arm("floor", lambda: block(1))


def test_arms_run_there_and_back() -> None:
    order: list[str] = []

    def recording(key: str) -> Arm:
        return arm(key, lambda: order.append(key) or block(1))  # type: ignore[func-returns-value]

    measure([group("group", [recording("floor"), recording("b"), recording("c")])])
    assert order == ["floor", "b", "c", "c", "b", "floor", "floor", "b", "c"]


def test_a_noisy_group_is_measured_again_after_all_others_and_then_refused() -> None:
    order: list[str] = []
    times = cycle([1.0, 2.0, 4.0])

    def noisy() -> Block:
        order.append("noisy")
        return block(next(times))

    def quiet() -> Block:
        order.append("quiet")
        return block(1)

    first, second = measure([group("noisy", [arm("floor", noisy)]), group("quiet", [arm("floor", quiet)])])
    assert order == ["noisy"] * 3 + ["quiet"] * 3 + ["noisy"] * 3 * RETRIES
    assert (first.attempts, second.attempts, second.refused) == (1 + RETRIES, 1, "")
    assert first.refused.startswith("Refused: the floor `floor` changed ")


def test_a_group_that_was_noisy_once_is_measured_once_more() -> None:
    times = iter([1.0, 2.0, 4.0, 1.0, 1.0, 1.0])
    (measured,) = measure([group("group", [arm("floor", lambda: block(next(times)))])])
    assert (measured.attempts, measured.refused, measured.values("floor")) == (2, "", [1e6] * 3)


def test_a_noisy_arm_is_no_reason_to_refuse() -> None:
    times = cycle([1.0, 2.0, 4.0])
    (measured,) = measure([group("group", [steady(), arm("other", lambda: block(next(times)))])])
    assert (measured.attempts, measured.refused) == (1, "")


def test_a_noisy_arm_that_a_goal_divides_by_is_measured_again_but_refuses_only_that_goal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goal = Goal("goal", 1, 1, (Quotient("group", "ours", "other", TAIL),))
    monkeypatch.setattr(goals, "GOALS", (goal,))
    times = cycle([1.0, 2.0, 4.0])
    arms = [steady(), arm("other", lambda: block(next(times))), arm("ours", lambda: block(1))]
    (measured,) = measure([group("group", arms)])
    assert (measured.attempts, measured.refused, noisy_denominators(measured)) == (1 + RETRIES, "", ["other"])
    verdict = goals.judged(goal, {"group": measured})
    assert (verdict.found, verdict.reason) == (None, "refused: noise of `other` 1.00")


def test_an_arm_that_fails_is_named_and_the_others_go_on() -> None:
    def fails() -> Block:
        raise OSError("no such server")

    (measured,) = measure([group("group", [steady(), arm("peer", fails)])])
    assert measured.absent == {"peer": "failed while it was measured: no such server"}
    assert [each.key for each in measured.arms] == ["floor"]
    with pytest.raises(OSError, match="no such server"):
        measure([group("group", [arm("floor", fails)])])


def test_a_function_that_is_not_confined_ends_the_run() -> None:
    def fails() -> Block:
        raise NotConfinedError("function `f` is not confined")

    with pytest.raises(NotConfinedError):
        measure([group("group", [steady(), arm("ours", fails)])])


def test_a_group_does_not_begin_when_the_time_is_over() -> None:
    (measured,) = measure([group("group", [steady()])], deadline=-math.inf)
    assert measured.refused == "Not measured: the run's time was over."
