"""The order of blocks, the refusal of noise, and the proof of confinement."""

import math
from collections.abc import Callable
from itertools import cycle

import pytest

from comparison.arms import ATTEMPTS, Arm, Block, Group, Measured
from comparison.quiet import Quiet
from comparison.wuwei import NAMESPACES, NotConfinedError, check_confinement, namespace_of


def arm(key: str, run: Callable[[], Block]) -> Arm:
    return Arm(key, key, run)


def measure(arms: list[Arm], blocks: int, deadline: float = math.inf) -> Measured:
    return Group("group", "Group", "", "floor", arms).measure(blocks, Quiet(0, 0), deadline)


def block(milliseconds: float) -> Block:
    return Block.of_samples([int(milliseconds * 1e6)] * 3)


def test_arms_run_there_and_back() -> None:
    order: list[str] = []

    def recording(key: str) -> Arm:
        return arm(key, lambda: order.append(key) or block(1))  # type: ignore[func-returns-value]

    measure([recording("floor"), recording("b"), recording("c")], 3)
    assert order == ["floor", "b", "c", "c", "b", "floor", "floor", "b", "c"]


def test_a_group_with_a_noisy_floor_is_measured_again_and_then_refused() -> None:
    times = cycle([1.0, 2.0, 4.0])
    measured = measure([arm("floor", lambda: block(next(times))), arm("other", lambda: block(5))], 3)
    assert measured.attempts == ATTEMPTS
    assert measured.refused.startswith("Refused: the floor `floor` changed ")


def test_a_noisy_arm_is_no_reason_to_refuse() -> None:
    times = cycle([1.0, 2.0, 4.0])
    measured = measure([arm("floor", lambda: block(1)), arm("other", lambda: block(next(times)))], 3)
    assert (measured.attempts, measured.refused) == (1, "")


def test_an_arm_that_fails_is_named_and_the_others_go_on() -> None:
    def fails() -> Block:
        raise OSError("no such server")

    measured = measure([arm("floor", lambda: block(1)), arm("peer", fails)], 3)
    assert measured.absent == {"peer": "failed while it was measured: no such server"}
    assert [each.key for each in measured.arms] == ["floor"]
    with pytest.raises(OSError, match="no such server"):
        measure([arm("floor", fails)], 3)


def test_a_group_does_not_begin_when_the_time_is_over() -> None:
    assert measure([arm("floor", lambda: block(1))], 3, -math.inf).refused == "Not measured: the run's time was over."


def seen(**changed: str) -> dict[str, object]:
    status = {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0000000000000000"} | changed
    lines = "".join(f"{name}:\t{value}\n" for name, value in status.items())
    return {"status": lines, "namespaces": {kind: f"{kind}:[1]" for kind in NAMESPACES}}


def test_a_confined_function_passes_the_probe() -> None:
    check_confinement("f", seen())


@pytest.mark.parametrize(("name", "value"), [("Seccomp", "0"), ("NoNewPrivs", "0"), ("CapEff", "000001ffffffffff")])
def test_a_function_that_lacks_one_part_of_its_sandbox_ends_the_run(name: str, value: str) -> None:
    with pytest.raises(NotConfinedError, match=f"`f` is not confined: {name} is {value}"):
        check_confinement("f", seen(**{name: value}))


@pytest.mark.parametrize("kind", NAMESPACES)
def test_a_function_in_a_namespace_of_the_host_ends_the_run(kind: str) -> None:
    probed = seen()
    probed["namespaces"] |= {kind: namespace_of("self", kind)}  # type: ignore[operator]
    with pytest.raises(NotConfinedError, match=f"its {kind} namespace is the host's"):
        check_confinement("f", probed)
