"""Signatures, keys and roles: who gets in, and which of AWS's errors the others get."""

import json
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.functions import ECHO, Functions, boto_client, create_key, unique_name
from harness.packages import zip_of
from harness.refusals import Refusal, refusal
from harness.server import ACCOUNT, REGION, ROLE, Keys, Server
from harness.wire import Answer, get, presigned, send, signed, signed_headers

LIST = "/2015-03-31/functions/"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
UNKNOWN_TOKEN = "The security token included in the request is invalid."
NOBODY = Keys("AKIAAAAAAAAAAAAAAAAA", "x" * 40)


def message(answer: Answer) -> str:
    body = json.loads(answer.body)
    return str(body.get("message", body.get("Message")))


def check_refused(answer: Answer, error: str, text: str, status: int = 403) -> None:
    assert (answer.status, answer.error) == (status, error), answer
    assert message(answer).startswith(text), answer
    assert answer.header("x-amzn-RequestId"), answer


def test_a_signed_request_is_accepted(server: Server) -> None:
    answer = signed(server, "GET", LIST)
    assert answer.status == 200, answer
    assert isinstance(json.loads(answer.body)["Functions"], list)


def test_a_request_without_authentication_is_refused(server: Server) -> None:
    check_refused(
        send(server.address, "GET", LIST), "MissingAuthenticationTokenException", "Missing Authentication Token"
    )


def test_a_wrong_secret_is_refused(server: Server) -> None:
    keys = Keys(server.keys.access_key_id, "x" * 40)
    check_refused(signed(server, "GET", LIST, keys=keys), "InvalidSignatureException", MISMATCH)


def test_an_unknown_key_is_refused(server: Server) -> None:
    check_refused(signed(server, "GET", LIST, keys=NOBODY), "UnrecognizedClientException", UNKNOWN_TOKEN)


def test_an_unknown_session_token_is_refused(server: Server) -> None:
    answer = signed(server, "GET", LIST, headers={"X-Amz-Security-Token": "made-up"})
    check_refused(answer, "UnrecognizedClientException", UNKNOWN_TOKEN)


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=AKIA/20261120/us-east-1/lambda/aws4_request",
        "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00",
    ],
)
def test_an_incomplete_authorization_header_is_refused(server: Server, authorization: str) -> None:
    headers = signed_headers(server, "GET", LIST) | {"Authorization": authorization}
    answer = send(server.address, "GET", LIST, headers=headers)
    assert answer.status in (400, 403) and answer.error == "IncompleteSignatureException", answer


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (-6, "Signature expired: {when} is now earlier than "),
        (6, "Signature not yet current: {when} is still later than "),
    ],
)
def test_a_signature_more_than_five_minutes_off_is_refused(server: Server, minutes: int, text: str) -> None:
    when = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    answer = send(server.address, "GET", LIST, headers=signed_headers(server, "GET", LIST, when=when))
    check_refused(answer, "InvalidSignatureException", text.format(when=when.strftime("%Y%m%dT%H%M%SZ")))


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_signature_less_than_five_minutes_off_is_accepted(server: Server, minutes: int) -> None:
    when = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    assert send(server.address, "GET", LIST, headers=signed_headers(server, "GET", LIST, when=when)).status == 200


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ({"region": "us-west-2"}, "Credential should be scoped to a valid region"),
        ({"service": "s3"}, "Credential should be scoped to correct service: 'lambda'"),
    ],
)
def test_a_signature_for_another_scope_is_refused(server: Server, scope: dict[str, Any], text: str) -> None:
    answer = send(server.address, "GET", LIST, headers=signed_headers(server, "GET", LIST, **scope))
    check_refused(answer, "InvalidSignatureException", text)


def test_a_body_that_was_changed_after_signing_is_refused(server: Server) -> None:
    path = "/2015-03-31/functions/nobody/invocations"
    headers = signed_headers(server, "POST", path, b'{"pay": 1}')
    answer = send(server.address, "POST", path, b'{"pay": 2}', headers)
    check_refused(answer, "InvalidSignatureException", MISMATCH)


def test_a_body_that_is_not_the_declared_hash_is_refused(server: Server) -> None:
    path = "/2015-03-31/functions/nobody/invocations"
    headers = signed_headers(server, "POST", path, b"1", {"X-Amz-Content-SHA256": "0" * 64})
    answer = send(server.address, "POST", path, b"1", headers)
    assert (answer.status, answer.error) == (403, "InvalidSignatureException"), answer


def test_a_query_or_signed_header_changed_after_signing_is_refused(server: Server) -> None:
    headers = signed_headers(server, "GET", f"{LIST}?MaxItems=5", headers={"X-Amz-Extra": "one"})
    check_refused(
        send(server.address, "GET", f"{LIST}?MaxItems=6", headers=headers), "InvalidSignatureException", MISMATCH
    )
    changed = headers | {"X-Amz-Extra": "two"}
    check_refused(
        send(server.address, "GET", f"{LIST}?MaxItems=5", headers=changed), "InvalidSignatureException", MISMATCH
    )
    assert send(server.address, "GET", f"{LIST}?MaxItems=5", headers=headers | {"X-Unsigned": "1"}).status == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{LIST}?Marker=a%20b%2Fc&MaxItems=7",
        f"{LIST}?Marker=%C3%BC&FunctionVersion=ALL",
    ],
)
def test_queries_of_any_spelling_verify(server: Server, path: str) -> None:
    answer = signed(server, "GET", path)
    assert answer.error != "InvalidSignatureException", answer


def test_a_presigned_call_is_accepted_until_it_expires(server: Server) -> None:
    assert send(server.address, "GET", presigned(server, "GET", LIST)).status == 200
    hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    assert send(server.address, "GET", presigned(server, "GET", LIST, when=hour_ago, expires=4000)).status == 200
    expired = send(server.address, "GET", presigned(server, "GET", LIST, when=hour_ago, expires=60))
    check_refused(expired, "InvalidSignatureException", "Signature expired: ")


def test_a_presigned_call_for_more_than_seven_days_is_refused(server: Server) -> None:
    answer = send(server.address, "GET", presigned(server, "GET", LIST, expires=604_801))
    assert 400 <= answer.status <= 403 and answer.error, answer


def test_the_code_location_downloads_the_package_without_a_key(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    location = functions.client.get_function(FunctionName=name)["Code"]["Location"]
    assert location.startswith(server.endpoint)
    answer = get(location)
    assert (answer.status, answer.body) == (200, zip_of({"app.py": ECHO}))


def test_a_code_location_that_was_tampered_with_is_refused(functions: Functions) -> None:
    mine, other = functions.deploy_python(ECHO), functions.deploy_python(ECHO + "\n")
    location = functions.client.get_function(FunctionName=mine)["Code"]["Location"]
    (signature,) = parse_qs(urlsplit(location).query)["X-Amz-Signature"]
    turned = "0" if signature[-1] != "0" else "1"
    tampered = [location.replace(signature, signature[:-1] + turned), location.replace(mine, other)]
    tampered += [location.replace("X-Amz-Expires=", "X-Amz-Expires=9"), location.split("?")[0] + "?"]
    for url in tampered:
        assert url != location and get(url).status == 403, url


def test_a_code_location_that_has_expired_is_refused(server: Server, functions: Functions) -> None:
    parts = urlsplit(functions.client.get_function(FunctionName=functions.deploy_python(ECHO))["Code"]["Location"])
    service = parse_qs(parts.query)["X-Amz-Credential"][0].split("/")[3]
    hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    alive = presigned(server, "GET", parts.path, service=service, when=hour_ago, expires=4000)
    assert send(server.address, "GET", alive).status == 200
    expired = presigned(server, "GET", parts.path, service=service, when=hour_ago, expires=60)
    assert send(server.address, "GET", expired).status == 403


def test_expect_100_continue_is_answered_before_the_body_is_sent(server: Server) -> None:
    body = b'{"hello": "there"}'
    path = "/2015-03-31/functions/nobody/invocations"
    with closing(socket.create_connection(server.address, timeout=10)) as connection:
        connection.sendall(head_of(server, "POST", path, body, signed_headers(server, "POST", path, body)))
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(body)
        assert connection.recv(4096).startswith(b"HTTP/1.1 404 ")


def test_an_unknown_key_is_refused_before_the_body_is_sent(server: Server) -> None:
    body = b"{}"
    path = "/2015-03-31/functions/nobody/invocations"
    with closing(socket.create_connection(server.address, timeout=10)) as connection:
        connection.sendall(head_of(server, "POST", path, body, signed_headers(server, "POST", path, body, keys=NOBODY)))
        assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")


def head_of(server: Server, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    host, port = server.address
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}:{port}",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def create_request(name: str, runtime: str) -> dict[str, Any]:
    code = {"ZipFile": zip_of({"app.py": ECHO})}
    return {"FunctionName": name, "Runtime": runtime, "Handler": "app.handler", "Role": ROLE, "Code": code}


def denial(keys: Keys, operation: str, name: str) -> Refusal:
    user = f"arn:aws:iam::{ACCOUNT}:user/{keys.access_key_id}"
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    action = f"lambda:{operation}"
    text = f"User: {user} is not authorized to perform: {action} on resource: {arn} because no identity-based policy "
    return Refusal(403, "AccessDeniedException", f"{text}allows the {action} action")


def test_a_viewer_reads_but_neither_invokes_nor_writes(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    keys = create_key(server, "--role", "viewer")
    viewer = boto_client(server, keys=keys)
    assert viewer.get_function_configuration(FunctionName=name)["FunctionName"] == name
    assert refusal(lambda: viewer.invoke(FunctionName=name)) == denial(keys, "InvokeFunction", name)
    assert refusal(lambda: viewer.delete_function(FunctionName=name)) == denial(keys, "DeleteFunction", name)
    assert functions.call(name, 5) == 5


def test_an_invoker_invokes_but_does_not_write(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    keys = create_key(server, "--role", "invoker")
    invoker = boto_client(server, keys=keys)
    assert invoker.invoke(FunctionName=name, Payload=b"7")["Payload"].read() == b"7"
    assert refusal(lambda: invoker.update_function_configuration(FunctionName=name, Timeout=9)) == denial(
        keys, "UpdateFunctionConfiguration", name
    )


def test_a_deployer_writes_but_does_not_make_keys(server: Server, python_runtime: str) -> None:
    keys = create_key(server, "--role", "deployer")
    deployer = Functions(boto_client(server, keys=keys), python_runtime)
    assert deployer.call(deployer.deploy_python(ECHO), [1]) == [1]
    body = json.dumps({"role": "admin"}).encode()
    answer = signed(server, "POST", "/_wuwei/v1/keys", body, {"Content-Type": "application/json"}, keys=keys)
    assert (answer.status, answer.error) == (403, "AccessDeniedException"), answer


def test_a_key_reaches_only_functions_of_its_pattern(server: Server, python_runtime: str) -> None:
    keys = create_key(server, "--role", "deployer", "--functions", "team-a-*")
    team = Functions(boto_client(server, keys=keys), python_runtime)
    inside, outside = unique_name("team-a-x"), unique_name("team-b-x")
    assert team.call(team.deploy_python(ECHO, FunctionName=inside), 1) == 1
    assert refusal(lambda: team.client.create_function(**create_request(outside, python_runtime))) == denial(
        keys, "CreateFunction", outside
    )


def test_a_list_shows_only_functions_of_the_keys_pattern(server: Server, functions: Functions) -> None:
    keys = create_key(server, "--role", "viewer", "--functions", "team-l-*")
    inside, outside = unique_name("team-l-x"), unique_name("team-m-x")
    for name in (inside, outside):
        functions.deploy_python(ECHO, FunctionName=name, Environment={"Variables": {"SECRET": "of one team"}})
    viewer = boto_client(server, keys=keys)
    for settings in ({}, {"FunctionVersion": "ALL"}):
        listed = [entry["FunctionName"] for entry in viewer.list_functions(**settings)["Functions"]]
        assert listed and all(name.startswith("team-l-") for name in listed), listed
        assert inside in listed


def test_a_package_is_not_shown_by_way_of_another_function(server: Server, functions: Functions) -> None:
    """Who may read one function and knows the digest of another's package gets nothing by it."""
    keys = create_key(server, "--role", "viewer", "--functions", "team-p-*")
    inside, outside = unique_name("team-p-x"), unique_name("team-q-x")
    functions.deploy_python(ECHO, FunctionName=inside)
    functions.deploy_python(ECHO + f"# {outside}\n", FunctionName=outside)
    own, others = (
        urlsplit(functions.client.get_function(FunctionName=name)["Code"]["Location"]).path
        for name in (inside, outside)
    )
    assert signed(server, "GET", own, keys=keys).status == 200
    assert signed(server, "GET", others, keys=keys).status == 403
    guessed = own.rsplit("/", 1)[0] + "/" + others.rsplit("/", 1)[1]
    assert signed(server, "GET", guessed, keys=keys).status == 404


def test_without_authentication_programs_are_served_and_web_pages_are_not(new_server: Callable[..., Server]) -> None:
    made = new_server(config='auth = "off"\n').start()
    assert send(made.address, "GET", LIST).status == 200
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example:9000"}):
        answer = send(made.address, "POST", "/2015-03-31/functions/x/invocations", b"{}", headers)
        assert (answer.status, answer.error) == (403, "InvalidSignatureException"), answer
        assert b"web pages" in answer.body


def test_a_removed_key_is_refused_at_once(server: Server) -> None:
    keys = create_key(server)
    assert signed(server, "GET", LIST, keys=keys).status == 200
    server.wuwei("key", "rm", keys.access_key_id).ok()
    check_refused(signed(server, "GET", LIST, keys=keys), "UnrecognizedClientException", UNKNOWN_TOKEN)


def test_keys_are_listed_without_their_secrets(server: Server) -> None:
    keys = create_key(server, "--role", "viewer", "--functions", "x-*")
    text = server.wuwei("key", "ls", "--json").ok().output
    (listed,) = [entry for entry in json.loads(text) if entry["access_key_id"] == keys.access_key_id]
    assert (listed["role"], listed["functions"]) == ("viewer", "x-*")
    assert keys.secret_access_key not in text
    assert keys.access_key_id in server.wuwei("key", "ls").ok().output


def test_a_key_survives_a_restart(fresh_server: Server) -> None:
    keys = create_key(fresh_server, "--role", "viewer")
    fresh_server.stop()
    fresh_server.start()
    assert signed(fresh_server, "GET", LIST, keys=keys).status == 200


def test_sts_names_the_account_and_the_key(server: Server) -> None:
    identity = boto_client(server, "sts").get_caller_identity()
    key = server.keys.access_key_id
    assert (identity["Account"], identity["UserId"]) == (ACCOUNT, key)
    assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{key}"


def test_sts_errors_are_xml_with_awss_codes(server: Server) -> None:
    sts = boto_client(server, "sts", keys=NOBODY)
    found = refusal(sts.get_caller_identity)
    assert (found.status, found.error, found.message) == (403, "InvalidClientTokenId", UNKNOWN_TOKEN)
    wrong = boto_client(server, "sts", keys=Keys(server.keys.access_key_id, "x" * 40))
    found = refusal(wrong.get_caller_identity)
    assert (found.status, found.error) == (403, "SignatureDoesNotMatch")


def test_with_auth_off_a_twelve_digit_key_names_its_account(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    made = new_server(config='auth = "off"\n').start()
    assert "auth" in made.stderr.lower() and "off" in made.stderr.lower()
    account = "210987654321"
    other = Functions(boto_client(made, keys=Keys(account, "anything")), functions_of(made).python)
    name = other.deploy_python(ECHO)
    arn = other.client.get_function_configuration(FunctionName=name)["FunctionArn"]
    assert arn == f"arn:aws:lambda:{REGION}:{account}:function:{name}"
    assert other.call(name, 3) == 3
    mine = boto_client(made)
    assert mine.list_functions()["Functions"] == []
    assert boto_client(made, "sts", keys=Keys(account, "x")).get_caller_identity()["Account"] == account


def test_auth_off_is_refused_on_a_public_listener(new_server: Callable[..., Server]) -> None:
    made = new_server(config='auth = "off"\n')
    refused = made.wuwei("up", "--listen", "0.0.0.0:0", "--config", str(made.config), within=30)
    assert refused.status > 0
    assert "0.0.0.0:0" in refused.errors and "hint:" in refused.errors, refused
