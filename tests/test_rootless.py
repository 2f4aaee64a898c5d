"""`wuwei up` by an ordinary user: full isolation with what such a user has, and what it lacks said aloud."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from harness import leftovers
from harness.functions import ECHO, Functions, boto_client
from harness.ordinary import OrdinaryServer
from harness.processes import SETS, Process, helper, sandboxes
from harness.server import RUNNING, Server
from harness.servers import finish, make_server, newest_python

TRIES = """
import ctypes, os, signal, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), 'refused')
    return result
def handler(event, context):
    try:
        return ['succeeded', repr(eval(event))[:100]]
    except OSError as error:
        return ['refused', str(error)]
"""
ATTEMPTS = {
    "read the server's keys": "open({data_dir!r} + '/credentials.json').read()",
    "list the data directory": "os.listdir({data_dir!r})",
    "read a file of the host": "open('/etc/os-release').read()",
    "end the server": "os.kill({server}, signal.SIGKILL)",
    "end the launcher": "os.kill({launcher}, signal.SIGKILL)",
    "look into the server": "open('/proc/{server}/mem')",
    "look into the sandbox's first process": "open('/proc/1/mem', 'rb')",
    "reach the server over the host's loopback": "socket.create_connection({address!r}, 2)",
    "reach the world": "socket.create_connection(('192.0.2.1', 80), 2)",
    "write to the system": "open('/usr/x', 'w')",
    "write to its code": "open('/var/task/x', 'w')",
    "become root": "os.setuid(0)",
    "become root of a new user namespace": "call(libc.unshare(0x10000000))",
    "mount": "call(libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None))",
    "trace": "call(libc.ptrace(16, 1, 0, 0))",
    "name the machine": "call(libc.sethostname(b'x', 1))",
    "send raw packets": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
}


@pytest.fixture(scope="module")
def rootless() -> Iterator[OrdinaryServer]:
    """A server of an ordinary user."""
    leftovers.adopt_orphans()
    made = make_server()
    RUNNING.append(made)
    ordinary = OrdinaryServer(made)
    try:
        ordinary.start()
        yield ordinary
    finally:
        if ordinary.is_running():
            ordinary.stop()
        finish(made)


@pytest.fixture(scope="module")
def rootless_functions(rootless: Server) -> Functions:
    """Deploys and invokes there."""
    return Functions(boto_client(rootless), newest_python(rootless), None)


@pytest.fixture(scope="module")
def hostile(rootless_functions: Functions) -> str:
    """A function that tries what its event says."""
    return rootless_functions.deploy_python(TRIES)


def test_an_ordinary_user_gets_every_namespace_and_no_process_has_a_capability(
    rootless: Server, rootless_functions: Functions
) -> None:
    assert rootless_functions.call(rootless_functions.deploy_python(ECHO), "here") == "here"
    launcher = helper(rootless.pid, "launcher")
    assert launcher is not None
    assert helper(rootless.pid, "steward") is None
    first, runtime = next(sandboxes(rootless.pid))
    kinds = ("user", "pid", "mnt", "ipc", "uts", "net", "cgroup")
    for inside in map(Process.of, (first, runtime)):
        shared = [kind for kind in kinds if inside.namespace(kind) == Process.of(launcher).namespace(kind)]
        assert shared == []
        assert (inside.status["NoNewPrivs"], inside.user) == ("1", Process.of(rootless.pid).user)
    for process in map(Process.of, (rootless.pid, launcher, first, runtime)):
        held = {kind: process.capabilities(kind) for kind in SETS if kind != "CapBnd"}
        assert not any(held.values()), (process.pid, held)


@pytest.mark.parametrize("name", ATTEMPTS)
def test_what_is_refused_under_root_is_refused_here(
    rootless: Server, rootless_functions: Functions, hostile: str, name: str
) -> None:
    launcher = helper(rootless.pid, "launcher")
    values = {"data_dir": str(rootless.data_dir), "server": rootless.pid, "launcher": launcher}
    attempt = ATTEMPTS[name].format(**values, address=rootless.address)
    answer = rootless_functions.call(hostile, attempt)
    assert answer[0] == "refused", answer
    assert rootless.is_running() and launcher in leftovers.parents()


def test_what_is_lost_without_root_is_said_at_the_start_and_by_doctor(rootless: OrdinaryServer) -> None:
    found: dict[str, Any] = {finding["name"]: finding for finding in rootless.doctor()}
    assert found["sandbox"]["status"] == "good", found
    assert found["privilege"]["status"] == "degraded" and "share your host user" in found["privilege"]["costs"]
    assert found["egress"]["status"] == "degraded" and "no network" in found["egress"]["costs"]
    assert "functions have no network" in rootless.stderr
    has_groups = found["cgroups"]["status"] == "good"
    assert ("no control groups: memory, CPU and processes of functions are not limited" in rootless.stderr) is (
        not has_groups
    )


def test_the_data_directory_of_an_ordinary_user_stays_theirs(rootless: Server) -> None:
    directory = os.stat(rootless.data_dir)
    assert (directory.st_mode & 0o777, directory.st_uid) == (0o700, Process.of(rootless.pid).user)
