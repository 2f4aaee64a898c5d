"""`--sandbox=reduced`: less isolation where a host gives no namespaces, said aloud, with filter and limits kept."""

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from test_custom_runtime import SHELL

from harness.functions import Functions
from harness.server import Server
from harness.tools import plain_environment, run, tool, wuwei_binary

PROBE = """
import os
def handler(event, context):
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    return {
        "task": os.environ["LAMBDA_TASK_ROOT"],
        "uid": os.getuid(),
        "status": {name: status[name].strip() for name in ("Seccomp", "NoNewPrivs", "CapEff")},
        "pid_namespace": os.readlink("/proc/self/ns/pid"),
    }
"""


def test_functions_run_in_reduced_isolation_and_the_start_says_so(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    server = new_server(arguments=("--sandbox", "reduced")).start()
    functions = functions_of(server)
    answer = functions.call(functions.deploy_python(PROBE))
    assert answer["status"] == {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0000000000000000"}
    assert answer["uid"] != 0
    assert str(server.data_dir) in answer["task"]
    assert "reduced sandbox: functions see this machine's files and network" in server.stderr


def test_custom_runtimes_and_time_limits_work_in_reduced_isolation(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(new_server(arguments=("--sandbox", "reduced")).start())
    assert functions.call(functions.deploy_custom(SHELL), {"a": 1}) == {"event": {"a": 1}, "handler": "unused"}
    name = functions.deploy_python("import time\ndef handler(event, context):\n    time.sleep(60)\n", Timeout=1)
    assert functions.invoke(name).value["errorType"] == "Sandbox.Timedout"


READS_KEYS = """
import os, pathlib
def handler(event, context):
    return {"uid": os.getuid(), "length": len(pathlib.Path(event).read_text())}
"""
NOBODY = 65534


class OrdinaryServer(Server):
    """A server that an ordinary user runs; that user is the tests' own, unless that is root."""

    def __init__(self, made: Server) -> None:
        super().__init__(made.data_dir, made.config, ("--sandbox", "reduced"))
        self.binary = made.data_dir.parent / "wuwei"
        shutil.copy(wuwei_binary(), self.binary)
        self.binary.chmod(0o755)
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            os.chown(made.data_dir.parent, NOBODY, NOBODY)
            self.prefix = [tool("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

    def command(self) -> list[str]:
        """The same, by that user, with a binary that the user can reach."""
        return [*self.prefix, str(self.binary), *super().command()[1:]]

    def doctor(self) -> list[dict[str, Any]]:
        """What `wuwei doctor` tells that user."""
        environment = plain_environment(HOME=str(self.data_dir.parent), TMPDIR="/tmp")
        finished = run([*self.prefix, str(self.binary), "doctor", "--json"], environment)
        found = json.loads(finished.output)
        assert isinstance(found, list), finished
        return found


@pytest.fixture
def ordinary(new_server: Callable[..., Server]) -> Iterator[OrdinaryServer]:
    """A server of an ordinary user, not started."""
    made = OrdinaryServer(new_server())
    yield made
    if made.is_running():
        made.stop()
    made.end_orphans()


def test_an_ordinary_user_is_told_that_functions_can_read_the_servers_keys(
    ordinary: OrdinaryServer, functions_of: Callable[[Server], Functions]
) -> None:
    ordinary.start()
    assert "functions run as your user and can read the server's keys" in ordinary.stderr
    # It is so, and not only said.
    functions = functions_of(ordinary)
    key = ordinary.data_dir / "credentials.json"
    found = functions.call(functions.deploy_python(READS_KEYS), str(key))
    assert found == {"uid": key.stat().st_uid, "length": key.stat().st_size}
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_what_is_not_measured_is_not_told(
    ordinary: OrdinaryServer, functions_of: Callable[[Server], Functions]
) -> None:
    is_measured = {finding["name"]: finding["status"] for finding in ordinary.doctor()}["cgroups"] != "missing"
    functions = functions_of(ordinary.start())
    name = functions.deploy_python(PROBE)
    told = ordinary.wuwei("invoke", name).ok().errors
    assert ("memory not measured" in told) is not is_measured, told
    assert " 0 of 128 MB" not in told
    report: Any = ordinary.wuwei_json("invoke", name)
    assert (report["report"]["max_memory_mb"] is not None) is is_measured, report
    cost: Any = ordinary.wuwei_json("cost")
    assert (cost["total"]["max_memory_bytes"] is not None) is is_measured, cost
    assert (cost["total"]["cpu_ms"] is not None) is is_measured, cost


def test_doctor_tries_whether_control_groups_can_be_made(ordinary: OrdinaryServer) -> None:
    found = {finding["name"]: finding for finding in ordinary.doctor()}
    is_refused = "prepare control group" in found["sandbox"]["found"]
    assert (found["cgroups"]["status"] == "missing") is is_refused, found
    if is_refused:
        assert "not for this user" in found["cgroups"]["found"], found
        assert "wuwei up" in found["cgroups"]["fix"], found
        assert "can read the server's keys" in found["sandbox"]["costs"], found
