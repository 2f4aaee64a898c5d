"""Several accounts on one server, and the log of who did what."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.functions import ECHO, Functions, boto_client, create_key, unique_name
from harness.refusals import refusal
from harness.server import ACCOUNT, REGION, Keys, Server
from harness.servers import newest_python
from harness.waiting import until
from harness.wire import signed

SERVICE = {"Service": "lambda.amazonaws.com"}
STATEMENT = {"Effect": "Allow", "Principal": SERVICE, "Action": "sts:AssumeRole"}
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})


def make_account(server: Server, *arguments: str) -> tuple[str, Keys]:
    """A new account and its first key."""
    made: Any = server.wuwei_json("account", "create", *arguments)
    return made["id"], Keys(made["access_key_id"], made["secret_access_key"])


@pytest.fixture(scope="module")
def other(server: Server) -> tuple[str, Keys]:
    """An account beside the first."""
    return make_account(server, "--name", "other")


def functions_of_keys(server: Server, keys: Keys) -> Functions:
    return Functions(boto_client(server, keys=keys), newest_python(server))


def names(client: BaseClient) -> set[str]:
    pages = client.get_paginator("list_functions").paginate()
    return {entry["FunctionName"] for page in pages for entry in page["Functions"]}


def test_an_account_is_made_with_a_key_and_listed(server: Server) -> None:
    account, keys = make_account(server, "--id", "210987654321", "--name", "team b")
    assert account == "210987654321"
    identity = boto_client(server, "sts", keys).get_caller_identity()
    assert identity["Account"] == account
    listed: Any = server.wuwei_json("account", "ls")
    found = {entry["id"]: (entry["name"], entry["keys"]) for entry in listed}
    assert found[account] == ("team b", 1) and ACCOUNT in found
    again = server.wuwei("account", "create", "--id", account)
    assert again.status == 4 and "exists already" in again.errors
    wrong = server.wuwei("account", "create", "--id", "1")
    assert wrong.status == 4 and "twelve digits" in wrong.errors


def test_functions_logs_and_roles_of_accounts_are_apart(
    server: Server, functions: Functions, client: BaseClient, other: tuple[str, Keys]
) -> None:
    account, keys = other
    theirs = functions_of_keys(server, keys)
    name = unique_name("same-name")
    functions.deploy_python("def handler(event, context):\n    print('ours')\n    return 1\n", FunctionName=name)
    theirs.deploy_python("def handler(event, context):\n    print('theirs')\n    return 2\n", FunctionName=name)
    assert (functions.call(name), theirs.call(name)) == (1, 2)
    configuration = theirs.client.get_function_configuration(FunctionName=name)
    assert configuration["FunctionArn"] == f"arn:aws:lambda:{REGION}:{account}:function:{name}"
    assert name in names(client) and names(theirs.client) == {name}

    def said(keys: Keys) -> str:
        logs = boto_client(server, "logs", keys)
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="?ours ?theirs")["events"]
        return "".join(event["message"] for event in events)

    assert (said(server.keys), said(keys)) == ("ours\n", "theirs\n")
    role = unique_name("role")
    boto_client(server, "iam", keys).create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)
    assert refusal(boto_client(server, "iam").get_role, RoleName=role).error == "NoSuchEntity"
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    assert refusal(theirs.client.get_function, FunctionName=arn).error == "AccessDeniedException"
    theirs.client.delete_function(FunctionName=name)
    assert functions.call(name) == 1


def test_another_account_invokes_what_a_policy_allows(
    server: Server, functions: Functions, other: tuple[str, Keys]
) -> None:
    account, keys = other
    name = functions.deploy_python(ECHO)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    theirs = functions_of_keys(server, keys)
    assert refusal(theirs.invoke, name=arn, event=1).error == "AccessDeniedException"
    functions.client.add_permission(
        FunctionName=name, StatementId="them", Action="lambda:InvokeFunction", Principal=account
    )
    assert theirs.call(arn, 7) == 7
    functions.client.remove_permission(FunctionName=name, StatementId="them")
    assert refusal(theirs.invoke, name=arn, event=1).error == "AccessDeniedException"


def test_a_role_is_assumed_across_accounts_when_both_sides_allow_it(server: Server, other: tuple[str, Keys]) -> None:
    account, keys = other
    iam = boto_client(server, "iam")
    name = unique_name("cross")
    statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    given = boto_client(server, "sts", keys).assume_role(RoleArn=role, RoleSessionName="theirs")["Credentials"]
    session = Keys(given["AccessKeyId"], given["SecretAccessKey"])
    sts = boto_client(server, "sts", session, token=given["SessionToken"])
    assert sts.get_caller_identity()["Account"] == ACCOUNT
    me = boto_client(server, "sts")
    assert refusal(me.assume_role, RoleArn=role, RoleSessionName="mine").error == "AccessDenied"


def test_only_the_first_accounts_administrators_manage_accounts(server: Server, other: tuple[str, Keys]) -> None:
    _, keys = other
    for keys_of in (keys, create_key(server)):
        answer = signed(server, "GET", "/_wuwei/v1/accounts", keys=keys_of)
        assert (answer.status, answer.error) == (403, "AccessDeniedException")
        answer = signed(server, "POST", "/_wuwei/v1/accounts", b"{}", keys=keys_of)
        assert answer.status == 403


def test_accounts_survive_and_are_all_settled_after_a_kill(new_server: Callable[..., Server]) -> None:
    server = new_server().start()
    account, keys = make_account(server)
    theirs = functions_of_keys(server, keys)
    name = theirs.deploy_python(ECHO)
    theirs.client.update_function_configuration(FunctionName=name, Timeout=9)
    server.kill()
    server.start()
    theirs = functions_of_keys(server, keys)
    configuration = theirs.client.get_function_configuration(FunctionName=name)
    assert (configuration["LastUpdateStatus"], configuration["Timeout"]) == ("Successful", 9)
    assert theirs.call(name, 1) == 1
    listed: Any = server.wuwei_json("account", "ls")
    assert account in {entry["id"] for entry in listed}


def audit(server: Server, *arguments: str) -> list[dict[str, Any]]:
    output = server.wuwei("audit", "--json", *arguments).ok().output
    return [json.loads(line) for line in output.splitlines()]


def test_every_call_that_administers_is_written_down(server: Server, functions: Functions, client: BaseClient) -> None:
    name = functions.deploy_python(ECHO, Environment={"Variables": {"SECRET": "hunter2-audit"}})
    functions.call(name, 1)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    refusal(client.get_function, FunctionName=f"{name}-none")
    viewer = create_key(server, "--role", "viewer")
    refusal(boto_client(server, keys=viewer).delete_function, FunctionName=name)
    role = unique_name("audited")
    boto_client(server, "iam").create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)
    boto_client(server, "sts").get_caller_identity()
    boto_client(server, "logs").describe_log_groups()
    refusal(boto_client(server, keys=Keys(viewer.access_key_id, "wrong")).list_functions)
    entries = audit(server)
    me = f"arn:aws:iam::{ACCOUNT}:user/{server.keys.access_key_id}"

    def find(action: str, **wanted: Any) -> dict[str, Any]:
        found = [e for e in entries if e["action"] == action and wanted.items() <= e.items()]
        assert found, (action, wanted)
        return found[-1]

    made = find("CreateFunction", resource=arn)
    assert (made["principal"], made["source"], made["service"]) == (me, "127.0.0.1", "lambda")
    assert made["status"] == 201 and made["error"] is None and made["access_key_id"] == server.keys.access_key_id
    assert find("GetFunction", resource=f"{arn}-none")["error"] == "ResourceNotFoundException"
    denied = find("DeleteFunction", resource=arn)
    assert denied["status"] == 403 and denied["principal"].endswith(viewer.access_key_id)
    find("CreateRole", service="iam", resource=f"arn:aws:iam::{ACCOUNT}:role/{role}")
    find("GetCallerIdentity", service="sts")
    find("DescribeLogGroups", service="logs")
    find("Create keys", service="wuwei")
    stranger = find("ListFunctions", error="InvalidSignatureException")
    assert stranger["principal"] is None and stranger["access_key_id"] == viewer.access_key_id
    assert not [entry for entry in entries if entry["action"] == "Invoke"], "calls are no administration"
    stored = "".join(path.read_text() for path in (server.data_dir / "audit").rglob("*.jsonl"))
    for secret in ("hunter2-audit", server.keys.secret_access_key, viewer.secret_access_key):
        assert secret not in stored


def test_the_audit_log_is_bounded_in_time_and_told_to_its_account_only(
    server: Server, client: BaseClient, other: tuple[str, Keys]
) -> None:
    account, keys = other
    boto_client(server, keys=keys).get_account_settings()
    client.get_account_settings()
    answer = signed(server, "GET", "/_wuwei/v1/audit", keys=keys)
    accounts = {entry["account"] for entry in json.loads(answer.body)}
    assert answer.status == 200 and accounts == {account}
    assert {entry["account"] for entry in audit(server)} == {ACCOUNT}
    assert len(audit(server, "--limit", "2")) == 2
    until(lambda: audit(server, "--since", "1h"), "the last hour has entries")
    viewer = create_key(server, "--role", "viewer")
    assert signed(server, "GET", "/_wuwei/v1/audit", keys=viewer).status == 403
    table = server.wuwei("audit").ok().output
    assert "GetAccountSettings" in table and "CALLER" in table


def test_the_audit_log_survives_kill_nine(fresh_server: Server) -> None:
    boto_client(fresh_server).get_account_settings()
    fresh_server.kill()
    fresh_server.start()
    assert [entry for entry in audit(fresh_server) if entry["action"] == "GetAccountSettings"]
