"""Runs groups of arms: blocks there and back, and once more at the end what was too noisy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from comparison import figures, goals
from comparison.arms import Arm, Block, Group, Measured
from comparison.quiet import Quiet
from comparison.wuwei import NotConfinedError

RETRIES = 3
"""How often a group with a noisy denominator is measured again, at the end of the run."""


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class Runner:
    """One run over many groups."""

    blocks: int
    quiet: Quiet
    deadline: float
    """No group, and no second try of one, begins later (by the monotonic clock)."""
    after: Callable[[Group], None] = lambda _group: None
    """Called when a group was measured for the first time, before anything else runs."""
    keep: Callable[[list[Measured]], None] = lambda _done: None
    """Called with all that was measured, whenever it has become more: an interrupted run loses only its last group."""
    done: dict[str, Measured] = field(default_factory=dict)

    def run(self, groups: Sequence[Group]) -> list[Measured]:
        """Every group once, then the noisy ones again; in the order of `groups`."""
        for number, group in enumerate(groups, 1):
            self._turn(group, f"[{number}/{len(groups)}]")
            self.after(group)
            self.keep(list(self.done.values()))
        for again in range(1, RETRIES + 1):
            noisy = [group for group in groups if noisy_denominators(self.done[group.key])]
            for number, group in enumerate(noisy, 1):
                self._turn(group, f"[again {again} of {RETRIES}: {number}/{len(noisy)}]")
                self.keep(list(self.done.values()))
        for measured in self.done.values():
            self._refuse(measured)
        return [self.done[group.key] for group in groups]

    def _turn(self, group: Group, position: str) -> None:
        before = self.done.get(group.key)
        if time.monotonic() > self.deadline:
            if before is None:
                self.done[group.key] = Measured.of(group)
                self.done[group.key].refused = "Not measured: the run's time was over."
            return
        say(f"==> {position} {group.title}")
        begin = time.monotonic()
        measured = self._measured(group)
        noisy = noisy_denominators(measured)
        seconds = time.monotonic() - begin
        say(f"    {group.key}: noise {measured.noise():.3f}{', too noisy: ' if noisy else ''}"
            f"{', '.join(noisy)}, {seconds:.0f} s")  # fmt: skip
        if before is not None:
            measured.attempts = before.attempts + 1
            # Of two noisy tries the one that serves more ratios stays.
            if len(noisy_denominators(before)) < len(noisy):
                before.attempts = measured.attempts
                return
        self.done[group.key] = measured

    def _measured(self, group: Group) -> Measured:
        """All blocks; an arm that fails is left out with its reason.

        A failure of the denominator is one of the run, and so is a function that is not confined.
        """
        measured, arms = Measured.of(group), list(group.arms)
        with group.place():
            self.quiet.begin_section()
            for arm in list(arms):
                if arm.warm_up is not None:
                    _try(measured, arms, arm, arm.warm_up)
            for block in range(self.blocks):
                order = list(arms)
                for arm in reversed(order) if block % 2 else order:
                    # What an arm leaves behind (instances end, a stock is filled) must not burden the next one.
                    self.quiet.wait()
                    result = _try(measured, arms, arm, arm.run)
                    if isinstance(result, Block):
                        measured.blocks.setdefault(arm.key, []).append(result)
        measured.disturbed = self.quiet.disturbed
        return measured

    @staticmethod
    def _refuse(measured: Measured) -> None:
        if measured.refused or not figures.is_too_noisy(measured.values(measured.denominator)):
            return
        measured.refused = (
            f"Refused: the floor `{measured.denominator}` changed from block to block by {measured.noise():.2f}, in "
            f"{measured.attempts} attempts; at most {figures.NOISE_MAX} is allowed. Run again when the machine is "
            "quieter."
        )


def noisy_denominators(measured: Measured) -> list[str]:
    """The group's own and those of goals: arms that were too noisy to divide by."""
    if measured.refused:
        return []
    wanted = {(measured.denominator, measured.metric), *goals.denominators(measured.key)}
    return sorted(
        {key for key, metric in wanted if key in measured.blocks and figures.is_too_noisy(measured.values(key, metric))}
    )


def _try(measured: Measured, arms: list[Arm], arm: Arm, step: Callable[[], Any]) -> Any:
    if arm not in arms:
        return None
    try:
        return step()
    except NotConfinedError:
        raise
    except Exception as error:
        if arm.key == measured.denominator:
            raise
        arms.remove(arm)
        measured.arms = [label for label in measured.arms if label.key != arm.key]
        measured.blocks.pop(arm.key, None)
        measured.absent[arm.title] = f"failed while it was measured: {str(error).splitlines()[0][:300]}"
        say(f"    {arm.title}: {error}")
        return None
