"""Bad input, case by case: AWS's error, AWS's words, AWS's status."""

import json
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.loaders import Loader

from harness.functions import ECHO, Functions, unique_name
from harness.packages import zip_of
from harness.refusals import Refusal, invalid_parameter, refusal, violation
from harness.server import ROLE, Server
from harness.wire import signed

SHAPES = Loader().load_service_model("lambda", "service-2")["shapes"]
PACKAGE = {"ZipFile": zip_of({"app.py": ECHO})}
RESERVED = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided "
    "contains reserved keys that are currently not supported for modification. Reserved keys used in this request: "
)
TOO_LARGE = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided "
    "exceeded the 4KB limit."
)


def at_most(limit: int) -> str:
    return f"Member must have value less than or equal to {limit}"


def at_least(limit: int) -> str:
    return f"Member must have value greater than or equal to {limit}"


def no_longer(limit: int) -> str:
    return f"Member must have length less than or equal to {limit}"


def pattern_of(shape: str) -> str:
    return f"Member must satisfy regular expression pattern: {SHAPES[shape]['pattern']}"


def enum_of(shape: str) -> str:
    return f"Member must satisfy enum value set: [{', '.join(SHAPES[shape]['enum'])}]"


def create(functions: Functions, settings: dict[str, Any]) -> dict[str, Any]:
    defaults = {
        "FunctionName": unique_name("valid"), "Runtime": functions.python, "Handler": "app.handler", "Role": ROLE,
        "Code": PACKAGE,
    }  # fmt: skip
    wanted = {key: value for key, value in (defaults | settings).items() if value is not None}
    return functions.client.create_function(**wanted)


CONSTRAINTS: list[tuple[dict[str, Any], Refusal]] = [
    ({"MemorySize": 127}, violation("Value '127'", "memorySize", at_least(128))),
    ({"MemorySize": 10_241}, violation("Value '10241'", "memorySize", at_most(10_240))),
    ({"MemorySize": -1}, violation("Value '-1'", "memorySize", at_least(128))),
    ({"Timeout": 0}, violation("Value '0'", "timeout", at_least(1))),
    ({"Timeout": 901}, violation("Value '901'", "timeout", at_most(900))),
    ({"EphemeralStorage": {"Size": 511}}, violation("Value '511'", "ephemeralStorage.size", at_least(512))),
    ({"EphemeralStorage": {"Size": 10_241}}, violation("Value '10241'", "ephemeralStorage.size", at_most(10_240))),
    ({"EphemeralStorage": {}}, violation("Value null", "ephemeralStorage.size", "Member must not be null")),
    ({"Description": "d" * 257}, violation(f"Value '{'d' * 257}'", "description", no_longer(256))),
    ({"Handler": "h" * 129}, violation(f"Value '{'h' * 129}'", "handler", no_longer(128))),
    ({"Handler": "app handler"}, violation("Value 'app handler'", "handler", pattern_of("Handler"))),
    ({"Role": "anything"}, violation("Value 'anything'", "role", pattern_of("RoleArn"))),
    ({"Role": None}, violation("Value null", "role", "Member must not be null")),
    ({"Code": None}, violation("Value null", "code", "Member must not be null")),
    ({"PackageType": "Tar"}, violation("Value 'Tar'", "packageType", enum_of("PackageType"))),
    ({"TracingConfig": {"Mode": "Loud"}}, violation("Value 'Loud'", "tracingConfig.mode", enum_of("TracingMode"))),
]


@pytest.mark.parametrize(("settings", "expected"), CONSTRAINTS, ids=[f"{case[0]}"[:60] for case in CONSTRAINTS])
def test_a_value_outside_its_constraint_is_refused_in_awss_words(
    functions: Functions, settings: dict[str, Any], expected: Refusal
) -> None:
    assert refusal(lambda: create(functions, settings)) == expected


AT_THE_LIMIT: list[dict[str, Any]] = [
    {"MemorySize": 128},
    {"MemorySize": 10_240},
    {"Timeout": 1},
    {"Timeout": 900},
    {"EphemeralStorage": {"Size": 512}},
    {"EphemeralStorage": {"Size": 10_240}},
    {"Description": "d" * 256},
    {"Handler": "h" * 120 + ".handler"},
    {"Environment": {"Variables": {"AB": "x" * 4087}}},
    {"VpcConfig": {}, "Layers": [], "Tags": {}, "TracingConfig": {"Mode": "PassThrough"}},
]


@pytest.mark.parametrize("settings", AT_THE_LIMIT, ids=[f"{case}"[:60] for case in AT_THE_LIMIT])
def test_a_value_at_its_limit_is_accepted(functions: Functions, settings: dict[str, Any]) -> None:
    assert create(functions, settings)["ResponseMetadata"]["HTTPStatusCode"] == 201


def test_a_name_of_64_characters_is_accepted_and_one_of_65_refused(functions: Functions) -> None:
    name = unique_name("long").ljust(64, "x")
    assert create(functions, {"FunctionName": name})["FunctionName"] == name
    found = refusal(lambda: create(functions, {"FunctionName": name + "x"}))
    expected = violation(f"Value '{name}x'", "functionName", no_longer(64))
    assert found == invalid_parameter(expected.message)


def test_a_name_of_other_characters_is_refused_with_the_pattern(functions: Functions) -> None:
    found = refusal(lambda: create(functions, {"FunctionName": "not a name"}))
    assert found.message == violation("Value 'not a name'", "functionName", pattern_of("FunctionName")).message
    assert found.status == 400 and found.error in ("ValidationException", "InvalidParameterValueException")


def test_several_violations_are_counted_and_listed(functions: Functions) -> None:
    found = refusal(lambda: create(functions, {"MemorySize": 1, "Timeout": 0}))
    assert (found.status, found.error) == (400, "ValidationException")
    begin, _, rest = found.message.partition(": ")
    assert begin == "2 validation errors detected"
    assert sorted(rest.split("; ")) == [
        f"Value '0' at 'timeout' failed to satisfy constraint: {at_least(1)}",
        f"Value '1' at 'memorySize' failed to satisfy constraint: {at_least(128)}",
    ]


def test_an_unknown_runtime_lists_the_known_ones(functions: Functions) -> None:
    found = refusal(lambda: create(functions, {"Runtime": "cobol85"}))
    assert (found.status, found.error) == (400, "InvalidParameterValueException")
    begin = "Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["
    assert found.message.startswith(begin) and found.message.endswith("] or be a valid ARN")
    assert functions.python in found.message


def test_a_runtime_that_this_host_lacks_says_what_it_has(functions: Functions) -> None:
    found = refusal(lambda: create(functions, {"Runtime": "java21"}))
    assert (found.status, found.error) == (400, "InvalidParameterValueException")
    assert "java21" in found.message and functions.python in found.message


@pytest.mark.parametrize("missing", ["Runtime", "Handler"])
def test_a_zip_function_needs_a_runtime_and_a_handler(functions: Functions, missing: str) -> None:
    found = refusal(lambda: create(functions, {missing: None}))
    text = "Runtime and Handler are mandatory parameters for functions created with deployment packages."
    assert found == invalid_parameter(text)


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "_HANDLER", "LAMBDA_TASK_ROOT"])
def test_a_reserved_environment_variable_is_refused(functions: Functions, name: str) -> None:
    found = refusal(lambda: create(functions, {"Environment": {"Variables": {name: "mine", "OTHER": "1"}}}))
    if name.startswith("_"):
        assert (found.status, found.error) == (400, "ValidationException")
    else:
        assert found == invalid_parameter(RESERVED + name)


def test_an_environment_over_four_kilobytes_is_refused_without_its_values(functions: Functions) -> None:
    """AWS measures the variables as JSON text: nine characters more than the one value here."""
    secret = "do-not-print-me"
    found = refusal(lambda: create(functions, {"Environment": {"Variables": {"AB": secret.ljust(4088, "x")}}}))
    assert (found.status, found.error) == (400, "InvalidParameterValueException")
    assert found.message.startswith(TOO_LARGE) and secret not in found.message


def test_a_wrong_variable_name_is_refused_without_its_value(functions: Functions) -> None:
    secret = "do-not-print-me"
    found = refusal(lambda: create(functions, {"Environment": {"Variables": {"1WRONG": secret}}}))
    assert (found.status, found.error) == (400, "ValidationException")
    assert "environment.variables" in found.message and SHAPES["EnvironmentVariableName"]["pattern"] in found.message
    assert secret not in found.message


NOT_YET: list[dict[str, Any]] = [
    {"ImageConfig": {"Command": ["app.handler"]}},
    {"PublishTo": "LATEST_PUBLISHED"},
    {"DurableConfig": {"ExecutionTimeout": 60}},
    {"Code": {"S3Bucket": "bucket", "S3Key": "key"}},
    {"Code": {"ImageUri": "registry/image"}, "PackageType": "Image", "Runtime": None, "Handler": None},
]


@pytest.mark.parametrize("settings", NOT_YET, ids=[next(iter(case)) + f"-{i}" for i, case in enumerate(NOT_YET)])
def test_a_setting_that_is_not_honoured_yet_is_refused_by_name(functions: Functions, settings: dict[str, Any]) -> None:
    name = unique_name("unsupported")
    found = refusal(lambda: create(functions, {"FunctionName": name} | settings))
    field = "PackageType" if "PackageType" in settings else "S3" if "Code" in settings else next(iter(settings))
    assert (found.status, found.error) == (400, "InvalidParameterValueException")
    assert field in found.message
    assert refusal(lambda: functions.client.get_function(FunctionName=name)).status == 404


def test_a_refused_creation_leaves_no_function(functions: Functions) -> None:
    name = unique_name("refused")
    refusal(lambda: create(functions, {"FunctionName": name, "MemorySize": 1}))
    assert refusal(lambda: functions.client.get_function(FunctionName=name)).status == 404


def test_updates_are_validated_like_creations(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    update = functions.client.update_function_configuration
    found = refusal(lambda: update(FunctionName=name, MemorySize=10_241))
    assert found == violation("Value '10241'", "memorySize", at_most(10_240))
    found = refusal(lambda: update(FunctionName=name, Environment={"Variables": {"AWS_REGION": "x"}}))
    assert found == invalid_parameter(RESERVED + "AWS_REGION")
    assert functions.client.get_function_configuration(FunctionName=name)["MemorySize"] == 128


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"MaxItems": 0}, violation("Value '0'", "maxItems", at_least(1))),
        ({"MaxItems": 10_001}, violation("Value '10001'", "maxItems", at_most(10_000))),
        ({"FunctionVersion": "SOME"}, violation("Value 'SOME'", "functionVersion", enum_of("FunctionVersion"))),
    ],
)
def test_list_parameters_are_validated(client: BaseClient, parameters: dict[str, Any], expected: Refusal) -> None:
    assert refusal(lambda: client.list_functions(**parameters)) == expected


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (
            {"InvocationType": "Sometimes"},
            violation("Value 'Sometimes'", "invocationType", enum_of("InvocationType")),
        ),
        ({"LogType": "Head"}, violation("Value 'Head'", "logType", enum_of("LogType"))),
        ({"Qualifier": "q" * 129}, violation(f"Value '{'q' * 129}'", "qualifier", no_longer(128))),
    ],
)
def test_invoke_parameters_are_validated(functions: Functions, parameters: dict[str, Any], expected: Refusal) -> None:
    name = functions.deploy_python(ECHO)
    assert refusal(lambda: functions.client.invoke(FunctionName=name, **parameters)) == expected


def test_a_qualifier_that_contradicts_the_name_is_refused(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, Publish=True)
    found = refusal(lambda: functions.client.invoke(FunctionName=f"{name}:1", Qualifier="2"))
    assert found == invalid_parameter(
        "The derived qualifier from the function name does not match the specified qualifier."
    )
    assert functions.invoke(f"{name}:1", 5, Qualifier="1").value == 5


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "Could not parse request body into json"),
        (b"[]", ""),
        (json.dumps({"FunctionName": 5}).encode(), "NUMBER_VALUE can not be converted to a String"),
        (
            json.dumps({"FunctionName": "x", "MemorySize": "big"}).encode(),
            "STRING_VALUE can not be converted to an Integer",
        ),
    ],
)
def test_a_body_of_the_wrong_shape_is_a_serialization_error(server: Server, body: bytes, text: str) -> None:
    answer = signed(server, "POST", "/2015-03-31/functions", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.error) == (400, "SerializationException"), answer
    assert text in answer.body.decode(), answer


def test_unknown_members_are_ignored(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    path = f"/2015-03-31/functions/{name}/configuration"
    body = json.dumps({"Timeout": 11, "Invented": {"a": 1}, "Description": None}).encode()
    answer = signed(server, "PUT", path, body, {"Content-Type": "application/json"})
    assert (answer.status, json.loads(answer.body)["Timeout"]) == (200, 11)


def test_a_request_larger_than_any_package_is_refused(server: Server) -> None:
    """A body of 70 MB and more: 50 MB of zip in base64 is less."""
    answer = signed(server, "POST", "/2015-03-31/functions", bytes(71_000_000), {"Content-Type": "application/json"})
    assert (answer.status, answer.error) == (413, "RequestEntityTooLargeException"), answer.status
    assert b"bytes for the CreateFunction operation" in answer.body
