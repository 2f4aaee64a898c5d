"""Invocations of Python functions: events, context, results, and every way to fail."""

import base64
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.functions import ECHO, Functions, unique_name
from harness.packages import zip_of
from harness.refusals import refusal
from harness.server import ACCOUNT, REGION, Server
from harness.wire import signed

PAYLOAD_LIMIT = 6_291_456
RESPONSE_LIMIT = 6_291_556
WHO = """
import os, uuid
NAME = str(uuid.uuid4())
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return {'instance': NAME, 'calls': calls}
"""


@pytest.fixture(scope="module")
def echo(functions: Functions) -> str:
    """One echo function for the module."""
    return functions.deploy_python(ECHO)


EVENTS: list[Any] = [
    None, True, 0, -1.5, "text", "", [], {}, [1, "two", None], {"nested": {"deep": [{"a": 1}]}}, "無為 \U0001f680 é",
    {"quote": '"', "backslash": "\\", "newline": "\n", "null": "\0", "separator": "\u2028"}, 2**53, 1e-300,
]  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=[f"{event!r}"[:40] for event in EVENTS])
def test_an_event_comes_back_as_it_went(functions: Functions, echo: str, event: Any) -> None:
    result = functions.invoke(echo, event)
    assert (result.status, result.function_error, result.executed_version) == (200, None, "$LATEST")
    assert result.value == event


def test_no_payload_is_an_empty_object(functions: Functions, echo: str) -> None:
    assert json.loads(functions.client.invoke(FunctionName=echo)["Payload"].read()) == {}


@pytest.mark.parametrize("payload", [b"{", b"plain text", b"{'a': 1}", b"\xff\xfe", b"{} {}"])
def test_a_payload_that_is_no_json_is_refused(functions: Functions, echo: str, payload: bytes) -> None:
    found = refusal(functions.client.invoke, FunctionName=echo, Payload=payload)
    assert (found.status, found.error) == (400, "InvalidRequestContentException")
    assert found.message.startswith("Could not parse request body into json: ")


def test_the_largest_payload_is_accepted_and_one_byte_more_refused(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    return len(event)\n", MemorySize=256)
    payload = b'"' + b"x" * (PAYLOAD_LIMIT - 2) + b'"'
    assert functions.invoke(name, Payload=payload).value == PAYLOAD_LIMIT - 2
    found = refusal(functions.client.invoke, FunctionName=name, Payload=payload + b" ")
    assert found.status == 413
    assert found.message == f"Request must be smaller than {PAYLOAD_LIMIT} bytes for the InvokeFunction operation"


def test_the_largest_response_is_returned_and_one_byte_more_is_an_error(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    return 'x' * event\n", MemorySize=256, Timeout=20)
    assert len(functions.invoke(name, RESPONSE_LIMIT - 2).payload) == RESPONSE_LIMIT
    result = functions.invoke(name, RESPONSE_LIMIT - 1)
    assert (result.status, result.function_error) == (200, "Unhandled")
    text = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
    assert result.value == {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": text}
    assert functions.invoke(name, 3).value == "xxx"


def test_the_context_is_complete(functions: Functions) -> None:
    code = """
def handler(event, context):
    names = ('function_name function_version invoked_function_arn memory_limit_in_mb aws_request_id log_group_name '
             'log_stream_name client_context').split()
    found = {name: getattr(context, name) for name in names}
    found['remaining'] = context.get_remaining_time_in_millis()
    found['identity'] = [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
    context.log('through the context')
    return found
"""
    name = functions.deploy_python(code, MemorySize=192, Timeout=30)
    result = functions.invoke(name, LogType="Tail")
    found = result.value
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", found.pop("log_stream_name"))
    assert 25_000 < found.pop("remaining") <= 30_000
    assert found == {
        "function_name": name,
        "function_version": "$LATEST",
        "invoked_function_arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
        "memory_limit_in_mb": "192",
        "aws_request_id": result.request_id,
        "log_group_name": f"/aws/lambda/{name}",
        "client_context": None,
        "identity": [None, None],
    }
    assert "through the context" in result.log


def test_the_invoked_arn_has_the_qualifier_of_the_call(functions: Functions) -> None:
    code = "def handler(event, context):\n    return [context.invoked_function_arn, context.function_version]\n"
    name = functions.deploy_python(code, Publish=True)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    for qualifier, version in (("1", "1"), ("$LATEST", "$LATEST")):
        result = functions.invoke(name, Qualifier=qualifier)
        assert (result.value, result.executed_version) == ([f"{arn}:{qualifier}", version], version)


def test_the_client_context_reaches_the_function(functions: Functions) -> None:
    code = """
def handler(event, context):
    found = context.client_context
    return {'custom': found.custom, 'env': found.env, 'title': found.client.app_title}
"""
    name = functions.deploy_python(code)
    given = {"custom": {"k": "v"}, "env": {"locale": "zh"}, "client": {"app_title": "wuwei"}}
    encoded = base64.b64encode(json.dumps(given).encode()).decode()
    found = functions.invoke(name, ClientContext=encoded).value
    assert found == {"custom": {"k": "v"}, "env": {"locale": "zh"}, "title": "wuwei"}


def test_a_client_context_over_3583_bytes_is_refused(functions: Functions, echo: str) -> None:
    encoded = base64.b64encode(json.dumps({"custom": {"k": "v" * 3600}}).encode()).decode()
    found = refusal(functions.client.invoke, FunctionName=echo, ClientContext=encoded)
    assert found.status == 400 and found.error in ("InvalidRequestContentException", "InvalidParameterValueException")


def test_the_environment_is_what_aws_documents(functions: Functions) -> None:
    code = "import os\ndef handler(event, context):\n    return [dict(os.environ), os.getcwd()]\n"
    name = functions.deploy_python(code, MemorySize=160, Environment={"Variables": {"MINE": "無為 = 1"}})
    found, directory = functions.call(name)
    expected = {
        "_HANDLER": "app.handler",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{functions.python}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "160",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "TZ": ":UTC",
        "MINE": "無為 = 1",
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found["AWS_LAMBDA_LOG_STREAM_NAME"] and found["PATH"] and "UTF-8" in found["LANG"]
    assert found["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert directory == "/var/task"
    assert not [key for key in found if key.startswith(("WUWEI", "CARGO", "RUST"))]


def test_a_trace_header_of_the_caller_is_passed_on(server: Server, functions: Functions) -> None:
    name = functions.deploy_python("import os\ndef handler(e, c):\n    return os.environ['_X_AMZN_TRACE_ID']\n")
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    path = f"/2015-03-31/functions/{name}/invocations"
    answer = signed(server, "POST", path, b"{}", {"X-Amzn-Trace-Id": trace})
    assert "Root=1-5759e988-bd862e3fe1be46a994272793" in json.loads(answer.body)


def check_failure(functions: Functions, code: str, expected: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Both a first call and the next one fail with the document; returns what is beyond `expected`."""
    name = functions.deploy_python(code, **settings)
    for _ in range(2):
        result = functions.invoke(name, {"n": 1}, LogType="Tail")
        assert (result.status, result.function_error) == (200, "Unhandled"), result
        wanted = {
            key: text.replace("<id>", result.request_id) if isinstance(text, str) else text
            for key, text in expected.items()
        }
        document = result.value
        assert {key: document.get(key) for key in wanted} == wanted, result
        assert f"START RequestId: {result.request_id}" in result.log
        assert f"END RequestId: {result.request_id}" in result.log
    return {key: value for key, value in document.items() if key not in expected}


def test_a_raised_exception_is_a_document_with_its_stack(functions: Functions) -> None:
    code = "class Odd(ValueError):\n    pass\n\ndef handler(event, context):\n    raise Odd('not even')\n"
    rest = check_failure(functions, code, {"errorType": "Odd", "errorMessage": "not even"})
    (frame,) = rest["stackTrace"]
    assert frame == "  File \"/var/task/app.py\", line 5, in handler\n    raise Odd('not even')\n"
    assert rest["requestId"]


def test_a_missing_module_is_an_import_error(functions: Functions) -> None:
    expected = {
        "errorType": "Runtime.ImportModuleError",
        "errorMessage": "Unable to import module 'app': No module named 'not_there'",
    }
    check_failure(functions, "import not_there\n", expected)


def test_a_missing_handler_file_is_an_import_error(functions: Functions) -> None:
    expected = {
        "errorType": "Runtime.ImportModuleError",
        "errorMessage": "Unable to import module 'elsewhere': No module named 'elsewhere'",
    }
    check_failure(functions, ECHO, expected, Handler="elsewhere.handler")


def test_an_exception_at_import_is_reported(functions: Functions) -> None:
    check_failure(functions, "1 / 0\n", {"errorType": "ZeroDivisionError", "errorMessage": "division by zero"})


def test_a_syntax_error_names_the_line(functions: Functions) -> None:
    rest = check_failure(functions, "x = 1\nx = = 2\n", {"errorType": "Runtime.UserCodeSyntaxError"})
    assert rest["errorMessage"].startswith("Syntax error in module 'app': invalid syntax (app.py, line 2)")


def test_a_missing_handler_is_reported(functions: Functions) -> None:
    expected = {"errorType": "Runtime.HandlerNotFound", "errorMessage": "Handler 'absent' missing on module 'app'"}
    check_failure(functions, ECHO, expected, Handler="app.absent")


def test_a_handler_without_a_dot_is_malformed(functions: Functions) -> None:
    expected = {
        "errorType": "Runtime.MalformedHandlerName",
        "errorMessage": "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
    }
    check_failure(functions, ECHO, expected, Handler="app")


def test_a_result_that_is_no_json_is_a_marshal_error(functions: Functions) -> None:
    expected = {
        "errorType": "Runtime.MarshalError",
        "errorMessage": "Unable to marshal response: Object of type set is not JSON serializable",
    }
    check_failure(functions, "def handler(event, context):\n    return {1, 2}\n", expected)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("os._exit(7)", "Runtime exited with error: exit status 7"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(3)", "Runtime exited with error: exit status 3"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_a_runtime_that_ends_is_an_exit_error(functions: Functions, statement: str, reason: str) -> None:
    code = f"import os, sys\ndef handler(event, context):\n    {statement}\n"
    expected = {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: <id> Error: {reason}"}
    check_failure(functions, code, expected)


def test_an_exit_at_import_is_an_exit_error(functions: Functions) -> None:
    reason = "Runtime exited with error: exit status 9"
    expected = {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: <id> Error: {reason}"}
    check_failure(functions, "import os\nos._exit(9)\n", expected)


def test_a_call_over_its_time_limit_is_ended(functions: Functions) -> None:
    code = "import time\ndef handler(event, context):\n    time.sleep(60)\n"
    expected = {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: <id> Error: Task timed out after 1.00 seconds",
    }
    assert check_failure(functions, code, expected, Timeout=1) == {}


def test_after_a_timeout_the_next_call_gets_a_clean_instance(functions: Functions) -> None:
    code = WHO.replace("    return", "    while event == 'hang': pass\n    return")
    name = functions.deploy_python(code, Timeout=1)
    first = functions.invoke(name).value
    assert functions.invoke(name, "hang").function_error == "Unhandled"
    second = functions.invoke(name).value
    assert (first["calls"], second["calls"]) == (1, 1)
    assert first["instance"] != second["instance"]


def test_a_function_over_its_memory_is_killed_and_says_so(functions: Functions) -> None:
    code = """
def handler(event, context):
    kept = []
    while True:
        kept.append(bytearray(b'x') * 1_000_000)
"""
    expected = {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": "RequestId: <id> Error: Runtime exited with error: signal: killed",
    }
    check_failure(functions, code, expected, Timeout=30)


def test_an_error_does_not_cost_the_instance(functions: Functions) -> None:
    code = WHO.replace("    return", "    if event == 'fail': raise KeyError('x')\n    return")
    name = functions.deploy_python(code)
    first = functions.invoke(name).value
    assert functions.invoke(name, "fail").value["errorType"] == "KeyError"
    again = functions.invoke(name).value
    assert (again["instance"], again["calls"]) == (first["instance"], 3)


def test_a_warm_call_uses_the_instance_again_without_init(functions: Functions) -> None:
    name = functions.deploy_python(WHO)
    cold, warm = functions.invoke(name, LogType="Tail"), functions.invoke(name, LogType="Tail")
    assert [cold.value["calls"], warm.value["calls"]] == [1, 2]
    assert cold.value["instance"] == warm.value["instance"]
    assert "Init Duration:" in cold.log and "Init Duration:" not in warm.log


def test_two_calls_at_once_run_in_two_instances(functions: Functions) -> None:
    """Each call takes a second of the function's own time, so that both are under way together."""
    code = WHO.replace("import os, uuid", "import os, time, uuid").replace(
        "    return", "    time.sleep(1)\n    return"
    )
    name = functions.deploy_python(code, Timeout=10)
    barrier = threading.Barrier(2)

    def call(_: int) -> str:
        barrier.wait(10)
        return str(functions.invoke(name).value["instance"])

    with ThreadPoolExecutor(2) as pool:
        instances = list(pool.map(call, range(2)))
    assert len(set(instances)) == 2


def test_thirty_calls_at_once_all_get_their_own_answer(functions: Functions, echo: str) -> None:
    with ThreadPoolExecutor(15) as pool:
        answers = list(pool.map(lambda number: functions.call(echo, {"number": number}), range(30)))
    assert answers == [{"number": number} for number in range(30)]


def test_a_dry_run_checks_and_runs_nothing(functions: Functions, echo: str) -> None:
    answer = functions.client.invoke(FunctionName=echo, InvocationType="DryRun")
    assert (answer["StatusCode"], answer["Payload"].read()) == (204, b"")
    name = unique_name("absent")
    assert refusal(functions.client.invoke, FunctionName=name, InvocationType="DryRun").status == 404


def test_the_log_comes_only_when_asked_for(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    print('hello log')\n")
    asked, silent = functions.invoke(name, LogType="Tail"), functions.invoke(name, LogType="None")
    assert "hello log" in asked.log and silent.log == "" and functions.invoke(name).log == ""


def test_the_tail_is_the_last_four_kilobytes(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    print('begin' + '.' * 8000 + 'end')\n")
    log = functions.invoke(name, LogType="Tail").log
    assert 3500 <= len(log.encode()) <= 4096
    assert "begin" not in log and "end" in log and "REPORT RequestId:" in log


def test_a_handler_in_a_package_directory_is_found(functions: Functions) -> None:
    files = {"pkg/__init__.py": "", "pkg/sub/__init__.py": "", "pkg/sub/module.py": ECHO}
    for handler in ("pkg.sub.module.handler", "pkg/sub/module.handler"):
        name = functions.deploy(files, Runtime=functions.python, Handler=handler)
        assert functions.call(name, handler) == handler


def test_a_module_beside_the_handler_is_importable_and_shadows_nothing_of_the_host(functions: Functions) -> None:
    files = {
        "app.py": "import helper, sys\ndef handler(e, c):\n    return [helper.X, sys.path]\n",
        "helper.py": "X = 5\n",
    }
    found, path = functions.call(functions.deploy(files, Runtime=functions.python, Handler="app.handler"))
    assert found == 5
    assert path[0] == "/var/task"
    assert not [entry for entry in path if "site-packages" in entry and not entry.startswith(("/opt", "/var"))]


def test_the_status_of_a_missing_function_is_404_for_every_kind_of_call(functions: Functions) -> None:
    for kind in ("RequestResponse", "DryRun"):
        found = refusal(functions.client.invoke, FunctionName="nobody", InvocationType=kind)
        assert found.status == 404


def test_an_alias_that_does_not_exist_is_not_found(functions: Functions, echo: str) -> None:
    found = refusal(functions.client.invoke, FunctionName=echo, Qualifier="prod")
    assert found.status == 404 and found.message.endswith(f":function:{echo}:prod")


def test_new_code_with_the_same_name_never_runs_in_an_old_instance(functions: Functions) -> None:
    name = functions.deploy_python(WHO)
    before = functions.invoke(name).value
    functions.client.update_function_code(FunctionName=name, ZipFile=zip_of({"app.py": WHO + "\n"}))
    functions.wait_updated(name)
    after = functions.invoke(name).value
    assert after["calls"] == 1 and after["instance"] != before["instance"]


def test_every_python_of_the_host_runs_as_itself(server: Server, functions: Functions) -> None:
    listed: Any = server.wuwei_json("runtimes")
    pythons = [entry["identifier"] for entry in listed if entry["identifier"].startswith("python")]
    code = "import sys, ssl, json\ndef handler(event, context):\n    return 'python%d.%d' % sys.version_info[:2]\n"
    assert [functions.run_python(code, Runtime=runtime) for runtime in pythons] == pythons


def test_an_unsupported_media_type_does_not_hurt(server: Server, echo: str) -> None:
    path = f"/2015-03-31/functions/{echo}/invocations"
    answer = signed(server, "POST", path, b'{"a": 1}', {"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status, json.loads(answer.body)) == (200, {"a": 1})


def test_a_cold_call_says_where_its_time_went(server: Server, functions: Functions) -> None:
    code = "import time\ntime.sleep(0.2)\ndef handler(event, context):\n    time.sleep(event)\n"
    name = functions.deploy_python(code)
    path = f"/2015-03-31/functions/{name}/invocations"
    began = time.monotonic()
    cold = signed(server, "POST", path, b"0.1")
    elapsed_ms = (time.monotonic() - began) * 1000
    header = cold.header("x-wuwei-cold-start")
    assert cold.status == 200 and header is not None
    phases = dict(part.split("=") for part in header.split(";"))
    assert list(phases) == ["queue", "sandbox", "runtime", "init", "handler"]
    assert all(re.fullmatch(r"\d+us", value) for value in phases.values()), header
    ms = {phase: int(value.removesuffix("us")) / 1000 for phase, value in phases.items()}
    # A sandbox and a runtime may have been ready ahead.
    assert ms["init"] >= 200 and ms["handler"] >= 100
    assert sum(ms.values()) <= elapsed_ms
    warm = signed(server, "POST", path, b"0")
    assert (warm.status, warm.header("x-wuwei-cold-start")) == (200, None)

    # The same is in a log of its own, and not in the function's: which is read when all is written.
    assert "coldStart" not in server.wuwei("logs", name).ok().output
    request_id = cold.header("x-amzn-requestid")
    files = list((server.data_dir / "logs" / ACCOUNT / REGION / "$cold-starts").glob("*.jsonl"))
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    (found,) = [record for record in records if record["request_id"] == request_id]
    document = json.loads(found["message"])
    assert document["type"] == "wuwei.coldStart"
    record = document["record"]
    assert (record["requestId"], record["functionName"], record["functionVersion"]) == (request_id, name, "$LATEST")
    assert {phase: int(record[f"{phase}Ms"] * 1000) for phase in ms} == pytest.approx(
        {phase: value * 1000 for phase, value in ms.items()}, abs=1
    )
