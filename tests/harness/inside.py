"""Looks at sandboxes from the host: which processes are in one, their namespaces, cgroups and ids."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from harness import leftovers
from harness.server import Server

PROC = Path("/proc")
NAMESPACES = ("pid", "mnt", "ipc", "uts", "net", "user")


def processes_of(server: Server, package: bytes) -> set[int]:
    """Host pids of the sandboxed processes that have this package at `/var/task`."""
    mark = f"{server.mark}code/{hashlib.sha256(package).hexdigest()}"
    own = namespaces_of(os.getpid())["pid"]
    return {
        pid
        for pid in leftovers.parents()
        if leftovers.mounts_of(mark, pid) and namespaces_of(pid).get("pid", own) != own
    }


def namespaces_of(pid: int) -> dict[str, str]:
    """Identity of each namespace of a process; empty when it is gone."""
    with suppress(OSError):
        return {kind: os.readlink(PROC / str(pid) / "ns" / kind) for kind in NAMESPACES}
    return {}


def host_user_of(pid: int) -> int:
    """Effective user id of a process as the host counts."""
    return int(status_of(pid)["Uid"].split()[1])


def status_of(pid: int) -> dict[str, str]:
    """The fields of `/proc/<pid>/status`."""
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def limits_of(pid: int, *files: str) -> list[int]:
    """Numbers in the first of `files` that is there in a cgroup of the process, in it and in its parents."""
    found = []
    for directory in leftovers.cgroups_of(pid):
        for level in (directory, *directory.parents):
            for name in files:
                path = level / name
                if path.is_file():
                    text = path.read_text().split()[0]
                    found.append(int(text) if text.isdigit() else 2**63)
    return found


def is_frozen(pid: int) -> bool:
    """Whether a cgroup of the process is frozen, on either version."""
    for directory in leftovers.cgroups_of(pid):
        for level in (directory, *directory.parents):
            state = level / "freezer.state"
            events = level / "cgroup.events"
            if state.is_file() and state.read_text().strip() == "FROZEN":
                return True
            if events.is_file() and "frozen 1" in events.read_text():
                return True
    return False
