"""What the server tells about the phases of a cold start."""

import pytest

from comparison.arms import Block
from comparison.phases import medians, parsed


def test_phases_are_read_in_their_order_with_and_without_units() -> None:
    assert list(parsed("queue=120;sandbox=1.5ms; init=2us;handler=1s;").items()) == [
        ("queue", 120e3),
        ("sandbox", 1.5e6),
        ("init", 2e3),
        ("handler", 1e9),
    ]


@pytest.mark.parametrize("text", ["queue", "queue=", "queue=-1", "queue=1h", "=1"])
def test_what_is_no_phase_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is no phase of a cold start"):
        parsed(text)


def test_a_block_has_the_median_of_each_phase() -> None:
    told = ["queue=1us;init=10us", "queue=3us;init=30us", "queue=2us"]
    assert medians(told) == {"queue": 2e3, "init": 20e3}
    assert Block.of_samples([1, 2], told=told).phases == {"queue": 2e3, "init": 20e3}
    assert Block.of_samples([1, 2]).phases == {}
