"""Finds what a stopped server left behind: processes, namespaces, mounts, cgroups, networks.

Other servers count for nothing.

FILE lies beside the server's data. `leftovers.py before FILE` remembers the mounts of that directory. `leftovers.py
during FILE PID` adds the server's processes, their namespaces and their cgroups, while it runs. `leftovers.py after
FILE` prints what is still there, and exits with 1 when that is anything.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

PROC = Path("/proc")
# A link has the first characters of its server's name: more do not fit.
LINK_NAME_LENGTH = 14


def pids() -> list[int]:
    """All processes that are there now."""
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def stat_of(pid: int) -> tuple[int, str, str] | None:
    """Parent, state and start time of a process; None when it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name stands in parentheses and may hold spaces.
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), fields[0], fields[19]


def now_in_ticks() -> int:
    """The time since boot in the unit of a process's start time."""
    uptime = float((PROC / "uptime").read_text().split()[0])
    return int(uptime * os.sysconf("SC_CLK_TCK"))


def family_of(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for pid in pids():
        stat = stat_of(pid)
        if stat:
            children.setdefault(stat[0], []).append(pid)
    family, pending = [], [root]
    while pending:
        pid = pending.pop()
        family.append(pid)
        pending.extend(children.get(pid, []))
    return family


def namespaces_of(pid: int) -> set[str]:
    """The namespaces of a process, for example `net:[4026531840]`; empty when they cannot be read."""
    found = set()
    try:
        for entry in (PROC / str(pid) / "ns").iterdir():
            found.add(os.readlink(entry))
    except OSError:
        return found
    return found


def mounts_from(directory: Path) -> list[str]:
    """Mount points of this machine that show something of a directory, or lie in it; others mount things, too."""
    lines = [line.split() for line in (PROC / "self/mountinfo").read_text().splitlines()]
    return sorted(fields[4] for fields in lines if any(f"{directory}/" in field for field in fields[3:5]))


def servers_of(pid: int) -> set[str]:
    """The directories in the path of a process's cgroups that servers name after themselves: `wuwei-…`."""
    try:
        text = (PROC / str(pid) / "cgroup").read_text()
    except OSError:
        return set()
    return {part for line in text.splitlines() for part in line.split("/") if part.startswith("wuwei-")}


def cgroups_of(servers: list[str]) -> list[str]:
    """Directories of all cgroup hierarchies that belong to these servers."""
    directories = (directory for directory, _, _ in os.walk("/sys/fs/cgroup"))
    return sorted(path for path in directories if not set(path.split("/")).isdisjoint(servers))


def networks_of(servers: list[str]) -> list[str]:
    """Links and tables of the packet filter that belong to these servers, by their names."""
    links = {name for _, name in socket.if_nameindex()} & {server[:LINK_NAME_LENGTH] for server in servers}
    nft = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    command = [nft, "list", "tables"] if nft else ["true"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return [f"link {name}" for name in sorted(links)] + [f"table {name}" for name in servers if name in listed]


def before(file: Path) -> int:
    """Remembers what was there before the server."""
    mounts = mounts_from(file.parent.resolve())
    file.write_text(json.dumps({"mounts": mounts, "servers": [], "processes": {}, "namespaces": []}))
    return 0


def during(file: Path, server: int) -> int:
    """Adds the processes and namespaces that the server has made."""
    record = json.loads(file.read_text())
    own = namespaces_of(os.getpid())
    namespaces, servers = set(record["namespaces"]), set(record["servers"])
    for pid in family_of(server):
        stat = stat_of(pid)
        if stat:
            record["processes"][str(pid)] = stat[2]
            namespaces |= namespaces_of(pid) - own
            servers |= servers_of(pid) - servers_of(os.getpid())
    record["namespaces"], record["servers"] = sorted(namespaces), sorted(servers)
    record["at_tick"] = now_in_ticks()
    file.write_text(json.dumps(record))
    return 0


def after(file: Path) -> int:
    """Prints what is left; 1 when that is anything."""
    record = json.loads(file.read_text())
    left = []
    for pid, started in record["processes"].items():
        stat = stat_of(int(pid))
        if stat and stat[2] == started and stat[1] != "Z":
            left.append(f"process {pid}")
    # The kernel gives the numbers of namespaces out again at once: a process that is younger than the look at the
    # server is another server's, in a namespace of its own.
    made = set(record["namespaces"])
    older = [pid for pid in pids() if (stat := stat_of(pid)) and int(stat[2]) <= record.get("at_tick", 0)]
    held = {namespace for pid in older for namespace in namespaces_of(pid) & made}
    left += [f"namespace {namespace}" for namespace in sorted(held)]
    left += [f"mount {path}" for path in mounts_from(file.parent.resolve()) if path not in record["mounts"]]
    left += [f"cgroup {path}" for path in cgroups_of(record["servers"])]
    left += networks_of(record["servers"])
    for item in left:
        print(f"left behind: {item}", file=sys.stderr)
    return 1 if left else 0


def main(arguments: list[str]) -> int:
    """Runs one of the three steps."""
    match arguments:
        case ["before", file]:
            return before(Path(file))
        case ["during", file, server]:
            return during(Path(file), int(server))
        case ["after", file]:
            return after(Path(file))
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
