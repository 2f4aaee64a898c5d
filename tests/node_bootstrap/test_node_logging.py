"""What the Node.js bootstrap makes of `console`, stdout and stderr, in text and in JSON."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from harness.node_control import Function

Ready = Callable[..., Function]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
LEVELS = ["trace", "debug", "info", "log", "warn", "error", "fatal"]
NAMES = ["TRACE", "DEBUG", "INFO", "INFO", "WARN", "ERROR", "FATAL"]


def logged(ready: Ready, body: str, **environment: str) -> list[str]:
    """The log entries of one call."""
    code = f"exports.handler = async (event, context) => {{ {body} }}"
    function = ready(code, environment=environment)
    function.call(request_id="id-1")
    return function.log


def test_each_method_has_its_level(ready: Ready) -> None:
    entries = logged(ready, f"for (const level of {LEVELS}) console[level]('%s is %d', level, 1, {{ a: 1 }})")
    for entry, method, name in zip(entries, LEVELS, NAMES, strict=True):
        assert re.fullmatch(rf"{TIME}\tid-1\t{name}\t{method} is 1 {{ a: 1 }}", entry), entry


def test_lines_before_the_first_event_have_no_request(ready: Ready) -> None:
    function = ready("console.log('early'); exports.handler = async () => 1")
    assert re.fullmatch(rf"{TIME}\tundefined\tINFO\tearly", function.log[0])


def test_an_entry_of_several_lines_stays_one(ready: Ready) -> None:
    entries = logged(ready, "console.log('a\\nb\\n\\nc'); console.log(new Error('x').stack); console.log('')")
    assert entries[0].endswith("\tINFO\ta\nb\n\nc")
    assert entries[1].count("\n") > 2 and entries[2].endswith("\tINFO\t")
    assert len(entries) == 3


def test_streams_keep_their_order_with_the_console(ready: Ready) -> None:
    body = """process.stdout.write('1\\n'); console.log('2'); process.stderr.write('3\\n'); console.error('4');
        process.stdout.write(Buffer.from('5\\n')); console.table([{ a: 1 }]);
        require('fs').writeSync(1, '6\\n');
        require('child_process').execFileSync('echo', ['7'], { stdio: 'inherit' })"""
    entries = [entry.rsplit("\t", 1)[-1] for entry in logged(ready, body)]
    assert [entry for entry in entries if len(entry) == 1] == list("1234567")


def test_output_through_a_stream_is_there_before_the_answer(ready: Ready) -> None:
    code = """exports.handler = async (n) => {
        for (let i = 0; i < n; i++) process.stdout.write(`${i} ${'x'.repeat(100)}\\n`) }"""
    function = ready(code)
    function.call(20_000)
    assert len(function.log) == 20_000 and function.log[-1].startswith("19999 ")


@pytest.mark.parametrize(
    ("level", "shown"), [("TRACE", 7), ("debug", 6), ("INFO", 5), ("WARN", 3), ("ERROR", 2), ("FATAL", 1)]
)
def test_levels_below_the_functions_are_left_out(ready: Ready, level: str, shown: int) -> None:
    body = f"for (const level of {LEVELS}) console[level](level)"
    assert len(logged(ready, body, AWS_LAMBDA_LOG_LEVEL=level)) == shown


def json_entries(ready: Ready, body: str) -> list[dict[str, Any]]:
    """The log entries of one call in JSON, their times checked and taken out."""
    entries = [json.loads(entry) for entry in logged(ready, body, AWS_LAMBDA_LOG_FORMAT="JSON")]
    for entry in entries:
        assert re.fullmatch(TIME, entry.pop("timestamp"))
    return entries


def test_json_entries_have_time_level_request_and_message(ready: Ready) -> None:
    entries = json_entries(
        ready, "console.log('a\\nb'); console.warn({ a: [1] }); console.info('%s!', 'x', 1); console.log(1n)"
    )
    assert entries == [
        {"level": "INFO", "requestId": "id-1", "message": "a\nb"},
        {"level": "WARN", "requestId": "id-1", "message": {"a": [1]}},
        {"level": "INFO", "requestId": "id-1", "message": "x! 1"},
        {"level": "INFO", "requestId": "id-1", "message": "1n"},
    ]


def test_json_entries_show_errors_by_their_members(ready: Ready) -> None:
    body = "const e = Object.assign(new RangeError('far'), { code: 'E' }); console.error(e); console.error('why', e)"
    alone, after_text = json_entries(ready, body)
    assert alone["message"]["errorType"] == "RangeError" and alone["message"]["errorMessage"] == "far"
    assert alone["message"]["code"] == "E" and alone["message"]["stackTrace"][0] == "RangeError: far"
    assert after_text["errorType"] == "RangeError" and after_text["errorMessage"] == "far"
    assert after_text["message"].startswith("why RangeError: far") and after_text["stackTrace"][0] == "RangeError: far"


def test_an_error_of_the_handler_is_a_json_entry_too(ready: Ready) -> None:
    function = ready(
        "exports.handler = async () => { throw new Error('x') }", environment={"AWS_LAMBDA_LOG_FORMAT": "JSON"}
    )
    function.error()
    entry = json.loads(function.log[0])
    assert (entry["level"], entry["requestId"], entry["message"]["errorMessage"]) == ("ERROR", "id-1", "x")
    assert entry["message"]["errorType"] == "Error"


def test_nodes_own_warnings_are_log_entries(ready: Ready) -> None:
    code = """exports.handler = async () => {
        process.emitWarning('careful'); await new Promise((go) => setTimeout(go, 20)) }"""
    function = ready(code)
    function.call()
    assert any("Warning: careful" in entry for entry in function.log)
