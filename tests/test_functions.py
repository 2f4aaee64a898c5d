"""The life of a function in the API: created, found, listed, changed, published, deleted."""

import hashlib
import json
import re
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.functions import ECHO, Functions, boto_client, unique_name
from harness.packages import zip_of
from harness.refusals import Refusal, invalid_parameter, not_found, refusal
from harness.server import ACCOUNT, REGION, ROLE, Server
from harness.wire import signed

PACKAGE = zip_of({"app.py": ECHO})
STALE_REVISION = Refusal(
    412,
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve "
    "the latest Revision Id",
)
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def arn_of(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def sha256_of(package: bytes) -> str:
    return b64encode(hashlib.sha256(package).digest()).decode()


def request(functions: Functions, **settings: Any) -> dict[str, Any]:
    defaults = {
        "FunctionName": unique_name("plain"),
        "Runtime": functions.python,
        "Handler": "app.handler",
        "Role": ROLE,
        "Code": {"ZipFile": PACKAGE},
    }
    return defaults | settings


def test_create_answers_every_field_of_a_zip_function(functions: Functions) -> None:
    wanted = request(functions)
    begin = datetime.now(timezone.utc) - timedelta(seconds=1)
    answer = functions.client.create_function(**wanted)
    name = wanted["FunctionName"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    expected = {
        "FunctionName": name,
        "FunctionArn": arn_of(name),
        "Runtime": functions.python,
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(PACKAGE),
        "CodeSha256": sha256_of(PACKAGE),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }
    assert {key: answer.get(key) for key in expected} == expected
    assert "Environment" not in answer and "VpcConfig" not in answer
    assert re.fullmatch(UUID, answer["RevisionId"])
    assert answer["RuntimeVersionConfig"]["RuntimeVersionArn"].startswith(f"arn:aws:lambda:{REGION}::runtime:")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", answer["LastModified"])
    modified = datetime.strptime(answer["LastModified"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert begin <= modified <= datetime.now(timezone.utc)


def test_a_function_keeps_all_that_it_was_given(functions: Functions) -> None:
    settings = {
        "Description": "what it is for",
        "Timeout": 900,
        "MemorySize": 10_240,
        "Environment": {"Variables": {"ONE": "1", "EMPTY": "", "UNICODE": "無為"}},
        "EphemeralStorage": {"Size": 10_240},
        "Role": "arn:aws:iam::999999999999:role/path/of/another",
    }
    name = functions.deploy({"app.py": ECHO}, Runtime=functions.python, Handler="app.handler", **settings)
    found = functions.client.get_function_configuration(FunctionName=name)
    assert {key: found[key] for key in settings} == settings
    assert (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in found and "LastUpdateStatusReason" not in found


def test_get_function_adds_where_the_code_is(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    found = functions.client.get_function(FunctionName=name)
    assert found["Code"]["RepositoryType"] == "S3"
    configuration = functions.client.get_function_configuration(FunctionName=name)
    del configuration["ResponseMetadata"]
    assert found["Configuration"] == configuration
    assert "Concurrency" not in found


@pytest.mark.parametrize(
    "spelling", ["{name}", "{arn}", "{account}:function:{name}", "{name}:$LATEST", "{arn}:$LATEST"]
)
def test_a_function_is_found_by_every_spelling_of_its_name(functions: Functions, spelling: str) -> None:
    name = functions.deploy_python(ECHO)
    text = spelling.format(name=name, arn=arn_of(name), account=ACCOUNT)
    found = functions.client.get_function_configuration(FunctionName=text)
    suffix = ":$LATEST" if text.endswith("$LATEST") else ""
    assert (found["FunctionName"], found["FunctionArn"]) == (name, arn_of(name) + suffix)


def test_a_second_function_of_the_name_is_a_conflict(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    found = refusal(lambda: functions.client.create_function(**request(functions, FunctionName=name)))
    assert found == Refusal(409, "ResourceConflictException", f"Function already exist: {name}")


@pytest.mark.parametrize(
    "operation",
    [
        "get_function", "get_function_configuration", "delete_function", "publish_version", "list_versions_by_function",
        "update_function_configuration", "invoke",
    ],
)  # fmt: skip
def test_operations_on_a_missing_function_say_so(client: BaseClient, operation: str) -> None:
    found = refusal(lambda: getattr(client, operation)(FunctionName="nobody-here"))
    latest = ":$LATEST" if operation == "invoke" else ""
    assert found in (not_found(arn_of("nobody-here")), not_found(arn_of("nobody-here") + latest))


def test_the_body_of_an_error_is_as_aws_writes_it(server: Server) -> None:
    answer = signed(server, "GET", "/2015-03-31/functions/nobody-here")
    expected = {"Type": "User", "Message": f"Function not found: {arn_of('nobody-here')}"}
    assert (answer.status, json.loads(answer.body)) == (404, expected)
    assert answer.header("content-type") == "application/json"
    assert answer.error == "ResourceNotFoundException"
    assert re.fullmatch(UUID, answer.header("x-amzn-RequestId") or "")


@pytest.mark.parametrize("operation", ["get_function", "get_function_configuration", "invoke"])
def test_operations_on_a_missing_version_say_so(functions: Functions, operation: str) -> None:
    name = functions.deploy_python(ECHO)
    found = refusal(lambda: getattr(functions.client, operation)(FunctionName=name, Qualifier="1221"))
    assert found == not_found(f"{arn_of(name)}:1221")


def test_a_function_of_another_region_is_not_reachable(client: BaseClient) -> None:
    arn = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:anything"
    found = refusal(lambda: client.get_function(FunctionName=arn))
    text = f"Functions from 'eu-west-1' are not reachable in this region ('{REGION}')"
    assert found == Refusal(404, "ResourceNotFoundException", text)


def test_an_update_of_the_configuration_changes_what_it_names_and_nothing_else(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, Description="before", Environment={"Variables": {"FIRST": "1"}})
    before = functions.client.get_function_configuration(FunctionName=name)
    answer = functions.client.update_function_configuration(FunctionName=name, Timeout=7, MemorySize=256)
    assert (answer["LastUpdateStatus"], answer["LastUpdateStatusReasonCode"]) == ("InProgress", "Creating")
    assert answer["LastUpdateStatusReason"] == "The function is being created."
    functions.wait_updated(name)
    after = functions.client.get_function_configuration(FunctionName=name)
    changed = {key for key in before if before[key] != after.get(key)} - {"ResponseMetadata"}
    assert changed == {"Timeout", "MemorySize", "RevisionId", "LastModified"}
    assert (after["Timeout"], after["MemorySize"], after["LastUpdateStatus"]) == (7, 256, "Successful")


def test_an_environment_can_be_replaced_and_emptied(functions: Functions) -> None:
    code = "import os\ndef handler(event, context):\n    return [os.environ.get('FIRST'), os.environ.get('SECOND')]\n"
    name = functions.deploy_python(code, Environment={"Variables": {"FIRST": "1"}})
    assert functions.call(name) == ["1", None]
    functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"SECOND": "2"}})
    functions.wait_updated(name)
    assert functions.call(name) == [None, "2"]
    functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {}})
    functions.wait_updated(name)
    assert functions.call(name) == [None, None]


def test_new_code_serves_the_next_call(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    return 'old'\n")
    assert functions.call(name) == "old"
    package = zip_of({"app.py": "def handler(event, context):\n    return 'new'\n"})
    answer = functions.client.update_function_code(FunctionName=name, ZipFile=package)
    assert (answer["CodeSha256"], answer["CodeSize"]) == (sha256_of(package), len(package))
    assert (answer["State"], answer["LastUpdateStatus"]) == ("Active", "InProgress")
    functions.wait_updated(name)
    assert functions.call(name) == "new"


def test_a_dry_run_of_new_code_changes_nothing(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    package = zip_of({"app.py": "broken"})
    answer = functions.client.update_function_code(FunctionName=name, ZipFile=package, DryRun=True)
    assert answer["CodeSha256"] == sha256_of(package)
    found = functions.client.get_function_configuration(FunctionName=name)
    assert found["CodeSha256"] == sha256_of(zip_of({"app.py": ECHO}))
    assert functions.call(name, 1) == 1


def test_each_change_makes_a_new_revision(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    first = functions.client.get_function_configuration(FunctionName=name)["RevisionId"]
    functions.client.update_function_configuration(FunctionName=name, Description="x", RevisionId=first)
    functions.wait_updated(name)
    second = functions.client.get_function_configuration(FunctionName=name)["RevisionId"]
    assert first != second
    for action in (
        lambda: functions.client.update_function_configuration(FunctionName=name, RevisionId=first),
        lambda: functions.client.update_function_code(FunctionName=name, ZipFile=PACKAGE, RevisionId=first),
        lambda: functions.client.publish_version(FunctionName=name, RevisionId=first),
    ):
        assert refusal(action) == STALE_REVISION
    assert functions.client.update_function_code(FunctionName=name, ZipFile=PACKAGE, RevisionId=second)


def test_a_published_version_is_frozen(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    return 1\n")
    published = functions.client.publish_version(FunctionName=name, Description="the first")
    assert published["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (published["Version"], published["FunctionArn"]) == ("1", f"{arn_of(name)}:1")
    package = zip_of({"app.py": "def handler(event, context):\n    return 2\n"})
    functions.client.update_function_code(FunctionName=name, ZipFile=package)
    functions.wait_updated(name)
    assert [functions.call(name), functions.call(f"{name}:1"), functions.call(f"{name}:$LATEST")] == [2, 1, 2]
    found = functions.client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert (found["Description"], found["State"]) == ("the first", "Active")


def test_publishing_what_has_not_changed_answers_the_last_version(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    assert functions.client.publish_version(FunctionName=name)["Version"] == "1"
    assert functions.client.publish_version(FunctionName=name)["Version"] == "1"
    functions.client.update_function_configuration(FunctionName=name, Timeout=8)
    functions.wait_updated(name)
    assert functions.client.publish_version(FunctionName=name)["Version"] == "2"


def test_publishing_other_code_than_named_is_refused(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    here, elsewhere = sha256_of(PACKAGE), sha256_of(b"something else")
    found = refusal(lambda: functions.client.publish_version(FunctionName=name, CodeSha256=elsewhere))
    assert found == invalid_parameter(
        f"CodeSHA256 ({elsewhere}) is different from current CodeSHA256 in $LATEST ({here}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )
    assert functions.client.publish_version(FunctionName=name, CodeSha256=here)["Version"] == "1"


def test_create_and_update_publish_when_asked(functions: Functions) -> None:
    wanted = request(functions, Publish=True)
    name = wanted["FunctionName"]
    assert functions.client.create_function(**wanted)["Version"] == "1"
    functions.wait_active(name)
    package = zip_of({"app.py": ECHO + "\n"})
    assert functions.client.update_function_code(FunctionName=name, ZipFile=package, Publish=True)["Version"] == "2"
    functions.wait_updated(name)
    versions = functions.client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST", "1", "2"]


def test_versions_are_listed_in_order_and_in_pages(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    for number in range(1, 12):
        functions.client.update_function_configuration(FunctionName=name, Description=f"version {number}")
        functions.wait_updated(name)
        assert functions.client.publish_version(FunctionName=name)["Version"] == str(number)
    pages = functions.client.get_paginator("list_versions_by_function").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 5}
    )
    listed = [[version["Version"] for version in page["Versions"]] for page in pages]
    assert listed == [["$LATEST", "1", "2", "3", "4"], ["5", "6", "7", "8", "9"], ["10", "11"]]


def test_version_numbers_are_never_used_again(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, Publish=True)
    functions.client.delete_function(FunctionName=name, Qualifier="1")
    assert refusal(lambda: functions.client.invoke(FunctionName=name, Qualifier="1")) == not_found(f"{arn_of(name)}:1")
    assert functions.client.publish_version(FunctionName=name)["Version"] == "2"
    assert functions.call(name, "alive") == "alive"


def test_a_function_made_anew_numbers_its_versions_on(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, Publish=True)
    functions.client.delete_function(FunctionName=name)
    functions.deploy_python(ECHO, FunctionName=name, Publish=True)
    versions = functions.client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST", "2"]
    functions.client.delete_function(FunctionName=name, Qualifier="2")
    functions.client.delete_function(FunctionName=name)
    functions.deploy_python(ECHO, FunctionName=name)
    assert functions.client.publish_version(FunctionName=name)["Version"] == "3"


def test_the_latest_version_cannot_be_deleted_alone(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    found = refusal(lambda: functions.client.delete_function(FunctionName=name, Qualifier="$LATEST"))
    assert found == invalid_parameter("$LATEST version cannot be deleted without deleting the function.")


def test_a_deleted_function_is_gone_with_its_versions(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    return 'first life'\n", Publish=True)
    assert functions.call(name) == "first life"
    answer = functions.client.delete_function(FunctionName=name)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(lambda: functions.client.get_function(FunctionName=name)) == not_found(arn_of(name))
    assert refusal(lambda: functions.client.delete_function(FunctionName=name)) == not_found(arn_of(name))
    functions.deploy_python("def handler(event, context):\n    return 'second life'\n", FunctionName=name)
    assert functions.call(name) == "second life"
    versions = functions.client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST"]


def test_functions_are_listed_in_pages_that_lose_and_repeat_none(functions: Functions) -> None:
    made = {functions.deploy_python(ECHO, FunctionName=unique_name("listed")) for _ in range(7)}
    pages = functions.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3})
    sizes, names = [], []
    for page in pages:
        sizes.append(len(page["Functions"]))
        names += [entry["FunctionName"] for entry in page["Functions"]]
    assert all(size == 3 for size in sizes[:-1]) and 1 <= sizes[-1] <= 3
    assert len(names) == len(set(names)) and made <= set(names)


def test_a_listed_function_has_no_state_and_no_status(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    pages = functions.client.get_paginator("list_functions").paginate()
    (found,) = [entry for page in pages for entry in page["Functions"] if entry["FunctionName"] == name]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & found.keys()
    assert (found["CodeSha256"], found["Version"]) == (sha256_of(PACKAGE), "$LATEST")


def test_functions_are_listed_with_all_their_versions_when_asked(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, Publish=True)
    pages = functions.client.get_paginator("list_functions").paginate(FunctionVersion="ALL")
    found = [entry["FunctionArn"] for page in pages for entry in page["Functions"] if entry["FunctionName"] == name]
    assert sorted(found) == [f"{arn_of(name)}:$LATEST", f"{arn_of(name)}:1"]


def test_another_region_is_another_server(server: Server) -> None:
    elsewhere = boto_client(server, region="eu-west-1")
    found = refusal(elsewhere.list_functions)
    assert (found.status, found.error) == (403, "InvalidSignatureException")


def test_changes_while_a_function_is_pending_are_a_conflict(functions: Functions) -> None:
    """The window is short; out of a run of functions, whatever answer comes is one of the two that AWS gives."""
    for _ in range(5):
        wanted = request(functions)
        functions.client.create_function(**wanted)
        name = wanted["FunctionName"]
        try:
            functions.client.update_function_configuration(FunctionName=name, Timeout=5)
        except functions.client.exceptions.ResourceConflictException as conflict:
            text = conflict.response["Error"]["Message"]
            assert text == (
                "The operation cannot be performed at this time. "
                "The function is currently in the following state: Pending"
            )
        functions.wait_active(name)
        functions.wait_updated(name)


def test_an_operation_that_is_not_there_yet_says_so(client: BaseClient) -> None:
    found = refusal(client.list_capacity_providers)
    assert (found.status, found.error) == (400, "InvalidParameterValueException")
    assert "is not implemented yet" in found.message


def test_an_unknown_path_is_an_unknown_operation(server: Server) -> None:
    answer = signed(server, "GET", "/2015-03-31/nothing-here")
    assert (answer.status, answer.error) == (404, "UnknownOperationException"), answer
