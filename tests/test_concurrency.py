"""Reserved concurrency: what is kept for a function, what others lose by it, and what the account has."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from harness.arns import arn_of
from harness.functions import ECHO, Functions, boto_client
from harness.metrics import metrics_of
from harness.packages import zip_of
from harness.refusals import Refusal, invalid_parameter, not_found, refusal, violation
from harness.server import Server
from harness.servers import newest_node, newest_python
from harness.waiting import until

FUNCTIONS_ONLY = (
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please "
    "specify either a function name or an unqualified function ARN."
)
WAIT = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event\n"
MakeServer = Callable[..., Server]


def too_low(minimum: int) -> Refusal:
    return invalid_parameter(
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        f"its minimum value of [{minimum}]."
    )


def reserve(client: BaseClient, name: str, reserved: int) -> int:
    answer = client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    return int(answer["ReservedConcurrentExecutions"])


def unreserved(client: BaseClient) -> int:
    return int(client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"])


def deploy(server: Server, code: str = ECHO, **settings: object) -> tuple[Functions, str]:
    functions = Functions(boto_client(server), newest_python(server), newest_node(server))
    return functions, functions.deploy_python(code, **settings)


def test_a_reservation_is_made_shown_and_given_back(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    before = unreserved(client)
    assert reserve(client, name, 5) == 5
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 5
    assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    assert unreserved(client) == before - 5
    assert functions.call(name, 1) == 1
    gone = client.delete_function_concurrency(FunctionName=name)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "Concurrency" not in client.get_function(FunctionName=name)
    assert unreserved(client) == before


def test_a_hundred_stay_unreserved(functions: Functions) -> None:
    client, name, other = functions.client, functions.deploy_python(ECHO), functions.deploy_python(ECHO)
    most = unreserved(client) - 100
    assert refusal(lambda: reserve(client, name, most + 1)) == too_low(100)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    assert reserve(client, name, most) == most
    assert refusal(lambda: reserve(client, other, 1)) == too_low(100)
    # What a function has already counts for it, not against it.
    assert reserve(client, name, most - 1) == most - 1
    assert reserve(client, other, 1) == 1
    assert unreserved(client) == 100
    client.delete_function(FunctionName=name)
    client.delete_function_concurrency(FunctionName=other)


def test_a_reservation_is_refused_where_there_is_no_function(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO, Publish=True)
    assert refusal(lambda: reserve(client, "nobody-here", 1)) == not_found(arn_of("nobody-here"))
    for operation in (client.get_function_concurrency, client.delete_function_concurrency):
        assert refusal(operation, FunctionName="nobody-here") == not_found(arn_of("nobody-here"))
        assert refusal(operation, FunctionName=f"{name}:1") == invalid_parameter(FUNCTIONS_ONLY)
    assert refusal(lambda: reserve(client, f"{name}:1", 1)) == invalid_parameter(FUNCTIONS_ONLY)
    assert refusal(lambda: reserve(client, name, -1)) == violation(
        "Value '-1'", "reservedConcurrentExecutions", "Member must have value greater than or equal to 0"
    )


def test_of_many_reservations_at_a_time_no_more_are_made_than_there_is_room(new_server: MakeServer) -> None:
    server = new_server(config="account_concurrency = 104\n").start()
    functions, _ = deploy(server)
    names = [functions.deploy_python(ECHO) for _ in range(8)]

    def attempt(name: str) -> int:
        try:
            return reserve(functions.client, name, 1)
        except ClientError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, names)) == 4
    assert unreserved(functions.client) == 100


def test_a_function_without_any_concurrency_is_throttled_with_its_own_reason(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO)
    reserve(client, name, 0)
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        functions.invoke(name)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert caught.value.response["Error"]["Message"] == "Rate Exceeded."
    client.delete_function_concurrency(FunctionName=name)
    assert functions.call(name, 2) == 2


def throttle_reason(functions: Functions, name: str) -> str:
    """The reason of a call that is refused."""
    with pytest.raises(functions.client.exceptions.TooManyRequestsException) as caught:
        functions.invoke(name, 0)
    return str(caught.value.response["Reason"])


def test_a_function_runs_as_often_as_is_reserved_and_leaves_others_alone(fresh_server: Server) -> None:
    functions, name = deploy(fresh_server, WAIT, Timeout=60)
    other = functions.deploy_python(ECHO)
    reserve(functions.client, name, 2)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(functions.call, name, 4) for _ in range(2)]
        until(lambda: metrics_of(fresh_server)['wuwei_instances{state="busy"}'] == 2, "two calls run")
        assert throttle_reason(functions, name) == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert functions.call(other, "runs") == "runs"
        reserve(functions.client, name, 3)
        assert functions.call(name, 0) == 0
        assert [each.result() for each in running] == [4, 4]
    assert functions.call(name, 0) == 0


def test_a_reservation_survives_a_restart_and_goes_with_its_function(fresh_server: Server) -> None:
    functions, name = deploy(fresh_server)
    reserve(functions.client, name, 0)
    fresh_server.stop()
    fresh_server.start()
    again = Functions(boto_client(fresh_server), functions.python)
    assert throttle_reason(again, name) == "ReservedFunctionConcurrentInvocationLimitExceeded"
    again.client.delete_function(FunctionName=name)
    again.deploy_python(ECHO, FunctionName=name)
    assert again.call(name, "free") == "free"


def test_the_account_shows_its_limits_and_what_it_uses(fresh_server: Server) -> None:
    functions, name = deploy(fresh_server, Publish=True)
    size = len(zip_of({"app.py": ECHO}))
    functions.deploy_python(ECHO)
    found = functions.client.get_account_settings()
    assert found["AccountLimit"] == {
        "TotalCodeSize": 80_530_636_800,
        "CodeSizeUnzipped": 262_144_000,
        "CodeSizeZipped": 52_428_800,
        "ConcurrentExecutions": 1_000,
        "UnreservedConcurrentExecutions": 1_000,
    }
    assert found["AccountUsage"] == {"TotalCodeSize": 3 * size, "FunctionCount": 2}
    functions.client.delete_function(FunctionName=name, Qualifier="1")
    reserve(functions.client, name, 7)
    found = functions.client.get_account_settings()
    assert found["AccountUsage"] == {"TotalCodeSize": 2 * size, "FunctionCount": 2}
    assert found["AccountLimit"]["UnreservedConcurrentExecutions"] == 993
