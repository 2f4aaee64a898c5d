"""The table of goals: which figure counts, and whether it is enough."""

from collections.abc import Sequence

import pytest

from comparison import goals
from comparison.arms import RATE, TAIL, Block, Label, Measured
from comparison.goals import GOALS, PAUSED, Goal, Quotient, judged


def measured(key: str, floor: str, arms: dict[str, Sequence[Block]]) -> Measured:
    found = Measured(key, key, "", floor, "p50_ns", [Label(arm, arm, arm.startswith("wuwei"), None) for arm in arms])
    found.blocks = {arm: list(blocks) for arm, blocks in arms.items()}
    return found


def times(*milliseconds: float, p99: float = 0) -> list[Block]:
    return [Block(1, p50_ns=value * 1e6, p99_ns=(p99 or value) * 1e6) for value in milliseconds]


COLD = Goal("cold", 0.35, 0.1, (
    Quotient("cold", "wuwei", "floor", name="back to back"),
    Quotient("cold", "wuwei" + PAUSED, "floor", name="after 200 ms"),
))  # fmt: skip


def cold(back_to_back: float, paused: float) -> Measured:
    arms = {"floor": times(10, 10, 10), "wuwei": times(*[back_to_back] * 3), "wuwei" + PAUSED: times(*[paused] * 3)}
    return measured("cold", "floor", arms)


def test_of_two_ways_to_measure_the_worse_one_counts() -> None:
    for numbers, variant in (((1, 3), "after 200 ms"), ((3, 1), "back to back")):
        verdict = judged(COLD, {"cold": cold(*numbers)})
        assert verdict.found is not None and (verdict.found.value, verdict.variant) == (0.3, variant)
        assert (verdict.reaches(0.35), verdict.reaches(0.1)) == ("**yes**", "no")


def test_of_rates_the_smallest_is_the_worst() -> None:
    variants = tuple(Quotient("g", key, "floor", RATE, name=key) for key in ("a", "b"))
    goal = Goal("rate", 0.1, 0.2, variants, False)
    rates = {key: [Block(1, per_second=value)] * 3 for key, value in (("floor", 100), ("a", 30), ("b", 15))}
    verdict = judged(goal, {"g": measured("g", "floor", rates)})
    assert verdict.found is not None and (verdict.found.value, verdict.variant) == (0.15, "b")
    assert (verdict.reaches(0.1), verdict.reaches(0.2)) == ("**yes**", "no")


def test_a_limit_within_the_interval_is_told() -> None:
    arms = {"floor": times(*[10] * 9), "wuwei": times(1, 1, 1, 1, 3, 3, 5, 5, 5), "wuwei" + PAUSED: times(*[1] * 9)}
    verdict = judged(COLD, {"cold": measured("cold", "floor", arms)})
    assert verdict.reaches(0.35) == "yes, within its interval no"


def test_what_is_taken_off_is_taken_off_block_by_block() -> None:
    goal = Goal("warm", 3, 1.3, (Quotient("warm", "wuwei", "socket", minus="hyper"),))
    arms = {"hyper": times(10, 11, 12), "wuwei": times(30, 33, 36), "socket": times(10, 11, 12)}
    verdict = judged(goal, {"warm": measured("warm", "hyper", arms)})
    assert verdict.found is not None and (verdict.found.low, verdict.found.high) == (2, 2)


def test_a_constant_divides_in_the_place_of_the_floor() -> None:
    goal = Goal("slow", 8, 3, (Quotient("slow", "wuwei", "one", constant=100e6),))
    verdict = judged(goal, {"slow": measured("slow", "one", {"one": times(101), "wuwei": times(250)})})
    assert verdict.found is not None and verdict.found.value == 2.5


def test_a_spread_is_p99_over_p50_of_the_same_arm() -> None:
    goal = Goal("spread", 8, 3, (Quotient("g", "wuwei", "wuwei", TAIL, "p50_ns"),))
    verdict = judged(goal, {"g": measured("g", "wuwei", {"wuwei": times(10, 10, p99=40)})})
    assert verdict.found is not None and verdict.found.value == 4


def test_a_goal_without_its_figures_says_why() -> None:
    refused = cold(1, 1)
    refused.refused = "Refused: …"
    noisy = cold(1, 1)
    noisy.blocks["floor"] = times(10, 20, 40)
    lacking = cold(1, 1)
    del lacking.blocks["wuwei" + PAUSED]
    for groups, reason in (
        ({}, "`cold` was not part of the run"),
        ({"cold": refused}, "`cold` was refused for noise"),
        ({"cold": lacking}, "`wuwei-after-pause` of `cold` was not measured"),
        ({"cold": noisy}, "refused: noise of `floor` 1.00"),
    ):
        verdict = judged(COLD, groups)
        assert (verdict.found, verdict.reason, verdict.reaches(1)) == (None, reason, "?")


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.title)
def test_an_aim_is_beyond_its_must(goal: Goal) -> None:
    assert goal.aim < goal.must if goal.at_most else goal.aim > goal.must
    for variant in goal.variants:
        assert variant.denominator in goals.denominators(variant.group)
