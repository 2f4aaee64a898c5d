"""A function that takes all it can get: its neighbours' calls go on, every one of them, and so does the server."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.functions import Functions
from harness.server import Server
from soak.brutes import BRUTES

NEIGHBOUR = """
import uuid
OWN = str(uuid.uuid4())
def handler(event, context):
    print('neighbour', event)
    return [event, OWN]
"""
AT_ONCE = 3
"""As many of the brutes run together."""
CALLS_LEAST = 5
# What the caller of each is told; with several, which of them depends on what the kernel kills first.
TOLD = {
    "fork-bomb": {"Sandbox.Timedout", "Runtime.OutOfMemory", "Runtime.ExitError", "OSError", "MemoryError"},
    "memory-hog": {"Runtime.OutOfMemory"},
    "shared-memory-hog": {"OSError", "Runtime.OutOfMemory"},
    "page-cache-hog": {"Runtime.OutOfMemory", "Sandbox.Timedout", "Runtime.ExitError"},
    "memory-file-hog": {"Runtime.OutOfMemory"},
    "log-flood": {"Sandbox.Timedout"},
    "disk-filler": {"OSError", "Runtime.OutOfMemory", "Sandbox.Timedout"},
    "inode-bomb": {"OSError", "Runtime.OutOfMemory", "Sandbox.Timedout"},
    "busy-threads": {"Sandbox.Timedout"},
    "sleeper": {"Sandbox.Timedout"},
    "crash": {"Runtime.ExitError"},
    "leaver": {"Runtime.ExitError"},
    "broken": {"Runtime.ImportModuleError"},
    "large-answer": {"Function.ResponseSizeTooLarge"},
    "half-a-frame": {"Sandbox.Timedout"},
    "noise-on-the-socket": {"Runtime.ExitError", "Runtime.Unknown", "Sandbox.Timedout"},
    "two-runtimes": {"answered", "Runtime.ExitError", "Runtime.Unknown"},
    "sockets": {"answered", "OSError", "Sandbox.Timedout", "Runtime.OutOfMemory"},
}
EVENT = {"n": 7, "targets": []}


# Who asks for names asks the host's resolver: the soak has one of its own.
@pytest.mark.parametrize("kind", [kind for kind in BRUTES if kind != "names"])
def test_every_call_of_a_neighbour_succeeds_meanwhile(server: Server, functions: Functions, kind: str) -> None:
    neighbour = functions.deploy_python(NEIGHBOUR, Timeout=60)
    brute = functions.deploy_python(BRUTES[kind], Timeout=4, MemorySize=256)
    own = functions.call(neighbour, "first")[1]

    def attack(_: int) -> str:
        result = functions.invoke(brute, EVENT)
        return result.value["errorType"] if result.function_error else "answered"

    calls = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        attacks = [pool.submit(attack, number) for number in range(AT_ONCE)]
        while calls < CALLS_LEAST or not all(attack.done() for attack in attacks):
            assert functions.call(neighbour, calls) == [calls, own], "the same instance, which nothing has touched"
            calls += 1
        told = {attack.result() for attack in attacks}
    assert told <= TOLD.get(kind, {"answered"}), told
    assert server.healthz()[0] == 200
    # What the neighbour wrote to its log is there without a gap, however much others write. One answer of the server
    # holds the newest lines only, when there were thousands of calls.
    log = server.wuwei("logs", neighbour, "--limit", "100000").ok().output
    written = {int(number) for number in re.findall(r"neighbour (\d+)\b", log)}
    assert written == set(range(calls - len(written), calls))
    assert len(written) >= min(calls, CALLS_LEAST)
