"""Callers who want more than their roles give them: by names, by passing roles, by functions, from other accounts."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timezone
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.client import BaseClient

from harness.boto_package import boto_package
from harness.functions import ECHO, Functions, boto_client, create_key, unique_name
from harness.packages import zip_of
from harness.refusals import Refusal, refusal
from harness.roles import ACCOUNT_TRUST, LAMBDA, SERVER_ADMIN, Session, assume, denied, document, make_role, trust
from harness.server import ACCOUNT, REGION, Keys, Server
from harness.urls import give_url
from harness.wire import Answer, send

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
READ_ONLY = "arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess"
CANNOT_BE_ASSUMED = Refusal(
    400, "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."
)


@pytest.fixture(scope="module")
def iam(server: Server) -> BaseClient:
    return boto_client(server, "iam")


def arn_of(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def name_of(role: str) -> str:
    return role.rsplit("/", 1)[-1]


def allow(*actions: str, on: str = "*") -> dict[str, object]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on}


def session_of(server: Server, iam: BaseClient, *statements: dict[str, object]) -> Session:
    return assume(server, make_role(iam, *statements))


def download(server: Server, url: str) -> Answer:
    """What a URL gives to somebody who has nothing else."""
    parts = urlsplit(url)
    return send(server.address, "GET", f"{parts.path}?{parts.query}")


def with_boto(functions: Functions, role: str) -> str:
    """A function with a role that runs the Python that it is sent."""
    name = unique_name("with-role")
    functions.client.create_function(
        FunctionName=name, Runtime=functions.python, Handler="app.handler", Role=role, Timeout=60, MemorySize=512,
        Code={"ZipFile": boto_package()},
    )  # fmt: skip
    functions.wait_active(name)
    return name


def test_a_role_for_people_is_no_functions_role(iam: BaseClient, functions: Functions) -> None:
    role = make_role(iam, SERVER_ADMIN, trusted=ACCOUNT_TRUST)
    assert refusal(functions.deploy_python, code=ECHO, Role=role) == CANNOT_BE_ASSUMED
    name = functions.deploy_python(ECHO)
    assert refusal(functions.client.update_function_configuration, FunctionName=name, Role=role) == CANNOT_BE_ASSUMED


def test_a_role_that_stops_trusting_lambda_gives_its_functions_nothing(iam: BaseClient, functions: Functions) -> None:
    role = make_role(iam, SERVER_ADMIN, trusted=LAMBDA)
    name = with_boto(functions, role)
    listing = "result = refusal(boto3.client('lambda').list_functions)"
    assert functions.call(name, "result = len(boto3.client('lambda').list_functions()['Functions']) > 0") is True
    iam.update_assume_role_policy(RoleName=name_of(role), PolicyDocument=ACCOUNT_TRUST)
    assert functions.call(name, listing)[:2] == [403, "AccessDeniedException"]


def test_a_key_for_some_functions_passes_only_roles_that_are_named_like_them(
    server: Server, iam: BaseClient, functions: Functions, python_runtime: str
) -> None:
    mine, theirs = unique_name("mine"), unique_name("theirs")
    roles = {}
    for name in (f"{mine}-role", f"{theirs}-role"):
        roles[name] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    keys = create_key(server, "--functions", f"{mine}*")
    team = Functions(boto_client(server, keys=keys), python_runtime)
    other = roles[f"{theirs}-role"]
    found = refusal(team.deploy_python, code=ECHO, FunctionName=mine, Role=other)
    user = f"arn:aws:iam::{ACCOUNT}:user/{keys.access_key_id}"
    assert found == Refusal(403, "AccessDeniedException", denied(user, "iam:PassRole", other))
    team.deploy_python(ECHO, FunctionName=mine, Role=roles[f"{mine}-role"])
    update = team.client.update_function_configuration
    assert refusal(update, FunctionName=mine, Role=other).status == 403
    functions.client.update_function_configuration(FunctionName=mine, Role=other)
    team.wait_updated(mine)
    update(FunctionName=mine, Role=other, Timeout=7)  # what an administrator gave may stay


def test_a_function_does_not_wait_for_a_role_that_somebody_else_will_make(
    server: Server, iam: BaseClient, functions: Functions
) -> None:
    name, later = unique_name("mine"), unique_name("theirs")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{later}"
    team = Functions(boto_client(server, keys=create_key(server, "--functions", f"{name}*")), functions.python)
    settings = {"Runtime": team.python, "Handler": "app.handler", "Role": arn, "Timeout": 60, "MemorySize": 512}
    team.client.create_function(FunctionName=name, Code={"ZipFile": boto_package()}, **settings)
    team.wait_active(name)
    listing = "result = refusal(boto3.client('lambda').list_functions)[0]"
    assert team.call(name, listing) == 403
    iam.create_role(RoleName=later, AssumeRolePolicyDocument=LAMBDA)
    iam.put_role_policy(RoleName=later, PolicyName="all", PolicyDocument=document(SERVER_ADMIN))
    assert refusal(team.client.update_function_configuration, FunctionName=name, Role=arn).status == 403
    team.client.update_function_configuration(FunctionName=name, Timeout=59)
    team.wait_updated(name)
    assert team.call(name, listing) == 403, "the name is another role's now"
    functions.client.update_function_configuration(FunctionName=name, Role=arn)
    team.wait_updated(name)
    listed = "result = len(boto3.client('lambda').list_functions()['Functions']) > 0"
    assert team.call(name, listed) is True
    iam.delete_role_policy(RoleName=later, PolicyName="all")
    iam.delete_role(RoleName=later)
    invoking = f"result = refusal(boto3.client('lambda').invoke, FunctionName={name!r})[0]"
    assert team.call(name, invoking) == 403, "without its role it may nothing"


def test_a_function_does_not_become_another_by_the_name_of_a_role_that_nobody_has_made(
    iam: BaseClient, functions: Functions
) -> None:
    real = make_role(iam, trusted=LAMBDA)
    for pretended in (f"arn:aws:iam::{ACCOUNT}:role/{unique_name('gone')}", real.replace(":role/", ":role/x/")):
        name = with_boto(functions, pretended)
        me = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name_of(pretended)}/{name}"
        target = make_role(iam, trusted=trust({"AWS": [pretended, real, me]}))
        code = f"result = refusal(boto3.client('sts').assume_role, RoleArn={target!r}, RoleSessionName='some')"
        status, error, message = functions.call(name, code)
        assert (status, error) == (403, "AccessDenied") and me in message


def test_conditions_on_a_session_hold_on_both_sides(server: Server, iam: BaseClient) -> None:
    no_root = {"Effect": "Deny", "Condition": {"StringEquals": {"sts:RoleSessionName": "root"}}}
    no_secret = {"Effect": "Deny", "Condition": {"StringEquals": {"aws:ResourceTag/level": "secret"}}}
    caller = session_of(
        server, iam, allow("sts:AssumeRole"), allow("sts:AssumeRole") | no_root, allow("sts:AssumeRole") | no_secret
    ).client("sts")
    plain, secret = make_role(iam), make_role(iam, Tags=[{"Key": "level", "Value": "secret"}])
    only_a = {"StringLike": {"sts:RoleSessionName": "a*"}, "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    careful = make_role(iam, trusted=trust({"AWS": ACCOUNT}, Condition=only_a))
    abroad = make_role(iam, trusted=trust({"AWS": ACCOUNT}, Condition={"IpAddress": {"aws:SourceIp": "192.0.2.1"}}))
    for role, name in ((plain, "some"), (careful, "abc")):
        caller.assume_role(RoleArn=role, RoleSessionName=name)
    for role, name in ((plain, "root"), (secret, "some"), (careful, "bcd"), (abroad, "some")):
        assert refusal(caller.assume_role, RoleArn=role, RoleSessionName=name).error == "AccessDenied", (role, name)


def test_names_of_roles_are_ascii(iam: BaseClient) -> None:
    for name in ("ａdmin", "rôle", "adm\u200bin"):
        assert refusal(iam.create_role, RoleName=name, AssumeRolePolicyDocument=LAMBDA).error == "ValidationError"


def test_who_may_attach_some_policies_attaches_no_others(server: Server, iam: BaseClient) -> None:
    target = name_of(make_role(iam))
    only = {"ArnEquals": {"iam:PolicyARN": READ_ONLY}}
    careful = session_of(server, iam, allow("iam:AttachRolePolicy") | {"Condition": only})
    not_this = {"ArnEquals": {"iam:PolicyARN": ADMINISTRATOR}}
    careless = session_of(server, iam, allow("iam:*"), allow("iam:*") | {"Effect": "Deny", "Condition": not_this})
    for session in (careful, careless):
        client = session.client("iam")
        assert refusal(client.attach_role_policy, RoleName=target, PolicyArn=ADMINISTRATOR).error == "AccessDenied"
        client.attach_role_policy(RoleName=target, PolicyArn=READ_ONLY)


def test_of_an_attachment_and_a_deletion_at_once_one_is_refused(server: Server, iam: BaseClient) -> None:
    role = name_of(make_role(iam))
    nothing = document(allow("s3:*"))
    other = boto_client(server, "iam")

    def outcome(act: Any, **parameters: str) -> str:
        try:
            act(**parameters)
        except iam.exceptions.ClientError as error:
            return str(error.response["Error"]["Code"])
        return "done"

    with ThreadPoolExecutor(2) as pool:
        for _ in range(25):
            arn = iam.create_policy(PolicyName=unique_name("race"), PolicyDocument=nothing)["Policy"]["Arn"]
            attached = pool.submit(outcome, iam.attach_role_policy, RoleName=role, PolicyArn=arn)
            deleted = pool.submit(outcome, other.delete_policy, PolicyArn=arn)
            found = (attached.result(), deleted.result())
            assert found in {("done", "DeleteConflict"), ("NoSuchEntity", "done")}, found
            if found[0] == "done":
                iam.detach_role_policy(RoleName=role, PolicyArn=arn)


def test_tags_decide_where_policies_say_so(server: Server, iam: BaseClient, functions: Functions) -> None:
    tag = {"Key": "Team", "Value": "a"}
    own, other = make_role(iam, Tags=[tag]), make_role(iam)
    mine = functions.deploy_python(ECHO, Tags={"team": "a"})
    theirs = functions.deploy_python(ECHO, Tags={"team": "b"})
    of_team = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    role = make_role(iam, allow("lambda:GetFunction", "iam:GetRole") | {"Condition": of_team}, Tags=[tag])
    session = assume(server, role)
    session.client().get_function(FunctionName=mine)
    assert refusal(session.client().get_function, FunctionName=theirs).status == 403
    session.client("iam").get_role(RoleName=name_of(own))
    assert refusal(session.client("iam").get_role, RoleName=name_of(other)).status == 403
    asked = {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}, "StringEquals": {"aws:RequestTag/team": "a"}}
    tagger = session_of(server, iam, allow("lambda:TagResource") | {"Condition": asked}).client()
    tagger.tag_resource(Resource=arn_of(mine), Tags={"team": "a"})
    for tags in ({"team": "b"}, {"team": "a", "more": "x"}):
        assert refusal(tagger.tag_resource, Resource=arn_of(mine), Tags=tags).status == 403


def test_what_a_call_brings_decides_where_policies_say_so(
    server: Server, iam: BaseClient, functions: Functions
) -> None:
    name = functions.deploy_python(ECHO)
    closed = {"StringNotEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}
    strangers = {"StringNotEquals": {"lambda:Principal": ACCOUNT}}
    layers = {"Null": {"lambda:Layer": "false"}}
    client = session_of(
        server,
        iam,
        SERVER_ADMIN,
        allow("lambda:CreateFunctionUrlConfig") | {"Effect": "Deny", "Condition": closed},
        allow("lambda:AddPermission") | {"Effect": "Deny", "Condition": strangers},
        allow("lambda:UpdateFunctionConfiguration") | {"Effect": "Deny", "Condition": layers},
    ).client()
    url, permit = client.create_function_url_config, client.add_permission
    assert "explicit deny" in refusal(url, FunctionName=name, AuthType="NONE").message
    url(FunctionName=name, AuthType="AWS_IAM")
    invoke = {"FunctionName": name, "StatementId": "s", "Action": "lambda:InvokeFunction"}
    assert "explicit deny" in refusal(permit, **invoke, Principal="*").message
    permit(**invoke, Principal=ACCOUNT)
    change = client.update_function_configuration
    layer = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:any:1"
    assert "explicit deny" in refusal(change, FunctionName=name, Layers=[layer]).message
    change(FunctionName=name, Timeout=9)


def test_a_url_is_called_under_the_policies_of_the_caller(
    server: Server, iam: BaseClient, functions: Functions, client: BaseClient
) -> None:
    name = functions.deploy_python(ECHO)
    url = give_url(server, client, name, AuthType="AWS_IAM")
    both = allow("lambda:InvokeFunctionUrl", "lambda:InvokeFunction", on=arn_of(name))
    via_url = {"Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}}
    session = session_of(server, iam, both | via_url)

    def status(session: Session) -> int:
        return url.signed(keys=session.keys, token=session.token).status

    assert status(session) == 200
    assert refusal(session.client().invoke, FunctionName=name).status == 403, "not but by the URL"
    for wrong in (allow("lambda:InvokeFunction"), both | {"Resource": arn_of(f"{name}-other")}):
        assert status(session_of(server, iam, wrong)) == 403


def test_a_denial_holds_where_its_condition_cannot_be_judged(server: Server, iam: BaseClient) -> None:
    condition = {"StringEquals": {"aws:UserAgent": "never"}}
    client = session_of(server, iam, SERVER_ADMIN, SERVER_ADMIN | {"Effect": "Deny", "Condition": condition}).client()
    assert "explicit deny" in refusal(client.list_functions).message


def test_a_denial_holds_by_whatever_name_a_function_is_called(
    server: Server, iam: BaseClient, functions: Functions
) -> None:
    name = functions.deploy_python(ECHO)
    functions.client.publish_version(FunctionName=name)
    denial = allow("lambda:*", on=f"{arn_of(name)}*") | {"Effect": "Deny"}
    client = session_of(server, iam, SERVER_ADMIN, denial).client()
    names = [name, f"{ACCOUNT}:function:{name}", f"function:{name}", arn_of(name)]
    names += [f"{known}:{qualifier}" for known in (name, arn_of(name)) for qualifier in ("1", "$LATEST")]
    acts = (client.get_function, client.get_function_configuration, client.invoke, client.get_policy)
    for known in names:
        for act in acts:
            assert "explicit deny" in refusal(act, FunctionName=known).message, known
    assert refusal(client.invoke, FunctionName=name, Qualifier="1").status == 403
    assert refusal(client.list_tags, Resource=arn_of(name)).status == 403


def test_layers_are_under_the_policies_that_name_them(
    server: Server, iam: BaseClient, client: BaseClient, functions: Functions
) -> None:
    mine, secret = unique_name("mine"), unique_name("secret")
    arns = {}
    for name in (mine, secret):
        content = {"ZipFile": zip_of({"file": name})}
        arns[name] = client.publish_layer_version(LayerName=name, Content=content)["LayerVersionArn"]
    layer = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{secret}*"
    session = session_of(server, iam, allow("lambda:*"), allow("lambda:GetLayerVersion", on=layer) | {"Effect": "Deny"})
    of = session.client()
    found = of.get_layer_version(LayerName=mine, VersionNumber=1)
    assert download(server, found["Content"]["Location"]).body == zip_of({"file": mine})
    assert refusal(of.get_layer_version, LayerName=secret, VersionNumber=1).status == 403
    assert refusal(of.get_layer_version_by_arn, Arn=arns[secret]).status == 403
    name = functions.deploy_python(ECHO)
    assert refusal(of.update_function_configuration, FunctionName=name, Layers=[arns[secret]]).status == 403
    of.update_function_configuration(FunctionName=name, Layers=[arns[mine]])
    own = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{mine}"
    publisher = session_of(server, iam, allow("lambda:PublishLayerVersion", "lambda:DeleteLayerVersion", on=f"{own}*"))
    publisher.client().publish_layer_version(LayerName=mine, Content={"ZipFile": zip_of({"file": "2"})})
    publisher.client().delete_layer_version(LayerName=mine, VersionNumber=2)
    assert refusal(publisher.client().delete_layer_version, LayerName=secret, VersionNumber=1).status == 403


def test_a_session_deploys_large_packages_where_its_policies_let_it(
    server: Server, iam: BaseClient, python_runtime: str
) -> None:
    prefix = unique_name("large")
    arn = arn_of(f"{prefix}-*")
    statements = (allow("lambda:*", on=arn), allow("iam:PassRole"))
    theirs = Functions(session_of(server, iam, *statements).client(), python_runtime)
    code = {"ZipFile": zip_of({"app.py": ECHO, "data": Random(1).randbytes(256 * 1024)})}
    role = f"arn:aws:iam::{ACCOUNT}:role/any"
    settings = {"Runtime": python_runtime, "Handler": "app.handler", "Role": role, "Code": code}
    theirs.client.create_function(FunctionName=f"{prefix}-a", **settings)
    theirs.wait_active(f"{prefix}-a")
    assert theirs.call(f"{prefix}-a", 1) == 1
    assert refusal(theirs.client.create_function, FunctionName=f"other-{prefix}", **settings).status == 403


def test_a_session_downloads_the_packages_that_its_policies_let_it_see(
    server: Server, iam: BaseClient, functions: Functions
) -> None:
    mine, other = functions.deploy_python(ECHO), functions.deploy_python(ECHO + "\n")
    functions.client.publish_version(FunctionName=mine)
    role = make_role(iam, allow("lambda:GetFunction", on=f"{arn_of(mine)}*"))
    session = assume(server, role)
    package = zip_of({"app.py": ECHO})
    location = session.client().get_function(FunctionName=mine)["Code"]["Location"]
    versioned = session.client().get_function(FunctionName=mine, Qualifier="1")["Code"]["Location"]
    for url in (location, versioned):
        answer = download(server, url)
        assert (answer.status, answer.body) == (200, package)
        assert session.keys.access_key_id not in url, "the URL holds nothing that can do more"
    assert download(server, location.replace(mine, other)).status == 403
    reader = make_role(iam, allow("lambda:GetFunction", on=arn_of(mine)), trusted=LAMBDA)
    code = f"result = boto3.client('lambda').get_function(FunctionName={mine!r})['Code']['Location']"
    assert download(server, functions.call(with_boto(functions, reader), code)).body == package
    (token,) = parse_qs(urlsplit(location).query)["X-Amz-Security-Token"]
    thief = boto_client(server, "lambda", Keys("ASIAAAAAAAAAAAAAAAAA", "x" * 40), token=token)
    assert refusal(thief.get_function, FunctionName=mine).error == "UnrecognizedClientException"
    iam.delete_role_policy(RoleName=name_of(role), PolicyName="inline")
    assert download(server, location).status == 404, "what the role may no longer, the URL may not"


def test_another_account_does_with_a_function_what_its_policy_allows_and_no_more(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    made = server.wuwei_json("account", "create", "--name", "hostile")
    keys = Keys(made["access_key_id"], made["secret_access_key"])
    them, name = boto_client(server, keys=keys), functions.deploy_python(ECHO)
    arn = arn_of(name)
    changed = zip_of({"app.py": ECHO + "# changed\n"})
    acts = {
        "lambda:GetFunction": lambda: them.get_function(FunctionName=arn),
        "lambda:UpdateFunctionCode": lambda: them.update_function_code(FunctionName=arn, ZipFile=changed),
        "lambda:PublishVersion": lambda: them.publish_version(FunctionName=arn),
        "lambda:ListVersionsByFunction": lambda: them.list_versions_by_function(FunctionName=arn),
        "lambda:ListTags": lambda: them.list_tags(Resource=arn),
        "lambda:GetPolicy": lambda: them.get_policy(FunctionName=arn),
    }
    for number, (action, act) in enumerate(acts.items()):
        assert refusal(act).error == "AccessDeniedException", action
        client.add_permission(FunctionName=name, StatementId=f"s{number}", Action=action, Principal=made["id"])
        act()
        functions.wait_updated(name)
    location = them.get_function(FunctionName=arn)["Code"]["Location"]
    assert download(server, location).body == changed
    client.remove_permission(FunctionName=name, StatementId="s0")
    assert download(server, location).status == 404
    client.add_permission(FunctionName=name, StatementId="all", Action="lambda:*", Principal=made["id"])
    for refused in (
        lambda: them.add_permission(FunctionName=arn, StatementId="x", Action="lambda:*", Principal="*"),
        lambda: them.update_function_configuration(FunctionName=arn, Timeout=1),
        lambda: them.create_function_url_config(FunctionName=arn, AuthType="NONE"),
    ):
        assert refusal(refused).error == "AccessDeniedException"
    viewer = boto_client(server, keys=create_key(server, "--role", "viewer"))
    client.add_permission(FunctionName=name, StatementId="own", Action="lambda:*", Principal=ACCOUNT)
    assert refusal(viewer.delete_function, FunctionName=name).status == 403, "one's own account names nobody"


def test_no_terminal_obeys_what_strangers_have_left_in_the_audit_log(server: Server) -> None:
    assert send(server.address, "GET", "/_wuwei/v1/%1b%5b2J%c2%9b/%1b%5b31m").status == 403
    table = server.wuwei("audit").ok().output
    assert "[2J" in table and not set(table) & {"\x1b", "\x9b"}


def test_who_has_not_signed_stands_in_no_entry_of_the_audit_log(server: Server) -> None:
    key = server.keys.access_key_id
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{key}/{now[:8]}/{REGION}/iam/aws4_request"
    with closing(http.client.HTTPConnection(*server.address, timeout=60)) as connection:
        # A body that is longer than anybody may send, so that the signature, which covers it, is never looked at.
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", str(1024 * 1024))
        connection.putheader("X-Amz-Date", now)
        signature = f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
        connection.putheader("Authorization", f"AWS4-HMAC-SHA256 Credential={scope}, {signature}")
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413, answer.read()
    output = server.wuwei("audit", "--json").ok().output
    entries = [json.loads(line) for line in output.splitlines()]
    (found,) = [entry for entry in entries if entry["error"] == "RequestEntityTooLarge"]
    assert found["principal"] is None and found["access_key_id"] == key
