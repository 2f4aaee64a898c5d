"""IAM and STS: roles, policies, temporary credentials, and what they let somebody do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.boto_package import boto_package
from harness.functions import ECHO, Functions, boto_client, create_key, unique_name
from harness.packages import zip_of
from harness.refusals import Refusal, refusal
from harness.roles import ACCOUNT_TRUST, LAMBDA, SERVER_ADMIN, Session, assume, denied, document, make_role, trust
from harness.server import ACCOUNT, REGION, Keys, Server
from harness.tools import debian_aws_program, plain_environment, run

BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture(scope="module")
def iam(server: Server) -> BaseClient:
    """boto3's client of IAM; every answer is checked against the service model."""
    return boto_client(server, "iam")


def no_such(message: str) -> Refusal:
    return Refusal(404, "NoSuchEntity", message)


def test_a_role_is_made_shown_changed_and_deleted(iam: BaseClient) -> None:
    name = unique_name("Role")
    tags = [{"Key": "team", "Value": "a b"}]
    made = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=LAMBDA, Path="/team/", Description="for <tests>", Tags=tags
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/team/{name}" and made["RoleId"].startswith("AROA")
    assert made["AssumeRolePolicyDocument"] == json.loads(LAMBDA) and made["MaxSessionDuration"] == 3600
    shown = iam.get_role(RoleName=name.upper())["Role"]
    assert (shown["RoleName"], shown["Description"], shown["Tags"]) == (name, "for <tests>", tags)
    exists = Refusal(409, "EntityAlreadyExists", f"Role with name {name.lower()} already exists.")
    assert refusal(iam.create_role, RoleName=name.lower(), AssumeRolePolicyDocument=LAMBDA) == exists
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=ACCOUNT_TRUST)
    iam.update_role(RoleName=name, Description="other", MaxSessionDuration=7200)
    changed = iam.get_role(RoleName=name)["Role"]
    assert (changed["Description"], changed["MaxSessionDuration"]) == ("other", 7200)
    assert changed["AssumeRolePolicyDocument"] == json.loads(ACCOUNT_TRUST)
    iam.tag_role(RoleName=name, Tags=[{"Key": "more", "Value": ""}])
    iam.untag_role(RoleName=name, TagKeys=["team"])
    assert iam.list_role_tags(RoleName=name)["Tags"] == [{"Key": "more", "Value": ""}]
    assert iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == []
    iam.delete_role(RoleName=name)
    missing = no_such(f"The role with name {name} cannot be found.")
    assert refusal(iam.get_role, RoleName=name) == missing
    assert refusal(iam.delete_role, RoleName=name) == missing


def test_inline_policies_belong_to_their_role(iam: BaseClient) -> None:
    name = make_role(iam).rsplit("/", 1)[-1]
    text = document({"Effect": "Allow", "Action": "lambda:*", "Resource": "*"})
    iam.put_role_policy(RoleName=name, PolicyName="one", PolicyDocument=text)
    iam.put_role_policy(RoleName=name, PolicyName="two", PolicyDocument=text)
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["one", "two"]
    assert iam.get_role_policy(RoleName=name, PolicyName="one")["PolicyDocument"] == json.loads(text)
    conflict = "Cannot delete entity, must delete policies first."
    assert refusal(iam.delete_role, RoleName=name) == Refusal(409, "DeleteConflict", conflict)
    iam.delete_role_policy(RoleName=name, PolicyName="one")
    missing = no_such("The role policy with name one cannot be found.")
    assert refusal(iam.get_role_policy, RoleName=name, PolicyName="one") == missing
    assert refusal(iam.delete_role_policy, RoleName=name, PolicyName="one") == missing


def test_shared_policies_are_attached_to_roles(iam: BaseClient) -> None:
    role = make_role(iam).rsplit("/", 1)[-1]
    name = unique_name("policy")
    text = document({"Effect": "Allow", "Action": "lambda:Get*", "Resource": "*"})
    made = iam.create_policy(PolicyName=name, PolicyDocument=text, Description="d", Tags=[{"Key": "k", "Value": "v"}])
    arn = made["Policy"]["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/{name}" and made["Policy"]["AttachmentCount"] == 0
    for attached in (arn, BASIC):
        iam.attach_role_policy(RoleName=role, PolicyArn=attached)
    shown = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert {entry["PolicyArn"]: entry["PolicyName"] for entry in shown} == {
        arn: name,
        BASIC: "AWSLambdaBasicExecutionRole",
    }
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (policy["AttachmentCount"], policy["Description"], policy["DefaultVersionId"]) == (1, "d", "v1")
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"] == json.loads(text)
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"][0]["RoleName"] == role
    assert [entry["VersionId"] for entry in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v1"]
    attached = Refusal(409, "DeleteConflict", "Cannot delete a policy attached to entities.")
    assert refusal(iam.delete_policy, PolicyArn=arn) == attached
    conflict = Refusal(409, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
    assert refusal(iam.delete_role, RoleName=role) == conflict
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    assert refusal(iam.detach_role_policy, RoleName=role, PolicyArn=arn) == no_such(f"Policy {arn} was not found.")
    iam.delete_policy(PolicyArn=arn)
    assert refusal(iam.get_policy, PolicyArn=arn) == no_such(f"Policy {arn} was not found.")
    gone = no_such(f"Policy {arn} does not exist or is not attachable.")
    assert refusal(iam.attach_role_policy, RoleName=role, PolicyArn=arn) == gone


def test_a_policy_has_up_to_five_versions_of_which_one_holds(server: Server, iam: BaseClient) -> None:
    role = make_role(iam).rsplit("/", 1)[-1]
    client = assume(server, f"arn:aws:iam::{ACCOUNT}:role/{role}").client()
    nothing = document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    listing = document({"Effect": "Allow", "Action": "lambda:List*", "Resource": "*"})
    arn = iam.create_policy(PolicyName=unique_name("policy"), PolicyDocument=nothing)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=listing)["PolicyVersion"]
    assert (second["VersionId"], second["IsDefaultVersion"]) == ("v2", False)
    assert refusal(client.list_functions).status == 403
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    client.list_functions()
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    third = iam.create_policy_version(PolicyArn=arn, PolicyDocument=nothing, SetAsDefault=True)["PolicyVersion"]
    assert third["IsDefaultVersion"] and refusal(client.list_functions).status == 403
    for _ in range(2):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=nothing)
    text = (
        "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing "
        "version."
    )
    create = {"PolicyArn": arn, "PolicyDocument": nothing}
    assert refusal(iam.create_policy_version, **create) == Refusal(409, "LimitExceeded", text)
    pages = iam.get_paginator("list_policy_versions").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 2})
    listed = [(entry["VersionId"], entry["IsDefaultVersion"]) for page in pages for entry in page["Versions"]]
    assert listed == [("v5", False), ("v4", False), ("v3", True), ("v2", False), ("v1", False)]
    delete = iam.delete_policy_version
    conflict = Refusal(409, "DeleteConflict", "Cannot delete the default version of a policy.")
    assert refusal(delete, PolicyArn=arn, VersionId="v3") == conflict
    delete(PolicyArn=arn, VersionId="v5")
    again = iam.create_policy_version(**create)["PolicyVersion"]["VersionId"]
    assert again == "v6", "no number is given twice"
    missing = no_such(f"Policy {arn} version v5 does not exist or is not attachable.")
    for call in (delete, iam.get_policy_version, iam.set_default_policy_version):
        assert refusal(call, PolicyArn=arn, VersionId="v5") == missing
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    assert refusal(iam.delete_policy, PolicyArn=arn).error == "DeleteConflict"
    for version in ("v1", "v2", "v4", "v6"):
        delete(PolicyArn=arn, VersionId=version)
    iam.delete_policy(PolicyArn=arn)
    assert refusal(iam.create_policy_version, **create | {"PolicyArn": BASIC}).error == "AccessDenied"


def test_the_policies_of_aws_are_known_by_arn(iam: BaseClient) -> None:
    policy = iam.get_policy(PolicyArn=BASIC)["Policy"]
    assert (policy["PolicyName"], policy["Path"]) == ("AWSLambdaBasicExecutionRole", "/service-role/")
    version = iam.get_policy_version(PolicyArn=BASIC, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    assert "logs:PutLogEvents" in version["Document"]["Statement"][0]["Action"]
    listed = {entry["Arn"] for entry in iam.list_policies(Scope="AWS")["Policies"]}
    assert BASIC in listed and not any(f":{ACCOUNT}:" in arn for arn in listed)


def test_lists_are_paged_to_the_end(iam: BaseClient) -> None:
    path = f"/{unique_name('path')}/"
    names = sorted(make_role(iam, Path=path).rsplit("/", 1)[-1] for _ in range(7))
    pages = list(iam.get_paginator("list_roles").paginate(PathPrefix=path, PaginationConfig={"PageSize": 3}))
    assert sorted(role["RoleName"] for page in pages for role in page["Roles"]) == names
    assert [len(page["Roles"]) for page in pages] == [3, 3, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "This policy contains invalid Json"),
        ("{}", "Syntax errors in policy."),
        (
            document({"Effect": "Allow", "Action": "x", "Resource": "*"}),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (document({"Effect": "Allow", "Action": "a:b", "Resource": "x"}), 'Resource must be in ARN format or "*".'),
        (trust("*"), "Policy document should not specify a principal."),
    ],
)
def test_documents_that_iam_refuses_are_refused(iam: BaseClient, text: str, message: str) -> None:
    role = make_role(iam).rsplit("/", 1)[-1]
    wrong = Refusal(400, "MalformedPolicyDocument", message)
    assert refusal(iam.put_role_policy, RoleName=role, PolicyName="p", PolicyDocument=text) == wrong
    assert refusal(iam.create_policy, PolicyName=unique_name("p"), PolicyDocument=text) == wrong


def test_constraints_and_quotas_are_those_of_aws(iam: BaseClient) -> None:
    message = (
        "1 validation error detected: Value 'a b' at 'roleName' failed to satisfy constraint: Member must satisfy "
        r"regular expression pattern: [\w+=,.@-]+"
    )
    found = refusal(iam.create_role, RoleName="a b", AssumeRolePolicyDocument=LAMBDA)
    assert found == Refusal(400, "ValidationError", message)
    name = make_role(iam).rsplit("/", 1)[-1]
    resources = [f"arn:aws:lambda:*:*:function:{number:060}" for number in range(120)]
    text = document({"Effect": "Allow", "Action": "lambda:*", "Resource": resources})
    found = refusal(iam.put_role_policy, RoleName=name, PolicyName="p", PolicyDocument=text)
    assert found == Refusal(409, "LimitExceeded", f"Maximum policy size of 10240 bytes exceeded for role {name}")
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []
    found = refusal(iam.create_policy, PolicyName="large", PolicyDocument=text)
    assert found == Refusal(409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
    missing = refusal(iam.create_user, UserName="u")
    assert (missing.status, missing.error) == (501, "NotImplemented") and "CreateUser" in missing.message


def test_an_assumed_role_may_do_what_its_policies_allow(server: Server, iam: BaseClient, functions: Functions) -> None:
    mine, other = functions.deploy_python(ECHO), functions.deploy_python(ECHO)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
    role = make_role(
        iam,
        {"Effect": "Allow", "Action": ["lambda:GetFunction*", "lambda:InvokeFunction"], "Resource": f"{arn}{mine}"},
        {"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"},
        {"Effect": "Deny", "Action": "lambda:DeleteFunction", "Resource": "*"},
    )
    session = assume(server, role)
    assert session.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rsplit('/', 1)[-1]}/session"
    identity = session.client("sts").get_caller_identity()
    assert identity["Arn"] == session.arn and identity["UserId"].endswith(":session")
    client = session.client()
    assert client.get_function_configuration(FunctionName=mine)["FunctionName"] == mine
    assert client.invoke(FunctionName=mine, Payload=b"7")["Payload"].read() == b"7"
    assert {mine, other} <= {
        entry["FunctionName"]
        for page in client.get_paginator("list_functions").paginate()
        for entry in page["Functions"]
    }
    found = refusal(client.get_function, FunctionName=other)
    assert found == Refusal(403, "AccessDeniedException", denied(session.arn, "lambda:GetFunction", f"{arn}{other}"))
    found = refusal(client.delete_function, FunctionName=mine)
    why = "with an explicit deny in an identity-based policy"
    assert found.message == denied(session.arn, "lambda:DeleteFunction", f"{arn}{mine}", why)
    found = refusal(session.client("iam").list_roles)
    assert found == Refusal(403, "AccessDenied", denied(session.arn, "iam:ListRoles", f"arn:aws:iam::{ACCOUNT}:role/"))
    found = refusal(session.client("logs").describe_log_groups)
    assert found.error == "AccessDeniedException"


def test_a_change_of_policies_holds_from_the_next_call_on(server: Server, iam: BaseClient) -> None:
    role = make_role(iam)
    name = role.rsplit("/", 1)[-1]
    client = assume(server, role).client()
    assert refusal(client.list_functions).status == 403
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess")
    client.list_functions()
    iam.detach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess")
    assert refusal(client.list_functions).status == 403
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document(SERVER_ADMIN))
    client.list_functions()
    iam.delete_role_policy(RoleName=name, PolicyName="all")
    iam.delete_role(RoleName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=ACCOUNT_TRUST)
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document(SERVER_ADMIN))
    assert refusal(client.list_functions).status == 403, "a role that was made anew is another"


def test_a_session_gets_no_more_than_it_was_given(server: Server, iam: BaseClient) -> None:
    role = make_role(iam, SERVER_ADMIN)
    bounded = document({"Effect": "Allow", "Action": "lambda:List*", "Resource": "*"})
    session = assume(server, role, Policy=bounded)
    session.client().list_functions()
    found = refusal(session.client().get_account_settings)
    why = "because no session policy allows the lambda:GetAccountSettings action"
    assert found.message == denied(session.arn, "lambda:GetAccountSettings", "*", why)
    padded = bounded + " " * (2048 - len(bounded))
    assume(server, role, Policy=padded).client().list_functions()
    sts = boto_client(server, "sts")
    found = refusal(sts.assume_role, RoleArn=role, RoleSessionName="some", Policy=padded + " ")
    assert (found.status, found.error) == (400, "PackedPolicyTooLarge")
    bounded_by_arn = assume(server, role, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}])
    bounded_by_arn.client("iam").list_roles()
    assert refusal(bounded_by_arn.client().list_functions).status == 403


def test_temporary_credentials_survive_a_restart(
    new_server: Callable[..., Server],
) -> None:
    server = new_server().start()
    role = make_role(boto_client(server, "iam"), SERVER_ADMIN)
    session = assume(server, role, DurationSeconds=900)
    server.stop()
    server.start()
    session.client().list_functions()
    wrong = Session(server, session.keys, session.token[:-8] + "AAAAAAA=", session.arn)
    assert refusal(wrong.client().list_functions).error == "UnrecognizedClientException"
    missing = boto_client(server, "lambda", session.keys)
    assert refusal(missing.list_functions).error == "UnrecognizedClientException"
    stolen = Session(server, Keys("ASIAAAAAAAAAAAAAAAAA", session.keys.secret_access_key), session.token, "")
    assert refusal(stolen.client().list_functions).error == "UnrecognizedClientException"


def test_a_role_is_assumed_by_whom_it_trusts_only(server: Server, iam: BaseClient) -> None:
    sts = boto_client(server, "sts")
    deployer = create_key(server)
    by_deployer = boto_client(server, "sts", deployer)
    me = f"arn:aws:iam::{ACCOUNT}:user/{server.keys.access_key_id}"

    def refused(role: str, who: str, client: BaseClient, **more: Any) -> None:
        found = refusal(client.assume_role, RoleArn=role, RoleSessionName="some", **more)
        text = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {role}"
        assert (found.status, found.error) == (403, "AccessDenied") and found.message.startswith(text), found

    refused(f"arn:aws:iam::{ACCOUNT}:role/none", me, sts)
    refused(make_role(iam, trusted=LAMBDA), me, sts)
    of_account = make_role(iam, trusted=ACCOUNT_TRUST)
    assume(server, of_account)
    refused(of_account, f"arn:aws:iam::{ACCOUNT}:user/{deployer.access_key_id}", by_deployer)
    named = make_role(iam, trusted=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/{deployer.access_key_id}"}))
    assume(server, named, by_deployer)
    refused(named, me, sts)
    condition = {"StringEquals": {"sts:ExternalId": "secret"}}
    external = make_role(iam, trusted=trust({"AWS": ACCOUNT}, Condition=condition))
    refused(external, me, sts)
    assume(server, external, ExternalId="secret")
    first = assume(server, make_role(iam, {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}))
    chained = assume(server, of_account, first.client("sts"))
    assert chained.arn.endswith("/session")
    too_long = refusal(sts.assume_role, RoleArn=of_account, RoleSessionName="some", DurationSeconds=7200)
    text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    assert too_long == Refusal(400, "ValidationError", text)


def test_only_administrators_change_roles(server: Server, iam: BaseClient) -> None:
    name = make_role(iam).rsplit("/", 1)[-1]
    deployer, viewer = (
        boto_client(server, "iam", create_key(server, "--role", role)) for role in ("deployer", "viewer")
    )
    assert deployer.get_role(RoleName=name)["Role"]["RoleName"] == name
    for client in (deployer, viewer):
        found = refusal(client.create_role, RoleName="mine", AssumeRolePolicyDocument=LAMBDA)
        assert (found.status, found.error) == (403, "AccessDenied") and "iam:CreateRole" in found.message
    assert refusal(viewer.get_role, RoleName=name).error == "AccessDenied"


def test_giving_a_role_to_a_function_takes_pass_role(server: Server, iam: BaseClient, python_runtime: str) -> None:
    passed = make_role(iam, SERVER_ADMIN, trusted=LAMBDA)
    maker = {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}

    def create(session: Session) -> Any:
        return session.client().create_function(
            FunctionName=unique_name("passed"), Runtime=python_runtime, Handler="app.handler", Role=passed,
            Code={"ZipFile": zip_of({"app.py": ECHO})},
        )  # fmt: skip

    session = assume(server, make_role(iam, maker))
    found = refusal(create, session=session)
    assert found == Refusal(403, "AccessDeniedException", denied(session.arn, "iam:PassRole", passed))
    condition = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": passed, "Condition": condition}
    made = create(assume(server, make_role(iam, maker, passing)))
    assert made["Role"] == passed


def test_in_strict_mode_a_function_has_a_role_that_was_made_for_it(new_server: Callable[..., Server]) -> None:
    server = new_server("strict_roles = true\n").start()
    client, iam = boto_client(server), boto_client(server, "iam")
    runtime = "provided.al2023"

    def create(role: str) -> Any:
        return client.create_function(
            FunctionName=unique_name("strict"), Runtime=runtime, Handler="unused", Role=role,
            Code={"ZipFile": zip_of({"bootstrap": "#!/bin/sh\n"})},
        )  # fmt: skip

    text = "The role defined for the function cannot be assumed by Lambda."
    wrong = Refusal(400, "InvalidParameterValueException", text)
    assert refusal(create, role=f"arn:aws:iam::{ACCOUNT}:role/none") == wrong
    assert refusal(create, role=make_role(iam, trusted=ACCOUNT_TRUST)) == wrong
    abroad = refusal(create, role="arn:aws:iam::111111111111:role/r")
    assert abroad == Refusal(403, "AccessDeniedException", "Cross-account pass role is not allowed.")
    role = make_role(iam, trusted=LAMBDA)
    name = create(role)["FunctionName"]
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    change = {"FunctionName": name, "Role": f"arn:aws:iam::{ACCOUNT}:role/none"}
    assert refusal(client.update_function_configuration, **change) == wrong


def test_a_functions_role_decides_what_it_may_do(iam: BaseClient, functions: Functions) -> None:
    role = make_role(
        iam,
        {"Effect": "Allow", "Action": ["lambda:ListFunctions", "sts:AssumeRole"], "Resource": "*"},
        trusted=LAMBDA,
    )
    name = unique_name("with-role")
    functions.client.create_function(
        FunctionName=name, Runtime=functions.python, Handler="app.handler", Role=role, Timeout=60, MemorySize=512,
        Code={"ZipFile": boto_package()},
    )  # fmt: skip
    functions.wait_active(name)
    who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rsplit('/', 1)[-1]}/{name}"
    pages = "boto3.client('lambda').get_paginator('list_functions').paginate()"
    assert name in functions.call(name, f"result = [f['FunctionName'] for p in {pages} for f in p['Functions']]")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    refused = f"result = refusal(boto3.client('lambda').invoke, FunctionName={name!r})"
    text = denied(who, "lambda:InvokeFunction", arn)
    assert functions.call(name, refused) == [403, "AccessDeniedException", text]
    target = make_role(iam, trusted=trust({"AWS": role}))
    chained = f"""
sts = boto3.client("sts")
given = sts.assume_role(RoleArn={target!r}, RoleSessionName="chained")["Credentials"]
keys = [given[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
result = boto3.client("sts", **dict(zip(
    ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), keys
))).get_caller_identity()["Arn"]
"""
    assert functions.call(name, chained).endswith("/chained")


def test_the_aws_command_manages_roles(server: Server, tmp_path: Path) -> None:
    environment = plain_environment() | server.environment() | {"HOME": str(tmp_path), "AWS_PAGER": ""}

    # Before 2.13 the command does not read AWS_ENDPOINT_URL.
    command = [debian_aws_program(), "--endpoint-url", server.endpoint]

    def aws(*arguments: str) -> Any:
        output = run([*command, *arguments, "--output", "json"], environment).ok().output
        return json.loads(output) if output.strip() else None

    name = unique_name("cli-role")
    made = aws("iam", "create-role", "--role-name", name, "--assume-role-policy-document", ACCOUNT_TRUST)
    aws("iam", "attach-role-policy", "--role-name", name, "--policy-arn", "arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    role = made["Role"]["Arn"]
    given = aws("sts", "assume-role", "--role-arn", role, "--role-session-name", "cli")["Credentials"]
    environment |= {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
    assert aws("sts", "get-caller-identity")["Arn"].endswith(f"assumed-role/{name}/cli")
    assert aws("iam", "get-role", "--role-name", name)["Role"]["RoleName"] == name
    refused = run([*command, "iam", "delete-role", "--role-name", name], environment)
    assert refused.status != 0 and "iam:DeleteRole" in refused.errors
