"""Every group of arms, run once with the least that it can be run with: its figures mean nothing, but it has some."""

from collections.abc import Iterator

import pytest

from comparison import plan, report, tools
from comparison.arms import Group, Measured
from comparison.context import TINY, Context
from comparison.goals import GOALS, denominators
from comparison.quiet import Quiet
from comparison.runner import Runner


@pytest.fixture(scope="module")
def groups() -> Iterator[dict[str, Group]]:
    tools.use_profile("debug")
    for workspace, name in ((tools.ROOT, "wuwei"), (tools.BENCH, "bench-tools"), (tools.BENCH, "bootstrap")):
        assert tools.binary(workspace, name).exists(), "cargo build && cargo build --manifest-path bench/Cargo.toml"
    context = Context(TINY)
    try:
        context.start(with_peers=False)
        yield {group.key: group for group in plan.groups(context)}
    finally:
        context.stop()


@pytest.fixture(scope="module")
def measured() -> dict[str, Measured]:
    """Of the tests before."""
    return {}


KEYS = sorted({variant.group for goal in GOALS for variant in goal.variants})


def test_every_goal_has_its_group(groups: dict[str, Group]) -> None:
    assert set(KEYS) <= set(groups)


@pytest.mark.parametrize("key", ["processes", "sockets", "cold-boot", "warm-1-apart", "warm-8", *KEYS])
def test_a_group_gives_figures(groups: dict[str, Group], measured: dict[str, Measured], key: str) -> None:
    (found,) = Runner(TINY.blocks, Quiet(0, 0), float("inf")).run([groups[key]])
    assert (found.absent, found.refused) == ({}, "")
    assert {label.key for label in found.arms} == {arm.key for arm in groups[key].arms} == set(found.blocks)
    for arm, metric in denominators(key):
        if arm in found.blocks:
            assert found.values(arm, metric)[0] != 0
    assert report.group(found)
    measured[key] = found


def test_every_goal_but_those_beside_peers_has_a_figure(measured: dict[str, Measured]) -> None:
    rows = report.verdicts(list(measured.values()))
    unknown = [row for row in rows if "was not" in row]
    assert len(rows) > len(GOALS)
    assert all("functions-framework" in row or "workerd" in row for row in unknown), unknown
