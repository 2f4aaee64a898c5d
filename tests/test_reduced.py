"""`--sandbox=reduced`: less isolation where a host gives no namespaces, said aloud, with filter and limits kept."""

from collections.abc import Callable

from test_custom_runtime import SHELL

from harness.functions import Functions
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


def test_custom_runtimes_and_time_limits_work_in_reduced_isolation(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(new_server(arguments=("--sandbox", "reduced")).start())
    assert functions.call(functions.deploy_custom(SHELL), {"a": 1}) == {"event": {"a": 1}, "handler": "unused"}
    name = functions.deploy_python("import time\ndef handler(event, context):\n    time.sleep(60)\n", Timeout=1)
    assert functions.invoke(name).value["errorType"] == "Sandbox.Timedout"
