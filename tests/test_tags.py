"""Tags of functions."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.client import BaseClient

from harness.arns import arn_of
from harness.functions import ECHO, Functions, boto_client, create_key
from harness.refusals import Refusal, invalid_parameter, not_found, refusal
from harness.server import ACCOUNT, REGION, Server

TOO_MANY = invalid_parameter("Number of tags exceeds resource tag limit.")
NO_CONFIG = f"arn:aws:lambda:{REGION}:{ACCOUNT}:code-signing-config:csc-{'0' * 17}"
NO_RESOURCE = Refusal(404, "ResourceNotFoundException", "The resource you requested does not exist.")
FUNCTIONS_ONLY = invalid_parameter(
    "Tags on function aliases and versions are not supported. Please specify a function ARN."
)


def tags_of(client: BaseClient, name: str) -> dict[str, str]:
    return dict(client.list_tags(Resource=arn_of(name))["Tags"])


def test_tags_are_given_at_creation_added_replaced_and_taken_away(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO, Tags={"team": "core", "empty": ""})
    assert tags_of(client, name) == {"team": "core", "empty": ""}
    assert client.get_function(FunctionName=name)["Tags"] == {"team": "core", "empty": ""}
    added = client.tag_resource(Resource=arn_of(name), Tags={"team": "edge", "ünï/x": "a b"})
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert tags_of(client, name) == {"team": "edge", "empty": "", "ünï/x": "a b"}
    gone = client.untag_resource(Resource=arn_of(name), TagKeys=["team", "ünï/x", "never"])
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert tags_of(client, name) == {"empty": ""}
    client.untag_resource(Resource=arn_of(name), TagKeys=["empty"])
    assert "Tags" not in client.get_function(FunctionName=name)


def test_tags_are_no_change_of_the_function(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO)
    before = client.get_function_configuration(FunctionName=name)["RevisionId"]
    client.tag_resource(Resource=arn_of(name), Tags={"a": "b"})
    assert client.get_function_configuration(FunctionName=name)["RevisionId"] == before


def test_a_function_has_at_most_fifty_tags(functions: Functions) -> None:
    client = functions.client
    fifty = {f"key-{number}": "x" for number in range(50)}
    name = functions.deploy_python(ECHO, Tags=fifty)
    assert refusal(lambda: client.tag_resource(Resource=arn_of(name), Tags={"one-more": ""})) == TOO_MANY
    client.tag_resource(Resource=arn_of(name), Tags={"key-1": "y"})
    assert tags_of(client, name) == fifty | {"key-1": "y"}
    assert refusal(lambda: functions.deploy_python(ECHO, Tags=fifty | {"one-more": ""})) == TOO_MANY


@pytest.mark.parametrize(
    ("key", "value"), [("k" * 129, ""), ("k", "v" * 257), ("aws:x", ""), ("", "x"), ("a#b", ""), ("k", "<")]
)
def test_a_tag_that_aws_does_not_take_is_refused(functions: Functions, key: str, value: str) -> None:
    name = functions.deploy_python(ECHO, Tags={"k" * 128: "v" * 256})
    for action in (
        lambda: functions.client.tag_resource(Resource=arn_of(name), Tags={key: value}),
        lambda: functions.deploy_python(ECHO, Tags={key: value}),
    ):
        found = refusal(action)
        assert (found.status, found.error) == (400, "InvalidParameterValueException")
    assert tags_of(functions.client, name) == {"k" * 128: "v" * 256}


def test_only_functions_that_are_there_have_tags(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO, Publish=True)
    missing = f"The Lambda code signing configuration {NO_CONFIG} can not be found."
    no_config = Refusal(404, "ResourceNotFoundException", missing)
    others = {
        arn_of("nobody-here"): not_found(arn_of("nobody-here")),
        arn_of(name, "1"): FUNCTIONS_ONLY,
        arn_of(name, "$LATEST"): FUNCTIONS_ONLY,
        NO_CONFIG: no_config,
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:01234567-89ab-cdef-0123-456789abcdef": NO_RESOURCE,
    }
    for resource, expected in others.items():
        assert refusal(client.list_tags, Resource=resource) == expected
        assert refusal(client.tag_resource, Resource=resource, Tags={"a": "b"}) == expected
        assert refusal(client.untag_resource, Resource=resource, TagKeys=["a"]) == expected
    assert refusal(client.list_tags, Resource=name).error == "ValidationException"
    assert refusal(client.tag_resource, Resource=arn_of(name), Tags={}) == invalid_parameter(
        "An error occurred and the request cannot be processed."
    )
    null = refusal(client.untag_resource, Resource=arn_of(name), TagKeys=[])
    assert (null.error, "at 'tagKeys'" in null.message) == ("ValidationException", True)


def test_a_key_with_a_pattern_tags_only_its_functions(server: Server, functions: Functions) -> None:
    keys = create_key(server, "--role", "deployer", "--functions", "tagged-*")
    client = boto_client(server, keys=keys)
    mine, other = functions.deploy_python(ECHO, FunctionName="tagged-mine"), functions.deploy_python(ECHO)
    client.tag_resource(Resource=arn_of(mine), Tags={"a": "b"})
    assert tags_of(client, mine) == {"a": "b"}
    assert refusal(client.tag_resource, Resource=arn_of(other), Tags={"a": "b"}).error == "AccessDeniedException"
    assert refusal(client.list_tags, Resource=arn_of(other)).error == "AccessDeniedException"


def test_tags_given_at_a_time_are_all_kept(functions: Functions) -> None:
    client, name = functions.client, functions.deploy_python(ECHO)
    wanted = {f"key-{number}": str(number) for number in range(8)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda tag: client.tag_resource(Resource=arn_of(name), Tags=dict([tag])), wanted.items()))
    assert tags_of(client, name) == wanted
