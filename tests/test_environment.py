"""Environment variables: those the platform defines, those it refuses, those that change how a runtime starts."""

import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness.functions import Functions
from harness.packages import zip_of
from harness.refusals import refusal
from harness.server import REGION, ROLE, Server
from harness.tools import run, tool
from harness.wire import signed

RESERVED = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
]
# Names that AWS lets a function set.
FREE = ["LANG", "PATH", "LD_LIBRARY_PATH", "TZ", "PYTHONPATH", "AWS_LAMBDA_EXEC_WRAPPER", "AWS_ENDPOINT_URL", "LAMBDA"]
SHOW = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"


def variables(**values: str) -> dict[str, Any]:
    """The `Environment` setting."""
    return {"Environment": {"Variables": values}}


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_variable_is_refused_at_create(functions: Functions, name: str) -> None:
    text = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
        "contains reserved keys that are currently not supported for modification. Reserved keys used in this request: "
    )
    create = {
        "FunctionName": "reserved", "Runtime": functions.python, "Handler": "app.handler", "Role": ROLE,
        "Code": {"ZipFile": zip_of({"app.py": SHOW})},
    }  # fmt: skip
    found = refusal(functions.client.create_function, **create, **variables(**{name: "x", "OWN": "y"}))
    assert (found.status, found.error, found.message) == (400, "InvalidParameterValueException", text + name)


@pytest.mark.parametrize("name", ["_HANDLER", "_X_AMZN_TRACE_ID"])
def test_a_reserved_variable_with_an_underscore_is_no_name_at_all(functions: Functions, name: str) -> None:
    found = refusal(
        functions.client.create_function, FunctionName="reserved", Runtime=functions.python, Handler="app.handler",
        Role=ROLE, Code={"ZipFile": zip_of({"app.py": SHOW})}, **variables(**{name: "x"}),
    )  # fmt: skip
    assert (found.status, found.error) == (400, "ValidationException")


def test_a_reserved_variable_is_refused_at_update(functions: Functions) -> None:
    name = functions.deploy_python(SHOW, **variables(OWN="1"))
    change = functions.client.update_function_configuration
    found = refusal(change, FunctionName=name, **variables(AWS_REGION="mars", LAMBDA_TASK_ROOT="/"))
    assert found.message.endswith("Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT")
    assert functions.call(name)["OWN"] == "1"


def test_unreserved_names_may_be_set(functions: Functions) -> None:
    name = functions.deploy_custom("", **variables(**dict.fromkeys(FREE, "/var/task")))
    found = functions.client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    assert sorted(found) == sorted(FREE)


def expected_of(name: str) -> dict[str, str]:
    """What every function finds."""
    return {
        "_HANDLER": "app.handler",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    }


def test_python_finds_the_whole_set_and_nothing_of_the_host(functions: Functions) -> None:
    name = functions.deploy_python(SHOW, MemorySize=192)
    found = functions.call(name)
    expected = expected_of(name) | {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{functions.python}",
        "PYTHONPATH": "/var/runtime",
    }
    assert {key: found.get(key) for key in expected} == expected
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", found["AWS_LAMBDA_LOG_STREAM_NAME"])
    assert found["PATH"].endswith("/usr/local/bin:/usr/bin:/bin:/opt/bin")
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};.*", found["_X_AMZN_TRACE_ID"])
    others = (
        set(found)
        - set(expected)
        - {"AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_STREAM_NAME", "PATH", "_X_AMZN_TRACE_ID", "LC_CTYPE"}
    )
    # The way back to the server and its credentials.
    credentials = {"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert not {
        key for key in others if key not in credentials and not key.startswith(("AWS_ENDPOINT", "AWS_CONTAINER"))
    }


def test_a_custom_runtime_finds_the_same_but_what_is_for_managed_ones(functions: Functions) -> None:
    bootstrap = """#!/usr/bin/python3 -IS
import http.client, json, os
found = json.dumps(dict(os.environ))
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = connection.getresponse()
    answer.read()
    id = answer.headers["lambda-runtime-aws-request-id"]
    connection.request("POST", f"/2018-06-01/runtime/invocation/{id}/response", found)
    connection.getresponse().read()
"""
    name = functions.deploy_custom(bootstrap, Handler="app.handler", MemorySize=192)
    found = functions.call(name)
    expected = expected_of(name)
    assert {key: found.get(key) for key in expected} == expected
    assert re.fullmatch(r"127\.0\.0\.1:\d+", found["AWS_LAMBDA_RUNTIME_API"])
    assert not {"AWS_EXECUTION_ENV", "_X_AMZN_TRACE_ID", "PYTHONPATH"} & set(found)


def test_the_trace_id_is_that_of_each_call(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(SHOW)
    for number in (1, 2):
        trace = f"Root=1-5759e988-bd862e3fe1be46a99427279{number};Parent=53995c3f42cd8ad8;Sampled=1"
        path = f"/2015-03-31/functions/{name}/invocations"
        answer = signed(server, "POST", path, b"{}", {"X-Amzn-Trace-Id": trace})
        assert trace.split(";")[0] in answer.body.decode()


def test_the_functions_own_values_replace_the_unreserved(functions: Functions) -> None:
    own = {"LANG": "POSIX", "TZ": "XYZ-3", "PATH": "/var/task/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": "/var/task/lib"}
    code = (
        "import os, time\ndef handler(event, context):\n    return [dict(os.environ), time.tzname[0], time.timezone]\n"
    )
    found, zone, offset = functions.run_python(code, **variables(**own))
    assert {key: found[key] for key in own} | {"PATH": ""} == own | {"PATH": ""}
    assert found["PATH"].endswith(own["PATH"])
    assert (zone, offset) == ("XYZ", -3 * 3600)


def test_pythons_own_variables_count(functions: Functions) -> None:
    code = """
import os, sys, warnings
def handler(event, context):
    return {
        'hash': hash('the same in every process'), 'bytecode': sys.dont_write_bytecode, 'optimize': sys.flags.optimize,
        'dev': sys.flags.dev_mode, 'encoding': sys.stdout.encoding, 'warnings': sys.warnoptions,
        'faults': sys.modules.get('faulthandler') is not None, 'path': sys.path[:4], 'utf8': sys.flags.utf8_mode,
    }
"""
    own = {
        "PYTHONHASHSEED": "42", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONOPTIMIZE": "1", "PYTHONDEVMODE": "1",
        "PYTHONIOENCODING": "latin-1", "PYTHONWARNINGS": "error::UserWarning", "PYTHONPATH": "/var/task/vendored",
        "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    name = functions.deploy_python(code, **variables(**own))
    found = functions.call(name)
    seed = found.pop("hash")
    assert found.pop("warnings")[-1] == "error::UserWarning"
    assert found.pop("path")[3] == "/var/task/vendored"
    assert found == {
        "bytecode": True, "optimize": 1, "dev": True, "encoding": "iso8859-1", "faults": True, "utf8": 1
    }  # fmt: skip
    assert functions.call(functions.deploy_python(code, **variables(**own)))["hash"] == seed
    plain = functions.call(functions.deploy_python(code))
    assert plain["hash"] != seed
    assert (plain["bytecode"], plain["optimize"], plain["dev"], plain["encoding"]) == (False, 0, False, "utf-8")


WRAPPED = """
import os, sys
def handler(event, context):
    return [os.environ.get('WRAPPED'), sys.flags.optimize, sys.argv[0], os.getpid()]
"""


def with_wrapper(functions: Functions, wrapper: str, *, executable: bool = True, path: str = "/var/task/wrap") -> str:
    """A Python function that a program of its own package starts."""
    name = functions.deploy_python(WRAPPED, **variables(AWS_LAMBDA_EXEC_WRAPPER=path))
    package = zip_of({"app.py": WRAPPED, "wrap": wrapper}, executables=("wrap",) if executable else ())
    functions.client.update_function_code(FunctionName=name, ZipFile=package)
    functions.wait_updated(name)
    return name


@pytest.mark.parametrize("first_line", ["#!/bin/sh\n", ""], ids=["with its interpreter", "without"])
def test_a_wrapper_script_starts_the_runtime_in_its_own_way(functions: Functions, first_line: str) -> None:
    wrapper = first_line + 'export WRAPPED="$#"\ninterpreter="$1"\nshift\nexec "$interpreter" -O "$@"\n'
    name = with_wrapper(functions, wrapper)
    found = functions.call(name)
    assert int(found[0]) >= 2 and found[1:3] == [1, "/var/runtime/bootstrap.py"]
    assert functions.call(name)[3] == found[3]


def test_a_wrapper_script_starts_node_too(functions: Functions) -> None:
    code = "export const handler = async () => [process.env.WRAPPED, process.execArgv.includes('--no-deprecation')];\n"
    wrapper = '#!/bin/sh\nexport WRAPPED=yes\nnode="$1"\nshift\nexec "$node" --no-deprecation "$@"\n'
    name = functions.deploy_node({"index.mjs": code}, **variables(AWS_LAMBDA_EXEC_WRAPPER="/var/task/wrap"))
    package = zip_of({"index.mjs": code, "wrap": wrapper}, executables=("wrap",))
    functions.client.update_function_code(FunctionName=name, ZipFile=package)
    functions.wait_updated(name)
    assert functions.call(name) == ["yes", True]


@pytest.mark.parametrize(
    ("path", "executable", "complaint", "status"),
    [
        ("/opt/not-there", True, "/opt/not-there: does not exist", 127),
        ("/var/task/wrap", False, "/var/task/wrap: is not an executable", 126),
    ],
)
def test_a_wrapper_that_cannot_be_started_is_told_in_the_log(
    server: Server, functions: Functions, path: str, executable: bool, complaint: str, status: int
) -> None:
    name = with_wrapper(functions, "#!/bin/sh\n", executable=executable, path=path)
    result = functions.invoke(name)
    message = f"RequestId: {result.request_id} Error: Runtime exited with error: exit status {status}"
    assert result.value == {"errorType": "Runtime.ExitError", "errorMessage": message}
    assert complaint in server.wuwei("logs", name).ok().output


def test_a_custom_runtime_has_no_wrapper(functions: Functions) -> None:
    bootstrap = """#!/bin/sh
while true; do
  curl -sS -D /tmp/head "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next" > /dev/null
  id="$(tr -d '\\r' < /tmp/head | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p')"
  url="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
  curl -sS -o /dev/null "$url" -d "\\"$AWS_LAMBDA_EXEC_WRAPPER\\""
done
"""
    tool("curl")
    name = functions.deploy_custom(bootstrap, **variables(AWS_LAMBDA_EXEC_WRAPPER="/opt/not-there"))
    assert functions.call(name) == "/opt/not-there"


def test_a_library_of_the_function_can_be_preloaded(functions: Functions) -> None:
    source = (
        '#include <stdlib.h>\n__attribute__((constructor)) static void mark(void) { setenv("PRELOADED", "yes", 1); }\n'
    )
    with tempfile.TemporaryDirectory(prefix="wuwei-native-") as directory:
        target = Path(directory) / "mark.so"
        run([tool("cc"), "-shared", "-fPIC", "-x", "c", "-o", str(target), "-"], text=source).ok()
        library = target.read_bytes()
    files = {"app.py": SHOW, "lib/mark.so": library}
    settings = {"Runtime": functions.python, "Handler": "app.handler"}
    name = functions.deploy(files, **settings, **variables(LD_PRELOAD="/var/task/lib/mark.so"))
    assert functions.call(name)["PRELOADED"] == "yes"
