"""Code signing: configurations, the functions that have one, and what becomes of code that nobody has signed."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.client import BaseClient

from harness.arns import arn_of
from harness.functions import ECHO, Functions, boto_client, create_key, unique_name
from harness.layers import publish
from harness.packages import zip_of
from harness.refusals import Refusal, not_found, refusal
from harness.server import ACCOUNT, REGION, Server

PROFILE = f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/team/aBcDeFgHiJ"
NOBODY = f"arn:aws:lambda:{REGION}:{ACCOUNT}:code-signing-config:csc-00000000000000000"
UNSIGNED = Refusal(
    400,
    "CodeVerificationFailedException",
    "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is "
    "not configured to accept. Check the provided signature for unsigned.",
)


def missing(arn: str = NOBODY) -> Refusal:
    return Refusal(404, "ResourceNotFoundException", f"The Lambda code signing configuration {arn} can not be found.")


def not_there(arn: str = NOBODY) -> Refusal:
    text = (
        f"The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}."
    )
    return Refusal(404, "CodeSigningConfigNotFoundException", text)


def create(client: BaseClient, policy: str | None = None, **settings: Any) -> dict[str, Any]:
    if policy:
        settings["CodeSigningPolicies"] = {"UntrustedArtifactOnDeployment": policy}
    publishers = {"SigningProfileVersionArns": [PROFILE]}
    config: dict[str, Any] = client.create_code_signing_config(**({"AllowedPublishers": publishers} | settings))[
        "CodeSigningConfig"
    ]
    return config


def test_a_configuration_is_made_read_changed_and_deleted(client: BaseClient) -> None:
    made = create(client, Description="ours")
    assert re.fullmatch("csc-[a-z0-9]{17}", made["CodeSigningConfigId"])
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:code-signing-config:{made['CodeSigningConfigId']}"
    assert {key: value for key, value in made.items() if key != "LastModified"} == {
        "CodeSigningConfigId": made["CodeSigningConfigId"],
        "CodeSigningConfigArn": arn,
        "Description": "ours",
        "AllowedPublishers": {"SigningProfileVersionArns": [PROFILE]},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"},
    }
    assert client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"] == made
    enforce = {"UntrustedArtifactOnDeployment": "Enforce"}
    changed = client.update_code_signing_config(CodeSigningConfigArn=arn, CodeSigningPolicies=enforce)
    expected = made | {"CodeSigningPolicies": enforce, "LastModified": changed["CodeSigningConfig"]["LastModified"]}
    assert changed["CodeSigningConfig"] == expected
    others = {"SigningProfileVersionArns": [PROFILE + "2", PROFILE]}
    changed = client.update_code_signing_config(CodeSigningConfigArn=arn, AllowedPublishers=others, Description="")
    assert changed["CodeSigningConfig"]["AllowedPublishers"] == others
    assert changed["CodeSigningConfig"]["Description"] == ""
    assert client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"] == changed["CodeSigningConfig"]
    gone = client.delete_code_signing_config(CodeSigningConfigArn=arn)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call in (client.get_code_signing_config, client.delete_code_signing_config, client.update_code_signing_config):
        assert refusal(lambda call=call: call(CodeSigningConfigArn=arn)) == missing(arn)


def test_wrong_configurations_are_refused(client: BaseClient) -> None:
    twenty_one = {"SigningProfileVersionArns": [f"{PROFILE}{number}" for number in range(21)]}
    for settings in (
        {"AllowedPublishers": None},
        {"AllowedPublishers": {"SigningProfileVersionArns": []}},
        {"AllowedPublishers": twenty_one},
        {"AllowedPublishers": {"SigningProfileVersionArns": ["nothing"]}},
        {"Description": "d" * 257},
        {"CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Maybe"}},
    ):
        refused = refusal(lambda settings=settings: create(client, **settings))
        assert (refused.status, refused.error) == (400, "ValidationException"), settings
    twenty = {"SigningProfileVersionArns": twenty_one["SigningProfileVersionArns"][:20]}
    assert create(client, AllowedPublishers=twenty, Description="d" * 256)["AllowedPublishers"] == twenty


def test_lists_go_page_by_page_to_the_end(fresh_server: Server, functions_of: Any) -> None:
    functions: Functions = functions_of(fresh_server)
    client = functions.client
    assert client.list_code_signing_configs()["CodeSigningConfigs"] == []
    made = sorted(create(client)["CodeSigningConfigArn"] for _ in range(5))
    pages = client.get_paginator("list_code_signing_configs").paginate(PaginationConfig={"PageSize": 2})
    found = [[config["CodeSigningConfigArn"] for config in page["CodeSigningConfigs"]] for page in pages]
    assert found == [made[:2], made[2:4], made[4:]]
    names = sorted(unique_name("signed") for _ in range(3))
    for name in names:
        functions.deploy_python(ECHO, FunctionName=name, CodeSigningConfigArn=made[0])
    functions.deploy_python(ECHO, CodeSigningConfigArn=made[1])
    functions.deploy_python(ECHO)
    paginator = client.get_paginator("list_functions_by_code_signing_config")
    pages = list(paginator.paginate(CodeSigningConfigArn=made[0], PaginationConfig={"PageSize": 2}))
    assert [page["FunctionArns"] for page in pages] == [[arn_of(name) for name in names[:2]], [arn_of(names[2])]]
    assert client.list_functions_by_code_signing_config(CodeSigningConfigArn=made[4])["FunctionArns"] == []
    by_nobody = refusal(lambda: client.list_functions_by_code_signing_config(CodeSigningConfigArn=NOBODY))
    assert by_nobody == missing()


def test_a_function_is_given_a_configuration_and_it_is_taken_away(functions: Functions) -> None:
    client, arn = functions.client, create(functions.client)["CodeSigningConfigArn"]
    name = functions.deploy_python(ECHO)

    def shown() -> dict[str, Any]:
        answer = client.get_function_code_signing_config(FunctionName=name)
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    assert shown() == {}
    put = client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    assert (put["CodeSigningConfigArn"], put["FunctionName"]) == (arn, name)
    assert shown() == {"CodeSigningConfigArn": arn, "FunctionName": name}
    in_use = refusal(lambda: client.delete_code_signing_config(CodeSigningConfigArn=arn))
    assert (in_use.status, in_use.error) == (409, "ResourceConflictException")
    gone = client.delete_function_code_signing_config(FunctionName=name)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert shown() == {}
    client.delete_code_signing_config(CodeSigningConfigArn=arn)
    unknown = {"FunctionName": name, "CodeSigningConfigArn": arn}
    assert refusal(lambda: client.put_function_code_signing_config(**unknown)) == not_there(arn)
    assert refusal(lambda: functions.deploy_python(ECHO, CodeSigningConfigArn=arn)) == not_there(arn)
    nobody = refusal(lambda: client.get_function_code_signing_config(FunctionName="nobody"))
    assert nobody == not_found(arn_of("nobody"))


def test_unsigned_code_is_refused_where_signatures_are_enforced(functions: Functions) -> None:
    client = functions.client
    enforced = create(client, "Enforce")["CodeSigningConfigArn"]
    name = unique_name("signed")
    refused = refusal(lambda: functions.deploy_python(ECHO, FunctionName=name, CodeSigningConfigArn=enforced))
    assert refused == UNSIGNED
    assert refusal(lambda: client.get_function(FunctionName=name)).status == 404
    functions.deploy_python(ECHO, FunctionName=name)
    client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=enforced)
    before = client.get_function_configuration(FunctionName=name)
    code = {"FunctionName": name, "ZipFile": zip_of({"app.py": ECHO + "\n"})}
    assert refusal(lambda: client.update_function_code(**code)) == UNSIGNED
    assert refusal(lambda: client.update_function_code(**code, DryRun=True)) == UNSIGNED
    layer = publish(client, {"file": "x"})["LayerVersionArn"]
    with_layer = {"FunctionName": name, "Layers": [layer]}
    assert refusal(lambda: client.update_function_configuration(**with_layer)) == UNSIGNED
    assert client.get_function_configuration(FunctionName=name)["RevisionId"] == before["RevisionId"]
    # What is there runs on, and settings can be changed.
    assert functions.call(name, 1) == 1
    client.update_function_configuration(FunctionName=name, Timeout=9)
    functions.wait_updated(name)


def test_unsigned_code_is_deployed_where_signatures_are_only_watched(functions: Functions) -> None:
    warned = create(functions.client, "Warn")["CodeSigningConfigArn"]
    layer = publish(functions.client, {"file": "x"})["LayerVersionArn"]
    name = functions.deploy_python(ECHO, CodeSigningConfigArn=warned, Layers=[layer])
    functions.client.update_function_code(FunctionName=name, ZipFile=zip_of({"app.py": ECHO + "\n"}))
    functions.wait_updated(name)
    assert functions.call(name, "x") == "x"


def test_configurations_have_tags(client: BaseClient) -> None:
    arn = create(client, Tags={"team": "a"})["CodeSigningConfigArn"]
    assert client.list_tags(Resource=arn)["Tags"] == {"team": "a"}
    client.tag_resource(Resource=arn, Tags={"stage": "b"})
    client.untag_resource(Resource=arn, TagKeys=["team"])
    assert client.list_tags(Resource=arn)["Tags"] == {"stage": "b"}
    assert refusal(lambda: client.list_tags(Resource=NOBODY)) == missing()


def test_changes_at_the_same_time_all_happen(client: BaseClient) -> None:
    arn = create(client)["CodeSigningConfigArn"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: client.tag_resource(Resource=arn, Tags={f"k{number}": ""}), range(16)))
    assert client.list_tags(Resource=arn)["Tags"] == {f"k{number}": "" for number in range(16)}


def test_a_key_for_some_functions_changes_no_configuration(client: BaseClient, server: Server) -> None:
    arn = create(client, "Enforce")["CodeSigningConfigArn"]
    team = boto_client(server, keys=create_key(server, "--functions", "team-*"))
    assert team.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]["CodeSigningConfigArn"] == arn
    warn = {"UntrustedArtifactOnDeployment": "Warn"}
    for call, parameters in (
        (team.update_code_signing_config, {"CodeSigningConfigArn": arn, "CodeSigningPolicies": warn}),
        (team.delete_code_signing_config, {"CodeSigningConfigArn": arn}),
        (team.tag_resource, {"Resource": arn, "Tags": {"a": "b"}}),
    ):
        refused = refusal(lambda call=call, parameters=parameters: call(**parameters))
        assert (refused.status, refused.error) == (403, "AccessDeniedException")
    assert refusal(lambda: create(team)).error == "AccessDeniedException"


def test_a_configuration_survives_kill_nine(fresh_server: Server, functions_of: Any) -> None:
    functions: Functions = functions_of(fresh_server)
    made = create(functions.client, "Enforce", Description="kept")
    name = functions.deploy_python(ECHO)
    functions.client.put_function_code_signing_config(
        FunctionName=name, CodeSigningConfigArn=made["CodeSigningConfigArn"]
    )
    fresh_server.kill()
    fresh_server.start()
    client = functions_of(fresh_server).client
    shown = client.get_code_signing_config(CodeSigningConfigArn=made["CodeSigningConfigArn"])
    assert shown["CodeSigningConfig"] == made
    code = {"FunctionName": name, "ZipFile": zip_of({"app.py": ECHO + "\n"})}
    assert refusal(lambda: client.update_function_code(**code)) == UNSIGNED
