"""`/tmp` of functions: on the disk, of exactly its size, of one environment only, and gone with it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.functions import Functions
from harness.metrics import metrics_of
from harness.network import shown_instead
from harness.processes import helper
from harness.server import Server
from harness.tools import run
from harness.waiting import until

EVAL = """
import errno, os, shutil, signal, time
def fill(path, size, megabytes=1 << 20):
    written = 0
    block = b'x' * size
    try:
        with open(path, 'wb', buffering=0) as file:
            while written < megabytes * 1024 * 1024:
                written += file.write(block)
    except OSError as error:
        return [written, errno.errorcode[error.errno]]
    return [written, None]
def handler(event, context):
    names = dict(globals())
    exec(event, names)
    return names['result']
"""
MB = 1024 * 1024
STOCK = 4  # file systems that are made ahead
READY = 'wuwei_stock_blanks{state="ready"}'
BUILDING = 'wuwei_stock_blanks{state="building"}'
FREE = "(lambda disk: [disk.f_bavail * disk.f_frsize, disk.f_favail])(os.statvfs('/tmp'))"


@pytest.fixture(scope="module")
def small(functions: Functions) -> str:
    """A function with the least memory, that runs the statements of its event."""
    return functions.deploy_python(EVAL, MemorySize=128, Timeout=120)


def devices_of(server: Server) -> set[str]:
    """Block devices that are made of files below a server's data directory."""
    found = set()
    for device in Path("/sys/block").glob("loop*"):
        try:
            image = (device / "loop" / "backing_file").read_text()
        except OSError:
            continue
        if server.mark in image:
            found.add(device.name)
    return found


def attached(server: Server) -> set[tuple[str, str]]:
    """Those devices, each with a number that it gets anew with each file."""
    return {(name, Path(f"/sys/block/{name}/diskseq").read_text().strip()) for name in devices_of(server)}


def changes_of(action: Callable[[], None], server: Server) -> set[tuple[str, str]]:
    """Those that are others afterwards."""
    before = attached(server)
    action()
    return before - attached(server)


def replaced(before: set[tuple[str, str]], count: int, server: Server) -> Callable[[], bool]:
    """Whether so many of them are gone."""
    return lambda: len(before - attached(server)) >= count


def fresh(functions: Functions, **settings: Any) -> str:
    """A function of its own, whose `/tmp` nobody has used yet."""
    return functions.deploy_python(EVAL, **{"MemorySize": 128, "Timeout": 120, **settings})


def test_tmp_is_a_file_system_on_the_disk(functions: Functions, small: str) -> None:
    statements = "result = [line.split()[1:3] for line in open('/proc/mounts') if line.split()[1] == '/tmp']"
    assert functions.call(small, statements) == [["/tmp", "ext4"]]
    flags = "result = next(line.split()[3] for line in open('/proc/mounts') if line.split()[1] == '/tmp').split(',')"
    assert {"nosuid", "nodev"} <= set(functions.call(small, flags))


@pytest.mark.parametrize("megabytes", [512, 700, 2048])
def test_tmp_has_exactly_the_size_that_is_set(functions: Functions, megabytes: int) -> None:
    name = fresh(functions, EphemeralStorage={"Size": megabytes})
    available, files = functions.call(name, f"result = {FREE}")
    assert available == megabytes * MB
    assert files >= 30_000


def test_what_is_in_tmp_does_not_count_as_memory(functions: Functions) -> None:
    """300 MB in a function of 128 MB, written, read and written again."""
    name = fresh(functions)
    assert functions.call(name, "result = fill('/tmp/large', 1 << 20, 300)") == [300 * MB, None]
    reading = "result = sum(len(part) for part in iter(lambda f=open('/tmp/large', 'rb'): f.read(1 << 20), b''))"
    assert functions.call(name, reading) == 300 * MB
    assert functions.call(name, "result = fill('/tmp/large', 1 << 20, 300)") == [300 * MB, None]


def test_at_its_limit_tmp_is_full_and_space_comes_back_with_what_is_deleted(functions: Functions) -> None:
    name = fresh(functions)
    written, reason = functions.call(name, "result = fill('/tmp/large', 4096)")
    assert reason == "ENOSPC"
    # A file system keeps some blocks to find those of a large file.
    assert 512 * MB - 1 * MB <= written <= 512 * MB
    assert functions.call(name, "result = fill('/tmp/another', 4096)[1]") == "ENOSPC"
    again = "os.unlink('/tmp/large'); os.unlink('/tmp/another'); result = fill('/tmp/large', 1 << 20, 500)"
    assert functions.call(name, again) == [500 * MB, None]


def test_tmp_has_room_for_so_many_files_and_no_more(functions: Functions, small: str) -> None:
    name = fresh(functions)
    statements = """
result = None
for number in range(200_000):
    try:
        os.close(os.open('/tmp/' + str(number), os.O_CREAT | os.O_WRONLY))
    except OSError as error:
        result = [number, errno.errorcode[error.errno]]
        break
"""
    made, reason = functions.call(name, statements)
    assert reason == "ENOSPC" and 30_000 <= made < 200_000
    assert functions.call(small, "result = fill('/tmp/beside', 4096, 1)") == [MB, None]
    functions.call(small, "os.unlink('/tmp/beside'); result = 0")


def test_a_full_tmp_leaves_others_theirs(functions: Functions, small: str) -> None:
    full = fresh(functions)
    assert functions.call(full, "result = fill('/tmp/large', 1 << 20)[1]") == "ENOSPC"
    available, _ = functions.call(small, f"result = {FREE}")
    assert available == 512 * MB


def test_tmp_is_nobody_elses_and_empty_at_first(functions: Functions) -> None:
    first, second = fresh(functions), fresh(functions)
    functions.call(first, "open('/tmp/secret', 'w').write('x'); result = 0")
    assert functions.call(second, "result = os.listdir('/tmp')") == []


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "time.sleep(60)"])
def test_tmp_survives_a_reset_of_the_runtime(functions: Functions, end: str) -> None:
    name = fresh(functions, Timeout=10 if "kill" in end else 2)
    functions.call(name, "os.mkdir('/tmp/kept', 0o700); open('/tmp/kept/file', 'w').write('here'); result = 0")
    assert functions.invoke(name, end).function_error
    statements = "open('/tmp/kept/file', 'a').write(' still'); result = open('/tmp/kept/file').read()"
    assert functions.call(name, statements) == "here still"


def test_a_program_runs_from_tmp(functions: Functions, small: str) -> None:
    statements = """
import subprocess
open('/tmp/program', 'w').write('#!/bin/sh\\necho ran\\n')
os.chmod('/tmp/program', 0o755)
result = subprocess.run(['/tmp/program'], capture_output=True, text=True).stdout
"""
    assert functions.call(small, statements) == "ran\n"


def test_nothing_is_left_of_a_server_that_is_killed(new_server: Any, functions_of: Any) -> None:
    server: Server = new_server().start()
    functions: Functions = functions_of(server)
    name = fresh(functions)
    assert functions.call(name, "result = fill('/tmp/large', 1 << 20, 100)") == [100 * MB, None]
    assert devices_of(server)
    server.kill()
    until(lambda: not devices_of(server), "the devices are free")
    assert not list((server.data_dir / "run").glob("*.img"))


def test_of_environments_that_have_ended_nothing_stays_on_the_disk(new_server: Any, functions_of: Any) -> None:
    server: Server = new_server(config="keep_alive_s = 1\n").start()
    functions: Functions = functions_of(server)
    large = fresh(functions, EphemeralStorage={"Size": 1024})
    assert functions.call(large, "result = fill('/tmp/large', 1 << 20, 900)") == [900 * MB, None]
    # Others begin while it ends.
    functions.client.delete_function(FunctionName=large)
    for name in [fresh(functions) for _ in range(4)]:
        assert functions.call(name, "result = os.listdir('/tmp')") == []

    def only_what_waits_is_there() -> bool:
        metrics = metrics_of(server)
        blanks = metrics[READY] + metrics[BUILDING]
        return metrics[BUILDING] == 0 and len(devices_of(server)) == STOCK + blanks

    until(only_what_waits_is_there, "file systems are those that were made ahead, and those of sandboxes in stock")


def test_a_tmp_that_nobody_has_changed_is_given_on_and_any_other_one_is_not(new_server: Any, functions_of: Any) -> None:
    server: Server = new_server(config="keep_alive_s = 1\n").start()
    functions: Functions = functions_of(server)
    names = [fresh(functions) for _ in range(3)]

    def round_of(statements: str) -> None:
        for name in names:
            functions.call(name, "MB = 1 << 20; " + statements + "; result = 0")
        until(lambda: metrics_of(server)['wuwei_instances{state="idle"}'] == 0, "the environments have ended")
        until(lambda: metrics_of(server)[BUILDING] == 0, "the stock is full")

    # The first ones make the stock as large as it is to be.
    round_of("pass")
    until(lambda: not changes_of(lambda: round_of("pass"), server), "the same ones are used again")
    changes = {
        "a file": "open('/tmp/file', 'w').write('secret')",
        "a file that is gone again": "open('/tmp/file', 'w').write('secret'); os.remove('/tmp/file')",
        "a file without a name": "f = os.open('/tmp', os.O_TMPFILE | os.O_RDWR); os.write(f, bytes(MB)); os.fsync(f)",
        "a mode": "os.chmod('/tmp', 0o700); os.chmod('/tmp', 0o1777)",
        "times": "os.utime('/tmp', (1, 1))",
        "an attribute": "os.setxattr('/tmp', 'user.secret', b'1')",
    }
    for what, statements in changes.items():
        before = attached(server)
        round_of(statements)
        until(replaced(before, len(names), server), f"those that were changed are gone: {what}")
    for name in names:
        state = "[os.listdir('/tmp'), os.stat('/tmp').st_mode & 0o7777, os.listxattr('/tmp'), *" + FREE + "]"
        assert functions.call(name, f"result = {state}")[:4] == [[], 0o1777, [], 512 * MB]


def test_doctor_tells_where_tmp_is(server: Server) -> None:
    def finding(prefix: tuple[str, ...]) -> dict[str, Any]:
        command = [*prefix, *server.command()[len(server.wrapper) :][:1]]
        findings = json.loads(run([*command, "doctor", "--json"]).output)
        return next(finding for finding in findings if finding["name"] == "/tmp")

    assert finding(())["status"] == "good"
    lacking = finding(shown_instead("/dev/null", "/dev/loop-control"))
    assert lacking["status"] == "degraded" and "in memory" in lacking["costs"]


def test_without_loop_devices_tmp_is_in_memory_and_the_start_says_so(new_server: Any, functions_of: Any) -> None:
    server: Server = new_server(prefix=shown_instead("/dev/null", "/dev/loop-control")).start()
    assert "`/tmp` of functions is in memory" in server.stderr
    functions: Functions = functions_of(server)
    name = fresh(functions, MemorySize=256)
    statements = "result = [line.split()[2] for line in open('/proc/mounts') if line.split()[1] == '/tmp']"
    assert functions.call(name, statements) == ["tmpfs"]
    assert functions.call(name, "result = os.statvfs('/tmp').f_blocks * os.statvfs('/tmp').f_frsize") == 512 * MB


def test_a_keeper_that_is_killed_is_replaced_and_costs_no_file(new_server: Any, functions_of: Any) -> None:
    server: Server = new_server().start()
    functions: Functions = functions_of(server)
    name = fresh(functions)
    functions.call(name, "open('/tmp/kept', 'w').write('x'); result = 0")
    keeper = helper(server.pid, "keeper")
    assert keeper is not None
    os.kill(keeper, 9)
    assert functions.call(name, "result = os.listdir('/tmp')") == ["kept"]
    until(lambda: helper(server.pid, "keeper") not in (None, keeper), "there is another keeper")
    until(lambda: mounted(functions) == "ext4", "another function has its `/tmp` on the disk")


def mounted(functions: Functions) -> str:
    """The kind of file system of a new function's `/tmp`."""
    statements = "result = [line.split()[2] for line in open('/proc/mounts') if line.split()[1] == '/tmp'][0]"
    return str(functions.call(fresh(functions), statements))
