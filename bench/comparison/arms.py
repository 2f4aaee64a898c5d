"""What is measured: arms that can run one block of samples, groups of them, and what came of a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from comparison import figures, phases

TIME, TAIL, RATE, MEMORY = "p50_ns", "p99_ns", "per_second", "bytes"
"""What arms are compared by: fields of a block."""


@dataclass(frozen=True)
class Block:
    """What one block of samples came to."""

    samples: int
    p50_ns: float = 0.0
    p99_ns: float = 0.0
    times_ns: list[int] = field(default_factory=list)
    """The times, or evenly chosen ones of many."""
    cpu_ns: float | None = None
    """Per call."""
    per_second: float | None = None
    firsts: int = 0
    """Calls that met a cold start where a warm one was meant."""
    bytes: float | None = None
    pss_bytes: float | None = None
    """The same by proportional set sizes."""
    phases: dict[str, float] = field(default_factory=dict)
    """Medians of a cold start's phases in nanoseconds, where the server tells them."""

    @staticmethod
    def of_samples(samples: list[int], cpu_ns: float | None = None, told: Sequence[str] = ()) -> Block:
        """From single times, and what the server told about them."""
        p50, p99 = figures.quantile(samples, 0.5), figures.quantile(samples, 0.99)
        return Block(len(samples), p50, p99, samples, cpu_ns, phases=phases.medians(told))


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


@dataclass(frozen=True)
class Label:
    """What the page needs of an arm."""

    key: str
    title: str
    ours: bool
    rival: str | None


@dataclass(frozen=True)
class Group:
    """Arms that are compared with one denominator, which is one of them."""

    key: str
    title: str
    note: str
    denominator: str
    arms: list[Arm]
    metric: str = TIME
    place: Callable[[], AbstractContextManager[Any]] = nullcontext
    """What the group needs around it: places of client and servers, a server of its own."""


@dataclass
class Measured:
    """A group's blocks."""

    key: str
    title: str
    note: str
    denominator: str
    metric: str
    arms: list[Label]
    absent: dict[str, str] = field(default_factory=dict)
    """Arms that could not be measured, and why."""
    attempts: int = 1
    refused: str = ""
    """Why its figures are not shown."""
    disturbed: int = 0
    """Blocks that began while something else used the machine."""
    blocks: dict[str, list[Block]] = field(default_factory=dict)
    tails: dict[str, float] = field(default_factory=dict)
    """p99 of all blocks' times together, where the times themselves are not kept."""

    @staticmethod
    def of(group: Group) -> Measured:
        """Before its first block."""
        arms = [Label(arm.key, arm.title, arm.ours, arm.rival) for arm in group.arms]
        return Measured(group.key, group.title, group.note, group.denominator, group.metric, arms)

    def values(self, key: str, metric: str | None = None) -> list[float]:
        """Of each block of an arm, by the group's metric or another."""
        found = [getattr(block, metric or self.metric) for block in self.blocks[key]]
        if any(value is None for value in found):
            raise ValueError(f"arm `{key}` of `{self.key}` has no {metric or self.metric}")
        return found

    def p99(self, key: str) -> float:
        """Of all blocks' times together: a single bad block counts."""
        times = [time for block in self.blocks[key] for time in block.times_ns]
        return figures.quantile(times, 0.99) if times else self.tails.get(key, 0.0)

    def phases(self, key: str) -> dict[str, float]:
        """Medians of the blocks' medians."""
        names = list(dict.fromkeys(name for block in self.blocks[key] for name in block.phases))
        return {
            name: median(block.phases[name] for block in self.blocks[key] if name in block.phases) for name in names
        }

    def noise(self, key: str | None = None, metric: str | None = None) -> float:
        """Of an arm, if none is named that of the denominator."""
        return figures.noise(self.values(key or self.denominator, metric))

    def raw(self, *, whole: bool) -> dict[str, Any]:
        """For the JSON file; without the single times unless `whole`."""
        document = asdict(self)
        document["tails"] = {key: self.p99(key) for key in self.blocks}
        if not whole:
            # What is empty is so without being said.
            blocks = document["blocks"]
            document["blocks"] = {key: [_short(block) for block in found] for key, found in blocks.items()}
        return document

    @staticmethod
    def from_raw(document: Mapping[str, Any]) -> Measured:
        """The other way."""
        fields = dict(document)
        fields["arms"] = [Label(**arm) for arm in document["arms"]]
        fields["blocks"] = {key: [Block(**block) for block in blocks] for key, blocks in document["blocks"].items()}
        return Measured(**fields)


def _short(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name == "samples" or (value and name != "times_ns")}
