"""What is measured: each arm can run one block of samples; a group of arms is run block by block, there and back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from comparison import figures
from comparison.quiet import Quiet

ATTEMPTS = 3
"""How often a group with a noisy denominator is measured until it is refused."""


@dataclass(frozen=True)
class Block:
    """What one block of samples came to."""

    samples: int
    p50_ns: float
    p99_ns: float
    times_ns: list[int]
    """The times, or evenly chosen ones of many."""
    cpu_ns: float | None = None
    """Per call."""
    per_second: float | None = None
    firsts: int = 0
    """Calls that met a cold start where a warm one was meant."""

    @staticmethod
    def of_samples(samples: list[int], cpu_ns: float | None = None) -> Block:
        """From single times."""
        return Block(len(samples), figures.quantile(samples, 0.5), figures.quantile(samples, 0.99), samples, cpu_ns)


@dataclass(frozen=True)
class Arm:
    """One thing that is measured."""

    key: str
    title: str
    run: Callable[[], Block]
    ours: bool = False
    rival: str | None = None
    """Key of wuwei's arm that does the same work."""
    warm_up: Callable[[], Any] | None = None


@dataclass
class Measured:
    """A group's blocks."""

    key: str
    title: str
    note: str
    denominator: str
    arms: list[Arm]
    absent: dict[str, str]
    """Arms that could not be measured, and why."""
    attempts: int = 0
    refused: str = ""
    """Why its figures are not shown."""
    disturbed: int = 0
    """Blocks that began while something else used the machine."""
    blocks: dict[str, list[Block]] = field(default_factory=dict)

    def medians(self, key: str) -> list[float]:
        """p50 of each block of an arm."""
        return [block.p50_ns for block in self.blocks[key]]

    def p99(self, key: str) -> float:
        """Of all blocks' times together: a single bad block counts."""
        return figures.quantile([time for block in self.blocks[key] for time in block.times_ns], 0.99)

    def noise(self) -> float:
        """Of the denominator."""
        return figures.noise(self.medians(self.denominator))

    def raw(self) -> dict[str, Any]:
        """For the JSON file."""
        blocks = {key: [asdict(block) for block in blocks] for key, blocks in self.blocks.items()}
        return {
            "group": self.key,
            "denominator": self.denominator,
            "attempts": self.attempts,
            "refused": self.refused,
            "blocks": blocks,
        }


@dataclass(frozen=True)
class Group:
    """Arms that are compared with one denominator, which is one of them."""

    key: str
    title: str
    note: str
    denominator: str
    arms: list[Arm]
    place: Callable[[], AbstractContextManager[None]] = nullcontext
    """Where client and servers may run, while the group is measured."""

    def measure(self, blocks: int, quiet: Quiet, deadline: float) -> Measured:
        """Runs all blocks; an arm that fails is left out with its reason, the denominator's failure is the run's."""
        with self.place():
            return self._measure(blocks, quiet, deadline)

    def _measure(self, blocks: int, quiet: Quiet, deadline: float) -> Measured:
        measured = Measured(self.key, self.title, self.note, self.denominator, list(self.arms), {})
        begin = time.monotonic()
        while measured.attempts < ATTEMPTS:
            if time.monotonic() > deadline:
                break
            measured.attempts += 1
            self._measure_once(measured, blocks, quiet)
            print(
                f"    {self.key}: denominator's noise {measured.noise():.3f}, {time.monotonic() - begin:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            if not figures.is_too_noisy(measured.medians(self.denominator)):
                return measured
        if not measured.attempts:
            measured.refused = "Not measured: the run's time was over."
            return measured
        measured.refused = (
            f"Refused: the floor `{self.denominator}` changed from block to block by {measured.noise():.2f}, "
            f"in {measured.attempts} attempts; at most {figures.NOISE_MAX} is allowed. "
            "Run again when the machine is quieter."
        )
        return measured

    def _measure_once(self, measured: Measured, blocks: int, quiet: Quiet) -> None:
        measured.blocks = {}
        quiet.begin_section()
        for arm in list(measured.arms):
            if arm.warm_up is not None:
                self._try(measured, arm, arm.warm_up)
        for block in range(blocks):
            quiet.wait()
            order = list(measured.arms)
            for arm in reversed(order) if block % 2 else order:
                result = self._try(measured, arm, arm.run)
                if isinstance(result, Block):
                    measured.blocks.setdefault(arm.key, []).append(result)
        measured.disturbed = quiet.disturbed

    def _try(self, measured: Measured, arm: Arm, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except Exception as error:
            if arm.key == self.denominator:
                raise
            measured.arms.remove(arm)
            measured.blocks.pop(arm.key, None)
            measured.absent[arm.title] = f"failed while it was measured: {str(error).splitlines()[0][:300]}"
            print(f"    {arm.title}: {error}", file=sys.stderr, flush=True)
            return None
