"""What a failed call answers and logs: the same from Python and from custom runtimes, in init and in invoke."""

import errno
import re
from typing import Any

import pytest

from harness.functions import Functions, Result
from harness.packages import zip_of
from harness.reports import report_of
from harness.server import Server

RESPONSE_LIMIT = 6_291_556
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
EXITS = [
    ("exit 1", "Runtime exited with error: exit status 1"),
    ("exit 0", "Runtime exited without providing a reason"),
    ("exit 255", "Runtime exited with error: exit status 255"),
    ("kill -9", "Runtime exited with error: signal: killed"),
    ("kill -6", "Runtime exited with error: signal: aborted"),
    ("kill -15", "Runtime exited with error: signal: terminated"),
]
DRIVER = """#!/usr/bin/python3 -IS
import http.client, os
def api(method, path, body=None):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=20)
    connection.request(method, "/2018-06-01/runtime" + path, body)
    answer = connection.getresponse()
    return answer.headers, answer.read()
{init}
while True:
    headers, _ = api("GET", "/invocation/next")
    id = headers["lambda-runtime-aws-request-id"]
    result = "1"
    {statement}
    api("POST", f"/invocation/{{id}}/response", result)
"""
PYTHON = """
import os
{init}
def handler(event, context):
    result = 1
    {statement}
    return result
"""


def statement_of(end: str) -> str:
    """How a Python program brings its own end about."""
    verb, number = end.split(" ")
    return f"os._exit({number})" if verb == "exit" else f"os.kill(os.getpid(), {number.removeprefix('-')})"


def deploy(functions: Functions, kind: str, *, init: str = "", statement: str = "", **settings: Any) -> str:
    """A function of either kind that runs these statements at its start and in each call."""
    if kind == "python":
        return functions.deploy_python(PYTHON.format(init=init, statement=statement), **settings)
    return functions.deploy_custom(DRIVER.format(init=init, statement=statement), **settings)


def check(result: Result, error_type: str, text: str, status: str) -> None:
    """The document, the header, the log lines and the report of a failure of the runtime."""
    message = f"RequestId: {result.request_id} Error: {text}"
    assert (result.status, result.function_error) == (200, "Unhandled"), result
    assert result.value == {"errorType": error_type, "errorMessage": message}
    lines = result.log.splitlines()
    assert lines[0] == f"START RequestId: {result.request_id} Version: $LATEST"
    assert lines[-2] == f"END RequestId: {result.request_id}"
    assert report_of(result.log).status == status
    if error_type == "Sandbox.Timedout":
        assert re.fullmatch(rf"{STAMP} {result.request_id} {re.escape(text)}", lines[-3]), lines
    else:
        assert lines[-4:-2] == [message, error_type]


def error_of(error_type: str) -> str:
    """The status in a REPORT line."""
    return f"Status: error\tError Type: {error_type}"


@pytest.mark.parametrize("phase", ["init", "invoke"])
@pytest.mark.parametrize("kind", ["python", "custom"])
def test_a_runtime_that_ends_is_an_exit_error_with_its_reason(functions: Functions, kind: str, phase: str) -> None:
    for end, reason in EXITS:
        where = {"init" if phase == "init" else "statement": statement_of(end)}
        name = deploy(functions, kind, **where)
        for _ in range(2):
            check(functions.invoke(name, LogType="Tail"), "Runtime.ExitError", reason, error_of("Runtime.ExitError"))


@pytest.mark.parametrize("phase", ["init", "invoke"])
@pytest.mark.parametrize("kind", ["python", "custom"])
def test_a_runtime_over_its_memory_says_so(functions: Functions, kind: str, phase: str) -> None:
    greedy = "x = bytearray(b'x') * 400_000_000"
    name = deploy(functions, kind, Timeout=20, **{"init" if phase == "init" else "statement": greedy})
    result = functions.invoke(name, LogType="Tail")
    text = "Runtime exited with error: signal: killed"
    check(result, "Runtime.OutOfMemory", text, error_of("Runtime.OutOfMemory"))
    assert "Max Memory Used: 128 MB" in result.log


@pytest.mark.parametrize("kind", ["python", "custom"])
def test_a_call_over_its_time_is_a_timeout_with_its_limit(functions: Functions, kind: str) -> None:
    name = deploy(functions, kind, statement="import time; time.sleep(60)", Timeout=1)
    for _ in range(2):
        result = functions.invoke(name, LogType="Tail")
        check(result, "Sandbox.Timedout", "Task timed out after 1.00 seconds", "Status: timeout")
        report = report_of(result.log)
        assert report.duration == 1000.0 and report.billed - 1000 <= (report.init or 0) + 1


@pytest.mark.parametrize("kind", ["python", "custom"])
def test_a_response_over_the_limit_is_an_error_of_the_function(functions: Functions, kind: str) -> None:
    of_size = f"result = 'x' * ({RESPONSE_LIMIT} - {2 if kind == 'python' else 0} + %d)"
    fits = deploy(functions, kind, statement=of_size % 0, MemorySize=256, Timeout=20)
    assert len(functions.invoke(fits).payload) == RESPONSE_LIMIT
    name = deploy(functions, kind, statement=of_size % 1, MemorySize=256, Timeout=20)
    result = functions.invoke(name, LogType="Tail")
    text = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
    assert (result.status, result.function_error) == (200, "Unhandled")
    assert result.value == {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": text}
    assert report_of(result.log).status == error_of("Function.ResponseSizeTooLarge")


def test_a_bootstrap_that_the_kernel_cannot_execute_is_an_invalid_entrypoint(functions: Functions) -> None:
    cases = {
        "#!/no/such/interpreter\n": "no such file or directory",
        "#!/bin/sh\r\necho written on another system\r\n": "no such file or directory",
        "echo a script without its first line\n": "exec format error",
        "\x7fELF that is none": "exec format error",
    }
    for bootstrap, reason in cases.items():
        result = functions.invoke(functions.deploy_custom(bootstrap), LogType="Tail")
        text = f"fork/exec /var/task/bootstrap: {reason}"
        check(result, "Runtime.InvalidEntrypoint", text, error_of("Runtime.InvalidEntrypoint"))


def test_a_package_without_bootstrap_is_an_invalid_entrypoint_at_every_call(functions: Functions) -> None:
    name = functions.deploy_custom("")
    functions.client.update_function_code(FunctionName=name, ZipFile=zip_of({"main": "#!/bin/sh\n"}))
    functions.wait_updated(name)
    for _ in range(2):
        text = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
        result = functions.invoke(name, LogType="Tail")
        check(result, "Runtime.InvalidEntrypoint", text, error_of("Runtime.InvalidEntrypoint"))


@pytest.mark.parametrize(
    ("code", "error_type", "in_report"),
    [
        ("import not_there\n", "Runtime.ImportModuleError", "Runtime.ImportModuleError"),
        ("x = = 1\n", "Runtime.UserCodeSyntaxError", "Runtime.UserCodeSyntaxError"),
        ("handlers = 1\n", "Runtime.HandlerNotFound", "Runtime.HandlerNotFound"),
        ("1 / 0\n", "ZeroDivisionError", "Runtime.Unknown"),
    ],
)
def test_an_init_error_that_python_reports_names_its_type_in_the_report(
    functions: Functions, code: str, error_type: str, in_report: str
) -> None:
    result = functions.invoke(functions.deploy_python(code), LogType="Tail")
    assert (result.function_error, result.value["errorType"]) == ("Unhandled", error_type)
    assert result.value["requestId"] == "" and isinstance(result.value["stackTrace"], list)
    assert report_of(result.log).status == error_of(in_report)


@pytest.mark.parametrize("kind", ["python", "custom"])
def test_an_error_of_the_handler_has_no_status_in_the_report(functions: Functions, kind: str) -> None:
    document = '\'{"errorType": "Mine", "errorMessage": "as reported"}\''
    statements = {
        "python": "raise ValueError('mine')",
        "custom": f"api('POST', f'/invocation/{{id}}/error', {document}); continue",
    }
    result = functions.invoke(deploy(functions, kind, statement=statements[kind]), LogType="Tail")
    assert (result.status, result.function_error) == (200, "Unhandled")
    assert result.value["errorType"] == {"python": "ValueError", "custom": "Mine"}[kind]
    assert report_of(result.log).status == ""


def test_a_function_may_use_1024_descriptors_and_no_more(functions: Functions) -> None:
    code = """
import os
def handler(event, context):
    opened = []
    try:
        while True: opened.append(os.dup(0))
    except OSError as error:
        reason = error.errno
    count = 1 + max(opened)
    os.close(opened.pop())
    opened.append(os.dup(0))
    for descriptor in opened: os.close(descriptor)
    return [reason, count]
"""
    name = functions.deploy_python(code)
    assert functions.call(name) == [errno.EMFILE, 1024]
    assert functions.call(name) == [errno.EMFILE, 1024], "the runtime works on at its limit"


def test_a_function_may_have_1024_processes_and_threads_and_no_more(server: Server, functions: Functions) -> None:
    code = """
import os, threading
threading.stack_size(65536)
def handler(event, context):
    release, started = threading.Event(), []
    try:
        while len(started) < 3000:
            thread = threading.Thread(target=release.wait)
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        reason = str(error)
    count = len(os.listdir('/proc/self/task'))
    try:
        os.fork()
    except OSError as error:
        child = error.errno
    release.set()
    for thread in started: thread.join()
    return [reason, count, child]
"""
    name = functions.deploy_python(code, MemorySize=1024, Timeout=60)
    for _ in range(2):
        assert functions.call(name) == ["can't start new thread", 1024, errno.EAGAIN]
    assert server.healthz()[0] == 200
