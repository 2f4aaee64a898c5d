"""`kill -9` of the server and its helpers at any moment: the next start removes what was left, and only that."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from harness import leftovers
from harness.functions import ECHO, Functions
from harness.native import compiled
from harness.network import World, test_host
from harness.server import Server
from harness.tally import at_rest, groups_of, own_processes, tally
from harness.tools import plain_environment
from harness.waiting import seconds_of, until

MakeServer = Callable[..., Server]
FunctionsOf = Callable[[Server], Functions]
KILLS = int(os.environ.get("WUWEI_KILLS", "100"))
SEED = 20261120
LATEST = 2.5
"""Times what a start takes: before it serves, while it builds the first sandboxes, and while they work."""
HELPERS = ("__steward", "__launcher", "__filler", "__keeper")
STAYING = "import uuid\nOWN = str(uuid.uuid4())\ndef handler(event, context):\n    return OWN\n"
LEAVING = """
import os, signal, time
def handler(event, context):
    if os.fork() == 0:
        os.setsid()
        for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
        while True: time.sleep(1)
    return event
"""


@pytest.fixture
def world() -> Iterator[World]:
    """The servers are alone on their network."""
    with test_host() as made:
        yield made


def kill_all(server: Server, chance: random.Random) -> None:
    """Kills some of the server's own processes, and in the end the server; the order is chance's."""
    victims = list(own_processes(server).values())
    chance.shuffle(victims)
    del victims[chance.randrange(len(victims) + 1) :]
    if chance.random() < 0.5:
        # What dies while the server cannot see it is not replaced.
        os.kill(server.pid, signal.SIGSTOP)
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.kill(server.pid, signal.SIGKILL)
    server.wait_exit()


def start_unwatched(server: Server) -> None:
    """Starts the server and does not wait until it serves."""
    with server.stderr_path.open("ab") as log:
        server.process = subprocess.Popen(
            server.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            env=plain_environment(),
        )  # fmt: skip


def endpoint_is_new(server: Server) -> bool:
    """Whether it serves by now."""
    with suppress(OSError, ValueError, KeyError):
        return server._server_file()["pid"] == server.pid
    return False


def test_the_next_start_removes_what_a_killed_one_left_and_only_that(
    world: World, new_server: MakeServer, functions_of: FunctionsOf
) -> None:
    bystander = new_server(config="stock = 0\n", prefix=world.prefix).start()
    others = functions_of(bystander)
    staying = others.deploy_python(STAYING)
    own = others.call(staying)
    server = new_server(config="keep_alive_s = 1\nstock = 2\n", prefix=world.prefix)
    usual = seconds_of(server.start)
    functions = functions_of(server)
    names = [
        functions.deploy_python(LEAVING, Timeout=30),
        functions.deploy_custom(compiled("echo.c"), Timeout=30),
        functions.deploy_python(ECHO, Timeout=30),
    ]
    for name in names:
        functions.call(name, 1)
    empty = at_rest(server)
    untouched = tally(bystander)
    chance = random.Random(SEED)
    server.kill()
    served = 0
    with ThreadPoolExecutor(4) as pool:
        for _ in range(KILLS):
            begin = time.monotonic()
            latest = chance.uniform(0, LATEST * usual)
            start_unwatched(server)
            calls = []
            while time.monotonic() - begin < latest:
                if not calls and endpoint_is_new(server):
                    served += 1
                    with suppress(Exception):
                        current = functions_of(server)
                        calls = [pool.submit(current.invoke, name, 1) for name in names]
                time.sleep(0.01)
            kill_all(server, chance)
            for call in calls:
                with suppress(Exception):
                    call.result(30)
    assert served >= KILLS // 10, "many of them were killed at work"
    server.start()
    until(lambda: len(own_processes(server)) == len(HELPERS), "the helpers run")
    after = at_rest(server, empty)
    compared = ("processes", "groups", "mounts", "namespaces", "filter", "links")
    assert {name: after[name] for name in compared} == {name: empty[name] for name in compared}
    assert after["files"] - empty["files"] <= KILLS, "nothing but logs and the like"
    current = functions_of(server)
    for name in names:
        assert current.call(name, 2) == 2
    # The other server has not noticed: its instance is the same, and nothing of it has gone.
    assert others.call(staying) == own
    now = tally(bystander)
    assert {name: now[name] for name in ("processes", "groups", "namespaces")} == {
        name: untouched[name] for name in ("processes", "groups", "namespaces")
    }
    server.stop()
    assert not groups_of(server)
    assert server.network_interface not in leftovers.network_interfaces()
