"""The statistics of the benchmarks."""

import random

import pytest

from comparison.figures import is_too_noisy, noise, quantile, ratio, rounded, slope


def test_a_quantile_is_one_of_the_values() -> None:
    values = list(range(1, 101))
    random.Random(7).shuffle(values)
    assert [quantile(values, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert quantile([3.0], 0.99) == 3.0


def test_a_ratio_is_the_median_of_block_ratios_not_the_ratio_of_medians() -> None:
    # The machine was twice as slow in the second half, for both arms: the ratio must not see it.
    floor = [10.0] * 4 + [20.0] * 5
    arm = [30.0] * 4 + [60.0] * 5
    found = ratio(arm, floor)
    assert (found.value, found.low, found.high) == (3.0, 3.0, 3.0)


def test_one_wild_block_moves_neither_ratio_nor_interval_far() -> None:
    found = ratio([20.0, 21.0, 20.0, 19.0, 20.0, 400.0, 20.0, 21.0, 19.0], [10.0] * 9)
    assert found.value == 2.0
    assert 1.9 <= found.low <= 2.0 <= found.high <= 2.1


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    chance = random.Random(3)
    runs, held = 120, 0
    for seed in range(runs):
        floor = [chance.gauss(100, 5) for _ in range(9)]
        arm = [chance.gauss(250, 12) for _ in range(9)]
        found = ratio(arm, floor, seed)
        held += found.low <= 2.5 <= found.high
    assert held >= 0.85 * runs


def test_an_interval_is_the_same_for_the_same_blocks() -> None:
    blocks = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0]
    assert ratio(blocks, [2.0] * 9) == ratio(blocks, [2.0] * 9)


def test_arms_with_unequal_blocks_are_not_compared() -> None:
    with pytest.raises(ValueError, match="2 blocks against 1"):
        ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="0 blocks"):
        ratio([], [])


def test_a_denominator_that_jumps_from_block_to_block_is_refused() -> None:
    bimodal = [60.0, 120.0, 60.0, 60.0, 121.0, 61.0, 119.0, 119.0, 60.0]
    assert noise(bimodal) > 0.9
    assert is_too_noisy(bimodal)


def test_neither_one_wild_block_nor_a_slow_drift_is_noise() -> None:
    assert noise([100.0, 101.0, 99.0, 102.0, 98.0, 100.0, 103.0, 97.0, 250.0]) < 0.1
    drift = [100.0 * 1.1**number for number in range(9)]
    assert noise(drift) == pytest.approx(0.1)
    assert not is_too_noisy(drift)
    assert not is_too_noisy([100.0])


def test_a_slope_is_what_one_more_costs_whatever_was_there_before() -> None:
    assert slope([1, 2, 3, 4], [105.0, 110.0, 115.0, 120.0]) == pytest.approx(5)
    assert slope([25, 50, 75, 100], [1e9 - 3.1e6 * n for n in (25, 50, 75, 100)]) == pytest.approx(-3.1e6)
    # One wild reading at an end moves it less than a difference of the ends would.
    assert 5 < slope(range(8), [5.0 * n for n in range(7)] + [49.0]) < 7
    for xs, ys in (([1.0], [1.0]), ([2.0, 2.0], [1.0, 3.0]), ([1.0, 2.0], [1.0])):
        with pytest.raises(ValueError, match="no line through"):
            slope(xs, ys)


@pytest.mark.parametrize(
    ("value", "up", "expected"),
    [
        (123.45, True, "124"),
        (123.45, False, "123"),
        (0.12341, True, "0.124"),
        (9.999, True, "10.00"),
        (31_549.0, False, "31,500"),
        (31_549.0, True, "31,600"),
        (0.3, True, "0.300"),
        (0, True, "0"),
    ],
)
def test_rounding_goes_only_one_way(value: float, up: bool, expected: str) -> None:
    assert rounded(value, up=up) == expected
