"""Smaller settings of functions: recursion, runtime management, scaling."""

from collections.abc import Callable

import pytest

from harness.arns import arn_of
from harness.functions import ECHO, Functions
from harness.refusals import invalid_parameter, not_found, refusal, violation
from harness.server import Server


def test_recursive_loops_are_terminated_unless_allowed(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO)
    assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
    for wanted in ("Allow", "Terminate", "Allow"):
        answer = client.put_function_recursion_config(FunctionName=name, RecursiveLoop=wanted)
        assert answer["RecursiveLoop"] == wanted
        assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == wanted


def test_a_recursion_configuration_has_two_values_and_a_function(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO)
    put = client.put_function_recursion_config
    assert refusal(put, FunctionName=name, RecursiveLoop="Sometimes") == violation(
        "Value 'Sometimes'", "recursiveLoop", "Member must satisfy enum value set: [Allow, Terminate]"
    )
    missing = not_found(arn_of("nobody-here"))
    assert refusal(put, FunctionName="nobody-here", RecursiveLoop="Allow") == missing
    assert refusal(client.get_function_recursion_config, FunctionName="nobody-here") == missing
    assert refusal(put, FunctionName=f"{name}:1", RecursiveLoop="Allow").error == "ValidationException"


def test_runtime_management_is_kept_for_each_version(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO, Publish=True)
    found = client.get_runtime_management_config(FunctionName=name)
    assert (found["UpdateRuntimeOn"], found["FunctionArn"]) == ("Auto", arn_of(name, "$LATEST"))
    made = client.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    assert (made["UpdateRuntimeOn"], made["FunctionArn"]) == ("FunctionUpdate", arn_of(name, "$LATEST"))
    configuration = client.get_function_configuration(FunctionName=name, Qualifier="1")
    arn = configuration["RuntimeVersionConfig"]["RuntimeVersionArn"]
    pinned = {"FunctionName": name, "Qualifier": "1", "UpdateRuntimeOn": "Manual", "RuntimeVersionArn": arn}
    made = client.put_runtime_management_config(**pinned)
    assert (made["RuntimeVersionArn"], made["FunctionArn"]) == (arn, arn_of(name, "1"))

    def mode(**which: str) -> str:
        return str(client.get_runtime_management_config(FunctionName=name, **which)["UpdateRuntimeOn"])

    assert (mode(), mode(Qualifier="1")) == ("FunctionUpdate", "Manual")
    client.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="Auto")
    assert mode() == "Auto"


def test_a_runtime_is_pinned_to_what_the_server_has(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO)
    put = client.put_runtime_management_config
    foreign = f"arn:aws:lambda:us-east-1::runtime:{'0' * 64}"
    assert refusal(put, FunctionName=name, UpdateRuntimeOn="Manual") == invalid_parameter(
        "RuntimeVersionArn is required when UpdateRuntimeOn is Manual."
    )
    assert refusal(put, FunctionName=name, UpdateRuntimeOn="Auto", RuntimeVersionArn=foreign) == invalid_parameter(
        "RuntimeVersionArn is only supported when UpdateRuntimeOn is Manual."
    )
    found = refusal(put, FunctionName=name, UpdateRuntimeOn="Manual", RuntimeVersionArn=foreign)
    assert found.error == "InvalidParameterValueException" and "does not have" in found.message
    assert refusal(put, FunctionName=name, UpdateRuntimeOn="Auto", Qualifier="7") == not_found(arn_of(name, "7"))
    assert refusal(put, FunctionName="nobody-here", UpdateRuntimeOn="Auto") == not_found(arn_of("nobody-here"))


@pytest.mark.parametrize("operation", ["get_function_scaling_config", "put_function_scaling_config"])
def test_only_functions_of_capacity_providers_have_a_scaling_config(functions: Functions, operation: str) -> None:
    name = functions.deploy_python(ECHO, Publish=True)
    call = getattr(functions.client, operation)
    found = refusal(call, FunctionName=name, Qualifier="1")
    assert found.error == "InvalidParameterValueException" and "no capacity provider" in found.message
    assert refusal(call, FunctionName=name, Qualifier="7") == not_found(arn_of(name, "7"))
    assert refusal(call, FunctionName=name, Qualifier="live").error == "ValidationException"


def test_all_settings_survive_a_restart(fresh_server: Server, functions_of: Callable[[Server], Functions]) -> None:
    functions = functions_of(fresh_server)
    client, name = functions.client, functions.deploy_python(ECHO, Publish=True, Tags={"a": "b"})
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="d")
    client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    client.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="FunctionUpdate", Qualifier="1")
    client.put_function_event_invoke_config(FunctionName=name, Qualifier="live", MaximumRetryAttempts=1)
    fresh_server.stop()
    fresh_server.start()
    client = functions_of(fresh_server).client
    assert client.get_function(FunctionName=name)["Tags"] == {"a": "b"}
    assert client.get_alias(FunctionName=name, Name="live")["Description"] == "d"
    assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    managed = client.get_runtime_management_config(FunctionName=name, Qualifier="1")
    assert managed["UpdateRuntimeOn"] == "FunctionUpdate"
    event = client.get_function_event_invoke_config(FunctionName=name, Qualifier="live")
    assert event["MaximumRetryAttempts"] == 1
