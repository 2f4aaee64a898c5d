"""Aliases: names of versions that can be moved, and split calls between two of them."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.arns import arn_of
from harness.functions import ECHO, Functions
from harness.refusals import Refusal, invalid_parameter, not_found, refusal, violation
from harness.server import ACCOUNT, Server
from harness.urls import Url

STALE = Refusal(
    412,
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve "
    "the latest Revision Id",
)
WHO = "import os\ndef handler(event, context):\n    return [os.environ['AWS_LAMBDA_FUNCTION_VERSION'], context.invoked_function_arn]\n"  # noqa: E501
CALLS = 400


def published(functions: Functions, count: int, code: str = WHO) -> str:
    """A function with versions from 1 to `count`."""
    name = functions.deploy_python(code)
    for number in range(1, count + 1):
        functions.client.update_function_configuration(FunctionName=name, Description=f"version {number}")
        functions.wait_updated(name)
        assert functions.client.publish_version(FunctionName=name)["Version"] == str(number)
    return name


def create(functions: Functions, name: str, version: str = "1", **settings: Any) -> dict[str, Any]:
    wanted = {"FunctionName": name, "Name": "live", "FunctionVersion": version} | settings
    return functions.client.create_alias(**wanted)


def weights(**parts: float) -> dict[str, Any]:
    """`weights(v2=0.5)`: half of the calls for version 2."""
    return {"AdditionalVersionWeights": {version[1:]: weight for version, weight in parts.items()}}


def facts(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in ("ResponseMetadata", "RevisionId")}


def test_an_alias_is_made_found_listed_moved_and_deleted(functions: Functions) -> None:
    name = published(functions, 2)
    made = create(functions, name, Description="what serves")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    expected = {
        "AliasArn": arn_of(name, "live"),
        "Name": "live",
        "FunctionVersion": "1",
        "Description": "what serves",
    }
    assert facts(made) == expected
    found = functions.client.get_alias(FunctionName=name, Name="live")
    assert facts(found) == expected and found["RevisionId"] == made["RevisionId"]
    assert facts(functions.client.list_aliases(FunctionName=name)["Aliases"][0]) == facts(expected)
    moved = functions.client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert facts(moved) == expected | {"FunctionVersion": "2"}
    assert moved["RevisionId"] != made["RevisionId"]
    gone = functions.client.delete_alias(FunctionName=name, Name="live")
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert functions.client.list_aliases(FunctionName=name)["Aliases"] == []


def test_a_call_of_an_alias_runs_its_version_and_says_which(functions: Functions) -> None:
    name = published(functions, 2)
    create(functions, name, "1")
    result = functions.invoke(f"{name}:live")
    assert (result.executed_version, result.value) == ("1", ["1", arn_of(name, "live")])
    functions.client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    for spelling in (f"{name}:live", arn_of(name, "live"), f"{ACCOUNT}:function:{name}:live"):
        result = functions.invoke(spelling)
        assert (result.executed_version, result.value) == ("2", ["2", arn_of(name, "live")])
    assert functions.invoke(name, Qualifier="live").executed_version == "2"
    create(functions, name, "$LATEST", Name="newest")
    assert functions.invoke(f"{name}:newest").executed_version == "$LATEST"


def test_an_alias_shows_its_version_under_its_own_arn(functions: Functions) -> None:
    name = published(functions, 1)
    create(functions, name)
    found = functions.client.get_function_configuration(FunctionName=name, Qualifier="live")
    assert (found["FunctionArn"], found["Version"]) == (arn_of(name, "live"), "1")
    whole = functions.client.get_function(FunctionName=f"{name}:live")["Configuration"]
    assert (whole["FunctionArn"], whole["Version"]) == (arn_of(name, "live"), "1")


def test_the_log_of_a_version_is_a_stream_of_its_own(functions: Functions) -> None:
    name = published(functions, 1, "def handler(event, context):\n    return context.log_stream_name\n")
    create(functions, name)
    assert "/[1]" in functions.call(f"{name}:live") and "/[$LATEST]" in functions.call(name)


@pytest.mark.parametrize("weight", [0.1, 0.5])
def test_the_second_version_takes_its_part_of_the_calls(functions: Functions, weight: float) -> None:
    name = published(functions, 2)
    made = create(functions, name, "1", RoutingConfig=weights(v2=weight))
    assert made["RoutingConfig"] == weights(v2=weight)
    versions = Counter(functions.invoke(f"{name}:live").executed_version for _ in range(CALLS))
    assert versions.keys() == {"1", "2"}
    # Six standard deviations: one run in five hundred million fails by chance.
    deviation = (CALLS * weight * (1 - weight)) ** 0.5
    assert abs(versions["2"] - CALLS * weight) <= 6 * deviation, versions


@pytest.mark.parametrize(("weight", "expected"), [(0, "1"), (1, "2")])
def test_a_weight_of_nothing_or_all_leaves_no_chance(functions: Functions, weight: float, expected: str) -> None:
    name = published(functions, 2)
    create(functions, name, "1", RoutingConfig=weights(v2=weight))
    assert {functions.invoke(f"{name}:live").executed_version for _ in range(30)} == {expected}


def test_a_routing_configuration_is_replaced_kept_and_emptied(functions: Functions) -> None:
    name = published(functions, 3)
    create(functions, name, "1", RoutingConfig=weights(v2=0.25))

    def update(**settings: Any) -> dict[str, Any]:
        return functions.client.update_alias(FunctionName=name, Name="live", **settings)

    assert update(Description="x")["RoutingConfig"] == weights(v2=0.25)
    assert update(RoutingConfig=weights(v3=0.75))["RoutingConfig"] == weights(v3=0.75)
    assert "RoutingConfig" not in update(RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in functions.client.get_alias(FunctionName=name, Name="live")


def test_routing_takes_two_published_versions_of_one_role(functions: Functions) -> None:
    name = published(functions, 2)
    another = f"arn:aws:iam::{ACCOUNT}:role/another"
    functions.client.update_function_configuration(FunctionName=name, Role=another)
    functions.wait_updated(name)
    assert functions.client.publish_version(FunctionName=name)["Version"] == "3"

    def refused(version: str, routing: dict[str, Any]) -> Refusal:
        return refusal(lambda: create(functions, name, version, RoutingConfig=routing))

    assert refused("1", weights(v2=0.1, v3=0.1)) == invalid_parameter(
        "Number of items in AdditionalVersionWeights cannot be greater than 1"
    )
    assert refused("$LATEST", weights(v2=0.1)) == invalid_parameter(
        "$LATEST is not supported for an alias pointing to more than 1 version"
    )
    assert refused("1", weights(v1=0.1)) == invalid_parameter(
        "Invalid function version 1. Function version 1 is already included in routing configuration."
    )
    assert refused("1", weights(v9=0.1)) == not_found(arn_of(name, "9"))
    assert refused("1", weights(v3=0.1)) == invalid_parameter(
        "Specified versions must be associated with the same execution role"
    )
    assert refused("1", weights(v2=1.01)) == violation(
        "Value '{2=1.01}'",
        "routingConfig.additionalVersionWeights",
        "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value "
        "greater than or equal to 0.0, Member must not be null]",
    )
    latest = refused("1", {"AdditionalVersionWeights": {"$LATEST": 0.1}})
    assert (latest.status, latest.error) == (400, "ValidationException")
    create(functions, name, "1", RoutingConfig=weights(v2=0.1))
    update = refusal(lambda: functions.client.update_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST"))
    assert update.message == "$LATEST is not supported for an alias pointing to more than 1 version"


def test_an_alias_is_refused_where_something_is_missing_or_taken(functions: Functions) -> None:
    name = published(functions, 1)
    assert refusal(lambda: create(functions, name, "7")) == not_found(arn_of(name, "7"))
    assert refusal(lambda: create(functions, name, "$LATEST.PUBLISHED")) == not_found(arn_of(name, "$LATEST.PUBLISHED"))
    assert refusal(lambda: create(functions, "nobody-here")) == not_found(arn_of("nobody-here"))
    create(functions, name)
    assert refusal(lambda: create(functions, name)) == Refusal(
        409, "ResourceConflictException", f"Alias already exists: {arn_of(name, 'live')}"
    )
    assert refusal(lambda: functions.client.get_alias(FunctionName=name, Name="other")) == Refusal(
        404, "ResourceNotFoundException", f"Cannot find alias arn: {arn_of(name, 'other')}"
    )
    assert refusal(lambda: functions.client.update_alias(FunctionName=name, Name="other")) == Refusal(
        404, "ResourceNotFoundException", f"Alias not found: {arn_of(name, 'other')}"
    )
    assert refusal(lambda: functions.client.update_alias(FunctionName=name, Name="live", FunctionVersion="7")) == (
        not_found(arn_of(name, "7"))
    )
    assert refusal(lambda: functions.invoke(f"{name}:other")) == not_found(arn_of(name, "other"))


@pytest.mark.parametrize(
    ("alias", "constraint"),
    [
        ("7", "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"),
        ("a.b", "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"),
        ("a" * 129, "Member must have length less than or equal to 128"),
    ],
)
def test_a_name_is_no_number_and_has_at_most_128_characters(functions: Functions, alias: str, constraint: str) -> None:
    name = published(functions, 1)
    assert refusal(lambda: create(functions, name, Name=alias)) == violation(f"Value '{alias}'", "name", constraint)
    assert create(functions, name, Name="a" * 128, Description="d" * 256)["Name"] == "a" * 128
    long = refusal(lambda: create(functions, name, Description="d" * 257))
    assert (long.error, "length less than or equal to 256" in long.message) == ("ValidationException", True)


def test_deleting_an_alias_that_is_not_there_succeeds(functions: Functions) -> None:
    name = published(functions, 1)
    for missing in (name, "nobody-here"):
        gone = functions.client.delete_alias(FunctionName=missing, Name="live")
        assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_a_version_stays_while_an_alias_may_lead_to_it(functions: Functions) -> None:
    name = published(functions, 2)
    create(functions, name, "1", RoutingConfig=weights(v2=0.5))
    create(functions, name, "1", Name="blue")
    for version, aliases in (("1", "blue, live"), ("2", "live")):
        found = refusal(functions.client.delete_function, FunctionName=name, Qualifier=version)
        text = f"Unable to delete version because the following aliases reference it: [{aliases}]"
        assert found == Refusal(409, "ResourceConflictException", text)
    assert refusal(lambda: functions.client.delete_function(FunctionName=name, Qualifier="live")) == invalid_parameter(
        "Deletion of aliases is not currently supported."
    )
    functions.client.delete_alias(FunctionName=name, Name="live")
    functions.client.delete_function(FunctionName=name, Qualifier="2")
    assert refusal(lambda: functions.invoke(f"{name}:2")) == not_found(arn_of(name, "2"))
    functions.client.delete_function(FunctionName=name)
    functions.deploy_python(ECHO, FunctionName=name)
    assert functions.client.list_aliases(FunctionName=name)["Aliases"] == []


def test_aliases_are_listed_in_pages_and_by_version(functions: Functions) -> None:
    name = published(functions, 2)
    made = [f"alias-{number:02}" for number in range(7)]
    for position, alias in enumerate(made):
        create(functions, name, str(1 + position % 2), Name=alias)

    def listed(**settings: Any) -> list[list[str]]:
        pages = functions.client.get_paginator("list_aliases").paginate(FunctionName=name, **settings)
        return [[alias["Name"] for alias in page["Aliases"]] for page in pages]

    assert listed(PaginationConfig={"PageSize": 3}) == [made[:3], made[3:6], made[6:]]
    assert listed(FunctionVersion="2", PaginationConfig={"PageSize": 2}) == [["alias-01", "alias-03"], ["alias-05"]]
    assert refusal(lambda: functions.client.list_aliases(FunctionName=name, Marker="%")) == invalid_parameter(
        "Invalid value for Marker"
    )
    assert refusal(lambda: functions.client.list_aliases(FunctionName="nobody-here")) == not_found(
        arn_of("nobody-here")
    )


def test_the_revision_of_an_alias_is_a_precondition(functions: Functions) -> None:
    name = published(functions, 1)
    first = create(functions, name)["RevisionId"]

    def update(revision: str) -> dict[str, Any]:
        return functions.client.update_alias(FunctionName=name, Name="live", Description="x", RevisionId=revision)

    second = update(first)["RevisionId"]
    assert second != first
    assert refusal(lambda: update(first)) == STALE
    assert update(second)["RevisionId"] not in (first, second)


def test_of_many_updates_of_one_revision_one_is_done(functions: Functions) -> None:
    name = published(functions, 1)
    revision = create(functions, name)["RevisionId"]

    def update(number: int) -> bool:
        settings = {"FunctionName": name, "Name": "live", "Description": str(number), "RevisionId": revision}
        try:
            functions.client.update_alias(**settings)
        except functions.client.exceptions.PreconditionFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(update, range(8))).count(True) == 1


def test_many_aliases_made_at_a_time_are_all_kept(functions: Functions) -> None:
    name = published(functions, 1)
    names = {f"alias-{number}" for number in range(8)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda alias: create(functions, name, Name=alias), names))
    assert {alias["Name"] for alias in functions.client.list_aliases(FunctionName=name)["Aliases"]} == names


def test_operations_on_aliases_take_a_function_only(functions: Functions) -> None:
    name = published(functions, 1)
    found = refusal(lambda: create(functions, f"{name}:1"))
    assert found.error == "InvalidParameterValueException"
    assert found.message.startswith("This operation is permitted on Lambda functions only.")


def test_a_policy_of_an_alias_is_its_own_and_moves_its_revision(functions: Functions) -> None:
    name = published(functions, 1)
    first = create(functions, name)["RevisionId"]
    statement = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*"}
    functions.client.add_permission(FunctionName=name, Qualifier="live", RevisionId=first, **statement)
    policy = functions.client.get_policy(FunctionName=name, Qualifier="live")
    assert json.loads(policy["Policy"])["Statement"][0]["Resource"] == arn_of(name, "live")
    revision = functions.client.get_alias(FunctionName=name, Name="live")["RevisionId"]
    assert first != revision == policy["RevisionId"]
    assert refusal(lambda: functions.client.get_policy(FunctionName=name)).status == 404
    other = {"FunctionName": name, "Qualifier": "other"}
    assert refusal(lambda: functions.client.add_permission(**other, **statement)) == Refusal(
        404, "ResourceNotFoundException", f"Cannot find alias arn: {arn_of(name, 'other')}"
    )
    functions.client.delete_alias(FunctionName=name, Name="live")
    create(functions, name)
    assert refusal(lambda: functions.client.get_policy(FunctionName=name, Qualifier="live")).status == 404


def test_a_url_of_an_alias_leads_to_its_version_and_goes_with_it(functions: Functions, server: Server) -> None:
    name = published(functions, 2)
    wanted = {"FunctionName": name, "Qualifier": "live", "AuthType": "NONE"}
    missing = refusal(lambda: functions.client.create_function_url_config(**wanted))
    assert (missing.status, missing.error) == (404, "ResourceNotFoundException")
    create(functions, name, "2")
    made = functions.client.create_function_url_config(**wanted)
    assert made["FunctionArn"] == arn_of(name, "live")
    for action, condition in (
        ("lambda:InvokeFunctionUrl", {"FunctionUrlAuthType": "NONE"}),
        ("lambda:InvokeFunction", {"InvokedViaFunctionUrl": True}),
    ):
        functions.client.add_permission(
            FunctionName=name,
            Qualifier="live",
            StatementId=action.replace(":", "-"),
            Action=action,
            Principal="*",
            **condition,
        )
    url = Url(server, made["FunctionUrl"])
    answer = url.call()
    assert (answer.status, answer.value) == (200, ["2", arn_of(name, "live")])
    functions.client.delete_alias(FunctionName=name, Name="live")
    assert url.call().status == 403
