"""Provisioned concurrency: instances that are initialised before anybody calls."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.arns import arn_of
from harness.functions import ECHO, Functions
from harness.metrics import metrics_of
from harness.refusals import Refusal, invalid_parameter, not_found, refusal, violation
from harness.server import Server
from harness.waiting import until

FunctionsOf = Callable[[Server], Functions]
TYPE = "import os\ndef handler(event, context):\n    return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n"
BROKEN = "raise RuntimeError('on purpose')\n"
UNPUBLISHED = invalid_parameter("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
PUBLISHED_ONLY = invalid_parameter("The function resource provided must be an alias or a published version.")
NO_CONFIG = Refusal(
    404,
    "ProvisionedConcurrencyConfigNotFoundException",
    "No Provisioned Concurrency Config found for this function",
)


def put(client: BaseClient, name: str, qualifier: str, count: int) -> dict[str, Any]:
    return client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=count
    )


def get(client: BaseClient, name: str, qualifier: str) -> dict[str, Any]:
    return client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)


def delete(client: BaseClient, name: str, qualifier: str) -> None:
    answer = client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204


def settled(client: BaseClient, name: str, qualifier: str) -> dict[str, Any]:
    """The configuration once nothing is in progress."""

    def found() -> dict[str, Any] | None:
        answer = get(client, name, qualifier)
        return answer if answer["Status"] != "IN_PROGRESS" else None

    return until(found, "the instances are there", 30)


def counts(answer: dict[str, Any]) -> tuple[int, int, int]:
    words = ("Requested", "Allocated", "Available")
    first, second, third = (int(answer[f"{word}ProvisionedConcurrentExecutions"]) for word in words)
    return first, second, third


def test_instances_are_initialised_before_the_first_call(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    client, name = functions.client, functions.deploy_python(TYPE, Publish=True)
    made = put(client, name, "1", 2)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (made["Status"], counts(made)) == ("IN_PROGRESS", (2, 0, 0))
    ready = settled(client, name, "1")
    assert (ready["Status"], counts(ready), "StatusReason" in ready) == ("READY", (2, 2, 2), False)
    assert metrics_of(fresh_server)['wuwei_instances{state="idle"}'] == 2
    result = functions.invoke(f"{name}:1", LogType="Tail")
    assert result.value == "provisioned-concurrency"
    assert "Init Duration" not in result.log and metrics_of(fresh_server)["wuwei_cold_starts_total"] == 0
    assert functions.call(name) == "on-demand"
    functions.client.update_function_configuration(FunctionName=name, Timeout=9)
    functions.wait_updated(name)
    assert counts(get(client, name, "1")) == (2, 2, 2)


def test_provisioned_instances_come_back_after_a_restart_and_go_with_their_version(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(TYPE, Publish=True)
    put(functions.client, name, "1", 1)
    settled(functions.client, name, "1")
    fresh_server.stop()
    fresh_server.start()
    client = functions_of(fresh_server).client
    assert settled(client, name, "1")["Status"] == "READY"
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 999
    client.delete_function(FunctionName=name, Qualifier="1")
    until(lambda: metrics_of(fresh_server)['wuwei_instances{state="idle"}'] == 0, "the instance is gone")
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 1_000


def test_an_alias_takes_its_instances_along(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(TYPE, Publish=True)
    client.update_function_configuration(FunctionName=name, Timeout=7)
    functions.wait_updated(name)
    assert client.publish_version(FunctionName=name)["Version"] == "2"
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    put(client, name, "live", 1)
    assert settled(client, name, "live")["Status"] == "READY"
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert counts(settled(client, name, "live")) == (1, 1, 1)
    assert functions.call(f"{name}:2") == "provisioned-concurrency"
    move = refusal(lambda: client.update_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST"))
    assert move == UNPUBLISHED
    client.delete_alias(FunctionName=name, Name="live")
    assert client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"] == []


def test_an_initialisation_that_fails_is_told(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(BROKEN, Publish=True)
    put(client, name, "1", 1)
    failed = settled(client, name, "1")
    assert (failed["Status"], failed["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    assert counts(failed)[2] == 0
    delete(client, name, "1")


def test_configurations_are_listed_in_pages_and_deleted(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO, Publish=True)
    client.update_function_configuration(FunctionName=name, Timeout=7)
    functions.wait_updated(name)
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="2")
    for qualifier in ("1", "live"):
        put(client, name, qualifier, 1)
    for size in (1, 2):
        pages = client.get_paginator("list_provisioned_concurrency_configs").paginate(
            FunctionName=name, PaginationConfig={"PageSize": size}
        )
        listed = [config["FunctionArn"] for page in pages for config in page["ProvisionedConcurrencyConfigs"]]
        assert listed == [arn_of(name, "1"), arn_of(name, "live")]
    for qualifier in ("1", "live", "1"):
        delete(client, name, qualifier)
    assert refusal(lambda: get(client, name, "1")) == NO_CONFIG


def test_only_what_is_published_is_provisioned_and_only_once(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO, Publish=True)
    assert refusal(lambda: put(client, name, "$LATEST", 1)) == UNPUBLISHED
    assert refusal(lambda: get(client, name, "$LATEST")) == PUBLISHED_ONLY
    assert refusal(lambda: delete(client, name, "$LATEST")) == PUBLISHED_ONLY
    assert refusal(lambda: put(client, name, "7", 1)) == not_found(arn_of(name, "7"))
    assert refusal(lambda: put(client, name, "other", 1)) == Refusal(
        404, "ResourceNotFoundException", f"Cannot find alias arn: {arn_of(name, 'other')}"
    )
    assert refusal(lambda: put(client, "nobody-here", "1", 1)) == not_found(arn_of("nobody-here"))
    assert refusal(lambda: put(client, name, "1", 0)) == violation(
        "Value '0'", "provisionedConcurrentExecutions", "Member must have value greater than or equal to 1"
    )
    client.create_alias(FunctionName=name, Name="latest", FunctionVersion="$LATEST")
    assert refusal(lambda: put(client, name, "latest", 1)) == UNPUBLISHED
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    put(client, name, "1", 1)
    assert refusal(lambda: put(client, name, "live", 1)) == Refusal(
        409,
        "ResourceConflictException",
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )
    delete(client, name, "1")
    put(client, name, "live", 1)
    pointed = Refusal(409, "ResourceConflictException", "Version is pointed by a Provisioned Concurrency alias")
    assert refusal(lambda: put(client, name, "1", 1)) == pointed
    delete(client, name, "live")


def test_what_is_provisioned_stays_within_what_is_reserved_and_what_the_account_has(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    client, name = functions.client, functions.deploy_python(ECHO, Publish=True)
    assert refusal(lambda: put(client, name, "1", 1_001)) == invalid_parameter(
        "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000]."
    )
    assert refusal(lambda: put(client, name, "1", 901)) == invalid_parameter(
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100]."
    )
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    assert refusal(lambda: put(client, name, "1", 3)) == invalid_parameter(
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    )
    put(client, name, "1", 2)
    with pytest.raises(client.exceptions.InvalidParameterValueException) as caught:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert "should not be lower than function's total provisioned concurrency [2]" in str(caught.value)
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 998
