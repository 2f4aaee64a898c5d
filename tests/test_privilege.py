"""What each process of a running server may do: held against the table in docs/security.md."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from harness import leftovers
from harness.functions import ECHO, Functions
from harness.processes import SETS, Process, helper, mounter, sandboxes, zygote
from harness.server import Server
from harness.tools import REPOSITORY, plain_environment, run, tool, wuwei_binary
from harness.waiting import until

MakeServer = Callable[..., Server]
FunctionsOf = Callable[[Server], Functions]

SLOW = "import time\ndef handler(event, context):\n    print('began')\n    time.sleep(1)\n    return event\n"
HOST_USERS = range(1_879_048_192, 2_147_352_576)
FIRST_PROCESS = "first process of a sandbox"
RUNTIME = "runtime, and what it starts"


def table() -> dict[str, list[str]]:
    """The rows of the table in docs/security.md, by process."""
    text = (REPOSITORY / "docs" / "security.md").read_text()
    section = text.partition("## What each process may do")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows[2:]}


def answers(functions: Functions, name: str) -> bool:
    """Whether a function can be called now."""
    with suppress(ClientError):
        return functions.invoke(name, "here").value == "here"
    return False


@pytest.fixture(scope="module")
def processes(server: Server, functions: Functions) -> dict[str, Process]:
    """Each process of the table, of a server that has an instance."""
    functions.call(functions.deploy_python(ECHO), 1)
    first, runtime = next(sandboxes(server.pid))
    until(lambda: zygote(server.pid) is not None, "there is a Python to fork from")
    found = {name: helper(server.pid, name) for name in ("steward", "launcher", "filler", "keeper")}
    found |= {"mounter": mounter(server.pid), "zygote": zygote(server.pid)}
    pids = {"server": server.pid, **found, FIRST_PROCESS: first, RUNTIME: runtime}
    return {name: Process.of(pid) for name, pid in pids.items() if pid is not None}


def test_the_table_has_every_process_of_a_server(processes: dict[str, Process], server: Server) -> None:
    assert set(processes) == set(table())
    named = {process.pid for process in processes.values()}
    inside = {pid for pair in sandboxes(server.pid) for pid in pair}
    others = {pid for pid in leftovers.descendants(server.pid) - named - inside if Path(f"/proc/{pid}").exists()}
    # A sandbox that is just being built is a copy of the launcher; each Python of the host has a zygote.
    lines = [leftovers.command_line(pid) for pid in others]
    assert all("__launcher" in line or line.endswith(" --zygote") for line in lines), lines


@pytest.mark.parametrize("name", table())
def test_a_process_has_the_capabilities_of_the_table_and_no_others(processes: dict[str, Process], name: str) -> None:
    process = processes[name]
    documented = set(re.findall(r"CAP_[A-Z_]+", table()[name][1]))
    # A container may have fewer to give.
    expected = documented & Process.of("self").capabilities("CapBnd")
    found = {kind: process.capabilities(kind) for kind in SETS}
    inherited: set[str] = set()
    assert found == {
        "CapInh": inherited,
        "CapPrm": expected,
        "CapEff": expected,
        "CapBnd": expected,
        "CapAmb": inherited,
    }


@pytest.mark.parametrize("name", table())
def test_no_process_gains_privileges_by_executing_a_program(processes: dict[str, Process], name: str) -> None:
    assert processes[name].status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("name", table())
def test_a_process_has_the_user_of_the_table_and_no_further_group(processes: dict[str, Process], name: str) -> None:
    process, user = processes[name], table()[name][0]
    slots = {processes[FIRST_PROCESS].user, processes[RUNTIME].user}
    assert process.status["Groups"] == ""
    if user == "root":
        assert process.user == 0
    elif user == "one of its own":
        assert process.user in HOST_USERS and process.user not in slots and process.group == process.user
    else:
        assert user == "one of the sandbox's own"
        assert {process.user} == slots and process.user in HOST_USERS


@pytest.mark.parametrize("name", ["server", "steward", "launcher", "filler"])
def test_no_process_of_the_platform_leaves_a_core_dump(processes: dict[str, Process], name: str) -> None:
    assert processes[name].core_bytes <= 1
    assert processes[name].is_hidden or processes[name].user == 0


def test_the_launcher_has_no_network(processes: dict[str, Process]) -> None:
    namespaces = {name: processes[name].namespace("net") for name in ("server", "launcher")}
    assert len(set(namespaces.values())) == 2, namespaces
    devices = Path(f"/proc/{processes['launcher'].pid}/net/dev").read_text()
    assert re.findall(r"^ *(\w+):", devices, re.MULTILINE) == ["lo"]


def test_the_start_says_that_root_was_given_up(server: Server, processes: dict[str, Process]) -> None:
    assert f"root was given up: the server has a user of its own user={processes['server'].user}" in server.stderr


def test_what_is_in_the_data_directory_belongs_to_the_servers_user(
    server: Server, processes: dict[str, Process]
) -> None:
    user = processes["server"].user
    found = [server.data_dir, *server.data_dir.rglob("*")]
    owners = {path: (path.lstat().st_uid, path.lstat().st_gid) for path in found if path.exists()}
    assert set(owners.values()) == {(user, user)}, owners


def test_a_data_directory_below_one_that_is_closed_to_others_is_reached(
    new_server: MakeServer, functions_of: FunctionsOf
) -> None:
    made = new_server()
    made.data_dir.parent.chmod(0o700)
    made.start()
    assert Process.of(made.pid).user in HOST_USERS
    functions = functions_of(made)
    name = functions.deploy_python(ECHO)
    assert functions.call(name, "there") == "there"
    # It sees nothing else of the closed directory, which all others see as it is.
    (made.data_dir.parent / "beside").write_text("x")
    assert os.listdir(f"/proc/{made.pid}/root{made.data_dir.parent}") == [made.data_dir.name]
    made.stop()
    assert functions_of(made.start()).call(name, "again") == "again"


def test_a_data_directory_of_root_changes_hands_and_stays_with_its_user(
    new_server: MakeServer, functions_of: FunctionsOf
) -> None:
    made = new_server().start()
    name = functions_of(made).deploy_python(ECHO)
    user = Process.of(made.pid).user
    made.stop()
    for path in [made.data_dir, *made.data_dir.rglob("*")]:
        os.chown(path, 0, 0, follow_symlinks=False)
    assert functions_of(made.start()).call(name, 1) == 1
    # Right after a kill the last life's sandboxes may still be there: the user is waited for, not changed.
    os.kill(made.pid, signal.SIGKILL)
    made.wait_exit()
    assert functions_of(made.start()).call(name, 2) == 2
    assert Process.of(made.pid).user == user


def test_helpers_that_die_are_replaced_though_the_server_is_not_root(
    new_server: MakeServer, functions_of: FunctionsOf
) -> None:
    made = new_server().start()
    functions = functions_of(made)
    name = functions.deploy_python(ECHO)
    for which in ("launcher", "filler"):
        before = helper(made.pid, which)
        assert before is not None
        os.kill(before, signal.SIGKILL)
        until(lambda: helper(made.pid, which) not in (None, before), f"another {which} runs")  # noqa: B023
        until(lambda: answers(functions, name), "functions run again", 30)
    assert all(process.status["State"][0] != "Z" for process in map(Process.of, leftovers.descendants(made.pid)))


def test_after_kill_nine_the_steward_removes_control_groups_and_template(
    new_server: MakeServer, functions_of: FunctionsOf
) -> None:
    made = new_server().start()
    functions = functions_of(made)
    assert functions.call(functions.deploy_python(ECHO), 1) == 1
    tree, launcher = made.tree(), helper(made.pid, "launcher")
    assert launcher is not None and tree.cgroups
    os.kill(made.pid, signal.SIGKILL)
    os.kill(launcher, signal.SIGKILL)
    made.wait_exit()
    made.check_nothing_left(tree, cgroups=True)


def test_a_server_that_loses_its_steward_drains_and_says_why(new_server: MakeServer, functions_of: FunctionsOf) -> None:
    made = new_server().start()
    functions = functions_of(made)
    name = functions.deploy_python(SLOW)
    steward = helper(made.pid, "steward")
    assert steward is not None
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(functions.call, name, 1)
        until(lambda: "began" in made.wuwei("logs", name).output, "the call is running")
        tree = made.tree()
        os.kill(steward, signal.SIGKILL)
        assert call.result(20) == 1
    assert made.wait_exit() == 5
    assert "cannot go on without the steward" in made.stderr
    made.check_nothing_left(tree, cgroups=False)
    # Its control groups are removed by the next life.
    made.start().stop()


def test_a_helper_refuses_names_that_are_paths() -> None:
    """What the server says to its steward is hostile, too: here by a program in its place."""
    code = (
        "import json, socket, subprocess, sys\n"
        "ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "child = subprocess.Popen([sys.argv[1], '__steward'], stdin=theirs)\n"
        "theirs.close()\n"
        "ours.send(json.dumps({'Setup': {'server': '../../etc', 'owner': 0}}).encode())\n"
        "print(ours.recv(1000).decode(), child.wait())\n"
    )
    done = run([tool("python3"), "-c", code, str(wuwei_binary())], plain_environment(), within=30).ok()
    assert done.output.strip() == "5", done
    assert "cannot be part of a path" in done.errors


def test_the_commands_of_root_find_the_key_of_a_server_that_is_not(server: Server) -> None:
    assert server.wuwei("ls").status == 0
    assert server.keys.secret_access_key


def test_an_ordinary_user_cannot_take_a_servers_data_directory(server: Server) -> None:
    binary = shutil.copy(wuwei_binary(), server.data_dir.parent / "wuwei")
    prefix = [tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"]
    refused = run([*prefix, str(binary), "up", "--listen", "127.0.0.1:0", "--data-dir", str(server.data_dir)])
    assert refused.status > 0
    assert "belongs to user" in refused.errors, refused
