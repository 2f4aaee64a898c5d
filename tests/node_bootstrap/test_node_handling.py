"""How the Node.js bootstrap runs handlers: results, errors, callbacks, the event loop."""

import re
from collections.abc import Callable

import pytest

from harness.node_control import ARN, BOOTSTRAP, Function

Ready = Callable[..., Function]
NODE_24 = {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x"}


def handler(body: str, parameters: str = "event, context") -> str:
    """An async handler with this body."""
    return f"exports.handler = async ({parameters}) => {{ {body} }}"


def callback_handler(body: str) -> str:
    """A handler that answers by a callback."""
    return f"exports.handler = (event, context, callback) => {{ {body} }}"


@pytest.mark.parametrize("environment", [{}, NODE_24])
def test_every_json_value_comes_back(ready: Ready, environment: dict[str, str]) -> None:
    function = ready(handler("return event"), environment=environment)
    for event in (
        None,
        True,
        0,
        -1.5,
        2**53 - 1,
        "",
        "無為 \U0001f600 \x00",
        [],
        {},
        [{"a": [1, None]}],
        "x" * 300_000,
    ):
        assert function.call(event) == event


def test_what_has_no_json_is_null_or_dropped(ready: Ready) -> None:
    function = ready(handler("return [undefined, () => 1, { a: undefined, b: 1 }, NaN, new Date(0)][event]"))
    assert [function.call(index) for index in range(6)] == [
        None,
        None,
        {"b": 1},
        None,
        "1970-01-01T00:00:00.000Z",
        None,
    ]


def test_a_result_that_cannot_be_json_is_an_error(ready: Ready) -> None:
    body = "const loop = {}; loop.loop = loop; return event ? loop : 1n"
    for environment, expected in (({}, "Error"), (NODE_24, "Runtime.JSONStringifyError")):
        function = ready(handler(body), environment=environment)
        for event in (0, 1):
            document = function.error(event)
            message = "Unable to stringify response body"
            assert (document["errorType"], document["errorMessage"]) == (expected, message)


def test_an_error_has_type_message_and_trace(ready: Ready) -> None:
    function = ready(handler("throw Object.assign(new TypeError('boom'), { code: 'E_BOOM', more: [1] })"))
    document = function.error(request_id="id-7")
    assert list(document) == ["errorType", "errorMessage", "trace"]
    assert (document["errorType"], document["errorMessage"]) == ("TypeError", "boom")
    assert document["trace"][0] == "TypeError: boom"
    assert re.fullmatch(
        r"    at Runtime\.handler \(.*/app\.js:1:\d+\)|    at exports\.handler \(.*\)", document["trace"][1]
    )
    time, request, level, title, text = function.log[0].split("\t")
    assert (request, level, title) == ("id-7", "ERROR", "Invoke Error ")
    assert text.startswith(
        '{"errorType":"TypeError","errorMessage":"boom","code":"E_BOOM","more":[1],"stack":["TypeError'
    )
    assert len(function.log) == 1 and time
    assert function.error()["errorMessage"] == "boom"


def test_anything_may_be_thrown(ready: Ready) -> None:
    thrown = "[Object.assign(new Error('a'), { name: 'Custom' }), 'text', 7, undefined, null, { message: 'm' }, [1, 2]]"
    function = ready(handler(f"throw {thrown}[event]"))
    documents = [function.error(index) for index in range(7)]
    assert [(document["errorType"], document["errorMessage"]) for document in documents] == [
        ("Custom", "a"),
        ("string", "text"),
        ("number", "7"),
        ("string", "handled"),
        ("string", "handled"),
        ("object", "[object Object]"),
        ("object", "1,2"),
    ]


def test_an_event_that_is_no_json_is_the_functions_error(ready: Ready) -> None:
    assert ready(handler("return 1")).error(b"{")["errorType"] == "SyntaxError"


def test_the_context_says_what_is_known(ready: Ready) -> None:
    body = """return { ...context, left: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID,
        arguments: event, keys: Object.keys(context) }"""
    function = ready(handler(body))
    context = function.call(request_id="id-9", client_context='{"custom": {"k": 1}}', deadline_ms=0)
    assert context["clientContext"] == {"custom": {"k": 1}}
    assert (context["awsRequestId"], context["invokedFunctionArn"]) == ("id-9", ARN)
    assert (context["functionName"], context["functionVersion"], context["memoryLimitInMB"]) == ("f", "$LATEST", "128")
    assert (context["logGroupName"], context["logStreamName"]) == ("/aws/lambda/f", "2026/11/20/[$LATEST]0")
    assert context["trace"] == "Root=1-a-b" and context["left"] < -1_000_000
    assert context["keys"] == [
        "callbackWaitsForEmptyEventLoop", "succeed", "fail", "done", "functionVersion", "functionName",
        "memoryLimitInMB",
        "logGroupName", "logStreamName", "clientContext", "identity", "invokedFunctionArn", "awsRequestId", "tenantId",
        "getRemainingTimeInMillis",
    ]  # fmt: skip
    assert function.call(trace_id="").get("trace") is None
    assert "Cannot parse ClientContext as json" in function.error(client_context="{")["errorMessage"]
    modern = ready(handler("return Object.keys(context)"), environment=NODE_24).call()
    assert "succeed" not in modern and "awsRequestId" in modern


def test_a_callback_answers_with_its_result_or_its_error(ready: Ready) -> None:
    function = ready(callback_handler("event ? callback(new Error('no')) : callback(null, 'yes')"))
    assert function.call(0) == "yes"
    assert function.error(1)["errorMessage"] == "no"
    text = ready(callback_handler("callback('text')")).error()
    assert (text["errorType"], text["errorMessage"]) == ("string", "text")


def test_a_callback_waits_for_an_empty_event_loop_unless_told_otherwise(ready: Ready) -> None:
    body = """context.callbackWaitsForEmptyEventLoop = event.wait;
        setTimeout(() => console.log('timer'), 50); callback(null, 'answer')"""
    function = ready(callback_handler(body))
    assert function.call({"wait": True}) == "answer"
    assert [entry.rsplit("\t", 1)[1] for entry in function.log] == ["timer"]
    assert function.call({"wait": False}) == "answer"
    assert len(function.log) == 1


def test_work_that_is_left_when_a_handler_answers_goes_on_with_the_next_event(ready: Ready) -> None:
    function = ready(
        handler("const id = context.awsRequestId; setTimeout(() => console.log('from', id), 1); return id")
    )
    assert function.call(request_id="id-1") == "id-1"
    for number in range(2, 60):
        assert function.call(request_id=f"id-{number}") == f"id-{number}"
        if any("from id-1" in entry for entry in function.log):
            break
    assert any(re.search(r"\tid-\d+\tINFO\tfrom id-1$", entry) for entry in function.log)


def test_work_that_is_due_goes_on_before_the_next_event_is_handled(ready: Ready) -> None:
    function = ready(handler("if (event) return globalThis.done; setTimeout(() => { globalThis.done = 'done' }, 1)"))
    function.call(0)
    ready(handler("await new Promise((go) => setTimeout(go, 20))")).call()
    assert function.call(1) == "done"


def test_a_rejection_that_is_lost_when_the_handler_returns_counts_from_node_24_on(ready: Ready) -> None:
    body = "Promise.reject(new Error('lost')); return 'answer'"
    assert ready(handler(body)).call() == "answer"
    document = ready(handler(body), environment=NODE_24).error()
    assert document["errorType"] == "Runtime.UnhandledPromiseRejection"


def test_nothing_runs_between_events(ready: Ready) -> None:
    function = ready(handler("if (event) return globalThis.ticks; globalThis.ticks = 0; setInterval(() => ticks++, 1)"))
    function.call(0)
    # While another function takes its time.
    ready(handler("await new Promise((go) => setTimeout(go, 100))")).call()
    assert function.call(1) <= 3


def test_a_handler_that_never_answers_answers_null_when_nothing_is_left_to_do(ready: Ready) -> None:
    for code in (callback_handler("return 'ignored'"), handler("await new Promise(() => {})")):
        function = ready(code)
        assert [function.call(), function.call()] == [None, None]
    assert ready("exports.handler = () => 'returned'", environment=NODE_24).call() == "returned"


def test_the_contexts_own_ways_to_answer_work(ready: Ready) -> None:
    calls = ["succeed('a')", "done(null, 'b')", "fail(new Error('c'))", "done(new Error('d'))", "fail()"]
    function = ready(callback_handler(f"[{', '.join(f'() => context.{call}' for call in calls)}][event]()"))
    assert [function.call(0), function.call(1)] == ["a", "b"]
    assert [function.error(index)["errorMessage"] for index in (2, 3, 4)] == ["c", "d", "handled"]


def test_only_the_first_answer_counts(ready: Ready) -> None:
    function = ready(callback_handler("context.succeed(1); context.succeed(2); context.fail('x'); callback(null, 3)"))
    assert [function.call(), function.call()] == [1, 1]
    late = ready(callback_handler("if (event) return callback(null, event); globalThis.late ??= callback"))
    assert late.call(0) is None
    assert late.call("fine") == "fine"


def test_a_callback_that_comes_after_its_event_was_answered_does_not_answer_the_next(ready: Ready) -> None:
    body = """if (!event) { globalThis.old = callback; return }
        old(null, 'stale');
        if (event === 2) context.succeed('fresh')"""
    for event, expected in ((1, None), (2, "fresh")):
        function = ready(callback_handler(body))
        assert function.call(0) is None
        assert function.call(event) == expected
    assert any("Invocation has already been reported as done." in entry for entry in function.log)


@pytest.mark.parametrize("environment", [{}, NODE_24])
def test_an_unhandled_rejection_is_the_answer_and_ends_the_process(ready: Ready, environment: dict[str, str]) -> None:
    body = "Promise.reject(new Error('lost')); await new Promise((go) => setTimeout(go, 5000))"
    function = ready(handler(body), environment=environment)
    document = function.error()
    assert document["errorType"] == "Runtime.UnhandledPromiseRejection"
    assert document["errorMessage"] == "Error: lost"
    assert document["trace"][0] == "Runtime.UnhandledPromiseRejection: Error: lost"
    assert function.exit_status() == 128
    assert '\tERROR\tUnhandled Promise Rejection \t{"errorType":"Runtime.UnhandledPromiseRejection"' in function.log[0]
    assert '"reason":{"errorType":"Error","errorMessage":"lost"' in function.log[0]


def test_an_uncaught_exception_is_the_answer_and_ends_the_process(ready: Ready) -> None:
    function = ready(handler("setTimeout(() => { throw new RangeError('far') }, 1); await new Promise(() => {})"))
    document = function.error()
    assert (document["errorType"], document["errorMessage"]) == ("RangeError", "far")
    assert function.exit_status() == 129
    assert "\tERROR\tUncaught Exception \t{" in function.log[0]


def test_an_exit_in_the_handler_is_an_exit_after_its_output(ready: Ready) -> None:
    function = ready(handler("process.stdout.write('last words'); process.exit(5)"))
    assert function.invoke() is None
    assert function.exit_status() == 5
    assert function.log == ["last words"]


def test_a_closed_control_socket_ends_the_process(ready: Ready) -> None:
    function = ready(handler("return 1"))
    function.socket.close()
    assert function.exit_status() == 0


def test_large_events_and_answers_pass_whole(ready: Ready) -> None:
    function = ready(handler("return event"))
    for size in (65_500, 65_536, 131_072, 6_000_000):
        assert function.call("é" * (size // 2)) == "é" * (size // 2)
        assert function.call([size]) == [size]


def test_functions_may_replace_file_functions(ready: Ready) -> None:
    code = """const fs = require('fs');
        for (const name of ['readSync', 'writeSync', 'write']) fs[name] = () => { throw 1 };
        """
    function = ready(code + handler("console.log('printed'); return 'fine'"))
    assert function.call() == "fine"
    assert function.log[0].endswith("printed")


def test_the_control_socket_is_not_inherited(ready: Ready) -> None:
    body = "return require('child_process').execFileSync('/bin/ls', ['-l', '/proc/self/fd']).toString()"
    assert "3 -> socket" not in ready(handler(body)).call()


def test_signals_do_not_break_the_wait_for_events(ready: Ready) -> None:
    function = ready("process.on('SIGUSR2', () => console.log('signal'));\n" + handler("return 1"))
    assert function.call() == 1
    function.process.send_signal(12)
    assert function.call() == 1
    assert function.call() == 1
    assert any(entry.endswith("signal") for entry in function.log)


def test_the_bootstrap_is_small() -> None:
    lines = [len(path.read_text().splitlines()) for path in BOOTSTRAP.parent.glob("*.cjs")]
    assert sum(lines) < 950 and max(lines) < 250
