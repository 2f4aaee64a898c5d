"""A host of the tests' own: a network namespace with a public address, and a world of other hosts behind it.

The world is a second namespace. It has addresses of every kind, and on each a server that answers; nothing of it
reaches the machine that the tests run on.
"""

import ctypes
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.tools import TESTS, run, tool

_numbers = itertools.count(1)
CLONE_NEWNET = 0x40000000
PORT = 7777
OTHER_PORT = 7778
HOST = {4: "192.0.2.1", 6: "2001:db8:ffff::1"}
HOST_PRIVATE = "10.200.0.1"
RESOLVER = "10.9.8.53"
PUBLIC = ("203.0.113.10", "203.0.113.11", "2001:db8::10", "2001:db8::11")
PRIVATE = ("10.9.8.7", "172.16.5.5", "192.168.77.7", "100.64.1.1", "198.18.0.9", "fd12:3456::7", "2002:a09:807::1")
NEVER = ("169.254.169.254", "fd00:ec2::254")
NAMES = {
    "public.example": ["203.0.113.10", "2001:db8::10"],
    "second.example": ["203.0.113.11"],
    "private.example": ["10.9.8.7"],
    "metadata.example": ["169.254.169.254"],
    "host.example": [HOST[4]],
    "rebinding.example": ["203.0.113.10", "then", "10.9.8.7"],
    "mixed.example": ["203.0.113.10", "10.9.8.7"],
    "large.example": [f"203.0.113.{number}" for number in range(100, 200)],
}


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str, within: str | None = None) -> None:
    run([tool("ip"), *(("-n", within) if within else ()), *arguments]).ok()


@dataclass(frozen=True)
class World:
    """What tests need to know of it."""

    resolv_conf: Path

    @property
    def prefix(self) -> tuple[str, ...]:
        """Before a server's command: the host's resolver is the world's."""
        return shown_instead(self.resolv_conf, "/etc/resolv.conf")


def shown_instead(source: Path | str, target: Path | str) -> tuple[str, ...]:
    """Before a command: it sees `source` at the place of `target`."""
    script = 'mount --bind "$0" "$1" && shift && exec "$@"'
    return (tool("unshare"), "--mount", "--propagation", "private", "sh", "-c", script, str(source), str(target))


def forwarding(family: int = 4) -> bool:
    """Whether the host that the caller is in forwards."""
    path = {4: "/proc/sys/net/ipv4/ip_forward", 6: "/proc/sys/net/ipv6/conf/all/forwarding"}[family]
    # Through the thread: the process's own entry is that of its first thread, which is the tests'.
    return Path(path).read_text().strip() != "0"


@contextmanager
def test_host() -> Iterator[World]:
    """Moves the calling thread, and all that it starts, onto the tests' own host, and back at the end."""
    number = next(_numbers)
    host, world = (f"tests-{os.getpid()}-{number}-{name}" for name in ("host", "world"))
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    servers: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryDirectory(prefix="wuwei-tests-") as scratch:
        try:
            for name in (host, world):
                _ip("netns", "add", name)
                _ip("link", "set", "lo", "up", within=name)
            _connect(host, world)
            servers.append(_serve(world, Path(scratch)))
            resolv_conf = Path(scratch) / "resolv.conf"
            resolv_conf.write_text(f"nameserver {RESOLVER}\n")
            namespace = os.open(f"/run/netns/{host}", os.O_RDONLY)
            try:
                _enter(namespace)
                yield World(resolv_conf)
            finally:
                _enter(home)
                os.close(namespace)
        finally:
            for server in servers:
                server.kill()
                server.wait()
            for name in (host, world):
                with suppress(AssertionError):
                    _ip("netns", "del", name)
            os.close(home)


test_host.__test__ = False  # type: ignore[attr-defined]


def _connect(host: str, world: str) -> None:
    # A new network begins with the settings of the machine's own, where another server may run.
    off = " && ".join(f"echo 0 > /proc/sys/net/{name}" for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"))
    _ip("netns", "exec", host, "sh", "-c", off)
    _ip("link", "add", "outside", "netns", host, "type", "veth", "peer", "name", "host", "netns", world)
    for address in (f"{HOST[4]}/24", f"{HOST[6]}/64", f"{HOST_PRIVATE}/32"):
        _ip("address", "add", address, "dev", "outside", *(("nodad",) if ":" in address else ()), within=host)
    for address in ("192.0.2.254/24", "2001:db8:ffff::2/64"):
        _ip("address", "add", address, "dev", "host", *(("nodad",) if ":" in address else ()), within=world)
    for address in (*PUBLIC, *PRIVATE, *NEVER, RESOLVER):
        _ip("address", "add", address, "dev", "lo", *(("nodad",) if ":" in address else ()), within=world)
    _ip("link", "set", "outside", "up", within=host)
    _ip("link", "set", "host", "up", within=world)
    _ip("route", "add", "default", "via", "192.0.2.254", within=host)
    _ip("-6", "route", "add", "default", "via", "2001:db8:ffff::2", within=host)


def _serve(world: str, scratch: Path) -> "subprocess.Popen[str]":
    names: Mapping[str, object] = NAMES
    told = {"addresses": [*PUBLIC, *PRIVATE, *NEVER], "ports": [PORT, OTHER_PORT], "resolver": RESOLVER, "names": names}
    file = scratch / "world.json"
    file.write_text(json.dumps(told))
    program = [sys.executable, str(TESTS / "harness" / "world_server.py"), str(file)]
    server = subprocess.Popen([tool("ip"), "netns", "exec", world, *program], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None and server.stdout.readline() == "ready\n", "the world's servers do not run"
    return server
