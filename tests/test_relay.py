"""The way back: what a function can call on the server that runs it, under its role, and what it cannot."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.boto_package import DRIVER, boto_package, with_module
from harness.functions import ECHO, Functions, boto_client, unique_name
from harness.server import ACCOUNT, REGION, ROLE, Keys, Server
from harness.tools import tool
from harness.waiting import until

ENVIRONMENT = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
LAMBDA = "boto3.client('lambda', config=ONCE)"
INVALID = "The security token included in the request is invalid."
CURL = """#!/bin/sh
set -eu
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  name="$(curl -sS -D /tmp/head "$api/invocation/next" | tr -d '"')"
  id="$(tr -d '\\r' < /tmp/head | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p')"
  curl -sS --aws-sigv4 "aws:amz:$AWS_REGION:lambda" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
    -H "x-amz-security-token: $AWS_SESSION_TOKEN" -d '{"from": "curl"}' \\
    -o /tmp/answer "$AWS_ENDPOINT_URL/2015-03-31/functions/$name/invocations"
  curl -sS -o /dev/null "$api/invocation/$id/response" --data-binary @/tmp/answer
done
"""
SELF = """
def handler(event, context):
    try:
        return invoke(context.function_name, event + 1)
    except botocore.exceptions.ClientError as error:
        return [event, error.response["Error"]["Code"]]
"""


def deploy_driver(functions: Functions, **settings: Any) -> str:
    """A function that runs the statements of its event, with boto3."""
    name = settings.pop("FunctionName", None) or unique_name("driver")
    base = {"Role": ROLE, "Runtime": functions.python, "Handler": "app.handler", "MemorySize": 1024, "Timeout": 60}
    code = {"ZipFile": boto_package()}
    functions.client.create_function(**(base | {"FunctionName": name, "Code": code} | settings))
    functions.wait_active(name)
    return name


@pytest.fixture(scope="module")
def driver(functions: Functions) -> str:
    """A function that runs statements, on the shared server."""
    return deploy_driver(functions)


@pytest.fixture(scope="module")
def echo(functions: Functions) -> str:
    """A function that answers its event."""
    return functions.deploy_python(ECHO)


def nested(code: str) -> dict[str, bytes]:
    """The driver's package with a module `nested` that has its names."""
    return {"ZipFile": with_module(boto_package(), "nested.py", f"from app import *\n{code}")}


def arn_of(name: str, role: str = "anything") -> str:
    """Whom a function's calls come from."""
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}"


def denied(name: str, action: str, resource: str) -> list[Any]:
    """AWS's answer when a role does not allow a call."""
    text = (
        f"User: {arn_of(name)} is not authorized to perform: {action} on resource: {resource} because no "
        f"identity-based policy allows the {action} action"
    )
    return [403, "AccessDeniedException", text]


def test_boto3_invokes_another_function_without_any_setting(functions: Functions, driver: str, echo: str) -> None:
    assert functions.call(driver, f"result = invoke({echo!r}, {{'n': 1}})") == {"n": 1}


def test_a_function_sends_an_event_to_another(server: Server, functions: Functions, driver: str) -> None:
    name = functions.deploy_python("def handler(event, context):\n    print('ran', event)\n")
    sent = f"{LAMBDA}.invoke(FunctionName={name!r}, InvocationType='Event', Payload=b'[1]')['StatusCode']"
    assert functions.call(driver, f"result = {sent}") == 202
    until(lambda: "ran [1]" in server.wuwei("logs", name).output, "the event has run", 60)


def test_a_project_with_boto3_in_its_requirements_is_deployed_and_calls_back(
    server: Server, functions: Functions, echo: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(DRIVER)
    (tmp_path / "requirements.txt").write_text("boto3\n")
    name = unique_name("requirements")
    server.wuwei("deploy", str(tmp_path), "--name", name, within=300).ok()
    functions.client.update_function_configuration(FunctionName=name, MemorySize=1024, Timeout=60)
    functions.wait_updated(name)
    assert functions.call(name, f"result = invoke({echo!r}, 'deployed')") == "deployed"


def test_a_function_is_its_role(functions: Functions, driver: str) -> None:
    found = functions.call(driver, "result = boto3.client('sts').get_caller_identity()")
    assert (found["Account"], found["Arn"]) == (ACCOUNT, arn_of(driver))
    assert re.fullmatch(f"AROA[A-Z2-7]{{17}}:{driver}", found["UserId"])


def test_the_path_of_a_role_is_no_part_of_its_session(functions: Functions) -> None:
    name = deploy_driver(functions, Role=f"arn:aws:iam::{ACCOUNT}:role/service-role/of/mine")
    found = functions.call(name, "result = boto3.client('sts').get_caller_identity()['Arn']")
    assert found == arn_of(name, "mine")


def test_curl_in_a_shell_function_invokes_another(functions: Functions, echo: str) -> None:
    tool("curl")
    name = functions.deploy_custom(CURL, MemorySize=256, Timeout=20)
    assert functions.call(name, echo) == {"from": "curl"}


def test_the_environment_has_what_sdks_read(functions: Functions) -> None:
    name = functions.deploy_python(ENVIRONMENT)
    found = functions.call(name)
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9002"
    assert re.fullmatch("ASIA[A-Z2-7]{16}", found["AWS_ACCESS_KEY_ID"])
    assert len(found["AWS_SECRET_ACCESS_KEY"]) == 40
    assert len(found["AWS_SESSION_TOKEN"]) > 100


def test_an_endpoint_of_the_functions_own_stands(functions: Functions) -> None:
    name = functions.deploy_python(ENVIRONMENT, Environment={"Variables": {"AWS_ENDPOINT_URL": "http://own"}})
    found = functions.call(name)
    assert found["AWS_ENDPOINT_URL"] == "http://own"
    assert found["AWS_ACCESS_KEY_ID"].startswith("ASIA")


def test_every_instance_has_credentials_of_its_own(functions: Functions) -> None:
    names = [functions.deploy_python(ENVIRONMENT) for _ in range(2)]
    found = [functions.call(name) for name in (*names, names[0])]
    tokens = [each["AWS_SESSION_TOKEN"] for each in found]
    assert tokens[0] != tokens[1]
    assert tokens[0] == tokens[2], "the third call went to the instance of the first"


def test_a_version_can_be_invoked_and_an_error_comes_back_as_one(functions: Functions, driver: str, echo: str) -> None:
    version = functions.client.publish_version(FunctionName=echo)["Version"]
    broken = functions.deploy_python("def handler(event, context):\n    raise KeyError('lost')\n")
    statements = f"""
client = {LAMBDA}
one = client.invoke(FunctionName={f"{echo}:{version}"!r}, Payload=b'1')
two = client.invoke(FunctionName={broken!r})
result = [one['ExecutedVersion'], two['FunctionError'], json.loads(two['Payload'].read())['errorType']]
"""
    assert functions.call(driver, statements) == [version, "Unhandled", "KeyError"]


def test_the_trace_goes_on_in_the_function_that_is_invoked(functions: Functions, driver: str) -> None:
    name = functions.deploy_python(ENVIRONMENT)
    statements = f"result = [os.environ['_X_AMZN_TRACE_ID'], invoke({name!r}, None)['_X_AMZN_TRACE_ID']]"
    first, second = functions.call(driver, statements)
    assert first.split(";")[0] == second.split(";")[0]


@pytest.mark.parametrize(
    ("action", "call", "resource"),
    [
        ("lambda:ListFunctions", "list_functions", "*"),
        ("lambda:GetFunction", "get_function, FunctionName=ECHO", "ECHO"),
        ("lambda:GetFunctionConfiguration", "get_function_configuration, FunctionName=ECHO", "ECHO"),
        ("lambda:DeleteFunction", "delete_function, FunctionName=ECHO", "ECHO"),
        ("lambda:PublishVersion", "publish_version, FunctionName=ECHO", "ECHO"),
        ("lambda:UpdateFunctionCode", "update_function_code, FunctionName=ECHO, ZipFile=b'x'", "ECHO"),
        ("lambda:UpdateFunctionConfiguration", "update_function_configuration, FunctionName=ECHO", "ECHO"),
        (
            "lambda:CreateFunction",
            f"create_function, FunctionName='made', Role={ROLE!r}, Handler='a.b', Runtime='python3.11', "
            "Code={'ZipFile': b'x'}",
            "made",
        ),
    ],
)
def test_a_role_allows_nothing_but_to_invoke(
    functions: Functions, driver: str, echo: str, action: str, call: str, resource: str
) -> None:
    method, _, arguments = call.replace("ECHO", repr(echo)).partition(", ")
    found = functions.call(driver, f"result = refusal({LAMBDA}.{method}, {arguments})")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{resource.replace('ECHO', echo)}"
    assert found == denied(driver, action, "*" if resource == "*" else arn)


def test_a_function_of_another_account_is_out_of_reach(functions: Functions, driver: str) -> None:
    other = f"arn:aws:lambda:{REGION}:111111111111:function:f"
    found = functions.call(driver, f"result = refusal({LAMBDA}.invoke, FunctionName={other!r})")
    assert found == denied(driver, "lambda:InvokeFunction", other)


def test_a_key_of_the_server_is_not_believed_on_the_way_back(
    server: Server, functions: Functions, driver: str, echo: str
) -> None:
    admin = [server.keys.access_key_id, server.keys.secret_access_key]
    path = f"/2015-03-31/functions/{echo}/invocations"
    status, error, text = functions.call(driver, f"result = signed({admin!r}, path={path!r})")
    assert (status, error, json.loads(text)) == (403, "UnrecognizedClientException", {"message": INVALID})
    form = b"Action=GetCallerIdentity&Version=2011-06-15"
    status, error, _ = functions.call(driver, f"result = signed({admin!r}, service='sts', body={form!r})")
    assert (status, error) == (403, "InvalidClientTokenId")


def test_credentials_are_good_for_their_own_instance_only(functions: Functions, driver: str, echo: str) -> None:
    found = functions.call(functions.deploy_python(ENVIRONMENT))
    other = [found[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    path = f"/2015-03-31/functions/{echo}/invocations"
    statements = f"""
other = {other!r}
mixed = [OWN, other, [*other[:2], OWN[2]], [*OWN[:2], other[2]], OWN[:2], [OWN[0], other[1], OWN[2]]]
result = [signed(keys, path={path!r})[:2] for keys in mixed]
"""
    unknown, mismatch = [403, "UnrecognizedClientException"], [403, "InvalidSignatureException"]
    assert functions.call(driver, statements) == [[200, None], unknown, unknown, unknown, unknown, mismatch]


def test_credentials_of_a_function_are_not_believed_outside_it(server: Server, functions: Functions) -> None:
    found = functions.call(functions.deploy_python(ENVIRONMENT))
    keys = Keys(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])
    client = boto_client(server, keys=keys)
    client._request_signer._credentials.token = found["AWS_SESSION_TOKEN"]
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.list_functions()
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_unsigned_and_presigned_calls_are_refused(functions: Functions, driver: str, echo: str) -> None:
    path = f"/2015-03-31/functions/{echo}/invocations"
    statements = f"""
result = [send('POST', ENDPOINT + {path!r}, body=b'1'), signed(OWN, signer=SigV4QueryAuth, path={path!r})]
"""
    unsigned, presigned = functions.call(driver, statements)
    assert unsigned[:2] == [403, "MissingAuthenticationTokenException"]
    assert presigned[:2] == [403, "InvalidSignatureException"]


@pytest.mark.parametrize("credentials", ["OWN", "ADMIN"])
@pytest.mark.parametrize(
    "path",
    [
        "/_wuwei/v1/keys",
        "/_wuwei/v1/runtimes",
        "/_wuwei/v1/logs/f",
        "//_wuwei/v1/keys",
        "/./_wuwei/v1/keys",
        "/2015-03-31/../_wuwei/v1/keys",
        "/2015-03-31/functions/%2e%2e/%2e%2e/_wuwei/v1/keys",
        "/%5fwuwei/v1/keys",
        "/metrics",
        "/healthz",
    ],
)
def test_administration_and_figures_are_not_on_the_way_back(
    server: Server, functions: Functions, driver: str, path: str, credentials: str
) -> None:
    admin = repr([server.keys.access_key_id, server.keys.secret_access_key])
    keys = admin if credentials == "ADMIN" else "OWN"
    found = functions.call(driver, f"result = signed({keys}, service='wuwei', method='GET', path={path!r}, body=b'')")
    assert found[:2] == [404, "UnknownOperationException"]


def test_no_host_name_or_absolute_target_leads_elsewhere(server: Server, functions: Functions, driver: str) -> None:
    """Function URLs and administration are told apart by host and path on the server's own listener."""
    statements = f"""
def raw(target, host):
    with socket.create_connection(('127.0.0.1', 9002), timeout=20) as connection:
        connection.sendall(f'GET {{target}} HTTP/1.1\\r\\nHost: {{host}}\\r\\nConnection: close\\r\\n\\r\\n'.encode())
        return connection.makefile('rb').readline().decode().split()[1]
host = 'abcdefghijklmnopqrstuvwxyz012345.lambda-url.{REGION}.localhost:{server.address[1]}'
targets = ['/', '/page', f'http://{{host}}/', f'http://{{host}}/page', f'http://{{host}}/_wuwei/v1/keys', '/metrics']
result = [raw(target, host) for target in targets]
"""
    assert functions.call(driver, statements) == ["403", "404", "403", "404", "404", "404"]


@pytest.fixture
def host_listener() -> Iterator[tuple[int, list[bytes]]]:
    """A server on the host's loopback: its port, and what it was sent."""
    heard: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                heard.append(b"connected")
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], heard


def test_nothing_else_on_the_host_is_reachable(
    server: Server, functions: Functions, driver: str, host_listener: tuple[int, list[bytes]]
) -> None:
    port, heard = host_listener
    gateway = server.address[1]
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.connect(("192.0.2.1", 9)) if has_route() else None
        own = probe.getsockname()[0] if has_route() else "192.0.2.1"
    targets = [("127.0.0.1", port), ("127.0.0.1", gateway), ("127.0.0.2", gateway), ("localhost", gateway)]
    targets += [("::1", gateway), ("::ffff:127.0.0.1", gateway), ("0.0.0.0", gateway), (own, gateway), (own, port)]
    targets += [("169.254.169.254", 80), ("169.254.170.2", 80), ("fe80::1", gateway), ("10.0.0.1", 22)]
    statements = f"""
def attempt(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
        return 'connected'
    except TimeoutError:
        return 'timed out'
    except OSError:
        return 'refused'
result = [attempt(host, port) for host, port in {targets!r}]
"""
    assert functions.call(driver, statements) == ["refused"] * len(targets)
    assert heard == []


def has_route() -> bool:
    """Whether the host has a way out, and so an address of its own."""
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    return any(line.split()[1] == "00000000" for line in routes)


def test_a_flood_of_idle_connections_bounds_itself_only(functions: Functions, driver: str, echo: str) -> None:
    """Past 64, connections wait in the function's own network until one is closed."""
    statements = f"""
held = [socket.create_connection(('127.0.0.1', 9002), timeout=20) for _ in range(64)]
for each in held:
    each.sendall(b'GET /metrics HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n')
    assert each.recv(12) == b'HTTP/1.1 404'
late = socket.create_connection(('127.0.0.1', 9002), timeout=0.5)
late.sendall(b'GET /metrics HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n')
try:
    late.recv(12)
    first = 'served'
except TimeoutError:
    first = 'waits'
for each in held:
    each.close()
late.settimeout(20)
result = [first, late.recv(12).decode(), invoke({echo!r}, 'still')]
"""
    assert functions.call(driver, statements) == ["waits", "HTTP/1.1 404", "still"]


def test_large_payloads_go_both_ways_and_too_large_ones_are_refused(
    functions: Functions, driver: str, echo: str
) -> None:
    statements = f"""
from concurrent.futures import ThreadPoolExecutor
client = {LAMBDA}
full = 6 * 1024 * 1024
def send(size):
    return len(client.invoke(FunctionName={echo!r}, Payload=json.dumps('x' * (size - 2)))['Payload'].read())
with ThreadPoolExecutor(8) as pool:
    sizes = list(pool.map(send, [full] * 8))
result = [sizes, refusal(client.invoke, FunctionName={echo!r}, Payload=json.dumps('x' * (full - 1)))[:2]]
"""
    full = 6 * 1024 * 1024
    assert functions.call(driver, statements) == [[full] * 8, [413, "RequestTooLargeException"]]


def test_functions_invoke_each_other_back_and_forth(functions: Functions) -> None:
    code = """
def handler(event, context):
    path = [*event['path'], context.function_name]
    return invoke(event['other'], {'other': context.function_name, 'path': path}) if len(path) < 5 else path
"""
    names = [unique_name("ping"), unique_name("pong")]
    for name in names:
        deploy_driver(functions, FunctionName=name, Handler="nested.handler", MemorySize=512, Code=nested(code))
    found = functions.call(names[0], {"other": names[1], "path": []})
    assert found == [names[0], names[1], names[0], names[1], names[0]]


def test_a_function_that_invokes_itself_without_end_is_bounded_by_concurrency(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(new_server(config="account_concurrency = 4\n").start())
    name = deploy_driver(functions, Handler="nested.handler", MemorySize=256, Code=nested(SELF))
    assert functions.call(name, 1) == [4, "TooManyRequestsException"]
    assert functions.call(name, 3) == [6, "TooManyRequestsException"]


def test_calls_that_run_when_the_server_stops_can_still_call_back(
    fresh_server: Server, functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(fresh_server)
    echo = functions.deploy_python(ECHO)
    name = deploy_driver(functions)
    statements = f"""
import time
begin, result = time.monotonic(), 0
while time.monotonic() < begin + 6:
    result += invoke({echo!r}, 1)
"""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(functions.call, name, statements)
        until(lambda: fresh_server.wuwei("logs", echo).ok().output.count("REPORT") >= 1, "a nested call has run")
        fresh_server.terminate()
        until(lambda: "draining" in fresh_server.stderr, "the server drains")
        assert not answer.done()
        assert answer.result(timeout=60) >= 2
    assert fresh_server.wait_exit() == 0


def test_credentials_are_in_no_file_and_no_log_of_the_server(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    server = new_server().start(WUWEI_LOG="trace")
    functions = functions_of(server)
    echo = functions.deploy_python(ECHO)
    name = deploy_driver(functions)
    path = f"/2015-03-31/functions/{echo}/invocations"
    statements = f"""
assert signed([OWN[0], 'x' * 40, OWN[2]], path={path!r})[0] == 403
assert invoke({echo!r}, 1) == 1
result = OWN
"""
    identifier, secret, token = functions.call(name, statements)
    server.stop()
    assert identifier in server.stderr, "the log is at its most talkative"
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert files
    for text in (secret, token):
        assert text not in server.stderr
        assert [path for path in files if text.encode() in path.read_bytes()] == []


def test_the_way_back_works_in_reduced_isolation_for_its_own_instance_only(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(new_server(arguments=("--sandbox", "reduced")).start())
    echo = functions.deploy_python(ECHO)
    one, two = deploy_driver(functions), deploy_driver(functions)
    assert functions.call(one, f"result = invoke({echo!r}, 'reduced')") == "reduced"
    endpoint, own = functions.call(one, "result = [ENDPOINT, OWN]")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", endpoint)
    path = f"/2015-03-31/functions/{echo}/invocations"
    statements = f"""
def at(endpoint, keys):
    global ENDPOINT
    names = dict(globals(), ENDPOINT=endpoint)
    import types
    return types.FunctionType(signed.__code__, names, argdefs=signed.__defaults__)(keys, path={path!r})[:2]
result = [at(ENDPOINT, OWN), at({endpoint!r}, OWN), at(ENDPOINT, {own!r})]
"""
    unknown = [403, "UnrecognizedClientException"]
    assert functions.call(two, statements) == [[200, None], unknown, unknown]
    # When the instance ends, so does its way back.
    functions.client.delete_function(FunctionName=one)
    address = (endpoint.removeprefix("http://").split(":")[0], int(endpoint.rsplit(":", 1)[1]))
    until(lambda: is_refused(address), "the listener of the ended instance is closed")


def is_refused(address: tuple[str, int]) -> bool:
    """Whether nobody listens there."""
    with closing(socket.socket()) as attempt:
        attempt.settimeout(5)
        return attempt.connect_ex(address) != 0


def test_with_auth_off_the_way_back_is_still_checked(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(new_server(config='auth = "off"\n').start())
    echo = functions.deploy_python(ECHO)
    name = deploy_driver(functions)
    path = f"/2015-03-31/functions/{echo}/invocations"
    statements = f"result = [signed(OWN, path={path!r})[:2], signed(['111111111111', 'any'], path={path!r})[:2]]"
    assert functions.call(name, statements) == [[200, None], [403, "UnrecognizedClientException"]]
