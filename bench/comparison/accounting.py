"""CPU time and memory of an arm: a control group per arm, versions 1 and 2."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class AccountingError(Exception):
    """This host does not let the run make control groups."""


def _hierarchy() -> tuple[Path, bool]:
    """Directory below which groups can be made, and whether it is version 1's CPU accounting."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own |= {controller: path.lstrip("/") for controller in controllers.split(",")}
    unified = None
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, options, *_ = line.split(" ")
        if kind == "cgroup" and "cpuacct" in options.split(","):
            return Path(target) / own.get("cpuacct", ""), True
        if kind == "cgroup2":
            unified = Path(target) / own.get("", "")
    if unified is None:
        raise AccountingError("no control groups are mounted")
    return unified, False


class Group:
    """The control group of one arm; whatever its processes start is counted, too."""

    def __init__(self, name: str) -> None:
        """Makes the group."""
        base, self.version_1 = _hierarchy()
        self.path = base / f"wuwei-bench-{os.getpid()}-{name}"
        try:
            self.path.mkdir()
        except OSError as error:
            raise AccountingError(f"make a control group: {error}; run the benchmarks as root") from error

    def entering(self, command: Sequence[str]) -> list[str]:
        """The command, started by a shell that puts itself into the group first."""
        return ["/bin/sh", "-c", f'echo $$ >"{self.path}/cgroup.procs" && exec "$@"', "sh", *command]

    def cpu_ns(self) -> int:
        """CPU time that all processes have used, also those that have ended."""
        if self.version_1:
            return int((self.path / "cpuacct.usage").read_text())
        fields = dict(line.split() for line in (self.path / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) * 1000

    def pids(self) -> list[int]:
        """Its processes, and those of groups within it."""
        found: list[int] = []
        for path in [self.path, *(entry for entry in self.path.rglob("*") if entry.is_dir())]:
            with suppress(OSError):
                found += [int(pid) for pid in (path / "cgroup.procs").read_text().split()]
        return found

    def end_all(self, within: float = 10) -> None:
        """Kills what is left in it, for example the server that a measuring program had started when it was stopped."""
        deadline = time.monotonic() + within
        while (pids := self.pids()) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def remove(self) -> None:
        """Removes the group; its processes must have ended."""
        for path in sorted((entry for entry in self.path.rglob("*") if entry.is_dir()), reverse=True):
            with suppress(OSError):
                path.rmdir()
        with suppress(OSError):
            self.path.rmdir()


def memory_bytes(pids: Sequence[int]) -> int:
    """Proportional set size of the processes: pages that several share are counted once, in parts."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def resident_bytes(pids: Sequence[int]) -> int:
    """Resident set size of the processes: what several share is counted in each."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
    return total
