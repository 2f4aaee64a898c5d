"""Function URLs: their life in the API, who may call them, the events and answers of payload format 2.0."""

import gzip
import json
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from http.client import IncompleteRead
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.functions import ECHO, Functions, boto_client, create_key, unique_name
from harness.refusals import Refusal, refusal
from harness.server import ACCOUNT, REGION, Keys, Server
from harness.urls import UNSIGNED_TEXT, Url, UrlAnswer, give_url, open_url, public_url
from harness.waiting import until

NO_FUNCTION = Refusal(404, "ResourceNotFoundException", "Function does not exist")
NO_RESOURCE = Refusal(404, "ResourceNotFoundException", "The resource you requested does not exist.")
# Answers with the result that the request's body holds as JSON, or fails when it says so.
MIRROR = """
import json

def handler(event, context):
    wanted = json.loads(event["body"])
    if wanted == "fail":
        raise ValueError("on purpose")
    return wanted
"""
SHOW_EVENT = """
import json

def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event)}
"""
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def mirror(server: Server, client: BaseClient, functions: Functions) -> Url:
    """Answers with the result that is sent."""
    return public_url(server, client, functions.deploy_python(MIRROR))


@pytest.fixture(scope="module")
def shows_event(server: Server, client: BaseClient, functions: Functions) -> Url:
    """Answers with its event."""
    return public_url(server, client, functions.deploy_python(SHOW_EVENT))


def answer_for(mirror: Url, result: Any) -> UrlAnswer:
    return mirror.call("POST", "/", json.dumps(result).encode(), JSON)


def arn_of(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def check_forbidden(answer: UrlAnswer, text: str | None = UNSIGNED_TEXT) -> None:
    assert (answer.status, answer.value) == (403, {"Message": text}), answer
    assert answer.header("x-amzn-errortype") == "AccessDeniedException"
    assert answer.header("content-type") == "application/json"


def check_bad_gateway(answer: UrlAnswer) -> None:
    assert (answer.status, answer.body) == (502, b"Internal Server Error"), answer.body


# --- the API


def test_a_url_is_created_shown_and_listed(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    cors = {"AllowOrigins": ["https://example.com"], "AllowMethods": ["GET"], "MaxAge": 60, "AllowCredentials": False}
    created = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors=cors)
    assert created.pop("ResponseMetadata")["HTTPStatusCode"] == 201
    host = rf"[a-z0-9]{{32}}\.lambda-url\.{REGION}\.localhost"
    assert re.fullmatch(rf"http://{host}:\d+/", created["FunctionUrl"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created["CreationTime"])
    expected = {
        "FunctionUrl": created["FunctionUrl"],
        "FunctionArn": arn_of(name),
        "AuthType": "AWS_IAM",
        "Cors": cors,
        "CreationTime": created["CreationTime"],
        "InvokeMode": "BUFFERED",
    }
    assert created == expected
    shown = client.get_function_url_config(FunctionName=arn_of(name))
    del shown["ResponseMetadata"]
    assert shown == expected | {"LastModifiedTime": created["CreationTime"]}
    listed = client.list_function_url_configs(FunctionName=name)
    assert listed["FunctionUrlConfigs"] == [shown]
    assert "NextMarker" not in listed


def test_a_function_has_one_url(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    client.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert refusal(lambda: client.create_function_url_config(FunctionName=name, AuthType="NONE")) == Refusal(
        409,
        "ResourceConflictException",
        f"Failed to create function url config for [functionArn = {arn_of(name)}]. Error message:  FunctionUrlConfig "
        "exists for this Lambda function",
    )


def test_an_update_changes_what_it_names_and_keeps_the_address(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    cors = {"AllowOrigins": ["*"]}
    before = client.create_function_url_config(FunctionName=name, AuthType="NONE", Cors=cors)
    changed = client.update_function_url_config(FunctionName=name, InvokeMode="RESPONSE_STREAM")
    assert (changed["InvokeMode"], changed["AuthType"], changed["Cors"]) == ("RESPONSE_STREAM", "NONE", cors)
    changed = client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors={"AllowMethods": ["*"]})
    assert (changed["InvokeMode"], changed["AuthType"]) == ("RESPONSE_STREAM", "AWS_IAM")
    assert changed["Cors"] == {"AllowMethods": ["*"]}
    assert changed["FunctionUrl"] == before["FunctionUrl"]
    assert changed["CreationTime"] == before["CreationTime"] <= changed["LastModifiedTime"]
    assert "Cors" not in client.update_function_url_config(FunctionName=name, Cors={})


def test_a_deleted_url_is_nobodys_and_the_next_one_is_another(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    name = functions.deploy_python(SHOW_EVENT)
    url = public_url(server, client, name)
    assert url.call().status == 200
    deleted = client.delete_function_url_config(FunctionName=name)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    check_forbidden(url.call(), None)
    assert refusal(lambda: client.get_function_url_config(FunctionName=name)) == NO_RESOURCE
    assert refusal(lambda: client.delete_function_url_config(FunctionName=name)) == NO_RESOURCE
    again = give_url(server, client, name)
    assert again.address != url.address
    assert again.call().status == 200  # the policy stays, as at AWS
    client.delete_function(FunctionName=name)
    check_forbidden(again.call(), None)


def test_what_has_no_url_is_refused_in_awss_words(client: BaseClient, functions: Functions) -> None:
    name, absent = functions.deploy_python(ECHO), unique_name("absent")
    for of in (absent, f"{name}:live"):
        assert refusal(lambda of=of: client.create_function_url_config(FunctionName=of, AuthType="NONE")) == NO_FUNCTION
        assert refusal(lambda of=of: client.update_function_url_config(FunctionName=of)) == NO_FUNCTION
        assert refusal(lambda of=of: client.get_function_url_config(FunctionName=of)) == NO_RESOURCE
        assert refusal(lambda of=of: client.delete_function_url_config(FunctionName=of)) == NO_RESOURCE
    assert refusal(lambda: client.list_function_url_configs(FunctionName=absent)) == NO_FUNCTION
    assert client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"] == []
    assert refusal(lambda: client.update_function_url_config(FunctionName=name)) == NO_RESOURCE
    for version in ("1", "$LATEST"):
        found = refusal(
            lambda version=version: client.create_function_url_config(
                FunctionName=name, Qualifier=version, AuthType="NONE"
            )
        )
        assert (found.status, found.error) == (400, "ValidationException")
        assert f"Value '{version}' at 'qualifier'" in found.message
        in_name = refusal(
            lambda version=version: client.create_function_url_config(FunctionName=f"{name}:{version}", AuthType="NONE")
        )
        assert in_name == found


@pytest.mark.parametrize(
    ("settings", "member"),
    [
        ({"AuthType": "OPEN"}, "authType"),
        ({"InvokeMode": "STREAM"}, "invokeMode"),
        ({"Cors": {"AllowMethods": ["OPTIONS"]}}, "cors.allowMethods"),
        ({"Cors": {"MaxAge": 86_401}}, "cors.maxAge"),
    ],
)
def test_settings_outside_the_model_are_refused(
    client: BaseClient, functions: Functions, settings: dict[str, Any], member: str
) -> None:
    name = functions.deploy_python(ECHO)
    wanted = {"FunctionName": name, "AuthType": "NONE"} | settings
    found = refusal(lambda: client.create_function_url_config(**wanted))
    assert (found.status, found.error) == (400, "ValidationException")
    assert f"at '{member}" in found.message


def test_urls_and_policies_survive_a_restart_and_kill_nine(
    fresh_server: Server, functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(SHOW_EVENT)
    url = public_url(fresh_server, functions.client, name)
    policy = functions.client.get_policy(FunctionName=name)["Policy"]
    for end in (fresh_server.stop, fresh_server.kill):
        end()
        fresh_server.start()
        client = boto_client(fresh_server)
        again = Url(fresh_server, client.get_function_url_config(FunctionName=name)["FunctionUrl"])
        assert again.id == url.id
        assert again.call().status == 200
        assert client.get_policy(FunctionName=name)["Policy"] == policy


def test_the_domain_of_urls_is_a_setting(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    made = new_server(config='url_domain = "functions.example.com"\n').start()
    functions = functions_of(made)
    url = public_url(made, functions.client, functions.deploy_python(SHOW_EVENT))
    port = made.address[1]
    assert url.host == f"{url.id}.lambda-url.{REGION}.functions.example.com:{port}"
    assert url.call().value["requestContext"]["domainName"] == url.host.removesuffix(f":{port}")
    elsewhere = url.call(headers={"Host": f"{url.id}.lambda-url.{REGION}.localhost"})
    # At any other host name the API answers.
    assert (elsewhere.status, elsewhere.header("x-amzn-errortype")) == (403, "MissingAuthenticationToken")


def test_only_a_deployer_gives_urls(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    invoker = boto_client(server, keys=create_key(server, "--role", "invoker"))
    found = refusal(lambda: invoker.create_function_url_config(FunctionName=name, AuthType="NONE"))
    assert (found.status, found.error) == (403, "AccessDeniedException")
    assert invoker.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"] == []


# --- who may call


def test_a_public_url_needs_both_permissions(server: Server, client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(SHOW_EVENT)
    url = give_url(server, client, name)
    check_forbidden(url.call())
    check_forbidden(url.signed())  # a signature changes nothing: nobody looks at it
    public = {"FunctionName": name, "Principal": "*"}
    client.add_permission(**public, StatementId="a", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    check_forbidden(url.call())
    client.add_permission(**public, StatementId="b", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True)
    assert url.call().status == 200
    client.remove_permission(FunctionName=name, StatementId="a")
    check_forbidden(url.call())


def test_a_url_that_nobody_has_is_forbidden(server: Server) -> None:
    unknown = Url(server, f"http://{'a' * 32}.lambda-url.{REGION}.localhost:1/")
    check_forbidden(unknown.call("POST", "/x", b"body"), None)


def test_the_api_is_not_reachable_through_the_host_name_of_a_url(shows_event: Url) -> None:
    for target in ("/2015-03-31/functions/", "/healthz", "/metrics", "/_wuwei/v1/keys"):
        assert shows_event.call("GET", target).value["rawPath"] == target


def test_a_signed_url_wants_a_signature_and_tells_the_function_whose(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    url = give_url(server, client, functions.deploy_python(SHOW_EVENT), AuthType="AWS_IAM")
    check_forbidden(url.call(), "Forbidden")
    keys = create_key(server, "--role", "invoker")
    answer = url.signed("POST", "/a%20b?q=1&p=2", b"hi", {"Content-Type": "text/plain"}, keys=keys)
    assert answer.status == 200, answer.body
    event = answer.value
    assert (event["body"], event["rawPath"]) == ("hi", "/a%20b")
    context = event["requestContext"]
    assert context["accountId"] == ACCOUNT
    assert context["authorizer"] == {
        "iam": {
            "accessKey": keys.access_key_id,
            "accountId": ACCOUNT,
            "callerId": keys.access_key_id,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": f"arn:aws:iam::{ACCOUNT}:user/{keys.access_key_id}",
            "userId": keys.access_key_id,
        }
    }
    assert "authorization" not in event["headers"]


def test_a_wrong_signature_on_a_signed_url_gets_awss_error(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    url = give_url(server, client, functions.deploy_python(SHOW_EVENT), AuthType="AWS_IAM")
    wrong = url.signed(keys=Keys(server.keys.access_key_id, "x" * 40))
    assert (wrong.status, wrong.header("x-amzn-errortype")) == (403, "InvalidSignatureException")
    assert wrong.value["message"].startswith("The request signature we calculated does not match")
    unknown = url.signed(keys=Keys("AKIAAAAAAAAAAAAAAAAA", "x" * 40))
    assert (unknown.status, unknown.header("x-amzn-errortype")) == (403, "UnrecognizedClientException")
    other_service = url.signed(service="execute-api")
    assert (other_service.status, other_service.header("x-amzn-errortype")) == (403, "InvalidSignatureException")


def test_a_signed_url_asks_the_role_and_then_the_policy(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    name = functions.deploy_python(SHOW_EVENT)
    url = give_url(server, client, name, AuthType="AWS_IAM")
    viewer = create_key(server, "--role", "viewer")
    check_forbidden(url.signed(keys=viewer))
    check_forbidden(url.signed(keys=create_key(server, "--role", "invoker", "--functions", "other-*")))
    user = f"arn:aws:iam::{ACCOUNT}:user/{viewer.access_key_id}"
    allowed = {"FunctionName": name, "Principal": user}
    client.add_permission(**allowed, StatementId="a", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="AWS_IAM")
    check_forbidden(url.signed(keys=viewer))
    client.add_permission(**allowed, StatementId="b", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True)
    assert url.signed(keys=viewer).status == 200
    open_url(client, name)  # for URLs of the other kind
    check_forbidden(url.call(), "Forbidden")


def test_another_accounts_caller_needs_the_policy(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    made = new_server(config='auth = "off"\n').start()
    functions = functions_of(made)
    name = functions.deploy_python(SHOW_EVENT)
    url = give_url(made, functions.client, name, AuthType="AWS_IAM")
    other = Keys("210987654321", "anything")
    check_forbidden(url.signed(keys=other))
    for statement, action in (("a", "lambda:InvokeFunctionUrl"), ("b", "lambda:InvokeFunction")):
        functions.client.add_permission(
            FunctionName=name, StatementId=statement, Action=action, Principal=other.access_key_id
        )
    answer = url.signed(keys=other)
    assert answer.value["requestContext"]["authorizer"]["iam"]["accountId"] == other.access_key_id


# --- events


def test_the_event_is_payload_format_two(shows_event: Url) -> None:
    headers = [
        ("X-Twice", "one"), ("User-Agent", "test/1"), ("x-twice", "two"), ("Cookie", "a=1; b=2"), ("Accept", "*/*"),
    ]  # fmt: skip
    begin = datetime.now(timezone.utc)
    answer = shows_event.call("GET", "/my/path?p=1&q=x%20y&p=2&flag", headers=headers)
    event = answer.value
    trace = event["headers"].pop("x-amzn-trace-id")
    context = event["requestContext"]
    stamp = datetime.strptime(context.pop("time"), "%d/%b/%Y:%H:%M:%S %z")
    epoch = context.pop("timeEpoch")
    assert int(begin.timestamp()) <= stamp.timestamp() <= time.time()
    assert int(begin.timestamp() * 1000) - 1 <= epoch <= time.time() * 1000
    port = str(shows_event.server.address[1])
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/path",
        "rawQueryString": "p=1&q=x%20y&p=2&flag",
        "cookies": ["a=1", "b=2"],
        "headers": {
            "accept": "*/*",
            "host": shows_event.host,
            "user-agent": "test/1",
            "x-twice": "one,two",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": port,
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"p": "1,2", "q": "x y", "flag": ""},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": shows_event.id,
            "domainName": shows_event.host.removesuffix(f":{port}"),
            "domainPrefix": shows_event.id,
            "http": {
                "method": "GET",
                "path": "/my/path",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "test/1",
            },
            "requestId": answer.header("x-amzn-requestid"),
            "routeKey": "$default",
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Sampled=0", trace)
    assert answer.header("x-amzn-trace-id") == trace


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain", b"hi", "hi"),
        ("text/html; charset=utf-8", "é".encode(), "é"),
        ("application/json", b"{}", "{}"),
        ("application/xml; charset=utf-8", b"<a/>", "<a/>"),
        ("application/javascript", b"a()", "a()"),
        ("application/x-www-form-urlencoded", b"a=b", b"a=b"),
        ("multipart/form-data; boundary=x", b"--x--", b"--x--"),
        ("image/png", b"\x89PNG\r\n\x1a\n\x00\xff", b"\x89PNG\r\n\x1a\n\x00\xff"),
        ("application/json", gzip.compress(b"{}", mtime=0), gzip.compress(b"{}", mtime=0)),
        (None, b"hi", b"hi"),
        ("text/plain", b"", None),
    ],
)
def test_bodies_of_text_types_come_as_text_and_others_in_base64(
    shows_event: Url, content_type: str | None, body: bytes, expected: str | bytes | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    event = shows_event.call("POST", "/", body, headers).value
    if expected is None:
        assert "body" not in event and event["isBase64Encoded"] is False
    elif isinstance(expected, str):
        assert (event["body"], event["isBase64Encoded"]) == (expected, False)
    else:
        assert (b64decode(event["body"]), event["isBase64Encoded"]) == (expected, True)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def test_any_method_reaches_the_function(shows_event: Url, method: str) -> None:
    assert shows_event.call(method).value["requestContext"]["http"]["method"] == method


def test_head_reaches_the_function_and_gets_no_body(shows_event: Url) -> None:
    answer = shows_event.call("HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-type") == "application/json"


@pytest.mark.parametrize(
    "target", ["/", "//", "/a//b/../c/", "/%C3%A9%2F%20+", "/a;b=c,d", "/?", "/?a=%zz&=&&b", "/x?y?z=/"]
)
def test_paths_and_queries_are_raw(shows_event: Url, target: str) -> None:
    event = shows_event.call("GET", target).value
    path, _, query = target.partition("?")
    assert (event["rawPath"], event["rawQueryString"]) == (path, query)
    assert event["requestContext"]["http"]["path"] == path


def test_the_callers_trace_reaches_the_function(server: Server, client: BaseClient, functions: Functions) -> None:
    code = "import os\n\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n"
    url = public_url(server, client, functions.deploy_python(code))
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    answer = url.call(headers={"X-Amzn-Trace-Id": trace})
    assert answer.value.startswith("Root=1-5759e988-bd862e3fe1be46a994272793")
    assert answer.header("x-amzn-trace-id") == trace


# --- answers


def test_status_headers_cookies_and_body_are_the_functions(mirror: Url) -> None:
    answer = answer_for(
        mirror,
        {
            "statusCode": 201,
            "headers": {"Content-Type": "text/plain", "My-Custom-Header": "Custom Value", "X-Number": 5},
            "cookies": ["Cookie_1=Value1; Expires=21 Oct 2021 07:48 GMT", "Cookie_2=Value2; Max-Age=78000"],
            "body": "grüezi",
            "isBase64Encoded": False,
        },
    )
    assert (answer.status, answer.body.decode()) == (201, "grüezi")
    assert answer.header("content-type") == "text/plain"
    assert (answer.header("my-custom-header"), answer.header("x-number")) == ("Custom Value", "5")
    expected = ["Cookie_1=Value1; Expires=21 Oct 2021 07:48 GMT", "Cookie_2=Value2; Max-Age=78000"]
    assert answer.all("set-cookie") == expected
    assert answer.header("content-length") == str(len("grüezi".encode()))


def test_a_binary_body_comes_out_of_base64(mirror: Url) -> None:
    pixels = bytes(range(256)) * 40
    answer = answer_for(
        mirror,
        {
            "statusCode": 200,
            "headers": {"content-type": "image/png"},
            "body": b64encode(pixels).decode(),
            "isBase64Encoded": True,
        },
    )
    assert (answer.body, answer.header("content-type")) == (pixels, "image/png")


@pytest.mark.parametrize(
    "result", [{"message": "Hello"}, "Hello, world!", 5, 1.5, True, None, [1, {"a": 2}], {}], ids=str
)
def test_a_result_without_a_status_code_is_the_body_of_a_200(mirror: Url, result: Any) -> None:
    answer = answer_for(mirror, result)
    assert (answer.status, answer.value) == (200, result)
    assert answer.header("content-type") == "application/json"


@pytest.mark.parametrize(
    ("result", "status", "body"),
    [
        ({"statusCode": 204}, 204, b""),
        ({"statusCode": 302, "headers": {"Location": "/x"}}, 302, b""),
        ({"statusCode": "418", "body": "i'm a teapot"}, 418, b"i'm a teapot"),
        ({"statusCode": 599, "body": None}, 599, b""),
        ({"statusCode": 200, "body": {"a": 1}}, 200, b'{"a":1}'),
    ],
    ids=str,
)
def test_what_a_result_leaves_out_has_defaults(mirror: Url, result: Any, status: int, body: bytes) -> None:
    answer = answer_for(mirror, result)
    assert (answer.status, answer.body) == (status, body)


@pytest.mark.parametrize(
    "result",
    [
        "fail",
        {"statusCode": "no number"},
        {"statusCode": 99},
        {"statusCode": 600},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"bad name": "x"}},
        {"statusCode": 200, "headers": {"x": "line\r\nInjected: yes"}},
        {"statusCode": 200, "cookies": "a=b"},
        {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
    ],
    ids=str,
)
def test_what_is_no_http_answer_is_a_bad_gateway(mirror: Url, result: Any) -> None:
    answer = answer_for(mirror, result)
    check_bad_gateway(answer)
    assert answer.header("x-amzn-requestid") and answer.header("x-amzn-trace-id")


def test_a_function_that_takes_too_long_is_a_bad_gateway(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    code = "import time\n\ndef handler(event, context):\n    time.sleep(60)\n"
    url = public_url(server, client, functions.deploy_python(code, Timeout=1))
    check_bad_gateway(url.call())


def test_headers_of_the_connection_are_the_platforms(mirror: Url) -> None:
    headers = {"Content-Length": "3", "Connection": "close", "Transfer-Encoding": "chunked", "Date": "never"}
    answer = answer_for(mirror, {"statusCode": 200, "headers": headers, "body": "longer"})
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"longer", "6")
    assert answer.header("x-amzn-remapped-content-length") == "3"
    assert answer.header("x-amzn-remapped-date") == "never"
    assert answer.header("transfer-encoding") is None


def test_a_request_whose_event_is_over_six_megabytes_is_refused(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    code = "def handler(event, context):\n    return len(event['body'])\n"
    url = public_url(server, client, functions.deploy_python(code, MemorySize=512))
    fits = b"x" * (6_291_456 - 4_096)
    assert url.call("POST", "/", fits, {"Content-Type": "text/plain"}).value == len(fits)
    # In base64 the same bytes are a third longer.
    for body, content_type in ((fits, "image/png"), (b"x" * 6_291_457, "text/plain")):
        answer = url.call("POST", "/", body, {"Content-Type": content_type})
        assert (answer.status, answer.header("x-amzn-errortype")) == (413, "RequestEntityTooLargeException")
        assert answer.value["Message"].startswith("Request must be smaller than 6291456 bytes")


def test_past_the_concurrency_limit_a_url_answers_429(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    made = new_server(config="account_concurrency = 1\n").start()
    functions = functions_of(made)
    code = "import time\n\ndef handler(event, context):\n    print('begun')\n    time.sleep(60)\n"
    name = functions.deploy_python(code, Timeout=5)
    url = public_url(made, functions.client, name)
    with closing(url.open()) as first:
        until(lambda: "begun" in made.wuwei("logs", name).output, "the only place is taken")
        answer = url.call()
        assert answer.status == 429
        assert answer.value == {
            "Type": "User",
            "message": "Rate Exceeded.",
            "Reason": "ConcurrentInvocationLimitExceeded",
        }
        assert answer.header("x-amzn-errortype") == "TooManyRequestsException"
        assert first.getresponse().status == 502


def test_a_caller_who_leaves_does_not_stop_the_function(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    code = "import time\n\ndef handler(event, context):\n    print('begun')\n    time.sleep(1)\n    print('done')\n"
    name = functions.deploy_python(code, Timeout=30)
    url = public_url(server, client, name)
    connection = url.open()
    until(lambda: "begun" in server.wuwei("logs", name).output, "the function runs")
    connection.close()
    until(lambda: "done" in server.wuwei("logs", name).output, "the function ends")


def test_a_function_that_does_not_stream_answers_its_result_through_a_streaming_url(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    url = public_url(server, client, functions.deploy_python(MIRROR), InvokeMode="RESPONSE_STREAM")
    result = {"statusCode": 201, "body": "not taken apart in this mode"}
    answer = answer_for(url, result)
    assert (answer.status, answer.value, answer.header("content-type")) == (200, result, "application/json")
    check_bad_gateway(answer_for(url, "fail"))


# A custom runtime that streams: a prelude, `first`, and after a pause `last` or, for `/broken`, an error.
STREAMER = """#!/usr/bin/python3
import http.client, json, os, time
API = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
PRELUDE = {"statusCode": 418, "headers": {"Content-Type": "text/x-stream"}, "cookies": ["a=1", "b=2"]}
while True:
    API.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = API.getresponse()
    event, id = json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]
    out = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    out.putrequest("POST", f"/2018-06-01/runtime/invocation/{id}/response")
    out.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    out.putheader("Content-Type", "application/vnd.awslambda.http-integration-response")
    out.putheader("Transfer-Encoding", "chunked")
    out.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
    out.endheaders()
    def write(data):
        out.send(b"%x\\r\\n%s\\r\\n" % (len(data), data))
    write(json.dumps(PRELUDE).encode() + bytes(8) + b"first")
    time.sleep(3)
    print("mark", event["rawPath"], flush=True)
    if event["rawPath"] == "/broken":
        error = b"Lambda-Runtime-Function-Error-Type: Mine\\r\\nLambda-Runtime-Function-Error-Body: e30=\\r\\n"
        out.send(b"0\\r\\n" + error + b"\\r\\n")
    else:
        write(b"last")
        out.send(b"0\\r\\n\\r\\n")
    out.getresponse().read()
"""


@pytest.fixture(scope="module")
def streamer(functions: Functions) -> str:
    """Name of the function that streams."""
    return functions.deploy_custom(STREAMER, Timeout=30)


@pytest.fixture(scope="module")
def streams(server: Server, client: BaseClient, streamer: str) -> Url:
    """Its URL."""
    return public_url(server, client, streamer, InvokeMode="RESPONSE_STREAM")


def test_a_streamed_chunk_reaches_the_caller_while_the_function_still_runs(
    server: Server, streamer: str, streams: Url
) -> None:
    with closing(streams.open("GET", "/live")) as connection:
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-type")) == (418, "text/x-stream")
        assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
        assert answer.read1(100) == b"first"
        assert "mark /live" not in server.wuwei("logs", streamer).ok().output
        assert answer.read() == b"last"


def test_an_error_in_the_middle_of_a_stream_breaks_the_answer(streams: Url) -> None:
    with closing(streams.open("GET", "/broken")) as connection:
        answer = connection.getresponse()
        assert answer.status == 418
        with pytest.raises(IncompleteRead) as broken:
            answer.read()
        assert broken.value.partial == b"first"


def test_a_caller_who_leaves_a_stream_does_not_stop_the_function(server: Server, streamer: str, streams: Url) -> None:
    connection = streams.open("GET", "/left")
    assert connection.getresponse().read1(100) == b"first"
    connection.close()
    until(lambda: "mark /left" in server.wuwei("logs", streamer).ok().output, "the function runs to its end")


# --- browsers


CORS = {
    "AllowOrigins": ["https://example.com", "https://*.example.org"],
    "AllowMethods": ["GET", "POST"],
    "AllowHeaders": ["content-type", "x-custom"],
    "ExposeHeaders": ["date", "x-shown"],
    "AllowCredentials": True,
    "MaxAge": 300,
}


@pytest.fixture(scope="module")
def with_cors(server: Server, client: BaseClient, functions: Functions) -> Url:
    """Answers with its event to pages of some origins."""
    return public_url(server, client, functions.deploy_python(SHOW_EVENT), Cors=CORS)


def preflight(origin: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-custom"}


@pytest.mark.parametrize("origin", ["https://example.com", "https://a.example.org"])
def test_preflights_are_answered_by_the_platform(with_cors: Url, origin: str) -> None:
    answer = with_cors.call("OPTIONS", "/any", headers=preflight(origin))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("access-control-allow-origin") == origin
    assert answer.header("access-control-allow-methods") == "GET,POST"
    assert answer.header("access-control-allow-headers") == "content-type,x-custom"
    assert answer.header("access-control-max-age") == "300"
    assert answer.header("access-control-allow-credentials") == "true"


def test_a_preflight_of_another_origin_gets_no_leave(with_cors: Url) -> None:
    for origin in ("https://example.com.evil.test", "http://example.com", "https://example.org", "null"):
        answer = with_cors.call("OPTIONS", "/", headers=preflight(origin))
        assert answer.status == 200
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


def test_answers_carry_the_configured_headers_also_when_they_are_errors(
    with_cors: Url, server: Server, client: BaseClient, functions: Functions
) -> None:
    answer = with_cors.call(headers={"Origin": "https://example.com"})
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == "https://example.com"
    assert answer.header("access-control-expose-headers") == "date,x-shown"
    assert answer.header("access-control-allow-credentials") == "true"
    assert answer.header("access-control-allow-methods") is None
    assert with_cors.call(headers={"Origin": "https://other.test"}).header("access-control-allow-origin") is None
    assert with_cors.call().header("access-control-allow-origin") is None
    closed = give_url(server, client, functions.deploy_python(SHOW_EVENT), Cors={"AllowOrigins": ["*"]})
    denied = closed.call(headers={"Origin": "https://any.test"})
    check_forbidden(denied)
    assert denied.header("access-control-allow-origin") == "https://any.test"
    assert closed.call("OPTIONS", headers=preflight("https://any.test")).status == 200


def test_without_a_configuration_preflights_are_the_functions(shows_event: Url) -> None:
    answer = shows_event.call("OPTIONS", headers=preflight("https://example.com"))
    assert answer.value["requestContext"]["http"]["method"] == "OPTIONS"
    assert answer.header("access-control-allow-origin") is None


# --- the command line


def test_deploy_gives_a_public_url_that_works_at_once(server: Server, tmp_path: Any) -> None:
    name = unique_name("deployed")
    (tmp_path / "app.py").write_text(SHOW_EVENT)
    made: Any = server.wuwei_json("deploy", str(tmp_path), "--name", name, "--url")
    url = Url(server, made["url"])
    assert url.call().status == 200
    assert server.wuwei("url", name).ok().output == f"{url.address}\n"
    shown: Any = server.wuwei_json("url", name)
    assert (shown["AuthType"], shown["InvokeMode"]) == ("NONE", "BUFFERED")
    again = server.wuwei("deploy", str(tmp_path), "--name", name, "--url=aws_iam", "--url-mode", "RESPONSE_STREAM").ok()
    assert f"url      {url.address}" in again.output
    changed: Any = server.wuwei_json("url", name)
    assert (changed["AuthType"], changed["InvokeMode"]) == ("AWS_IAM", "RESPONSE_STREAM")
    check_forbidden(url.call(), "Forbidden")
    assert url.signed().status == 200


def test_a_function_without_a_url_says_how_to_get_one(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    finished = server.wuwei("url", name)
    assert finished.status == 4
    assert f"`{name}`" in finished.errors and "wuwei deploy DIR --url" in finished.errors
