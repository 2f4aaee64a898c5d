"""What a call may cost, as counts: times depend on the machine."""

import http.client
from collections.abc import Callable
from pathlib import Path

from harness.functions import ECHO, Functions
from harness.server import Server
from harness.system_calls import system_calls_of
from harness.wire import signed_headers

CALLS = 300
SERVER_CALLS_MAX = 20
"""System calls of the server for a warm call of a managed function, on a connection that is kept: two waits, request
and answer on both sockets, the function's output, its memory and CPU time; and what the threads that write logs and
ledger need every few milliseconds, which is the more for each call the slower calls are."""
WAKE_UPS_MAX = 6
"""Of these, those that wake another thread or wait for one."""


def test_a_warm_call_keeps_to_its_budget_of_system_calls(
    fresh_server: Server, tmp_path: Path, functions_of: Callable[[Server], Functions]
) -> None:
    name = functions_of(fresh_server).deploy_python(ECHO)
    connection = http.client.HTTPConnection(*fresh_server.address, timeout=30)
    path = f"/2015-03-31/functions/{name}/invocations"
    bodies = [b'{"n": %d}' % number for number in range(CALLS)]
    requests = [(body, signed_headers(fresh_server, "POST", path, body)) for body in bodies]

    def call(count: int) -> None:
        for body, headers in requests[:count]:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, body)

    call(50)
    counts = system_calls_of(fresh_server.pid, lambda: call(CALLS), tmp_path / "counts")
    connection.close()
    per_call = {kind: round(count / CALLS, 2) for kind, count in counts.most_common()}
    assert counts.total() / CALLS <= SERVER_CALLS_MAX, per_call
    assert counts["futex"] / CALLS <= WAKE_UPS_MAX, per_call
    assert counts["getrandom"] / CALLS < 0.1, per_call
