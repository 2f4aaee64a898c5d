"""The response checker passes sound responses and names each fault of others."""

from __future__ import annotations

import http.server
import json
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest

from responses import OPERATIONS, PROTOCOL_ERRORS, SHAPES, attach, check_response

HEADERS = {"x-amzn-RequestId": "6f1a3bd2-7e0a-4a5b-9b53-0d5c4a2f8a11", "Content-Type": "application/json"}

CONFIGURATION: dict[str, Any] = {
    "FunctionName": "fn",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:fn",
    "Runtime": "python3.12",
    "Role": "arn:aws:iam::000000000000:role/r",
    "Handler": "app.handler",
    "CodeSize": 300,
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "LastModified": "2026-11-20T08:00:00.000+0000",
    "CodeSha256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    "Version": "$LATEST",
    "Environment": {"Variables": {"TOKEN": "x"}},
    "TracingConfig": {"Mode": "PassThrough"},
    "RevisionId": "2b9ff9b6-9f2f-4b7a-a8c6-6d4a1f0f6a3e",
    "State": "Active",
    "LastUpdateStatus": "Successful",
    "PackageType": "Zip",
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/fn"},
}


def faults(operation: str, status: int, body: Any, headers: dict[str, str] | None = None) -> list[str]:
    """The faults that the checker finds, without their bullets."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        check_response(operation, status, HEADERS | (headers or {}), content)
    except AssertionError as error:
        return re.findall(r"^  - (.*)$", str(error), re.MULTILINE)
    return []


def test_sound_responses_pass() -> None:
    assert faults("CreateFunction", 201, CONFIGURATION) == []
    assert faults("GetFunctionConfiguration", 200, CONFIGURATION) == []
    code = {"RepositoryType": "S3", "Location": "http://127.0.0.1:9000/x"}
    assert faults("GetFunction", 200, {"Configuration": CONFIGURATION, "Code": code}) == []
    assert faults("ListFunctions", 200, {"Functions": [CONFIGURATION], "NextMarker": "a"}) == []
    assert faults("DeleteFunction", 204, b"") == []
    assert faults("DeleteAlias", 204, b"") == []
    invoked = {"X-Amz-Executed-Version": "$LATEST", "X-Amz-Function-Error": "Unhandled"}
    assert faults("Invoke", 200, b"anything", invoked) == []
    assert faults("Invoke", 202, b"") == []
    assert faults("Invoke", 204, b"") == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"Colour": "red"}, "body.Colour: `FunctionConfiguration` has no such member"),
        ({"MemorySize": "128"}, "body.MemorySize: str '128' instead of integer"),
        ({"MemorySize": True}, "body.MemorySize: bool True instead of integer"),
        ({"MemorySize": 128.0}, "body.MemorySize: float 128.0 instead of integer"),
        ({"MemorySize": None}, "body.MemorySize: NoneType None instead of integer"),
        ({"MemorySize": 127}, "body.MemorySize: value 127 is less than 128"),
        ({"MemorySize": 10241}, "body.MemorySize: value 10241 is more than 10240"),
        ({"CodeSize": 1 << 63}, "body.CodeSize: int 9223372036854775808 instead of long"),
        ({"Timeout": 901}, "body.Timeout: value 901 is more than 900"),
        ({"State": "active"}, "body.State: `active` is not among ['Pending', "),
        ({"Role": "r"}, "body.Role: `r` does not match arn:"),
        ({"Architectures": []}, "body.Architectures: length 0 is less than 1"),
        ({"Architectures": "x86_64"}, "body.Architectures: str instead of a list"),
        ({"Architectures": ["mips"]}, "body.Architectures[0]: `mips` is not among"),
        ({"Environment": []}, "body.Environment: list instead of an object"),
        ({"Environment": {"Variables": {"A-B": "x"}}}, "body.Environment.Variables key `A-B`: `A-B` does not match"),
        ({"Environment": {"Variables": {"AB": 1}}}, "body.Environment.Variables.AB: int 1 instead of string"),
        ({"EphemeralStorage": {}}, "body.EphemeralStorage.Size: missing"),
        ({"Description": "é" * 257}, "body.Description: length 257 is more than 256"),
        ({"LastModified": "2026-11-20T08:00:00Z"}, "body.LastModified: `2026-11-20T08:00:00Z` does not have the form"),
        ({"LastModified": "2026-11-20T08:00:00.000000+0000"}, "body.LastModified: `2026-11-20T08:00:00.000000+0000`"),
        ({"LastModified": 1795161600}, "body.LastModified: int 1795161600 instead of string"),
        ({"CodeSha256": "abc"}, "body.CodeSha256: `abc` does not have the form"),
        ({"RevisionId": "1"}, "body.RevisionId: `1` does not have the form"),
    ],
)
def test_each_fault_of_a_body_is_named(changes: dict[str, Any], fault: str) -> None:
    found = faults("CreateFunction", 201, CONFIGURATION | changes)
    assert len(found) == 1, found
    assert found[0].startswith(fault)


def test_every_fault_is_listed_at_once() -> None:
    found = faults("ListFunctions", 200, {"Functions": [CONFIGURATION | {"Timeout": 0}, 7], "Extra": 1})
    assert sorted(found) == [
        "body.Extra: `ListFunctionsResponse` has no such member",
        "body.Functions[0].Timeout: value 0 is less than 1",
        "body.Functions[1]: int instead of an object",
    ]


def test_timestamps_of_json_are_seconds() -> None:
    mapping = {"UUID": "2b9ff9b6-9f2f-4b7a-a8c6-6d4a1f0f6a3e"}
    assert faults("GetEventSourceMapping", 200, mapping | {"LastModified": 1795161600.25}) == []
    assert faults("GetEventSourceMapping", 200, mapping | {"LastModified": "2026-11-20T08:00:00Z"}) == [
        "body.LastModified: str '2026-11-20T08:00:00Z' instead of timestamp"
    ]


def test_faults_around_the_body_are_named() -> None:
    assert faults("CreateFunction", 200, CONFIGURATION) == ["status: 200 is not among [201]"]
    assert faults("DeleteAlias", 204, {}) == ["body: not empty, though the operation answers without content"]
    assert faults("Invoke", 204, b"x") == ["body: not empty, though the operation answers without content"]
    assert faults("ListFunctions", 200, b"{")[0].startswith("body: not JSON: ")
    assert faults("ListFunctions", 200, []) == ["body: list instead of an object"]
    assert faults("ListFunctions", 200, {}, {"Content-Type": "text/plain"}) == [
        "headers: Content-Type of a JSON body is `text/plain`"
    ]
    assert faults("ListFunctions", 200, {}, {"x-amzn-RequestId": ""}) == ["headers: no x-amzn-RequestId"]
    assert faults("ListFunctions", 200, {}, {"x-amzn-ErrorType": "X"}) == ["headers: x-amzn-ErrorType on a success"]
    assert faults("Invoke", 200, b"1", {"X-Amz-Executed-Version": "live"}) == [
        "header X-Amz-Executed-Version: `live` does not match (\\$LATEST|[0-9]+)"
    ]
    with pytest.raises(AssertionError, match="`MakeTea` is no operation of Lambda"):
        check_response("MakeTea", 200, HEADERS, b"{}")


def error_faults(operation: str, status: int, code: str, body: Any) -> list[str]:
    return faults(operation, status, body, {"x-amzn-ErrorType": code})


def test_sound_errors_pass() -> None:
    missing = {"Type": "User", "Message": "Function not found: arn"}
    assert error_faults("GetFunction", 404, "ResourceNotFoundException", missing) == []
    assert error_faults("GetFunction", 404, "ResourceNotFoundException:http://internal/", missing) == []
    assert error_faults("CreateFunction", 400, "ValidationException", {"message": "1 validation error"}) == []
    assert error_faults("GetFunction", 403, "UnrecognizedClientException", {"message": "invalid"}) == []
    busy = {"Type": "User", "message": "Rate Exceeded.", "Reason": "CallerRateLimitExceeded"}
    assert error_faults("Invoke", 429, "TooManyRequestsException", busy) == []


@pytest.mark.parametrize(
    ("status", "code", "body", "fault"),
    [
        (404, "", {"Message": "m"}, "headers: no x-amzn-ErrorType on an error"),
        (400, "TeapotException", {"message": "m"}, "headers: `TeapotException` is no error of Lambda"),
        (400, "FunctionConfiguration", {"message": "m"}, "headers: `FunctionConfiguration` is no error of Lambda"),
        (
            412,
            "PreconditionFailedException",
            {"message": "m"},
            "headers: `PreconditionFailedException` is not an error",
        ),
        (400, "ResourceNotFoundException", {"Message": "m"}, "status: `ResourceNotFoundException` goes with 404"),
        (404, "ResourceNotFoundException", {"Message": 1}, "body.Message: int 1 instead of string"),
        (404, "ResourceNotFoundException", {"Type": "User"}, "body: `ResourceNotFoundException` has exactly one text"),
        (404, "ResourceNotFoundException", [], "body: an error is a JSON object"),
        (404, "ResourceNotFoundException", {"Message": "m", "Hint": "h"}, "body.Hint: `ResourceNotFoundException` has"),
        (400, "AccessDeniedException", {"message": "m"}, "status: `AccessDeniedException` goes with 403"),
        (403, "AccessDeniedException", {"message": ""}, "body: `AccessDeniedException` has exactly one text"),
        (403, "AccessDeniedException", {"message": "m", "Message": "m"}, "body: `AccessDeniedException` has exactly"),
        (403, "AccessDeniedException", {"message": "m", "hint": "h"}, "body.hint: `AccessDeniedException` has no such"),
        (429, "TooManyRequestsException", {"message": "m", "Reason": "Tired"}, "body.Reason: `Tired` is not among"),
    ],
)
def test_each_fault_of_an_error_is_named(status: int, code: str, body: Any, fault: str) -> None:
    found = error_faults("GetFunction", status, code, body)
    assert any(line.startswith(fault) for line in found), found


def test_the_message_has_the_spelling_of_the_model() -> None:
    found = error_faults("GetFunction", 404, "ResourceNotFoundException", {"message": "m"})
    assert "body.message: `ResourceNotFoundException` has no such member" in found


def test_every_pattern_of_the_table_compiles_without_warnings() -> None:
    patterns = [shape["pattern"] for shape in SHAPES.values() if "pattern" in shape]
    assert len(patterns) > 60
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pattern in patterns:
            re.compile(pattern, re.ASCII)


def test_protocol_errors_stand_in_no_model() -> None:
    modelled = {error for operation in OPERATIONS.values() for error in operation["errors"]}
    assert not modelled & PROTOCOL_ERRORS.keys()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers every request with what its server was told."""

    def do_GET(self) -> None:
        answer = self.server.answers.pop(0)  # type: ignore[attr-defined]
        status, headers, body = answer
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self.send_response(status)
        for name, value in (HEADERS | headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET
    do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Any]:
    """A boto3 client, attached, of a server that gives these answers in turn."""
    server = http.server.HTTPServer(("127.0.0.1", 0), _Handler)
    server.answers = list(answers)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, name="answers", daemon=True)
    thread.start()
    client = boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=botocore.config.Config(retries={"total_max_attempts": 2}),
    )
    attach(client)
    try:
        yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_attached_client_raises_the_faults_of_its_responses() -> None:
    with (
        answering((200, {}, b'{"Functions": [], "Colour": 1}')) as client,
        pytest.raises(AssertionError, match=r"body\.Colour: `ListFunctionsResponse` has no such member"),
    ):
        client.list_functions()


def test_an_attached_client_passes_sound_responses_on() -> None:
    with answering(
        (200, {}, b'{"Functions": []}'),
        (200, {"X-Amz-Executed-Version": "$LATEST"}, b'{"a": 1}'),
        (204, {}, b""),
        (404, {"x-amzn-ErrorType": "ResourceNotFoundException"}, b'{"Type": "User", "Message": "gone"}'),
    ) as client:
        assert client.list_functions()["Functions"] == []
        assert client.invoke(FunctionName="fn")["Payload"].read() == b'{"a": 1}'
        assert client.delete_function(FunctionName="fn")["StatusCode"] == 204
        with pytest.raises(botocore.exceptions.ClientError, match="gone"):
            client.get_function(FunctionName="fn")


def test_a_streamed_payload_is_checked_too() -> None:
    with (
        answering((200, {"X-Amz-Executed-Version": "live"}, b"1")) as client,
        pytest.raises(AssertionError, match="header X-Amz-Executed-Version"),
    ):
        client.invoke(FunctionName="fn")


def test_a_response_that_is_retried_is_checked_too() -> None:
    faulty = (500, {"x-amzn-ErrorType": "ServiceException"}, b'{"message": "wrong spelling"}')
    with (
        answering(faulty, (200, {}, b'{"Functions": []}')) as client,
        pytest.raises(AssertionError, match="`ServiceException` has no such member"),
    ):
        client.list_functions()


def test_only_clients_of_known_services_are_attached() -> None:
    client = boto3.client("sns", region_name="us-east-1")
    with pytest.raises(ValueError, match="`sns`"):
        attach(client)


LOGS_HEADERS = {"x-amzn-RequestId": "id", "Content-Type": "application/x-amz-json-1.1"}
XML_HEADERS = {"x-amzn-RequestId": "id", "Content-Type": "text/xml"}


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, b'{"logGroups": []}', None),
        (200, b'{"logGroups": [{"logGroupName": "a b"}]}', "does not match"),
        (200, b'{"groups": []}', "has no such member"),
        (400, b'{"__type": "ResourceNotFoundException", "message": "m"}', "is not an error of DescribeLogGroups"),
        (404, b'{"__type": "InvalidParameterException", "message": "m"}', "goes with 400"),
        (400, b'{"message": "m"}', "names its __type"),
    ],
)
def test_faults_in_the_json_protocol_are_named(status: int, body: bytes, fault: str | None) -> None:
    headers = LOGS_HEADERS | {"x-amzn-ErrorType": json.loads(body).get("__type", "")} if status >= 300 else LOGS_HEADERS
    checks(fault, "DescribeLogGroups", status, headers, body, "logs")


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, "<ListRolePoliciesResult><PolicyNames><member>p</member></PolicyNames></ListRolePoliciesResult>", None),
        (200, "<ListRolePoliciesResult><PolicyNames/><Other/></ListRolePoliciesResult>", "has no such member"),
        (200, "<ListRolePoliciesResult/>", "PolicyNames: missing"),
        (200, "", "no result"),
        (200, "<", "not XML"),
    ],
)
def test_faults_in_the_query_protocol_are_named(status: int, body: str, fault: str | None) -> None:
    metadata = "<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>"
    document = f'<ListRolePoliciesResponse xmlns="urn:x">{body}{metadata}</ListRolePoliciesResponse>'
    checks(fault, "ListRolePolicies", status, XML_HEADERS, document.encode(), "iam")


def test_an_error_in_the_query_protocol_has_its_code_and_status() -> None:
    def error(code: str) -> bytes:
        inner = f"<Type>Sender</Type><Code>{code}</Code><Message>m</Message>"
        return f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>".encode()

    headers = XML_HEADERS | {"x-amzn-ErrorType": "NoSuchEntity"}
    checks(None, "GetRole", 404, headers, error("NoSuchEntity"), "iam")
    checks("goes with 404", "GetRole", 400, headers, error("NoSuchEntity"), "iam")
    checks("is no error of the service", "GetRole", 400, headers, error("Nonsense"), "iam")


def checks(fault: str | None, operation: str, status: int, headers: dict[str, str], body: bytes, service: str) -> None:
    """Demands that a response is sound, or has this fault."""
    if fault is None:
        check_response(operation, status, headers, body, service)
        return
    with pytest.raises(AssertionError, match=fault):
        check_response(operation, status, headers, body, service)
