"""Counts all that a running server holds on its host: what must be the same after ten thousand starts as before."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness import leftovers
from harness.metrics import metrics_of
from harness.server import Server
from harness.tools import run, tool

PROC = Path("/proc")
Tally = dict[str, int]
"""A number for each of `COLUMNS`."""

COLUMNS = {
    "server memory": "resident memory of the server, in KiB",
    "helpers memory": "resident memory of its launcher and its filler, in KiB",
    "descriptors": "open descriptors of the server and its helpers",
    "threads": "threads of the server and its helpers",
    "processes": "the server and all below it, the dead that nobody has reaped included",
    "groups": "directories of control groups",
    "mounts": "mounts that the server and its helpers see",
    "namespaces": "namespaces of its processes, or held by a descriptor of one",
    "links": "network interfaces of the host and of the router of sandboxes",
    "filter": "rules and elements of its packet filters",
    "data": "disk of the data directory without logs and ledger, in KiB",
    "files": "files and directories there",
    "logs": "disk of the logs, in KiB",
    "ledger": "disk of the ledger, in KiB: an entry for each call, for as long as there is a disk",
}
EXACT = ("descriptors", "threads", "processes", "groups", "mounts", "namespaces", "links", "filter", "files")
"""Those that come back to the same number when nothing runs."""
SAME = ("processes", "groups", "mounts", "namespaces", "links")
"""Those that do not depend on what the sandboxes are for that are built ahead, but on how many there are."""
STILL_SECONDS = 0.5
LIKE_SECONDS = 15.0


def tally(server: Server) -> Tally:
    """What it holds now."""
    tree = {server.pid} | leftovers.descendants(server.pid)
    helpers = own_processes(server)
    own = {server.pid, *helpers.values()}
    filler = helpers.get("__filler")
    logs, ledger = server.data_dir / "logs", server.data_dir / "ledger"
    data, files = disk_of(server.data_dir, without={logs, ledger})
    return {
        "server memory": _status(server.pid, "VmRSS"),
        "helpers memory": sum(_status(pid, "VmRSS") for pid in helpers.values()),
        "descriptors": sum(_entries(PROC / str(pid) / "fd") for pid in own),
        "threads": sum(_status(pid, "Threads") for pid in own),
        "processes": len(tree) + zombies_of(tree),
        "groups": len(groups_of(server)),
        "mounts": sum(len(leftovers.mounts_of("", pid)) for pid in own),
        "namespaces": len(_namespaces_of(tree)),
        "links": len(_own_links(server)) + (_links_of(filler) if filler else 0),
        "filter": _filter_size([], server.name)
        + (_filter_size(["nsenter", "-t", str(filler), "-n"], leftovers.NAME) if filler else 0),
        "data": data,
        "files": files,
        "logs": disk_of(logs)[0],
        "ledger": disk_of(ledger)[0],
    }


def at_rest(
    server: Server, like: Tally | None = None, within: float = 60.0, poll: Callable[[float], object] = time.sleep
) -> Tally:
    """What it holds when no instance is left and the counts stand still, or after `within`; and are `like` those, or
    have not become so for a while: then whoever compares them will see it."""
    begin = time.monotonic()
    deadline = begin + within
    found, since = tally(server), begin
    while time.monotonic() < deadline and (time.monotonic() - since < STILL_SECONDS or instances_of(server)):
        poll(0.1)
        now = tally(server)
        still = all(now[column] == found[column] for column in EXACT)
        hopes = like is not None and time.monotonic() - begin < LIKE_SECONDS
        if not still or (hopes and any(now[column] != like[column] for column in SAME)):
            since = time.monotonic()
        found = now
    return found


def instances_of(server: Server) -> int:
    """Instances of whatever state, by the server's own word."""
    return int(sum(value for name, value in metrics_of(server).items() if name.startswith("wuwei_instances")))


def own_processes(server: Server) -> dict[str, int]:
    """The server's helpers by their hidden command."""
    lines = {pid: leftovers.command_line(pid).split() for pid in leftovers.descendants(server.pid)}
    found: dict[str, int] = {}
    # A server that was root has them started by its steward.
    parents = {server.pid} | {pid for pid, words in lines.items() if "__steward" in words[1:2]}
    # The first processes of sandboxes are copies of the launcher: it is the oldest of that name.
    for pid, words in sorted(lines.items(), reverse=True):
        if len(words) > 1 and words[1].startswith("__") and _parent_of(pid) in parents:
            found[words[1]] = pid
    return found


def groups_of(server: Server) -> list[Path]:
    """The directories of the server's control groups, in every hierarchy."""
    name = f"wuwei-{server.name}"
    walked = (Path(directory) for directory, _, _ in os.walk(leftovers.CGROUPS))
    return [path for path in walked if name in path.parts]


def zombies_of(tree: set[int]) -> int:
    """Children of these processes that have ended and were not reaped."""
    found = 0
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                found += state == "Z" and int(parent) in tree
    return found


def disk_of(directory: Path, without: set[Path] | None = None) -> tuple[int, int]:
    """KiB that the files below take on the disk, and how many files and directories there are."""
    blocks, count = 0, 0
    for parent, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if Path(parent, name) not in (without or set())]
        for name in (*directories, *files):
            with suppress(OSError):
                blocks += os.lstat(Path(parent, name)).st_blocks
                count += 1
    return blocks // 2, count


def _parent_of(pid: int) -> int:
    return leftovers.parents().get(pid, 0)


def _status(pid: int, field: str) -> int:
    with suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
    return 0


def _entries(directory: Path) -> int:
    with suppress(OSError):
        return len(os.listdir(directory))
    return 0


def _namespaces_of(tree: set[int]) -> set[str]:
    found = set()
    for pid in tree:
        for directory in ("ns", "fd"):
            with suppress(OSError):
                for entry in (PROC / str(pid) / directory).iterdir():
                    with suppress(OSError):
                        target = os.readlink(entry)
                        if directory == "ns" or (":[" in target and not target.startswith(("socket:", "pipe:"))):
                            found.add(target)
    return found


def _own_links(server: Server) -> set[str]:
    """Interfaces of the network that the caller is in, without those of other servers."""
    own = f"{leftovers.NAME}-{server.name[:8]}"
    links = leftovers.network_interfaces()
    return {link for link in links if link == own or not link.startswith(f"{leftovers.NAME}-")}


def _links_of(pid: int) -> int:
    """Interfaces in the network of a process, but its loopback."""
    with suppress(OSError):
        return len((PROC / str(pid) / "net" / "dev").read_text().splitlines()) - 3
    return 0


def _filter_size(prefix: list[str], name: str) -> int:
    """Rules, and elements of sets and maps, in the tables of one network whose name has this part."""
    command = [*([tool(prefix[0]), *prefix[1:]] if prefix else []), tool("nft"), "-j", "list", "ruleset"]
    count = 0
    for entry in json.loads(run(command).ok().output)["nftables"]:
        for kind, body in entry.items():
            if name in body.get("table", "") or name in body.get("name", ""):
                count += kind == "rule"
                count += len(body.get("elem", [])) if kind in ("set", "map") else 0
    return count
