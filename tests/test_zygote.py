"""Python instances are forked from a booted interpreter: siblings share nothing that could harm a function."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness import leftovers
from harness.functions import Functions
from harness.metrics import metrics_of
from harness.server import Server
from harness.waiting import until

FunctionsOf = Callable[[Server], Functions]

READY = 'wuwei_stock_blanks{state="ready"}'
SIBLINGS = 6
# What a library takes from its process when it is first used, and what it takes from chance.
PROBE = """
import gc, logging, multiprocessing, os, random, secrets, signal, socket, ssl, tempfile, threading, time, uuid

AT_IMPORT = [random.random(), secrets.token_hex(8), os.urandom(8).hex(), str(uuid.uuid4()), ssl.RAND_bytes(8).hex()]

def handler(event, context):
    time.sleep(event["hold"])
    finished = []
    timer = threading.Timer(0.01, finished.append, [1])
    timer.start()
    timer.join(10)
    left, right = socket.socketpair()
    left.sendall(b"x")
    return {
        "forked": b"--zygote" in open("/proc/self/cmdline", "rb").read(),
        "random": AT_IMPORT + [random.random(), random.getrandbits(64), secrets.token_hex(8), os.urandom(8).hex(),
                               str(uuid.uuid1()), str(uuid.uuid4()), ssl.RAND_bytes(8).hex(), tempfile.mktemp()],
        "pids": [os.getpid(), multiprocessing.current_process().pid, logging.makeLogRecord({}).process or os.getpid(),
                 threading.get_native_id(), int(os.readlink("/proc/self"))],
        "threads": [thread.name for thread in threading.enumerate()],
        "timers": [signal.getitimer(kind) for kind in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)],
        "timer": finished, "socket": right.recv(1).decode(), "parent": os.getppid(), "gc": gc.isenabled(),
        "child": os.waitstatus_to_exitcode(os.waitpid(os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", "exit 3"), 0)[1]),
        "instance": context.log_stream_name,
    }
"""


def wait_for_stock(server: Server, least: int) -> None:
    """Waits until so many sandboxes stand ready."""
    until(lambda: metrics_of(server)[READY] >= least, f"{least} sandboxes wait", 30)


def check(seen: list[dict[str, Any]]) -> None:
    """Each is sound by itself, and no two share anything random."""
    values = [value for one in seen for value in map(repr, one["random"])]
    assert len(set(values)) == len(values)
    for one in seen:
        assert len(set(one["pids"])) == 1, one
        assert one["threads"] == ["MainThread"] and one["timers"] == [[0, 0]] * 3, one
        expected = {"timer": [1], "socket": "x", "parent": 1, "gc": True, "child": 3}
        assert {name: one[name] for name in expected} == expected, one


def test_forked_siblings_share_no_randomness_nor_any_process_state(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    # The first sandboxes are started by themselves, while the zygote boots.
    functions.call(functions.deploy_python(PROBE), {"hold": 0})
    seen = []
    for number in range(4 * SIBLINGS):
        wait_for_stock(fresh_server, 1)
        seen.append(functions.call(functions.deploy_python(f"{PROBE}\n# {number}\n"), {"hold": 0}))
        if sum(one["forked"] for one in seen) == SIBLINGS:
            break
    assert sum(one["forked"] for one in seen) == SIBLINGS, [one["forked"] for one in seen]
    check(seen)


def test_forked_instances_of_one_function_are_siblings_like_any(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(PROBE)
    functions.call(name, {"hold": 0})
    wait_for_stock(fresh_server, 2)
    with ThreadPoolExecutor(SIBLINGS) as pool:
        seen = list(pool.map(lambda _: functions.call(name, {"hold": 1}), range(SIBLINGS)))
    by_instance = {one["instance"]: one for one in seen}
    assert len(by_instance) > 2 and any(one["forked"] for one in seen), seen
    check(list(by_instance.values()))


def test_the_zygote_ends_with_the_server_however_that_ends(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    functions.call(functions.deploy_python(PROBE), {"hold": 0})

    def zygotes() -> list[int]:
        return [pid for pid in leftovers.descendants(fresh_server.pid) if is_zygote(pid)]

    (zygote,) = until(zygotes, "a zygote is there", 30)
    fresh_server.kill()
    until(lambda: not is_zygote(zygote), "the zygote has ended", 30)


def is_zygote(pid: int) -> bool:
    """Whether a process is one that runtimes are forked from, and none of those."""
    try:
        is_named = (leftovers.PROC / str(pid) / "cmdline").read_bytes().endswith(b"--zygote\0")
        return is_named and "Seccomp:\t0" in (leftovers.PROC / str(pid) / "status").read_text()
    except OSError:
        return False
