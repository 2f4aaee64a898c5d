"""A function's log: AWS's lines around its own, and `wuwei logs`."""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from harness.functions import ECHO, Functions
from harness.server import Server
from harness.tools import plain_environment, wuwei_binary
from harness.waiting import until

ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
INIT_START = r"INIT_START Runtime Version: [^\t]+\tRuntime Version ARN: arn:aws:lambda:[a-z0-9-]+::runtime:[0-9a-f]{64}"
START = rf"START RequestId: ({ID}) Version: (\$LATEST|\d+)"
END = rf"END RequestId: ({ID})"
REPORT = (
    rf"REPORT RequestId: ({ID})\tDuration: (\d+\.\d\d) ms\tBilled Duration: (\d+) ms\tMemory Size: (\d+) MB\t"
    r"Max Memory Used: (\d+) MB\t(?:Init Duration: (\d+\.\d\d) ms\t)?(.*)"
)
TALK = """
import sys, os
print('at import')
def handler(event, context):
    print('one')
    sys.stderr.write('two on stderr\\n')
    os.write(1, 'three 無為 by write\\n'.encode())
    print('four\\nfive')
    return event
"""


def lines_of(log: str) -> list[str]:
    return log.removesuffix("\n").split("\n")


def records(server: Server, name: str, *arguments: str) -> list[dict[str, Any]]:
    """What `wuwei logs --json` prints."""
    return [json.loads(line) for line in server.wuwei("logs", name, "--json", *arguments).ok().output.splitlines()]


def settled_records(server: Server, name: str, calls: int) -> list[dict[str, Any]]:
    """The records, once the REPORT of the last call is among them."""

    def all_there() -> list[dict[str, Any]]:
        found = records(server, name)
        reports = [record for record in found if record["message"].startswith("REPORT ")]
        return found if len(reports) >= calls else []

    return until(all_there, f"{calls} REPORT lines are in the log")


def test_the_lines_of_a_cold_call_are_as_aws_writes_them(functions: Functions) -> None:
    name = functions.deploy_python(TALK)
    result = functions.invoke(name, LogType="Tail")
    assert result.log.endswith("\n")
    lines = lines_of(result.log)
    start = next(index for index, line in enumerate(lines) if line.startswith("START "))
    found = re.fullmatch(START, lines[start])
    assert found and found.groups() == (result.request_id, "$LATEST")
    assert lines[start + 1 : start + 6] == ["one", "two on stderr", "three 無為 by write", "four", "five"]
    assert re.fullmatch(END, lines[start + 6]), lines
    report = re.fullmatch(REPORT, lines[start + 7])
    assert report, lines[start + 7]
    request_id, duration, billed, size, used, init, rest = report.groups()
    assert (request_id, size, rest) == (result.request_id, "128", "")
    assert init is not None and float(init) > 0
    assert 1 <= int(used) <= 128
    assert -0.02 <= int(billed) - float(duration) - float(init) <= 1.02


def test_a_warm_report_has_no_init_duration_and_bills_the_duration_rounded_up(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    functions.invoke(name)
    report = re.fullmatch(REPORT, lines_of(functions.invoke(name, LogType="Tail").log)[-1])
    assert report
    _, duration, billed, _, _, init, _ = report.groups()
    assert init is None
    assert 0 <= int(billed) - float(duration) <= 1.01


def test_start_names_the_version(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, Publish=True)
    lines = lines_of(functions.invoke(f"{name}:1", LogType="Tail").log)
    (start,) = [line for line in lines if line.startswith("START ")]
    found = re.fullmatch(START, start)
    assert found and found.group(2) == "1"


def test_a_timeout_is_told_in_the_log(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    while True: pass\n", Timeout=1)
    result = functions.invoke(name, LogType="Tail")
    lines = lines_of(result.log)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert [
        line for line in lines if re.fullmatch(f"{stamp} {result.request_id} Task timed out after 1.00 seconds", line)
    ]
    report = re.fullmatch(REPORT, next(line for line in lines if line.startswith("REPORT ")))
    assert report and "Status: timeout" in report.group(7)
    assert report.group(2) == "1000.00"


def test_an_error_of_the_handler_is_told_in_the_log(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    raise ValueError('the reason')\n")
    log = functions.invoke(name, LogType="Tail").log
    assert "[ERROR] ValueError: the reason\nTraceback (most recent call last):\n" in log
    assert 'File "/var/task/app.py", line 2, in handler' in log


def test_the_logging_module_writes_lambdas_format(functions: Functions) -> None:
    code = """
import logging
logging.getLogger().setLevel('INFO')
def handler(event, context):
    logging.info('noted')
"""
    result = functions.invoke(functions.deploy_python(code), LogType="Tail")
    pattern = rf"\[INFO\]\t\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\t{result.request_id}\tnoted"
    assert [line for line in lines_of(result.log) if re.fullmatch(pattern, line)], result.log


def test_output_without_a_newline_is_not_lost(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    print('no newline', end='')\n")
    assert "no newline" in lines_of(functions.invoke(name, LogType="Tail").log)


def test_logs_prints_text_with_the_platforms_lines(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(TALK)
    request_id = functions.invoke(name).request_id
    settled_records(server, name, 1)
    text = server.wuwei("logs", name).ok().output
    assert "at import" in text and "two on stderr" in text
    assert f"START RequestId: {request_id} Version: $LATEST" in text
    assert re.search(INIT_START, text)
    order = [text.index(word) for word in ("INIT_START", "at import", "START RequestId", "one", "END", "REPORT")]
    assert order == sorted(order)


def test_logs_as_json_are_one_object_a_line(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(TALK)
    begin = datetime.now(timezone.utc) - timedelta(seconds=1)
    ids = [functions.invoke(name).request_id for _ in range(2)]
    found = settled_records(server, name, 2)
    for record in found:
        assert {"time", "request_id", "level", "message"} <= record.keys()
        when = datetime.fromisoformat(record["time"].replace("Z", "+00:00"))
        assert begin <= when <= datetime.now(timezone.utc)
    own = [(record["request_id"], record["message"]) for record in found if record["message"] in ("one", "five")]
    assert own == [(ids[0], "one"), (ids[0], "five"), (ids[1], "one"), (ids[1], "five")]
    assert [record["time"] for record in found] == sorted(record["time"] for record in found)
    assert {record["level"] for record in found} == {"function", "platform"}


def test_logs_follow_shows_new_lines_as_they_come(server: Server, functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    print('said', event)\n")
    functions.invoke(name, "before")
    settled_records(server, name, 1)
    command = [str(wuwei_binary()), "logs", name, "-f", "--json", "--data-dir", str(server.data_dir)]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=plain_environment())
    try:
        assert follower.stdout is not None
        next_line = reader(follower.stdout.readline)
        while "said before" not in next_line():
            pass
        functions.invoke(name, "after")
        while "said after" not in next_line():
            pass
    finally:
        follower.terminate()
        follower.wait(10)


def reader(readline: Callable[[], str]) -> Callable[[], str]:
    """Reads lines; the end of the stream is an error, not an endless loop."""

    def next_line() -> str:
        line = readline()
        assert line, "the stream of log lines ended"
        return line

    return next_line


def test_logs_of_a_missing_function_are_an_error(server: Server) -> None:
    found = server.wuwei("logs", "nobody-here")
    assert found.status == 4 and "nobody-here" in found.errors, found


def test_the_log_of_a_deleted_function_is_not_shown_to_its_successor(server: Server, functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    print('of the first')\n")
    functions.call(name)
    assert "of the first" in server.wuwei("logs", name).ok().output
    functions.client.delete_function(FunctionName=name)
    functions.deploy_python(ECHO, FunctionName=name)
    assert "of the first" not in server.wuwei("logs", name).ok().output


def test_logs_survive_a_restart(fresh_server: Server, functions_of: Callable[[Server], Functions]) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(TALK)
    functions.invoke(name)
    settled_records(fresh_server, name, 1)
    fresh_server.stop()
    fresh_server.start()
    assert "three 無為 by write" in fresh_server.wuwei("logs", name).ok().output


def test_a_flood_of_output_neither_hangs_nor_kills(functions: Functions) -> None:
    code = "def handler(event, context):\n    for n in range(20000): print('x' * 100)\n    return 'done'\n"
    name = functions.deploy_python(code, Timeout=30, MemorySize=512)
    assert functions.call(name) == "done"


def test_a_log_keeps_to_its_limit_while_the_server_runs(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    limit = 8 * 1024 * 1024
    made = new_server(config=f"log_bytes_per_function = {limit}\n").start()
    functions = functions_of(made)
    code = "def handler(event, context):\n    for line in range(500):\n        print(event, line, 'x' * 10_000)\n"
    name = functions.deploy_python(code, Timeout=60)
    for number in range(4):
        functions.invoke(name, number)
        found = records(made, name, "--limit", "10000")
        files = list((made.data_dir / "logs").glob(f"*/*/{name}/*.jsonl"))
        assert sum(path.stat().st_size for path in files) <= limit
    messages = [record["message"] for record in found]
    assert any(re.fullmatch(r"wuwei: the oldest \d+ bytes of this log were removed: .*", text) for text in messages)
    assert any(text.startswith("3 499 x") for text in messages), "the youngest lines stay"
    assert not any(text.startswith("0 0 x") for text in messages), "the oldest lines go"
