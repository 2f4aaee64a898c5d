"""Waiting for a quiet moment before a block: decided by what else the machine does, never by what was measured."""

from __future__ import annotations

import time
from pathlib import Path

IDLE_WANTED = 0.8
WINDOW_SECONDS = 0.25


def _ticks() -> tuple[int, int]:
    """Idle and all clock ticks of all cores since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def idle_share(seconds: float = WINDOW_SECONDS) -> float:
    """How much of the machine nobody uses."""
    idle, total = _ticks()
    time.sleep(seconds)
    idle_after, total_after = _ticks()
    return (idle_after - idle) / max(1, total_after - total)


class Quiet:
    """The patience of a run: bounded for each section and for all together."""

    def __init__(self, section_s: float, run_s: float) -> None:
        """So many seconds."""
        self.section_s = section_s
        self.run_left = run_s
        self.section_left = section_s
        self.disturbed = 0

    def begin_section(self) -> None:
        """Patience for the next section, as far as the run's lasts."""
        self.section_left = min(self.section_s, self.run_left)
        self.disturbed = 0

    def wait(self) -> None:
        """Waits until the machine is idle enough, or patience is at its end; then the block runs all the same."""
        while True:
            if idle_share() >= IDLE_WANTED:
                return
            if self.section_left <= 0:
                self.disturbed += 1
                return
            self.section_left -= WINDOW_SECONDS
            self.run_left -= WINDOW_SECONDS
