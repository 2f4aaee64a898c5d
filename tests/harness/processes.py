"""The processes of one server by what they are for, and what the kernel says that each may do."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import leftovers

HELPERS = ("steward", "launcher", "filler")
CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
)
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@dataclass(frozen=True)
class Process:
    """One process, as it was when it was looked at."""

    pid: int
    status: dict[str, str]

    @classmethod
    def of(cls, pid: int | str) -> "Process":
        """Reads `/proc`."""
        lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        status = {name: value.strip() for name, _, value in lines}
        return cls(int(status["Pid"]), status)

    @property
    def user(self) -> int:
        """The one user id that it has in every role."""
        return self._only("Uid")

    @property
    def group(self) -> int:
        """The one group id that it has in every role."""
        return self._only("Gid")

    def capabilities(self, kind: str) -> set[str]:
        """The names in one of its sets."""
        bits = int(self.status[kind], 16)
        return {f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if bits >> number & 1}

    @property
    def core_bytes(self) -> int:
        """Its limit of core dumps."""
        found = re.search(r"^Max core file size +(\S+)", Path(f"/proc/{self.pid}/limits").read_text(), re.MULTILINE)
        assert found is not None
        return 1 << 62 if found[1] == "unlimited" else int(found[1])

    @property
    def is_hidden(self) -> bool:
        """Whether its memory is closed to other processes of its user: what is in `/proc` of it is root's then."""
        return self.user != 0 and os.stat(f"/proc/{self.pid}/environ").st_uid == 0

    def namespace(self, kind: str) -> str:
        """Names one of its namespaces."""
        return os.readlink(f"/proc/{self.pid}/ns/{kind}")

    def _only(self, name: str) -> int:
        (number,) = {int(word) for word in self.status[name].split()}
        return number


def helper(server: int, name: str) -> int | None:
    """Process id of a helper below a server's process, where there is one."""
    found = [pid for pid in leftovers.descendants(server) if f"__{name}" in leftovers.command_line(pid).split()]
    # What the launcher cloned has its command line, until it executes a program.
    tree = leftovers.parents()
    originals = [pid for pid in found if tree.get(pid) not in found]
    return originals[0] if originals else None


def mounter(server: int) -> int | None:
    """Process id of the one child of the launcher that is root and has executed nothing: sandboxes are not root."""
    copies = [pid for pid in _children(helper(server, "launcher")) if "__launcher" in leftovers.command_line(pid)]
    return next((pid for pid in copies if os.stat(f"/proc/{pid}").st_uid == 0 and Process.of(pid).user == 0), None)


def zygote(server: int) -> int | None:
    """Process id of a Python that runtimes are forked from, once there is one."""
    return next(
        (pid for pid in _children(helper(server, "launcher")) if "--zygote" in leftovers.command_line(pid)), None
    )


def _children(parent: int | None) -> list[int]:
    return [pid for pid, its_parent in leftovers.parents().items() if its_parent == parent]


def sandboxes(server: int) -> Iterator[tuple[int, int]]:
    """First process and runtime of each sandbox."""
    launcher = helper(server, "launcher")
    tree = leftovers.parents()
    for first in (pid for pid, parent in tree.items() if parent == launcher):
        for runtime in (pid for pid, parent in tree.items() if parent == first):
            yield first, runtime
