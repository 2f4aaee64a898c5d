"""Functions in Node.js: through boto3 and the command line, in full sandboxes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import inside
from harness.functions import Functions, unique_name
from harness.packages import zip_of
from harness.refusals import refusal
from harness.server import REGION, ROLE, Server
from harness.tools import run, tool
from harness.waiting import until

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


# A package to depend on.
LEFT = {"package.json": '{"name": "left", "version": "1.2.3"}', "index.js": "exports.left = 'l'"}


def handler(body: str, before: str = "") -> str:
    """An ES module with an async handler."""
    return f"{before}\nexport const handler = async (event, context) => {{ {body} }};\n"


def failure(functions: Functions, name: str, event: Any = None) -> tuple[dict[str, Any], str, str]:
    """The error document of a failed call, its request id and the log of the call."""
    result = functions.invoke(name, event, LogType="Tail")
    assert (result.status, result.function_error) == (200, "Unhandled"), result
    return result.value, result.request_id, result.log


@pytest.mark.parametrize(
    ("files", "setting"),
    [
        ({"index.mjs": handler("return event")}, "index.handler"),
        ({"index.js": "exports.handler = async (event) => event"}, "index.handler"),
        ({"index.cjs": "exports.handler = (event, context, callback) => callback(null, event)"}, "index.handler"),
        ({"package.json": '{"type": "module"}', "src/api.js": handler("return event")}, "src/api.handler"),
        ({"index.mjs": "export const a = { b: { c: async (event) => event } }"}, "index.a.b.c"),
        ({"index.mjs": handler("return value && event", "const value = await Promise.resolve(1);")}, "index.handler"),
    ],
)
def test_each_kind_of_module_and_handler_answers(functions: Functions, files: dict[str, str], setting: str) -> None:
    name = functions.deploy_node(files, Handler=setting)
    for event in ({"n": 1}, "無為", None, [1, 2.5]):
        assert functions.call(name, event) == event


def test_a_function_finds_itself_described(functions: Functions) -> None:
    body = """return { cwd: process.cwd(), env: process.env, arn: context.invokedFunctionArn, id: context.awsRequestId,
        left: context.getRemainingTimeInMillis(), user: process.getuid(),
        major: process.versions.node.split('.')[0] }"""
    name = functions.deploy_node(handler(body), Timeout=9, MemorySize=256)
    result = functions.invoke(name)
    seen = result.value
    assert (seen["cwd"], seen["user"], seen["id"]) == ("/var/task", 993, result.request_id)
    assert f"nodejs{seen['major']}.x" == functions.node
    assert 8000 < seen["left"] <= 9000
    assert seen["arn"] == f"arn:aws:lambda:{REGION}:000000000000:function:{name}"
    environment = seen["env"]
    assert environment["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{functions.node}"
    assert (environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], environment["_HANDLER"]) == ("256", "index.handler")
    assert environment["NODE_PATH"].startswith(
        f"/opt/nodejs/node{seen['major']}/node_modules:/opt/nodejs/node_modules:"
    )
    assert environment["_X_AMZN_TRACE_ID"].startswith("Root=1-")


def test_state_is_kept_and_the_log_has_awss_form(functions: Functions) -> None:
    body = "console.log('call', ++calls, '\\nsecond line'); console.error('oh'); return calls"
    name = functions.deploy_node(handler(body, "let calls = 0; console.warn('init');"))
    first = functions.invoke(name, LogType="Tail")
    second = functions.invoke(name, LogType="Tail")
    assert (first.value, second.value) == (1, 2)
    assert re.search(rf"^{TIME}\t{second.request_id}\tINFO\tcall 2 \nsecond line\n", second.log, re.M)
    assert re.search(rf"^{TIME}\t{second.request_id}\tERROR\toh$", second.log, re.M)
    assert "Init Duration:" in first.log and "Init Duration:" not in second.log


def test_an_entry_of_several_lines_is_one_event(server: Server, functions: Functions) -> None:
    name = functions.deploy_node(handler("console.log('one\\ntwo\\n\\nthree')"))
    functions.call(name)
    lines = [json.loads(line) for line in server.wuwei("logs", name, "--json").output.splitlines()]
    (event,) = [line for line in lines if "one" in line["message"]]
    assert event["message"].endswith("\tINFO\tone\ntwo\n\nthree")


def test_a_json_log_configuration_reaches_the_console(functions: Functions) -> None:
    body = "console.log({ a: [1] }); console.debug('hidden'); console.error('oh', new RangeError('far'))"
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO"}
    result = functions.invoke(functions.deploy_node(handler(body), LoggingConfig=logging), LogType="Tail")
    entries = [json.loads(line) for line in result.log.splitlines()]
    ours = [entry for entry in entries if "level" in entry]
    assert [(entry["level"], entry["requestId"]) for entry in ours] == [
        ("INFO", result.request_id),
        ("ERROR", result.request_id),
    ]
    assert ours[0]["message"] == {"a": [1]}
    assert (ours[1]["errorType"], ours[1]["errorMessage"]) == ("RangeError", "far")


def test_node_runs_in_reduced_isolation(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(new_server(arguments=("--sandbox", "reduced")).start())
    files = {"index.mjs": handler("return [left, event]", "import { left } from './lib/left.mjs';")}
    name = functions.deploy_node(files | {"lib/left.mjs": "export const left = 'l'"})
    assert functions.call(name, 1) == ["l", 1]
    document, *_ = failure(functions, functions.deploy_node({"other.js": ""}))
    assert document["errorType"] == "Runtime.ImportModuleError"


def test_errors_have_awss_documents(functions: Functions) -> None:
    body = """if (event === 'reject') {
            Promise.reject(new Error('lost'));
            await new Promise((go) => setTimeout(go, 5000));
        }
        if (event === 'exit') process.exit(3);
        throw Object.assign(new RangeError('far'), { code: 'E_FAR' })"""
    name = functions.deploy_node(handler(body), Timeout=10)
    document, request_id, log = failure(functions, name)
    assert list(document) == ["errorType", "errorMessage", "trace"]
    assert (document["errorType"], document["errorMessage"]) == ("RangeError", "far")
    assert document["trace"][0] == "RangeError: far"
    assert re.fullmatch(r"    at Runtime\.handler \(file:///var/task/index\.mjs:\d+:\d+\)", document["trace"][1])
    assert (
        f'\t{request_id}\tERROR\tInvoke Error \t{{"errorType":"RangeError","errorMessage":"far","code":"E_FAR"' in log
    )
    document, _, log = failure(functions, name, "reject")
    assert (document["errorType"], document["errorMessage"]) == ("Runtime.UnhandledPromiseRejection", "Error: lost")
    assert "\tERROR\tUnhandled Promise Rejection \t{" in log
    document, request_id, _ = failure(functions, name, "exit")
    message = f"RequestId: {request_id} Error: Runtime exited with error: exit status 3"
    assert document == {"errorType": "Runtime.ExitError", "errorMessage": message}
    assert failure(functions, name)[0]["errorMessage"] == "far"


@pytest.mark.parametrize(
    ("files", "error_type", "message"),
    [
        (
            {"other.js": ""},
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'index'\nRequire stack:\n- /var/runtime/index.mjs",
        ),
        (
            {"index.js": "require('left')"},
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'left'\nRequire stack:\n- /var/task/index.js\n- /var/runtime/index.mjs",
        ),
        ({"index.mjs": "import 'left'"}, "Error", "Cannot find package 'left' imported from /var/task/index.mjs"),
        ({"index.mjs": "const x = ;"}, "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token ';'"),
        ({"index.mjs": ""}, "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ({"index.mjs": "throw new TypeError('at load')"}, "TypeError", "at load"),
    ],
)
def test_a_function_that_cannot_be_loaded_says_why(
    functions: Functions, files: dict[str, str], error_type: str, message: str
) -> None:
    document, *_ = failure(functions, functions.deploy_node(files))
    assert (document["errorType"], document["errorMessage"]) == (error_type, message)


def test_a_malformed_handler_setting_is_said_at_the_first_call(functions: Functions) -> None:
    document, *_ = failure(functions, functions.deploy_node("", Handler="index"))
    assert (document["errorType"], document["errorMessage"]) == ("Runtime.MalformedHandlerName", "Bad handler")


def test_work_left_pending_is_frozen_and_goes_on_with_the_next_call(server: Server, functions: Functions) -> None:
    body = "setTimeout(() => console.log('late', context.awsRequestId), 150); return 1"
    files = {"index.mjs": handler(body)}
    name = functions.deploy_node(files)
    first = functions.invoke(name, LogType="Tail")
    pids = inside.processes_of(server, zip_of(files))
    until(lambda: all(inside.is_frozen(pid) for pid in pids), "the idle instance is frozen", 2)
    logs: list[str] = []

    def late() -> bool:
        logs.append(functions.invoke(name, LogType="Tail").log)
        return any(f"late {first.request_id}" in log for log in logs)

    until(late, "the timer of the first call fired during a later one", 10)
    assert f"late {first.request_id}" not in first.log


def test_a_timeout_ends_a_busy_loop(functions: Functions) -> None:
    name = functions.deploy_node(handler("if (event) for (;;); return 'fine'"), Timeout=1)
    document, request_id, _ = failure(functions, name, 1)
    assert document["errorType"] == "Sandbox.Timedout"
    assert document["errorMessage"] == f"RequestId: {request_id} Error: Task timed out after 1.00 seconds"
    assert functions.call(name, 0) == "fine"


def test_memory_is_bounded_in_the_heap_and_outside_of_it(functions: Functions) -> None:
    body = """const kept = [];
        if (event === 'heap') for (;;) kept.push(new Array(1000).fill(Math.random()));
        if (event === 'buffers') for (;;) kept.push(Buffer.alloc(1 << 20, 1));
        return (await import('node:v8')).getHeapStatistics().heap_size_limit >> 20"""
    small = functions.deploy_node(handler(body), MemorySize=128, Timeout=60)
    assert 100 < functions.call(small) < 160
    document, *_ = failure(functions, small, "buffers")
    assert document["errorType"] == "Runtime.OutOfMemory"
    document, *_ = failure(functions, small, "heap")
    assert document["errorType"] in {"Runtime.OutOfMemory", "Runtime.ExitError"}
    large = functions.deploy_node(handler(body), MemorySize=1024, Timeout=60)
    assert 900 < functions.call(large) < 1200


def test_node_options_of_the_function_count(functions: Functions) -> None:
    options = {"NODE_OPTIONS": "--stack-trace-limit=2 --max-old-space-size=60 --require /var/task/before.cjs"}
    body = """return [globalThis.before, new Error('x').stack.split('\\n').length,
        (await import('node:v8')).getHeapStatistics().heap_size_limit >> 20]"""
    files = {"index.mjs": handler(body), "before.cjs": "globalThis.before = 'required'"}
    before, lines, heap = functions.call(functions.deploy_node(files, Environment={"Variables": options}))
    assert (before, lines) == ("required", 3)
    assert 50 < heap < 100


def test_node_path_of_the_function_counts(functions: Functions) -> None:
    files = {
        "index.js": "exports.handler = async () => require('right')",
        "libraries/right.js": "module.exports = 'right'",
    }
    variables = {"NODE_PATH": "/var/task/libraries"}
    assert functions.call(functions.deploy_node(files, Environment={"Variables": variables})) == "right"


def test_threads_children_and_sockets_work_in_the_sandbox(functions: Functions) -> None:
    before = """import { Worker } from 'node:worker_threads';
        import { execFileSync } from 'node:child_process';
        import { createServer, get } from 'node:http';
        import { once } from 'node:events';
        import { readFile, writeFile } from 'node:fs/promises';
        import { gzipSync, gunzipSync } from 'node:zlib';
        import { createHash } from 'node:crypto';"""
    body = """const worker = new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
        const [answer] = await once(worker, 'message');
        const server = createServer((request, response) => response.end('served')).listen(0, '127.0.0.1');
        await once(server, 'listening');
        const [response] = await once(get({ port: server.address().port, host: '127.0.0.1' }), 'response');
        const served = (await response.toArray()).join('');
        server.close();
        await writeFile('/tmp/note', 'written');
        const child = execFileSync(process.execPath, ['-p', '1 + 1']).toString().trim();
        return [answer, served, await readFile('/tmp/note', 'utf8'), child, gunzipSync(gzipSync('zip')).toString(),
            createHash('sha256').update('').digest('hex').slice(0, 8), new Intl.NumberFormat('de').format(1234.5)]"""
    name = functions.deploy_node(handler(body, before), MemorySize=256, Timeout=20)
    assert functions.call(name) == [42, "served", "written", "2", "zip", "e3b0c442", "1.234,5"]


def test_payloads_pass_at_their_limits(functions: Functions) -> None:
    name = functions.deploy_node(
        handler("return typeof event === 'number' ? 'x'.repeat(event) : event.length"), MemorySize=512
    )
    assert functions.call(name, "x" * (6_291_456 - 2)) == 6_291_456 - 2
    assert len(functions.call(name, 6_291_556 - 2)) == 6_291_556 - 2
    document, *_ = failure(functions, name, 6_291_556 - 1)
    assert document["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_streaming_handler_answers_an_ordinary_call_as_a_whole(functions: Functions) -> None:
    code = """export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
        stream.setContentType('text/plain');
        for (const word of event) { stream.write(word); await new Promise((go) => setTimeout(go, 5)) }
        if (event.length === 0) throw new Error('nothing to say');
        stream.end() })"""
    name = functions.deploy_node(code)
    assert functions.invoke(name, ["one ", "two ", "three"]).payload == b"one two three"
    assert failure(functions, name, [])[0]["errorMessage"] == "nothing to say"


def test_a_version_that_the_host_lacks_is_refused(functions: Functions, server: Server) -> None:
    listed = server.wuwei_json("runtimes")
    assert isinstance(listed, list)
    offered = {entry["identifier"] for entry in listed}
    absent = next(name for name in ("nodejs18.x", "nodejs16.x") if name not in offered)
    code = {"ZipFile": zip_of({"index.mjs": handler("return 1")})}
    settings = {"Runtime": absent, "Handler": "index.handler", "Role": ROLE, "Code": code}
    refused = refusal(functions.client.create_function, FunctionName=unique_name("old"), **settings)
    assert (refused.status, refused.error) == (400, "InvalidParameterValueException") and absent in refused.message


def project(directory: Path, files: dict[str, str]) -> str:
    """A directory with these files."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(directory)


def test_deploy_recognises_a_node_directory_and_installs_its_dependencies(
    server: Server, functions: Functions, tmp_path: Path
) -> None:
    left = project(tmp_path / "left", LEFT)
    project(tmp_path / "tool", {"package.json": '{"name": "tool", "version": "1.0.0"}', "index.js": ""})
    # One by its full path, one beside the function, and one in it.
    dependencies = {"left": f"file:{left}", "near": "file:../near", "inner": "file:./vendor/inner"}
    project(
        tmp_path / "near", {"package.json": '{"name": "near", "version": "1.0.0"}', "index.js": "exports.near = 'n'"}
    )
    manifest = {"type": "module", "dependencies": dependencies, "devDependencies": {"tool": "file:../tool"}}
    files = {
        "package.json": json.dumps(manifest),
        "index.js": handler(
            "return [left, near, inner, readdirSync('/var/task/node_modules').sort(), readdirSync('/var/task')]",
            """import { left } from 'left'; import { near } from 'near'; import { inner } from 'inner';
            import { readdirSync } from 'node:fs';""",
        ),
        "vendor/inner/package.json": '{"name": "inner", "version": "1.0.0"}',
        "vendor/inner/index.js": "exports.inner = 'i'",
        "node_modules/old/index.js": "",
        ".npmrc": "fund=false",
    }
    path = project(tmp_path / "api", files)
    name = unique_name("deployed-node")
    deployed = server.wuwei_json("deploy", path, "--name", name)
    assert isinstance(deployed, dict)
    assert (deployed["runtime"], deployed["handler"]) == (functions.node, "index.handler")
    *values, installed, top = functions.call(name)
    assert values == ["l", "n", "i"]
    assert [entry for entry in installed if not entry.startswith(".")] == ["inner", "left", "near"]
    assert ".npmrc" not in top
    assert sorted(path.name for path in (tmp_path / "api").iterdir()) == sorted({key.split("/")[0] for key in files})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api", "left", "near", "tool"]


def test_deploy_installs_what_a_lock_file_says(server: Server, functions: Functions, tmp_path: Path) -> None:
    left = project(tmp_path / "left", LEFT)
    manifest = {"name": "api", "dependencies": {"left": f"file:{left}"}}
    code = "exports.handler = async () => require('left/package.json').version"
    path = project(tmp_path / "api", {"package.json": json.dumps(manifest), "index.cjs": code})
    options = ["--package-lock-only", "--install-links", "--no-audit", "--no-fund"]
    run([tool("npm"), "install", "--prefix", path, *options]).ok()
    name = unique_name("locked-node")
    server.wuwei_json("deploy", path, "--name", name)
    assert functions.call(name) == "1.2.3"
    # The lock no longer fits its manifest, which npm ci refuses.
    (tmp_path / "api/package.json").write_text(json.dumps(manifest | {"dependencies": {"other": f"file:{left}"}}))
    refused = server.wuwei("deploy", path, "--name", name)
    assert refused.status == 5 and "npm ended with" in refused.errors


def test_deploy_says_that_typescript_is_to_be_compiled_first(server: Server, tmp_path: Path) -> None:
    path = project(tmp_path / "api", {"index.ts": "export const handler = async () => 1", "package.json": "{}"})
    refused = server.wuwei("deploy", path)
    assert refused.status == 2 and "TypeScript" in refused.errors and "esbuild" in refused.errors


def test_a_single_module_is_a_function(server: Server, functions: Functions, tmp_path: Path) -> None:
    path = project(tmp_path, {"hello.mjs": handler("return 'hello'")})
    name = unique_name("single-node")
    deployed = server.wuwei_json("deploy", f"{path}/hello.mjs", "--name", name)
    assert isinstance(deployed, dict) and deployed["handler"] == "hello.handler"
    assert functions.call(name) == "hello"
