"""Attempts whose outcome the host sees."""

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attack.attempt import Outcome
from harness.waiting import until

if TYPE_CHECKING:
    from attack.ground import Ground
    from attack.runner import Sandbox

FROZEN_FOR = 0.15
LATEST_FREEZE = 2.0
SETTLE = 0.5


def processes_of(sandbox: "Sandbox") -> list[int]:
    """What runs with the environment of this attempt, wherever it is by now."""
    mark = f"WUWEI_ATTEMPT={sandbox.name}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX" and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def groups_of(sandbox: "Sandbox") -> list[Path]:
    """Its control groups."""
    # Unlike `glob`, this does not mind that groups of other servers come and go.
    paths = (Path(directory) for directory, _, _ in os.walk("/sys/fs/cgroup"))
    return [path for path in paths if path.name == sandbox.name and path.parent.name.startswith("wuwei-")]


def what_is_left(_ground: "Ground", sandbox: "Sandbox") -> Outcome:
    """Whether a process is there after the end of the instance."""
    assert sandbox.wait_for_output("READY"), sandbox.output
    return _after_the_end(sandbox)


def what_is_left_of_frozen(_ground: "Ground", sandbox: "Sandbox") -> Outcome:
    """The same, for an instance that is frozen when it is killed."""
    assert sandbox.wait_for_output("READY"), sandbox.output
    sandbox.tell("freeze")
    return _after_the_end(sandbox)


def _after_the_end(sandbox: "Sandbox") -> Outcome:
    sandbox.tell("kill")
    sandbox.wait_for_end()
    try:
        until(lambda: not processes_of(sandbox), "every process has ended", within=SETTLE)
    except AssertionError:
        survivors = _end(sandbox)
        return Outcome(True, f"{survivors} survived")
    return Outcome(False, "gone")


def _end(sandbox: "Sandbox") -> int:
    """Ends what a left-out defence let live."""
    survivors = len(processes_of(sandbox))
    for group in groups_of(sandbox):
        for file, value in [("freezer.state", "THAWED"), ("cgroup.freeze", "0"), ("cgroup.kill", "1")]:
            with suppress(OSError):
                if (group / file).exists():
                    (group / file).write_text(value)

    def gone() -> bool:
        left = processes_of(sandbox)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    until(gone, "the survivors have ended")
    return survivors


def cpu_while_frozen(_ground: "Ground", sandbox: "Sandbox") -> Outcome:
    """Whether it uses CPU time after it was frozen."""
    assert sandbox.wait_for_output("READY"), sandbox.output
    sandbox.tell("freeze")
    deadline = time.monotonic() + LATEST_FREEZE
    while time.monotonic() < deadline:
        before, began = sandbox.cpu_us(), time.monotonic()
        until(lambda began=began: time.monotonic() - began > FROZEN_FOR, "some time has passed")
        if sandbox.cpu_us() == before:
            return Outcome(False, "stands still")
    return Outcome(True, "it went on")


def inotify_of_the_host(ground: "Ground", sandbox: "Sandbox") -> Outcome:
    """Whether the host's root can still make an inotify instance."""
    assert sandbox.wait_for_output("READY"), sandbox.output
    descriptor = ground.libc.inotify_init1(0)
    if descriptor < 0:
        return Outcome(True, os.strerror(ctypes.get_errno()))
    os.close(descriptor)
    return Outcome(False, "the host has some left")


def share_of_the_cpu(_ground: "Ground", sandbox: "Sandbox") -> Outcome:
    """Whether its control group has the kernel's default share, which is that of the whole host's services."""
    assert sandbox.wait_for_output("READY"), sandbox.output
    defaults = {"cpu.shares": "1024", "cpu.weight": "100"}
    for group in groups_of(sandbox):
        for file, default in defaults.items():
            if (group / file).exists():
                share = (group / file).read_text().strip()
                return Outcome(True, share) if share == default else Outcome(False, "its share")
    raise AssertionError("no control group has a share of the CPU")
