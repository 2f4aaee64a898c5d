"""The stock: sandboxes that are built before anybody asks for them, and given to one function each."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import inside, leftovers, processes
from harness.egress import set_egress
from harness.functions import Functions
from harness.metrics import metrics_of
from harness.packages import zip_of
from harness.reports import messages, report_of
from harness.server import Server
from harness.tools import run, tool
from harness.waiting import until

NewServer = Callable[..., Server]
FunctionsOf = Callable[[Server], Functions]

READY = 'wuwei_stock_blanks{state="ready"}'
BUILDING = 'wuwei_stock_blanks{state="building"}'
FROM_STOCK = 'wuwei_stock_starts_total{from="stock"}'
FROM_EMPTY = 'wuwei_stock_starts_total{from="empty"}'
UNSUITED = 'wuwei_stock_starts_total{from="unsuited"}'
LOST = "wuwei_stock_lost_total"
FAMILIES = ["python", "node", "custom"]

PYTHON = """
import os, sys
print('imported')
def handler(event, context):
    print('called')
    return {
        'environment': dict(os.environ), 'directory': os.getcwd(), 'arguments': sys.argv,
        'files': sorted(os.listdir('/var/task')), 'memory': context.memory_limit_in_mb,
    }
"""
NODE = """
import { readdirSync } from 'node:fs';
console.log('imported');
export const handler = async (event, context) => {
  console.log('called');
  return {
    environment: process.env, directory: process.cwd(), arguments: process.argv.slice(1),
    files: readdirSync('/var/task').sort(), memory: context.memoryLimitInMB,
  };
};
"""
CUSTOM = """#!/usr/bin/python3 -IS
import http.client, json, os
print('imported', flush=True)
api = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
while True:
    api.request('GET', '/2018-06-01/runtime/invocation/next')
    answer = api.getresponse()
    answer.read()
    print('called', flush=True)
    body = {
        'environment': dict(os.environ), 'directory': os.getcwd(), 'arguments': [],
        'files': sorted(os.listdir('/var/task')), 'memory': os.environ['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'],
    }
    request_id = answer.headers['Lambda-Runtime-Aws-Request-Id']
    api.request('POST', f'/2018-06-01/runtime/invocation/{request_id}/response', json.dumps(body))
    api.getresponse().read()
"""


def files_of(family: str, extra: dict[str, str] | None = None) -> dict[str, str | bytes]:
    """The package of a function that says what it sees."""
    own: dict[str, str | bytes] = {
        "python": {"app.py": PYTHON},
        "node": {"index.mjs": NODE},
        "custom": {"bootstrap": CUSTOM},
    }[family]  # type: ignore[assignment]
    return own | (extra or {})


def settings_of(functions: Functions, family: str) -> dict[str, Any]:
    """Runtime and handler."""
    return {
        "python": {"Runtime": functions.python, "Handler": "app.handler"},
        "node": {"Runtime": functions.node, "Handler": "index.handler"},
        "custom": {"Runtime": "provided.al2023", "Handler": "unused"},
    }[family]


def deploy(functions: Functions, family: str, extra: dict[str, str] | None = None, **settings: Any) -> str:
    """A function that says what it sees."""
    return functions.deploy(files_of(family, extra), **(settings_of(functions, family) | settings))


def wait_for_stock(server: Server, least: int = 1) -> dict[str, float]:
    """Waits until the stock has what it wants, at least so many; gives the metrics."""

    def is_stocked() -> dict[str, float] | None:
        now = metrics_of(server)
        return now if now[READY] >= least and now[BUILDING] == 0 else None

    return until(is_stocked, f"{least} sandboxes wait", 30)


def blanks_of(server: Server) -> set[int]:
    """Host pids of the first processes of sandboxes that show no package."""
    own = inside.namespaces_of(os.getpid())["pid"]
    found = set()
    for pid in leftovers.descendants(server.pid):
        is_first = inside.namespaces_of(pid).get("pid", own) != own and "\t1\n" in nested_pids(pid)
        if is_first and not leftovers.mounts_of(f"{server.mark}code/", pid):
            found.add(pid)
    return found


def nested_pids(pid: int) -> str:
    """The pids of a process, with the innermost last, and a final line break."""
    try:
        lines = (leftovers.PROC / str(pid) / "status").read_text().splitlines(keepends=True)
    except OSError:
        return ""
    return next((line for line in lines if line.startswith("NSpid:")), "")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cold_start_comes_from_the_stock_and_sees_what_any_other_sees(
    fresh_server: Server, functions_of: FunctionsOf, family: str
) -> None:
    functions = functions_of(fresh_server)
    variables = {"TABLE": "users", "EMPTY": "", "PATH": "/var/task/bin:/usr/bin:/bin"}
    extra = {"data.txt": "x"}
    name = deploy(functions, family, extra, MemorySize=192, Environment={"Variables": variables})
    before = wait_for_stock(fresh_server)
    result = functions.invoke(name, {}, LogType="Tail")
    assert result.function_error is None, result
    after = metrics_of(fresh_server)
    assert (after[FROM_STOCK] - before[FROM_STOCK], after[FROM_EMPTY]) == (1, before[FROM_EMPTY]), after
    seen = result.value
    environment = seen["environment"]
    assert environment["TABLE"] == "users" and environment["EMPTY"] == "" and "/var/task/bin" in environment["PATH"]
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == name and environment["AWS_ENDPOINT_URL"], environment
    assert environment["AWS_LAMBDA_LOG_STREAM_NAME"] and environment["AWS_ACCESS_KEY_ID"], environment
    assert seen["directory"] == "/var/task" and "--blank" not in seen["arguments"], seen
    assert seen["files"] == sorted(files_of(family, extra)) and int(seen["memory"]) == 192, seen
    assert report_of(result.log).init is not None
    platform = ("INIT_START", "START", "END", "REPORT")
    printed = [line for line in messages(fresh_server, name, 1) if not line.startswith(platform)]
    assert [line.split("\t")[-1].strip() for line in printed] == ["imported", "called"], printed


def test_libraries_of_the_package_are_found_by_an_interpreter_that_was_there_before_it(
    server: Server, functions: Functions, tmp_path: Path
) -> None:
    """The dynamic linker looks once whether a directory is there."""
    (tmp_path / "mine.c").write_text("int answer(void) { return 42; }\n")
    library = tmp_path / "libmine.so"
    run([tool("cc"), "-shared", "-fPIC", "-o", str(library), str(tmp_path / "mine.c")]).ok()
    code = "import ctypes\ndef handler(event, context):\n    return ctypes.CDLL('libmine.so').answer()\n"
    name = functions.deploy(
        {"app.py": code, "lib/libmine.so": library.read_bytes()}, **settings_of(functions, "python")
    )
    before = wait_for_stock(server)
    assert functions.call(name) == 42
    assert metrics_of(server)[FROM_STOCK] == before[FROM_STOCK] + 1


@pytest.mark.parametrize("family", FAMILIES)
def test_limits_are_those_of_the_function(server: Server, functions: Functions, family: str) -> None:
    """The sandbox was built with the least that there is, and grows into its function."""
    package = zip_of(files_of(family, {"limits.txt": family}))
    name = deploy(functions, family, {"limits.txt": family}, MemorySize=448)
    wait_for_stock(server)
    before = metrics_of(server)[FROM_STOCK]
    functions.call(name)
    assert metrics_of(server)[FROM_STOCK] == before + 1
    (pid, *_) = inside.processes_of(server, package)
    assert min(inside.limits_of(pid, "memory.limit_in_bytes", "memory.max")) == 448 * 1024 * 1024
    expected = {448 * 1024 // 1769, 448 * 100 // 1769}
    assert expected & set(inside.limits_of(pid, "cpu.shares", "cpu.weight"))


@pytest.mark.parametrize(
    ("family", "variables"),
    [
        ("python", {"PYTHONHASHSEED": "7"}),
        ("python", {"PYTHONPATH": "/var/task/lib"}),
        ("python", {"LD_LIBRARY_PATH": "/var/task/mine"}),
        ("python", {"LC_ALL": "C"}),
        ("node", {"NODE_OPTIONS": "--no-deprecation"}),
        ("node", {"UV_THREADPOOL_SIZE": "2"}),
        ("python", {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_what_a_runtime_reads_when_it_starts_is_honoured_by_one_that_is_started_for_the_function(
    server: Server, functions: Functions, family: str, variables: dict[str, str]
) -> None:
    wrapper = '#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n'
    package = zip_of(files_of(family, {"wrapper": wrapper}), executables=("wrapper",))
    settings = settings_of(functions, family) | {"Environment": {"Variables": variables}}
    name = f"unsuited-{family}-{next(iter(variables))}"
    functions.client.create_function(
        FunctionName=name, Role="arn:aws:iam::000000000000:role/r", Code={"ZipFile": package}, **settings
    )
    functions.wait_active(name)
    before = metrics_of(server)
    environment = functions.call(name)["environment"]
    after = metrics_of(server)
    assert (after[UNSUITED] - before[UNSUITED], after[FROM_STOCK]) == (1, before[FROM_STOCK])
    assert variables.items() <= environment.items()
    assert environment.get("WRAPPED") == ("yes" if "AWS_LAMBDA_EXEC_WRAPPER" in variables else None)


def test_a_burst_beyond_the_stock_is_answered_and_each_function_sees_its_own_code_only(
    server: Server, functions: Functions
) -> None:
    def one(number: int) -> str:
        return deploy(functions, FAMILIES[number % 3], {f"only-{number}.txt": str(number)})

    names = [one(number) for number in range(24)]
    wait_for_stock(server)
    before = metrics_of(server)
    with ThreadPoolExecutor(len(names)) as pool:
        seen = list(pool.map(functions.call, names))
    after = metrics_of(server)
    starts = after[FROM_STOCK] - before[FROM_STOCK] + after[FROM_EMPTY] - before[FROM_EMPTY]
    assert starts == len(names) and after[FROM_STOCK] > before[FROM_STOCK]
    for number, found in enumerate(seen):
        assert found["environment"]["AWS_LAMBDA_FUNCTION_NAME"] == names[number]
        assert found["files"] == sorted(files_of(FAMILIES[number % 3], {f"only-{number}.txt": ""}))


def test_what_was_killed_while_it_waited_is_not_handed_out(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    name = deploy(functions, "python")
    wait_for_stock(fresh_server, 2)
    killed = blanks_of(fresh_server)
    assert len(killed) >= 2
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert functions.call(name)["directory"] == "/var/task"
    # Seen as soon as the kernel says so, which may be after an answer by a sandbox that was built anew.
    until(lambda: metrics_of(fresh_server)[LOST] >= 1, "what was killed is counted")
    wait_for_stock(fresh_server, 2)
    assert not blanks_of(fresh_server) & killed


def test_a_mounter_that_is_killed_is_replaced(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    names = [deploy(functions, "python", {"own.txt": str(number)}) for number in range(2)]
    wait_for_stock(fresh_server, 2)
    mounter = mounter_of(fresh_server)
    os.kill(mounter, signal.SIGKILL)
    assert functions.call(names[0])["directory"] == "/var/task"
    until(lambda: processes.mounter(fresh_server.pid) not in (None, mounter), "there is another mounter")
    before = wait_for_stock(fresh_server)
    assert functions.call(names[1])["directory"] == "/var/task"
    assert metrics_of(fresh_server)[FROM_STOCK] == before[FROM_STOCK] + 1


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_nothing_of_the_stock_outlives_the_server(fresh_server: Server, functions_of: FunctionsOf, way: str) -> None:
    functions = functions_of(fresh_server)
    for family in FAMILIES:
        deploy(functions, family)
    wait_for_stock(fresh_server, 4)
    getattr(fresh_server, way)()


def test_a_launcher_that_is_killed_takes_the_stock_along_and_the_next_one_has_its_own(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    name = deploy(functions, "python")
    wait_for_stock(fresh_server, 2)
    old = blanks_of(fresh_server)
    os.kill(launcher_of(fresh_server), signal.SIGKILL)
    until(lambda: not old & leftovers.parents().keys(), "the old sandboxes are gone")
    until(lambda: len(blanks_of(fresh_server)) >= 2, "there are new ones", 30)
    assert functions.call(name)["directory"] == "/var/task"


def test_a_server_that_starts_again_stocks_what_its_functions_need(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    name = deploy(functions_of(fresh_server), "python")
    wait_for_stock(fresh_server, 2)
    fresh_server.stop()
    fresh_server.start()
    before = wait_for_stock(fresh_server, 2)
    assert functions_of(fresh_server).call(name)["directory"] == "/var/task"
    assert metrics_of(fresh_server)[FROM_STOCK] == before[FROM_STOCK] + 1


def test_the_network_is_the_functions(server: Server, functions: Functions) -> None:
    code = "def handler(event, context):\n    return open('/proc/net/dev').read().count(':')\n"
    with_network, without = functions.deploy_python(code), functions.deploy_python(code)
    set_egress(server, without, "none")
    # The first call of a profile makes it a stocked one.
    other = functions.deploy_python(code + "# another\n")
    set_egress(server, other, "none")
    functions.call(other)
    wait_for_stock(server, 3)
    before = metrics_of(server)[FROM_STOCK]
    assert (functions.call(with_network), functions.call(without)) == (2, 1)
    assert metrics_of(server)[FROM_STOCK] == before + 2


def test_without_a_stock_everything_is_built_for_its_function(new_server: NewServer, functions_of: FunctionsOf) -> None:
    server = new_server(config="stock = 0\n").start()
    functions = functions_of(server)
    for family in FAMILIES:
        assert functions.call(deploy(functions, family))["directory"] == "/var/task"
    now = metrics_of(server)
    assert (now[READY], now[BUILDING], now[FROM_STOCK], now[FROM_EMPTY]) == (0, 0, 0, 0)


def test_five_hundred_starts_from_the_stock_leave_nothing_behind(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    """A program that ends at once is started anew by each call: once for its initialisation, once within the call."""
    functions = functions_of(fresh_server)
    name = functions.deploy_custom("#!/bin/sh\nexit 1\n")
    functions.invoke(name)
    wait_for_stock(fresh_server, 2)
    before = usage_of(fresh_server)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: functions.invoke(name), range(500)))
    now = metrics_of(fresh_server)
    assert now[FROM_STOCK] + now[FROM_EMPTY] >= 500 and now[FROM_STOCK] >= 20, now

    def is_as_before() -> bool:
        after = usage_of(fresh_server)
        return all(after[kind] <= count for kind, count in before.items())

    # What a burst has raised falls again: two stay, as before it.
    until(is_as_before, f"descriptors, mounts, cgroups and processes are as before ({before})", 120)


def usage_of(server: Server) -> dict[str, int]:
    """What a server holds on its host, with some room for what waits, which comes and goes."""
    processes = [server.pid, launcher_of(server), mounter_of(server)]
    descriptors = sum(len(os.listdir(leftovers.PROC / str(pid) / "fd")) for pid in processes)
    roots = {root for pid in processes for root in server.tree().cgroups if root.is_dir()}
    groups = sum(1 for root in roots for entry in root.iterdir() if entry.is_dir())
    blanks = len(blanks_of(server))
    return {
        "descriptors": descriptors - 20 * blanks,
        "mounts": len(leftovers.mounts_of("", mounter_of(server))),
        "groups": groups - len(roots) * blanks,
        "processes": len(leftovers.descendants(server.pid)) - 2 * blanks,
    }


def launcher_of(server: Server) -> int:
    """The launcher's process."""
    launcher = processes.helper(server.pid, "launcher")
    assert launcher is not None
    return launcher


def mounter_of(server: Server) -> int:
    """The mounter's process."""
    mounter = processes.mounter(server.pid)
    assert mounter is not None
    return mounter
