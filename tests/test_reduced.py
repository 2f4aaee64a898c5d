"""`--sandbox=reduced`: less isolation where a host gives no namespaces, said aloud, with filter and limits kept."""

import stat
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from test_custom_runtime import SHELL

from harness.functions import Functions
from harness.layers import publish
from harness.ordinary import OrdinaryServer
from harness.refusals import Refusal, refusal
from harness.server import Server

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


def test_functions_with_layers_say_that_they_need_full_isolation(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(new_server(arguments=("--sandbox", "reduced")).start())
    layer = publish(functions.client, {"python/tool.py": "NAME = 1"})["LayerVersionArn"]
    name = functions.deploy_python(PROBE, Layers=[layer])
    text = "functions with layers need full isolation: this server runs with --sandbox=reduced"
    assert refusal(lambda: functions.invoke(name)) == Refusal(500, "ServiceException", text)


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


@pytest.fixture
def ordinary(new_server: Callable[..., Server]) -> Iterator[OrdinaryServer]:
    """A server of an ordinary user, not started."""
    made = OrdinaryServer(new_server(), ("--sandbox", "reduced"))
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
    is_measured = {finding["name"]: finding["status"] for finding in ordinary.doctor()}["cgroups"] == "good"
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
    # A sandbox that stands without them is said to lack them.
    assert found["sandbox"]["status"] == "good", found
    if found["cgroups"]["status"] != "good":
        assert found["cgroups"]["status"] == "degraded", found
        assert "not limited" in found["cgroups"]["costs"], found
        assert "not for this user" in found["cgroups"]["found"], found
        assert "wuwei up" in found["cgroups"]["fix"], found
