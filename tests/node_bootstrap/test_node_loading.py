"""How the Node.js bootstrap finds and loads handlers, and what it says when it cannot."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from harness.node_control import Function

Start = Callable[..., Function]
COMMON = "exports.handler = async () => typeof require"
MODULE = "export const handler = async () => typeof require"
TYPE_MODULE = '{"type": "module"}'


def init_error(function: Function, status: int = 129) -> dict[str, Any]:
    """The document of a failed initialisation, after which the process has ended."""
    answer = function.receive()
    assert answer is not None and (answer.kind, answer.request_id) == ("init_error", ""), (answer, function.log)
    assert function.exit_status() == status
    assert list(answer.json)[:2] == ["errorType", "errorMessage"]
    return answer.json


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"app.js": COMMON}, "function"),
        ({"app.cjs": COMMON}, "function"),
        ({"app.mjs": MODULE}, "undefined"),
        ({"app.js": MODULE, "package.json": TYPE_MODULE}, "undefined"),
        ({"app.cjs": COMMON, "package.json": TYPE_MODULE}, "function"),
        ({"app.mjs": MODULE, "package.json": "{}"}, "undefined"),
        ({"app.js": COMMON, "app.mjs": MODULE}, "function"),
        ({"app.mjs": MODULE, "app.cjs": COMMON}, "undefined"),
        ({"app.mjs": MODULE, "app/data.json": "{}"}, "undefined"),
        ({"app.js": COMMON, "app/index.js": "throw new Error('not this one')"}, "function"),
    ],
)
def test_modules_of_each_kind_are_loaded_in_awss_order(ready: Start, files: Mapping[str, str], kind: str) -> None:
    assert ready(files).call() == kind


def test_the_nearest_package_json_decides(ready: Start) -> None:
    files = {"package.json": "{}", "src/package.json": TYPE_MODULE, "src/app.js": MODULE}
    assert ready(files, handler="src/app.handler").call() == "undefined"
    files = {"package.json": TYPE_MODULE, "src/package.json": "{}", "src/app.js": COMMON}
    assert ready(files, handler="src/app.handler").call() == "function"


def test_a_package_json_that_cannot_be_read_is_warned_about(start: Start) -> None:
    function = start({"app.js": COMMON, "package.json": "{"})
    # Node.js itself needs the file too.
    assert "package.json" in init_error(function)["errorMessage"]
    assert "WARN" in function.log[0] and "cannot be read, it will be ignored for ES module" in function.log[0]


def test_handlers_may_be_nested(ready: Start) -> None:
    code = "exports.one = { two: { three: async () => 'deep' } }"
    assert ready({"lib/api/mod.js": code}, handler="lib/api/mod.one.two.three").call() == "deep"
    assert ready(
        {"mod.mjs": f"const exports = {{}}; {code}; export default exports"}, handler="mod.default.one.two.three"
    )


def test_top_level_await_is_waited_for(ready: Start) -> None:
    code = """const value = await new Promise((go) => setTimeout(go, 20, 'later'));
        export const handler = async () => value"""
    assert ready({"app.mjs": code}).call() == "later"


@pytest.mark.parametrize(
    "ending",
    ["", "\nawait 1;", "\nthrow new Error('no');", "\nimport './nowhere.mjs';"],
    ids=["", "await", "throw", "import"],
)
def test_a_module_is_evaluated_once_whichever_way_it_is_loaded(start: Start, ending: str) -> None:
    code = "import fs from 'node:fs';\nfs.writeSync(2, 'evaluated\\n');\n" + MODULE + ending
    function = start({"app.mjs": code})
    answer = function.receive()
    fails = "throw" in ending or "import" in ending
    assert answer is not None and answer.kind == ("init_error" if fails else "ready")
    if fails:
        assert function.exit_status() == 129
    else:
        assert function.call() == "undefined"
    assert function.log.count("evaluated") == (0 if "import" in ending else 1)


def test_a_module_that_failed_is_told_as_import_tells_it(start: Start) -> None:
    document = init_error(start({"app.mjs": "import './nowhere.mjs'"}))
    assert document["errorType"] == "Error" and "nowhere.mjs" in document["errorMessage"]
    assert not any("require" in line for line in document["trace"]), document["trace"]


def test_a_top_level_await_that_never_settles_ends_with_nodes_status(start: Start) -> None:
    function = start({"app.mjs": "await new Promise(() => {})\nexport const handler = async () => 1"})
    assert function.receive() is None
    assert function.exit_status() == 13


def test_packages_beside_the_code_are_found(ready: Start) -> None:
    package = {
        "node_modules/left/package.json": '{"name": "left", "main": "main.js"}',
        "node_modules/left/main.js": "module.exports = 'left'",
    }
    assert (
        ready({"app.js": "const left = require('left'); exports.handler = async () => left", **package}).call()
        == "left"
    )
    module = "import left from 'left'; export const handler = async () => left"
    assert ready({"app.mjs": module, **package}).call() == "left"


def test_packages_of_node_path_are_found_by_require(ready: Start, start: Start) -> None:
    library = start({"node_modules/right/index.js": "module.exports = 'right'", "app.js": ""}).directory
    code = "const right = require('right'); exports.handler = async () => right"
    assert ready(code, environment={"NODE_PATH": str(library / "node_modules")}).call() == "right"


def test_a_missing_module_is_an_import_module_error(start: Start) -> None:
    function = start("require('nowhere')")
    document = init_error(function)
    path = function.directory / "app.js"
    message = f"Error: Cannot find module 'nowhere'\nRequire stack:\n- {path}\n- /var/runtime/index.mjs"
    assert (document["errorType"], document["errorMessage"]) == ("Runtime.ImportModuleError", message)
    assert document["trace"][0] == "Runtime.ImportModuleError: Error: Cannot find module 'nowhere'"
    time, request, level, title = function.log[0].split("\t")[:4]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert (request, level, title) == ("undefined", "ERROR", "Uncaught Exception ")
    document = init_error(start("", handler="elsewhere.handler"))
    message = "Error: Cannot find module 'elsewhere'\nRequire stack:\n- /var/runtime/index.mjs"
    assert (document["errorType"], document["errorMessage"]) == ("Runtime.ImportModuleError", message)


def test_a_package_that_a_module_imports_and_is_not_there_is_nodes_own_error(start: Start) -> None:
    function = start({"app.mjs": "import 'nowhere'"})
    document = init_error(function)
    message = f"Cannot find package 'nowhere' imported from {function.directory}/app.mjs"
    assert (document["errorType"], document["errorMessage"]) == ("Error", message)


@pytest.mark.parametrize("name", ["app.js", "app.mjs"])
def test_a_syntax_error_tells_its_place(start: Start, name: str) -> None:
    function = start({name: "const x = ;\n"})
    document = init_error(function)
    assert document["errorType"] == "Runtime.UserCodeSyntaxError"
    assert document["errorMessage"] == "SyntaxError: Unexpected token ';'"
    if name == "app.js":
        assert document["trace"][0] == f"{function.directory}/app.js:1"


def test_a_missing_handler_is_named(start: Start) -> None:
    check = lambda code, handler: init_error(start(code, handler=handler))  # noqa: E731
    document = check("", "app.handler")
    expected = ("Runtime.HandlerNotFound", "app.handler is undefined or not exported")
    assert (document["errorType"], document["errorMessage"]) == expected
    assert check("exports.a = 1", "app.a.b.c")["errorMessage"] == "app.a.b.c is undefined or not exported"
    assert check("exports.handler = 1", "app.handler")["errorMessage"] == "app.handler is not a function"


def test_a_malformed_handler_setting_is_an_error(start: Start) -> None:
    for handler in ("handler", ""):
        document = init_error(start("", handler=handler))
        assert (document["errorType"], document["errorMessage"]) == ("Runtime.MalformedHandlerName", "Bad handler")
    document = init_error(start("", handler="../app.handler"))
    assert document["errorMessage"] == (
        "'../app.handler' is not a valid handler name. "
        "Use absolute paths when specifying root directories in handler names."
    )


def test_an_exception_at_load_is_reported_as_it_is(start: Start) -> None:
    function = start("class Odd extends Error { name = 'Odd' }\nthrow new Odd('at load')")
    document = init_error(function)
    assert (document["errorType"], document["errorMessage"]) == ("Odd", "at load")
    assert document["trace"][1].endswith(f"({function.directory}/app.js:2:7)")
    document = init_error(start("throw 'text'"))
    assert document == {"errorType": "string", "errorMessage": "text", "trace": []}


def test_a_rejection_during_load_is_an_unhandled_rejection(start: Start) -> None:
    code = """Promise.reject(new Error('early'));
        export const handler = 1;
        await new Promise((go) => setTimeout(go, 1000))"""
    document = init_error(start({"app.mjs": code}), 128)
    assert (document["errorType"], document["errorMessage"]) == ("Runtime.UnhandledPromiseRejection", "Error: early")


def test_an_exit_at_load_is_an_exit(start: Start) -> None:
    function = start("console.log('bye'); process.exit(7)")
    assert function.receive() is None
    assert function.exit_status() == 7
    assert function.log[0].endswith("\tINFO\tbye")


def test_callback_handlers_are_refused_from_node_24_on(start: Start, ready: Start) -> None:
    environment = {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x"}
    document = init_error(start("exports.handler = (event, context, callback) => {}", environment=environment))
    assert document["errorType"] == "Runtime.CallbackHandlerDeprecated"
    assert document["errorMessage"].startswith(
        "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24."
    )
    streaming = "exports.handler = awslambda.streamifyResponse(async (event, stream, context) => stream.end())"
    answer = ready(streaming, environment=environment).invoke()
    assert answer is not None and answer.kind == "content_type"


def test_only_response_streaming_is_known(start: Start) -> None:
    code = "exports.handler = () => 1; exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request'"
    document = init_error(start(code))
    expected = ("Runtime.MalformedStreamingHandler", "Only response streaming is supported.")
    assert (document["errorType"], document["errorMessage"]) == expected
