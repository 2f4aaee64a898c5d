"""Many starts of instances leave nothing: 300 of them in the suite, 10,000 by `make test-starts`."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.flatness import allowance
from harness.functions import ECHO, Functions
from harness.metrics import metrics_of
from harness.native import compiled
from harness.network import World, test_host
from harness.server import Server
from harness.tally import EXACT, at_rest, tally

STARTS = int(os.environ.get("WUWEI_STARTS", "300"))
WARM_UP = 60
AT_ONCE = 4
NODE = "export const handler = async (event) => event;\n"
STARTS_TIMEOUT = 60


@pytest.fixture
def world() -> Iterator[World]:
    """The server is alone on its network: what is counted there is its own."""
    with test_host() as made:
        yield made


@pytest.fixture(params=[0, 3], ids=["built when they are called", "some built ahead"])
def server(request: pytest.FixtureRequest, new_server: Callable[..., Server], world: World) -> Server:
    """No idle instance stays: each call starts one, and its end follows the answer."""
    logs = f"log_bytes_per_function = {8 << 20}\nlog_bytes_total = {16 << 20}\n"
    config = f"keep_alive_s = 0\nstock = {request.param}\n{logs}"
    return new_server(config=config, prefix=world.prefix).start()


def cold_starts(server: Server) -> int:
    """Calls that were served by an instance of their own."""
    return int(metrics_of(server)["wuwei_cold_starts_total"])


def test_many_starts_leave_nothing_on_the_host(
    server: Server, functions_of: Callable[[Server], Functions], record_property: Callable[[str, object], None]
) -> None:
    functions = functions_of(server)
    settings = {"Timeout": STARTS_TIMEOUT}
    # Most are native, because they are quickest; each language takes its own way through a start.
    # Many functions, so that no call finds the instance of the last one still there.
    names = [functions.deploy_custom(compiled("echo.c"), **settings) for _ in range(14)]
    names += [functions.deploy_python(ECHO, **settings) for _ in range(4)]
    names += [functions.deploy_node(NODE, MemorySize=256, **settings) for _ in range(2)]

    def start(count: int) -> None:
        def call(number: int) -> None:
            assert functions.call(names[number % len(names)], number) == number

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(call, range(count)):
                pass

    start(WARM_UP)
    before, started = at_rest(server), cold_starts(server)
    start(STARTS)
    after = at_rest(server, before)
    record_property("before", before)
    record_property("after", after)
    print(f"starts {cold_starts(server) - started}\nbefore {before}\nafter  {after}")
    assert cold_starts(server) - started >= STARTS * 9 // 10, "nearly every call started an instance"
    grown = {name: (before[name], after[name]) for name in EXACT if after[name] > before[name] + noise(name)}
    assert not grown, f"more than before: {grown}"
    for name in ("server memory", "helpers memory", "data"):
        allowed = 2 * allowance(name, [before[name]])
        assert after[name] - before[name] <= allowed, f"{name} grew from {before[name]} to {after[name]} KiB"


def noise(column: str) -> int:
    """Threads and connections of the server come and go."""
    return 6 if column in ("threads", "descriptors") else 0


def test_the_count_sees_what_an_instance_holds(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions], world: World
) -> None:
    """A count that never changed would let every leak pass."""
    made = new_server(config="stock = 0\n", prefix=world.prefix).start()
    functions = functions_of(made)
    name = functions.deploy_python(ECHO)
    empty = at_rest(made)
    functions.call(name)
    busy = tally(made)
    held = ("descriptors", "processes", "groups", "namespaces", "links", "logs")
    assert [column for column in held if busy[column] <= empty[column]] == []
    functions.client.delete_function(FunctionName=name)
    again = at_rest(made, empty)
    assert {column: again[column] - empty[column] for column in ("processes", "groups", "namespaces", "links")} == {
        "processes": 0,
        "groups": 0,
        "namespaces": 0,
        "links": 0,
    }
