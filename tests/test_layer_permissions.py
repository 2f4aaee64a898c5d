"""Policies of layer versions: which other accounts may use them."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.layers import layer_arn, publish, unique_layer
from harness.refusals import Refusal, refusal
from harness.server import ACCOUNT

NO_POLICY = Refusal(404, "ResourceNotFoundException", "No policy is associated with the given resource.")
OTHER = "111111111111"
ORGANIZATION = "o-1234567890"


@pytest.fixture
def name(client: BaseClient) -> str:
    """A layer with one version."""
    return publish(client, {"file": "x"})["LayerArn"].rsplit(":", 1)[1]


def add(client: BaseClient, name: str, statement: str = "s", principal: str = OTHER, **parameters: Any) -> Any:
    defaults = {"LayerName": name, "VersionNumber": 1, "Action": "lambda:GetLayerVersion"}
    return client.add_layer_version_permission(
        **(defaults | {"StatementId": statement, "Principal": principal} | parameters)
    )


def policy(client: BaseClient, name: str) -> dict[str, Any]:
    return json.loads(client.get_layer_version_policy(LayerName=name, VersionNumber=1)["Policy"])


def statement(name: str, identifier: str, principal: Any, **more: Any) -> dict[str, Any]:
    allowed = {"Sid": identifier, "Effect": "Allow", "Principal": principal, "Action": "lambda:GetLayerVersion"}
    return allowed | {"Resource": layer_arn(name, 1)} | more


def test_statements_are_added_shown_and_removed(client: BaseClient, name: str) -> None:
    assert refusal(lambda: policy(client, name)) == NO_POLICY
    made = add(client, name)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    first = statement(name, "s", {"AWS": f"arn:aws:iam::{OTHER}:root"})
    assert json.loads(made["Statement"]) == first
    add(client, name, "everyone", "*")
    root = add(client, name, "root", f"arn:aws:iam::{OTHER}:root")
    add(client, name, "organization", "*", OrganizationId=ORGANIZATION)
    assert json.loads(root["Statement"])["Principal"] == {"AWS": f"arn:aws:iam::{OTHER}:root"}
    condition = {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}}
    assert policy(client, name) == {
        "Version": "2012-10-17",
        "Id": "default",
        "Statement": [
            first,
            statement(name, "everyone", "*"),
            statement(name, "root", {"AWS": f"arn:aws:iam::{OTHER}:root"}),
            statement(name, "organization", "*", Condition=condition),
        ],
    }
    for identifier in ("s", "everyone", "root", "organization"):
        gone = client.remove_layer_version_permission(LayerName=name, VersionNumber=1, StatementId=identifier)
        assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(lambda: policy(client, name)) == NO_POLICY


def test_a_policy_is_changed_at_the_revision_that_was_seen(client: BaseClient, name: str) -> None:
    first = add(client, name)["RevisionId"]
    assert client.get_layer_version_policy(LayerName=name, VersionNumber=1)["RevisionId"] == first
    second = add(client, name, "t", RevisionId=first)["RevisionId"]
    stale = {"LayerName": name, "VersionNumber": 1, "StatementId": "t", "RevisionId": first}
    for refused in (
        refusal(lambda: add(client, name, "u", RevisionId=first)),
        refusal(lambda: client.remove_layer_version_permission(**stale)),
    ):
        assert (refused.status, refused.error) == (412, "PreconditionFailedException")
    client.remove_layer_version_permission(**(stale | {"RevisionId": second}))


def test_what_cannot_be_added_or_removed_is_refused(client: BaseClient, name: str) -> None:
    missing = f"Layer version {layer_arn('nobody', 1)} does not exist."
    assert refusal(lambda: add(client, "nobody")) == Refusal(404, "ResourceNotFoundException", missing)
    assert refusal(lambda: policy(client, "nobody")) == Refusal(404, "ResourceNotFoundException", missing)
    remove = {"LayerName": name, "VersionNumber": 1, "StatementId": "s"}
    assert refusal(lambda: client.remove_layer_version_permission(**remove)) == NO_POLICY
    add(client, name)
    again = refusal(lambda: add(client, name))
    assert (again.status, again.error) == (409, "ResourceConflictException")
    assert again.message.startswith("The statement id (s) provided already exists.")
    unknown = refusal(lambda: client.remove_layer_version_permission(**(remove | {"StatementId": "t"})))
    text = "Statement t is not found in resource policy."
    assert unknown == Refusal(404, "ResourceNotFoundException", text)
    for parameters in ({"principal": "somebody"}, {"Action": "lambda:Other"}, {"OrganizationId": "none"}):
        refused = refusal(lambda parameters=parameters: add(client, name, "t", **parameters))
        assert refused.status == 400, parameters
    foreign = refusal(lambda: add(client, layer_arn("theirs", account=OTHER)))
    assert (foreign.status, foreign.error) == (403, "AccessDeniedException")
    organization = refusal(lambda: add(client, name, "t", OTHER, OrganizationId=ORGANIZATION))
    assert organization.error == "InvalidParameterValueException"
    assert len(policy(client, name)["Statement"]) == 1
    assert ACCOUNT in layer_arn(name)


def test_a_policy_has_a_largest_size(client: BaseClient, name: str) -> None:
    for number in itertools.count():
        try:
            add(client, name, f"{number:03}".ljust(100, "x"))
        except client.exceptions.PolicyLengthExceededException:
            break
    last = refusal(lambda: add(client, name, "t" * 100))
    text = client.get_layer_version_policy(LayerName=name, VersionNumber=1)["Policy"]
    one = len(text) / len(policy(client, name)["Statement"])
    assert 20_480 - one - 2 <= len(text) <= 20_480
    assert (last.status, last.error) == (400, "PolicyLengthExceededException")


def test_statements_that_are_added_at_the_same_time_are_all_there(client: BaseClient) -> None:
    name = unique_layer()
    publish(client, {"file": "x"}, name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: add(client, name, f"s{number}"), range(16)))
    identifiers = {statement["Sid"] for statement in policy(client, name)["Statement"]}
    assert identifiers == {f"s{number}" for number in range(16)}
