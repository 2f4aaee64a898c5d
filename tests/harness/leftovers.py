"""What a server may leave behind on its host: processes, mounts, cgroup directories, network namespaces."""

import ctypes
import os
import socket
from contextlib import suppress
from pathlib import Path

from harness.tools import run, tool

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
NAMED_NETWORKS = Path("/run/netns")
PR_SET_CHILD_SUBREAPER = 36
NAME = "wuwei"


def adopt_orphans() -> None:
    """Makes this process the parent of every orphan below it, so that no left-over process can hide at pid 1."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def parents() -> dict[int, int]:
    """Parent of every live (not zombie) process."""
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    found[int(entry.name)] = int(parent)
    return found


def descendants(root: int) -> set[int]:
    """All live processes below `root`."""
    tree = parents()
    found: set[int] = set()
    layer = {root}
    while layer:
        layer = {pid for pid, parent in tree.items() if parent in layer} - found
        found |= layer
    return found


def children_of_tests() -> set[int]:
    """Live children of the test process, adopted orphans included; dead orphans are reaped on the way."""
    own = os.getpid()
    return {pid for pid, parent in parents().items() if parent == own}


def command_line(pid: int) -> str:
    """How a process was started, for messages."""
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return "(gone)"


def cgroups_of(pid: int) -> set[Path]:
    """The cgroup directories of a process, one of each mounted hierarchy, as the host sees them."""
    found = set()
    with suppress(OSError):
        for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            mounts = [controllers.removeprefix("name="), *controllers.split(","), "unified", ""]
            for mount in mounts:
                directory = CGROUPS / mount / path.lstrip("/")
                if directory.is_dir():
                    found.add(directory)
                    break
    return found


def cgroup_roots_of(pid: int) -> set[Path]:
    """The topmost directories with the product's name above the cgroups of a process: its server's own."""
    found = set()
    for directory in cgroups_of(pid):
        for level in (directory, *directory.parents):
            if level.name.startswith(NAME):
                found.add(level)
    return found


def named_networks() -> set[str]:
    """Names of the network namespaces that the product made visible on the host."""
    if not NAMED_NETWORKS.is_dir():
        return set()
    return {entry.name for entry in NAMED_NETWORKS.iterdir() if NAME in entry.name}


def mounts_of(text: str, pid: int | str = "self") -> list[str]:
    """Mount table lines of a process that mention `text`."""
    with suppress(OSError):
        lines = (PROC / str(pid) / "mountinfo").read_text().splitlines()
        return [line for line in lines if text in line]
    return []


def processes_that_see(mark: str) -> list[int]:
    """Processes in whose mount namespace something of this path is mounted: sandboxes that show its code."""
    return [pid for pid in parents() if mounts_of(mark, pid)]


def network_interfaces() -> set[str]:
    """Names of the network interfaces of the network that the caller is in."""
    return {name for _, name in socket.if_nameindex()}


def packet_filter_tables() -> set[str]:
    """Names of the tables of the packet filter that are the product's, in the network that the caller is in."""
    listed = run([tool("nft"), "list", "tables"]).ok().output
    names = (line.split()[-1] for line in listed.splitlines() if line.strip())
    return {name for name in names if name.startswith(NAME)}
