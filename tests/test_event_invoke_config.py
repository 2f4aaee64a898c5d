"""What is configured for asynchronous invocations: kept, shown, and checked as AWS does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from harness.arns import arn_of
from harness.functions import ECHO, Functions
from harness.refusals import Refusal, invalid_parameter, refusal, violation
from harness.server import ACCOUNT, REGION

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"
NO_FUNCTION = Refusal(404, "ResourceNotFoundException", "The function doesn't exist.")
NOTHING = invalid_parameter("You must specify at least one of error handling or destination setting.")
NO_DESTINATIONS: dict[str, Any] = {"OnSuccess": {}, "OnFailure": {}}


def no_config(name: str, qualifier: str = "$LATEST") -> Refusal:
    text = f"The function {arn_of(name, qualifier)} doesn't have an EventInvokeConfig"
    return Refusal(404, "ResourceNotFoundException", text)


def put(functions: Functions, name: str, **settings: Any) -> dict[str, Any]:
    return functions.client.put_function_event_invoke_config(FunctionName=name, **settings)


def update(functions: Functions, name: str, **settings: Any) -> dict[str, Any]:
    return functions.client.update_function_event_invoke_config(FunctionName=name, **settings)


def facts(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in ("ResponseMetadata", "LastModified")}


def test_a_configuration_is_put_changed_shown_and_deleted(functions: Functions) -> None:
    name, begin = functions.deploy_python(ECHO), datetime.now(timezone.utc) - timedelta(seconds=1)
    made = put(functions, name, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": QUEUE}})
    expected: dict[str, Any] = {
        "FunctionArn": arn_of(name, "$LATEST"),
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}},
    }
    assert facts(made) == expected
    assert begin <= made["LastModified"] <= datetime.now(timezone.utc)
    changed = update(functions, name, MaximumEventAgeInSeconds=60)
    assert facts(changed) == expected | {"MaximumEventAgeInSeconds": 60}
    assert facts(functions.client.get_function_event_invoke_config(FunctionName=name)) == facts(changed)
    replaced = put(functions, name, MaximumEventAgeInSeconds=21_600)
    assert facts(replaced) == {
        "FunctionArn": arn_of(name, "$LATEST"),
        "MaximumEventAgeInSeconds": 21_600,
        "DestinationConfig": NO_DESTINATIONS,
    }
    gone = functions.client.delete_function_event_invoke_config(FunctionName=name)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(lambda: functions.client.get_function_event_invoke_config(FunctionName=name)) == no_config(name)
    assert refusal(lambda: functions.client.delete_function_event_invoke_config(FunctionName=name)) == no_config(name)
    assert refusal(lambda: update(functions, name, MaximumRetryAttempts=1)) == no_config(name)


def test_versions_and_aliases_have_configurations_of_their_own(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, Publish=True)
    functions.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for retries, qualifier in enumerate(("$LATEST", "1", "live")):
        made = put(functions, name, Qualifier=qualifier, MaximumRetryAttempts=retries)
        assert (made["FunctionArn"], made["MaximumRetryAttempts"]) == (arn_of(name, qualifier), retries)
    for size in (1, 2):
        pages = functions.client.get_paginator("list_function_event_invoke_configs").paginate(
            FunctionName=name, PaginationConfig={"PageSize": size}
        )
        listed = [config["FunctionArn"] for page in pages for config in page["FunctionEventInvokeConfigs"]]
        assert listed == [arn_of(name, qualifier) for qualifier in ("$LATEST", "1", "live")]
    functions.client.delete_alias(FunctionName=name, Name="live")
    functions.client.delete_function(FunctionName=name, Qualifier="1")
    left = functions.client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert [config["FunctionArn"] for config in left] == [arn_of(name, "$LATEST")]


def test_what_is_not_there_has_no_configuration(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    assert refusal(lambda: put(functions, "nobody-here", MaximumRetryAttempts=1)) == NO_FUNCTION
    assert refusal(lambda: update(functions, "nobody-here", MaximumRetryAttempts=1)) == NO_FUNCTION
    for qualifier in ("7", "other"):
        wanted = {"FunctionName": name, "Qualifier": qualifier, "MaximumRetryAttempts": 1}
        assert refusal(functions.client.put_function_event_invoke_config, **wanted) == NO_FUNCTION
    missing = {"FunctionName": "nobody-here"}
    assert refusal(functions.client.list_function_event_invoke_configs, **missing) == NO_FUNCTION
    assert refusal(functions.client.delete_function_event_invoke_config, **missing) == NO_FUNCTION
    assert refusal(functions.client.get_function_event_invoke_config, **missing) == no_config("nobody-here")


def test_a_configuration_says_something(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    assert refusal(lambda: put(functions, name)) == NOTHING
    assert refusal(lambda: update(functions, name)) == NOTHING


@pytest.mark.parametrize(
    ("member", "value", "bound"),
    [
        ("MaximumRetryAttempts", 3, "less than or equal to 2"),
        ("MaximumRetryAttempts", -1, "greater than or equal to 0"),
        ("MaximumEventAgeInSeconds", 59, "greater than or equal to 60"),
        ("MaximumEventAgeInSeconds", 21_601, "less than or equal to 21600"),
    ],
)
def test_a_value_past_its_bound_is_refused(functions: Functions, member: str, value: int, bound: str) -> None:
    name = functions.deploy_python(ECHO)
    path = member[0].lower() + member[1:]
    expected = violation(f"Value '{value}'", path, f"Member must have value {bound}")
    assert refusal(lambda: put(functions, name, **{member: value})) == expected


@pytest.mark.parametrize(
    "destination",
    [
        QUEUE,
        f"arn:aws:sns:{REGION}:{ACCOUNT}:topic",
        f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
        "arn:aws:s3:::bucket",
        "",
    ],
)
def test_failures_go_to_queues_topics_buses_buckets_or_nowhere(functions: Functions, destination: str) -> None:
    name = functions.deploy_python(ECHO)
    made = put(functions, name, DestinationConfig={"OnFailure": {"Destination": destination}})
    assert made["DestinationConfig"]["OnFailure"] == ({"Destination": destination} if destination else {})


def test_a_function_is_a_destination_if_it_is_there_and_another(functions: Functions) -> None:
    name, other = functions.deploy_python(ECHO), functions.deploy_python(ECHO)

    def refused(arn: str, side: str = "OnSuccess") -> Refusal:
        return refusal(lambda: put(functions, name, DestinationConfig={side: {"Destination": arn}}))

    made = put(functions, name, DestinationConfig={"OnSuccess": {"Destination": arn_of(other)}})
    assert made["DestinationConfig"]["OnSuccess"] == {"Destination": arn_of(other)}
    assert refused(arn_of("nobody-here")) == invalid_parameter(
        f"The destination ARN {arn_of('nobody-here')} is invalid."
    )
    itself = "You can't specify the function as a destination for itself."
    assert refused(arn_of(name)) == invalid_parameter(itself)
    assert refused("arn:aws:s3:::bucket") == invalid_parameter(
        "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:s3:::bucket), "
        "onFailure=null) is invalid."
    )
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t"
    assert refused(table, "OnFailure") == invalid_parameter(
        f"The provided destination config DestinationConfig(onSuccess=null, onFailure=OnFailure(destination={table})) "
        "is invalid."
    )
    assert refused("nonsense").error == "ValidationException"


def test_changes_at_a_time_lose_none_of_what_they_say(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    put(functions, name, MaximumRetryAttempts=0)
    wanted: list[dict[str, Any]] = [
        {"MaximumRetryAttempts": 1},
        {"MaximumEventAgeInSeconds": 77},
        {"DestinationConfig": {"OnFailure": {"Destination": QUEUE}}},
    ]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda settings: update(functions, name, **settings), wanted))
    found = functions.client.get_function_event_invoke_config(FunctionName=name)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (1, 77)
    assert found["DestinationConfig"]["OnFailure"] == {"Destination": QUEUE}
