"""A Node.js function cannot tell whether its runtime was started for it or was assigned to it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.node_control import Function

# All that a function might look at, and that does not differ between any two processes.
PROBE = """
const fs = require('fs');
const Module = require('module');
const status = () => fs.readFileSync('/proc/self/status', 'utf8').split('\\n')
  .filter((line) => /^(SigBlk|SigIgn|SigCgt|NoNewPrivs|Umask)/.test(line));
const { cache, main } = require;
const atImport = { cache: Object.keys(cache).sort(), children: main.children.map((child) => child.id) };
const resources = process.getActiveResourcesInfo();
exports.handler = async (event, context) => ({
  atImport, resources, argv: process.argv.slice(1), argv0: process.argv0, execArgv: process.execArgv,
  // The shell that moves the socket sorts them, and adds one.
  env: Object.entries(process.env).filter(([name]) => name !== 'PWD').sort(),
  cwd: process.cwd(), main: require.main.filename, title: process.title,
  paths: Module.globalPaths, modulePaths: module.paths, extensions: Object.keys(require.extensions),
  globals: Object.getOwnPropertyNames(globalThis).sort(), context: Object.keys(context),
  events: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
  zone: [Intl.DateTimeFormat().resolvedOptions().timeZone, new Date(0).toString(), new Date(0).getTimezoneOffset()],
  locale: Intl.DateTimeFormat().resolvedOptions().locale, versions: process.versions, features: process.features,
  stack: new Error('x').stack.split('\\n').slice(1), limit: Error.stackTraceLimit, umask: process.umask(),
  status: status(), descriptors: fs.readdirSync('/proc/self/fd').slice(0, 4), exitCode: process.exitCode ?? null,
  assigned: fs.readFileSync('/proc/self/cmdline', 'utf8').includes('--blank'),
});
"""
ENVIRONMENTS = {
    "plain": {},
    "as the platform's": {"TZ": ":UTC", "NODE_PATH": "/opt/nodejs/node_modules:/var/runtime", "HOME": "/tmp"},
    "a time zone": {"TZ": "Asia/Tokyo", "PATH": "/bin"},
    "without callbacks": {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x"},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("module", ["app.js", "app.mjs"])
def test_an_assigned_function_sees_what_a_started_one_sees(
    start_in: Callable[..., Function], name: str, module: str
) -> None:
    files = {"app.js": PROBE}
    if module == "app.mjs":
        files = {"probe.cjs": PROBE, "app.mjs": "import probe from './probe.cjs';\nexport const { handler } = probe;\n"}
    seen = []
    for way in ("exec", "blank"):
        function = start_in(way, files, environment=ENVIRONMENTS[name])
        answer = function.receive()
        assert answer is not None and answer.kind == "ready", (answer, function.log)
        seen.append(json.loads(json.dumps(function.call()).replace(str(function.directory), "/var/task")))
        assert function.log == [""]
    started, assigned = seen
    assert (started.pop("assigned"), assigned.pop("assigned")) == (False, True)
    for aspect, value in started.items():
        assert assigned[aspect] == value, aspect


@pytest.mark.parametrize(
    "code", ["throw new Error('at import');", "require('./nowhere');", "exports.handler = 1;", "syntax error"]
)
def test_a_failing_import_is_told_alike(start_in: Callable[..., Function], code: str) -> None:
    told: list[Any] = []
    for way in ("exec", "blank"):
        function = start_in(way, code)
        answer = function.receive()
        assert answer is not None and answer.kind == "init_error"
        document = json.loads(answer.document.decode().replace(str(function.directory), "/var/task"))
        told.append((document, function.exit_status()))
    assert told[0] == told[1]


def test_siblings_have_random_numbers_of_their_own(start_in: Callable[..., Function]) -> None:
    code = """
    const crypto = require('crypto');
    exports.handler = async () => [Math.random(), crypto.randomUUID(), crypto.randomBytes(8).toString('hex')];
    """
    seen: set[Any] = set()
    for _ in range(4):
        function = start_in("blank", code)
        answer = function.receive()
        assert answer is not None and answer.kind == "ready"
        seen.update(function.call())
    assert len(seen) == 12


def test_a_module_of_the_function_is_not_the_rehearsed_one(start_in: Callable[..., Function]) -> None:
    files = {
        "app.js": "exports.handler = async () => [require('./rehearsal.cjs').mine, require('./blank.cjs').mine];",
        "rehearsal.cjs": "exports.mine = 1;",
        "blank.cjs": "exports.mine = 2;",
    }
    function = start_in("blank", files)
    answer = function.receive()
    assert answer is not None and answer.kind == "ready"
    assert function.call() == [1, 2]


def test_the_variables_are_those_of_the_assignment_in_its_order(start_in: Callable[..., Function]) -> None:
    code = "const names = Object.keys(process.env); exports.handler = async () => names;"
    function = start_in("blank", code, environment={"Z": "1", "PATH": "/else", "A": "2"})
    answer = function.receive()
    assert answer is not None and answer.kind == "ready"
    names = function.call()
    assert names[:3] == ["PATH", "LANG", "_HANDLER"] and names[-2:] == ["Z", "A"]


def test_the_first_event_may_follow_the_assignment_at_once(start_in: Callable[..., Function]) -> None:
    function = start_in("blank", "exports.handler = async (event) => event;")
    function.send({"text": "x" * 200_000})
    kinds = [answer.kind if answer else None for answer in (function.receive(), function.receive())]
    assert kinds == ["ready", "success"]
