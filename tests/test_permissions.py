"""Resource policies: permissions added, shown and removed, and what they allow."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.functions import ECHO, Functions, boto_client, create_key, unique_name
from harness.refusals import Refusal, invalid_parameter, not_found, refusal
from harness.server import ACCOUNT, REGION, Keys, Server

STALE = Refusal(
    412,
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve "
    "the latest Revision Id",
)
NO_POLICY = Refusal(404, "ResourceNotFoundException", "No policy is associated with the given resource.")
NO_RESOURCE = Refusal(404, "ResourceNotFoundException", "The resource you requested does not exist.")
INVOKE = "lambda:InvokeFunction"


def arn_of(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def add(client: BaseClient, name: str, **settings: Any) -> str:
    """Adds a permission and returns its statement."""
    wanted = {"FunctionName": name, "StatementId": "s", "Action": INVOKE, "Principal": "*"} | settings
    answer = client.add_permission(**wanted)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    return str(answer["Statement"])


def refused(client: BaseClient, name: str, **settings: Any) -> Refusal:
    return refusal(lambda: add(client, name, **settings))


def policy_of(client: BaseClient, name: str, **settings: Any) -> str:
    return str(client.get_policy(FunctionName=name, **settings)["Policy"])


@pytest.mark.parametrize(
    ("settings", "principal", "condition"),
    [
        (
            {"Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::bucket", "SourceAccount": ACCOUNT},
            '{"Service":"s3.amazonaws.com"}',
            f'{{"StringEquals":{{"AWS:SourceAccount":"{ACCOUNT}"}},"ArnLike":{{"AWS:SourceArn":"arn:aws:s3:::bucket"}}}}',
        ),
        ({"Principal": "123456789012"}, '{"AWS":"arn:aws:iam::123456789012:root"}', None),
        ({"Principal": "arn:aws:iam::123456789012:user/u"}, '{"AWS":"arn:aws:iam::123456789012:user/u"}', None),
        ({"PrincipalOrgID": "o-1234567890"}, '"*"', '{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}}'),
        (
            {"Principal": "alexa-appkit.amazon.com", "EventSourceToken": "token"},
            '{"Service":"alexa-appkit.amazon.com"}',
            '{"StringEquals":{"lambda:EventSourceToken":"token"}}',
        ),
        (
            {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
            '"*"',
            '{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}',
        ),
        ({"InvokedViaFunctionUrl": True}, '"*"', '{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}'),
        ({"Action": "lambda:*"}, '"*"', None),
    ],
)
def test_a_statement_reads_as_at_aws(
    client: BaseClient, functions: Functions, settings: dict[str, Any], principal: str, condition: str | None
) -> None:
    name = functions.deploy_python(ECHO)
    action = settings.get("Action", INVOKE)
    expected = (
        f'{{"Sid":"s","Effect":"Allow","Principal":{principal},"Action":"{action}","Resource":"{arn_of(name)}"'
        + (f',"Condition":{condition}' if condition else "")
        + "}"
    )
    assert add(client, name, **settings) == expected
    assert policy_of(client, name) == f'{{"Version":"2012-10-17","Id":"default","Statement":[{expected}]}}'


def test_statements_are_kept_in_order_and_removed_one_by_one(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    assert refusal(lambda: client.get_policy(FunctionName=name)) == NO_RESOURCE
    written = [add(client, name, StatementId=each) for each in ("b", "a", "c")]
    assert json.loads(policy_of(client, name))["Statement"] == [json.loads(each) for each in written]
    removed = client.remove_permission(FunctionName=name, StatementId="a")
    assert removed["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert [each["Sid"] for each in json.loads(policy_of(client, name))["Statement"]] == ["b", "c"]
    assert refusal(lambda: client.remove_permission(FunctionName=name, StatementId="a")) == Refusal(
        404, "ResourceNotFoundException", "Statement a is not found in resource policy."
    )
    for each in ("b", "c"):
        client.remove_permission(FunctionName=name, StatementId=each)
    assert refusal(lambda: client.get_policy(FunctionName=name)) == NO_RESOURCE
    assert refusal(lambda: client.remove_permission(FunctionName=name, StatementId="c")) == NO_POLICY


def test_a_statement_id_is_taken_once(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    add(client, name)
    assert refused(client, name) == Refusal(
        409,
        "ResourceConflictException",
        "The statement id (s) provided already exists. Please provide a new statement id, or remove the existing "
        "statement.",
    )


def test_each_change_makes_a_new_revision_of_the_function(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)

    def revision() -> str:
        return str(client.get_function_configuration(FunctionName=name)["RevisionId"])

    first = revision()
    add(client, name, RevisionId=first)
    second = revision()
    assert second != first
    assert client.get_policy(FunctionName=name)["RevisionId"] == second
    assert refused(client, name, StatementId="t", RevisionId=first) == STALE
    stale = refusal(lambda: client.remove_permission(FunctionName=name, StatementId="s", RevisionId=first))
    assert stale == STALE
    client.remove_permission(FunctionName=name, StatementId="s", RevisionId=second)
    assert revision() not in (first, second)


def test_a_change_of_the_policy_is_no_cold_start(client: BaseClient, functions: Functions) -> None:
    code = "calls = 0\n\ndef handler(event, context):\n    global calls\n    calls += 1\n    return calls\n"
    name = functions.deploy_python(code)
    assert functions.call(name) == 1
    add(client, name)
    assert functions.call(name) == 2


def test_a_permission_can_be_added_while_a_change_is_under_way(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    for number in range(10):
        client.update_function_configuration(FunctionName=name, Timeout=5 + number)
        add(client, name, StatementId=f"s{number}")
        functions.wait_updated(name)
    assert client.get_function_configuration(FunctionName=name)["Timeout"] == 14
    assert len(json.loads(policy_of(client, name))["Statement"]) == 10


def test_a_version_has_a_policy_and_revisions_of_its_own(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    version = client.publish_version(FunctionName=name)["Version"]
    qualified = f"{arn_of(name)}:{version}"

    def revision(of: str) -> str:
        return str(client.get_function_configuration(FunctionName=name, Qualifier=of)["RevisionId"])

    latest, before = revision("$LATEST"), revision(version)
    statement = json.loads(add(client, name, Qualifier=version, RevisionId=before))
    assert statement["Resource"] == qualified
    assert refusal(lambda: client.get_policy(FunctionName=name)) == NO_RESOURCE
    shown = client.get_policy(FunctionName=f"{name}:{version}")
    assert json.loads(shown["Policy"])["Statement"] == [statement]
    assert shown["RevisionId"] == revision(version) != before
    assert revision("$LATEST") == latest
    (listed,) = [
        each for each in client.list_versions_by_function(FunctionName=name)["Versions"] if each["Version"] == version
    ]
    assert listed["RevisionId"] == shown["RevisionId"]
    client.remove_permission(FunctionName=name, StatementId="s", Qualifier=version)
    assert refusal(lambda: client.get_policy(FunctionName=name, Qualifier=version)) == NO_RESOURCE
    assert revision(version) not in (before, shown["RevisionId"])


def test_what_is_not_there_has_no_policy(client: BaseClient, functions: Functions) -> None:
    name, absent = functions.deploy_python(ECHO), unique_name("absent")
    assert refused(client, absent) == not_found(arn_of(absent))
    assert refusal(lambda: client.get_policy(FunctionName=absent)) == not_found(arn_of(absent))
    assert refused(client, name, Qualifier="7") == not_found(f"{arn_of(name)}:7")
    alias = Refusal(404, "ResourceNotFoundException", f"Cannot find alias arn: {arn_of(name)}:live")
    assert refused(client, name, Qualifier="live") == alias
    latest = "We currently do not support adding policies for $LATEST."
    assert refused(client, name, Qualifier="$LATEST") == invalid_parameter(latest)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"Principal": "nobody"}, "The provided principal was invalid. Please check the principal and try again."),
        (
            {"FunctionUrlAuthType": "NONE"},
            "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
        ),
        (
            {"Action": "lambda:InvokeFunctionUrl", "InvokedViaFunctionUrl": True},
            "InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action",
        ),
    ],
)
def test_a_statement_that_makes_no_sense_is_refused(
    client: BaseClient, functions: Functions, settings: dict[str, Any], message: str
) -> None:
    assert refused(client, functions.deploy_python(ECHO), **settings) == invalid_parameter(message)


def test_a_policy_has_at_most_20_kilobytes(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)

    def fill() -> None:
        for number in range(200):
            add(client, name, StatementId=f"{number:03}" + "x" * 97)

    found = refusal(fill)
    assert (found.status, found.error) == (400, "PolicyLengthExceededException")
    assert found.message.endswith("is bigger than the limit (20480).")
    assert 20_000 < len(policy_of(client, name)) <= 20_480


def test_a_policy_lets_a_key_invoke_that_its_role_does_not(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    name = functions.deploy_python(ECHO)
    keys = create_key(server, "--role", "viewer")
    viewer = boto_client(server, keys=keys)
    user = f"arn:aws:iam::{ACCOUNT}:user/{keys.access_key_id}"

    def outcome() -> int:
        try:
            return int(viewer.invoke(FunctionName=name, Payload=b"7")["StatusCode"])
        except viewer.exceptions.ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])

    assert outcome() == 403
    add(client, name, StatementId="url", Principal=user, InvokedViaFunctionUrl=True)
    add(client, name, StatementId="service", Principal="s3.amazonaws.com")
    add(client, name, StatementId="condition", SourceAccount=ACCOUNT)
    assert outcome() == 403
    add(client, name, StatementId="user", Principal=user)
    assert outcome() == 200
    assert refusal(lambda: viewer.delete_function(FunctionName=name)).error == "AccessDeniedException"
    client.remove_permission(FunctionName=name, StatementId="user")
    assert outcome() == 403


def test_a_policy_lets_another_account_invoke(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    made = new_server(config='auth = "off"\n').start()
    functions = functions_of(made)
    name = functions.deploy_python(ECHO)
    account = "210987654321"
    other = boto_client(made, keys=Keys(account, "anything"))
    assert refusal(lambda: other.invoke(FunctionName=arn_of(name))).error == "AccessDeniedException"
    add(functions.client, name, Principal=account)
    assert other.invoke(FunctionName=arn_of(name), Payload=b"5")["Payload"].read() == b"5"
    assert refusal(lambda: other.get_function(FunctionName=arn_of(name))).error == "AccessDeniedException"
