"""Custom runtimes: any executable `bootstrap` over the Lambda Runtime API."""

import base64
import json
import re
from typing import Any

import pytest

from harness.functions import Functions
from harness.native import compiled
from harness.packages import RawZip, zip_of
from harness.refusals import refusal
from harness.server import ACCOUNT, REGION, ROLE, Server
from harness.tools import tool

SHELL = """#!/bin/sh
set -eu
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
echo "shell starts"
while true; do
  answer="$(curl -sS -i "$api/invocation/next" | tr -d '\\r')"
  event="$(printf '%s\\n' "$answer" | sed '1,/^$/d')"
  id="$(printf '%s\\n' "$answer" | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p')"
  echo "shell got $event"
  curl -sS -o /dev/null "$api/invocation/$id/response" -d "{\\"event\\": $event, \\"handler\\": \\"$_HANDLER\\"}"
done
"""
DRIVER = '''#!/usr/bin/python3 -IS
"""Runs the statements of each event with `api(method, path, body)` at hand; answers what they leave in `result`."""
import http.client, json, os, sys
PREFIX = "/2018-06-01/runtime"

def api(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=20)
    connection.request(method, PREFIX + path, body, headers)
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return {"status": answer.status, "headers": headers, "body": answer.read().decode()}

while True:
    event = api("GET", "/invocation/next")
    id = event["headers"]["lambda-runtime-aws-request-id"]
    names = {"api": api, "event": event, "id": id, "os": os, "sys": sys, "json": json}
    exec(json.loads(event["body"]), names)
    api("POST", f"/invocation/{id}/response", json.dumps(names.get("result")))
'''
INVALID_ENTRYPOINT = {
    "errorType": "Runtime.InvalidEntrypoint",
    "errorMessage": "RequestId: {id} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
}


@pytest.fixture(scope="module")
def driver(functions: Functions) -> str:
    """A function that runs statements against the Runtime API."""
    return functions.deploy_custom(DRIVER, Timeout=10)


def failure(functions: Functions, name: str, event: Any = None) -> tuple[dict[str, Any], str]:
    """The error document of a failed call, and its request id."""
    result = functions.invoke(name, event)
    assert (result.status, result.function_error) == (200, "Unhandled"), result
    return result.value, result.request_id


def test_a_shell_script_is_a_function(functions: Functions) -> None:
    tool("curl")
    name = functions.deploy_custom(SHELL, Handler="some.handler", MemorySize=256, Timeout=20)
    for number in (1, 2):
        result = functions.invoke(name, {"n": number}, LogType="Tail")
        assert result.value == {"event": {"n": number}, "handler": "some.handler"}
        assert f'shell got {{"n": {number}}}\n' in result.log


def test_a_native_program_is_a_function(functions: Functions) -> None:
    name = functions.deploy_custom(compiled("echo.c"))
    for event in ({"n": 1}, "無為", [1, 2, 3]):
        assert functions.call(name, event) == event


def test_the_old_name_of_the_runtime_works_too(functions: Functions) -> None:
    assert functions.call(functions.deploy_custom(compiled("echo.c"), Runtime="provided.al2"), 1) == 1


def test_the_next_call_carries_everything_in_headers(functions: Functions, driver: str) -> None:
    statements = "import time\nresult = [event['headers'], event['status'], time.time() * 1000]"
    call = functions.invoke(driver, statements)
    headers, status, now = call.value
    assert status == 200
    assert headers["lambda-runtime-aws-request-id"] == call.request_id
    assert headers["lambda-runtime-invoked-function-arn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{driver}"
    assert 5_000 < int(headers["lambda-runtime-deadline-ms"]) - now <= 10_000
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}.*", headers["lambda-runtime-trace-id"])
    assert headers["content-type"] == "application/json"


def test_a_reported_error_is_the_answer(functions: Functions, driver: str) -> None:
    document = {"errorType": "Mine", "errorMessage": "as reported", "stackTrace": ["a", "b"]}
    statements = f"""
kind = {{'Lambda-Runtime-Function-Error-Type': 'Mine'}}
answer = api('POST', f'/invocation/{{id}}/error', {json.dumps(document)!r}, kind)
json.dump(answer, open('/tmp/accepted', 'w'))
"""
    found, _ = failure(functions, driver, statements)
    assert found == document
    accepted = functions.call(driver, "result = json.load(open('/tmp/accepted'))")
    assert (accepted["status"], json.loads(accepted["body"])) == (202, {"status": "OK"})


def test_an_unknown_request_id_is_refused(functions: Functions, driver: str) -> None:
    answer = functions.call(driver, "result = api('POST', '/invocation/not-an-id/response', '1')")
    assert answer["status"] == 400
    assert json.loads(answer["body"])["errorType"] == "InvalidRequestID"


def test_a_second_answer_to_an_event_is_refused(functions: Functions, driver: str) -> None:
    statements = """
api('POST', f'/invocation/{id}/response', '"first"')
open('/tmp/second', 'w').write(str(api('POST', f'/invocation/{id}/response', '"second"')['status']))
"""
    assert functions.call(driver, statements) == "first"
    assert functions.call(driver, "result = int(open('/tmp/second').read())") in (400, 403)


def test_an_unknown_path_of_the_runtime_api_is_not_found(functions: Functions, driver: str) -> None:
    assert functions.call(driver, "result = api('GET', '/nothing')")["status"] == 404


def test_a_chunked_response_is_put_together(functions: Functions, driver: str) -> None:
    statements = "api('POST', f'/invocation/{id}/response', iter([b'[1, ', b'2, ', b'3]']))"
    assert functions.call(driver, statements) == [1, 2, 3]


def test_an_answer_to_another_attempt_is_gone(functions: Functions, driver: str) -> None:
    statements = """
attempt = event['headers']['lambda-runtime-invocation-id']
wrong = api('POST', f'/invocation/{id}/response', '1', {'Lambda-Runtime-Invocation-Id': attempt[::-1]})
right = {'Lambda-Runtime-Invocation-Id': attempt}
api('POST', f'/invocation/{id}/response', json.dumps([wrong['status'], wrong['body']]), right)
"""
    status, body = functions.call(driver, statements)
    assert (status, json.loads(body)["errorType"]) == (410, "ErrorRuntimeInvokeTimeout")


STREAM = """
import http.client
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=20)
connection.putrequest("POST", PREFIX + f"/invocation/{id}/response")
connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
connection.putheader("Transfer-Encoding", "chunked")
connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
connection.endheaders(b"4\\r\\nfour\\r\\n1\\r\\n!\\r\\n0\\r\\n" + TRAILERS + b"\\r\\n")
connection.getresponse().read()
"""


def test_a_streamed_answer_is_whole_for_a_caller_who_does_not_stream(functions: Functions, driver: str) -> None:
    result = functions.invoke(driver, STREAM.replace("TRAILERS", "b''").replace("PREFIX", "'/2018-06-01/runtime'"))
    assert (result.function_error, result.payload) == (None, b"four!")


def test_a_streamed_answer_that_ends_with_an_error_is_that_error(functions: Functions, driver: str) -> None:
    document = base64.b64encode(b'{"errorType": "Mine", "errorMessage": "half way"}').decode()
    trailers = f"b'Lambda-Runtime-Function-Error-Type: Mine\\r\\nLambda-Runtime-Function-Error-Body: {document}\\r\\n'"
    statements = STREAM.replace("TRAILERS", trailers).replace("PREFIX", "'/2018-06-01/runtime'")
    found, _ = failure(functions, driver, statements)
    assert found == {"errorType": "Mine", "errorMessage": "half way"}


def test_extensions_are_told_that_they_are_not_offered(functions: Functions, driver: str) -> None:
    statements = """
import http.client
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=20)
connection.request("POST", "/2020-01-01/extension/register", "{}")
answer = connection.getresponse()
result = [answer.status, json.loads(answer.read())["errorType"]]
"""
    assert functions.call(driver, statements) == [501, "NotImplemented"]


def test_restored_snapshots_have_paths_that_others_do_not(functions: Functions, driver: str) -> None:
    assert functions.call(driver, "result = api('GET', '/restore/next')['status']") == 404


def test_a_response_need_not_be_json(functions: Functions, driver: str) -> None:
    result = functions.invoke(driver, "api('POST', f'/invocation/{id}/response', b'\\xff plain bytes')")
    assert (result.function_error, result.payload) == (None, b"\xff plain bytes")


def test_a_response_over_the_limit_is_an_error(functions: Functions, driver: str) -> None:
    statements = f"answer = api('POST', f'/invocation/{{id}}/response', b'x' * {6_291_556 + 1})"
    found, _ = failure(functions, driver, statements)
    assert found["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize(
    "package",
    [
        zip_of({"main": "#!/bin/sh\n"}),
        zip_of({"bootstrap": "#!/bin/sh\n"}, executables=()),
        RawZip().add("bootstrap/inside", b"x").bytes(),
    ],
    ids=["none", "not executable", "a directory"],
)
def test_a_package_without_an_executable_bootstrap_is_an_invalid_entrypoint(
    functions: Functions, package: bytes
) -> None:
    name = functions.deploy_custom("")
    functions.client.update_function_code(FunctionName=name, ZipFile=package)
    functions.wait_updated(name)
    found, request_id = failure(functions, name)
    assert found == {key: text.format(id=request_id) for key, text in INVALID_ENTRYPOINT.items()}


@pytest.mark.parametrize(
    ("bootstrap", "reason"),
    [
        ("#!/bin/sh\nexit 5\n", "Runtime exited with error: exit status 5"),
        ("#!/bin/sh\nexit 0\n", "Runtime exited without providing a reason"),
        ("#!/bin/sh\nkill -9 $$\n", "Runtime exited with error: signal: killed"),
    ],
)
def test_a_bootstrap_that_ends_is_an_exit_error(functions: Functions, bootstrap: str, reason: str) -> None:
    name = functions.deploy_custom(bootstrap)
    found, request_id = failure(functions, name)
    assert found == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request_id} Error: {reason}"}


@pytest.mark.parametrize("bootstrap", ["#!/no/such/interpreter\n", "not a program at all\x00\x01"])
def test_a_bootstrap_that_cannot_be_started_is_an_error_of_the_function(functions: Functions, bootstrap: str) -> None:
    found, _ = failure(functions, functions.deploy_custom(bootstrap))
    assert found["errorType"] in ("Runtime.InvalidEntrypoint", "Runtime.ExitError")


def test_a_reported_initialisation_error_is_the_answer(functions: Functions) -> None:
    document = json.dumps({"errorType": "Init.Mine", "errorMessage": "cannot begin"})
    report = f"api('POST', '/init/error', {document!r})\nsys.exit(1)\n"
    name = functions.deploy_custom(DRIVER.replace("while True:", report + "while True:"))
    found, _ = failure(functions, name)
    assert (found["errorType"], found["errorMessage"]) == ("Init.Mine", "cannot begin")


def test_a_custom_runtime_over_its_time_limit_is_ended(functions: Functions) -> None:
    name = functions.deploy_custom(DRIVER, Timeout=1)
    found, request_id = failure(functions, name, "while True: pass")
    text = f"RequestId: {request_id} Error: Task timed out after 1.00 seconds"
    assert found == {"errorType": "Sandbox.Timedout", "errorMessage": text}
    assert functions.call(name, "result = 'again'") == "again"


def test_the_environment_of_a_custom_runtime(functions: Functions) -> None:
    name = functions.deploy_custom(DRIVER, Handler="my.handler", Environment={"Variables": {"MINE": "1"}})
    found = functions.call(name, "result = dict(os.environ)")
    expected = {"_HANDLER": "my.handler", "LAMBDA_TASK_ROOT": "/var/task", "MINE": "1", "AWS_REGION": REGION}
    assert {key: found.get(key) for key in expected} == expected
    assert found["AWS_LAMBDA_RUNTIME_API"].startswith("127.0.0.1:")
    assert "AWS_EXECUTION_ENV" not in found


def test_handler_may_be_left_to_the_bootstrap_but_not_out(functions: Functions, server: Server) -> None:
    found = refusal(
        functions.client.create_function, FunctionName="no-handler", Runtime="provided.al2023", Role=ROLE,
        Code={"ZipFile": zip_of({"bootstrap": "#!/bin/sh\n"})},
    )  # fmt: skip
    assert found.error == "InvalidParameterValueException"
    assert server.healthz()[0] == 200


def test_a_runtime_that_ends_after_its_answer_is_started_again_for_the_next_event(functions: Functions) -> None:
    # It answers and ends a little later, without asking for another event: most often it is frozen in between.
    leaving = DRIVER + "    import time\n    time.sleep(0.02)\n    sys.exit(0)\n"
    name = functions.deploy_custom(leaving, Timeout=10)
    for number in range(5):
        result = functions.invoke(name, f"result = {number}", LogType="Tail")
        assert (result.function_error, result.value) == (None, number)
        # One START and one END, also when the event was offered to a runtime that did not take it.
        assert [result.log.count(word) for word in ("START RequestId", "END RequestId", "REPORT RequestId")] == [
            1,
            1,
            1,
        ]
