"""Initialisation: its limit, its repetition inside an invocation, resets after crashes and timeouts, pending work."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import inside
from harness.functions import Functions
from harness.packages import zip_of
from harness.reports import init_report_of, messages, report_of
from harness.server import Server
from harness.waiting import until

SLOW_START = """
import os, time, uuid
time.sleep({init})
NAME = str(uuid.uuid4())
def handler(event, context):
    if event == 'crash': os._exit(3)
    while event == 'hang': pass
    return [NAME, context.log_stream_name, context.get_remaining_time_in_millis()]
"""
CUSTOM = """#!/bin/sh
sleep {init}
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  event="$(curl -sS -D /tmp/head "$api/next")"
  id="$(tr -d '\\r' < /tmp/head | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p')"
  [ "$event" = '"crash"' ] && exit 3
  [ "$event" = '"hang"' ] && sleep 60
  curl -sS -o /dev/null "$api/$id/response" -d "[\\"$$\\", \\"$AWS_LAMBDA_LOG_STREAM_NAME\\", 0]"
done
"""
KINDS = ["python", "custom"]


def deploy(functions: Functions, kind: str, init: float, timeout: int) -> str:
    """A function that takes `init` seconds to start."""
    if kind == "python":
        return functions.deploy_python(SLOW_START.format(init=init), Timeout=timeout)
    return functions.deploy_custom(CUSTOM.format(init=init), Timeout=timeout, MemorySize=256)


def test_an_init_over_ten_seconds_runs_again_inside_the_invocation(server: Server, functions: Functions) -> None:
    """The second time it has the function's own timeout, which is enough for one function and not for the other."""
    patient = functions.deploy_python(SLOW_START.format(init=10.5), Timeout=30)
    hasty = functions.deploy_python(SLOW_START.format(init=60), Timeout=1)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda name: functions.invoke(name, LogType="Tail"), (patient, hasty)))

    assert answers[0].function_error is None, answers[0]
    assert answers[0].value[2] < 20_000, "the init is part of the function's time"
    report = report_of(answers[0].log)
    assert report.duration >= 10_500 and report.init is None and report.status == ""
    assert report.billed == math.ceil(report.duration)
    found = messages(server, patient, 1)
    assert [line.split()[0] for line in found] == ["INIT_START", "INIT_REPORT", "START", "END", "REPORT"]
    init = init_report_of(found[1])
    assert (init.phase, init.status) == ("init", "timeout") and 10_000 <= init.duration < 11_500

    text = f"RequestId: {answers[1].request_id} Error: Task timed out after 1.00 seconds"
    assert answers[1].value == {"errorType": "Sandbox.Timedout", "errorMessage": text}
    report = report_of(answers[1].log)
    assert (report.duration, report.billed, report.init, report.status) == (1000.0, 1000, None, "Status: timeout")
    found = messages(server, hasty, 1)
    first, second = init_report_of(found[1]), init_report_of(found[2])
    assert (first.phase, first.status, second.phase, second.status) == ("init", "timeout", "invoke", "timeout")
    assert found[3].startswith("START ") and found[4].endswith(" Task timed out after 1.00 seconds")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["crash", "hang"])
def test_after_a_crash_or_a_timeout_the_next_call_initialises_again_and_counts_it(
    server: Server, functions: Functions, kind: str, end: str
) -> None:
    name = deploy(functions, kind, 0.4, 2)
    first = functions.invoke(name, LogType="Tail")
    assert report_of(first.log).init is not None
    assert functions.invoke(name, end).function_error == "Unhandled"
    again = functions.invoke(name, LogType="Tail")
    assert again.function_error is None, again
    report = report_of(again.log)
    assert report.duration >= 400 and report.init is None and report.billed == math.ceil(report.duration)
    assert again.value[1] == first.value[1], "one environment has one log stream"
    if kind == "python":
        assert again.value[0] != first.value[0]
        assert again.value[2] <= 1_600, "the init is part of the function's time"
    warm = functions.invoke(name, LogType="Tail")
    assert warm.value[0] == again.value[0] and report_of(warm.log).duration < 400
    found = messages(server, name, 4)
    assert len([line for line in found if line.startswith("INIT_")]) == 1, found


def test_an_init_that_only_fits_its_own_limit_fails_after_a_reset(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(SLOW_START.format(init=1.5), Timeout=1)
    assert functions.invoke(name).function_error is None
    functions.invoke(name, "crash")
    failed = functions.invoke(name, LogType="Tail")
    assert failed.value["errorType"] == "Sandbox.Timedout"
    assert report_of(failed.log).status == "Status: timeout"
    (line,) = [line for line in messages(server, name, 3) if line.startswith("INIT_REPORT")]
    init = init_report_of(line)
    assert (init.phase, init.status) == ("invoke", "timeout")


@pytest.mark.parametrize("kind", KINDS)
def test_an_init_that_fails_is_tried_again_and_both_times_are_in_the_log(
    server: Server, functions: Functions, kind: str
) -> None:
    if kind == "python":
        name, error_type = functions.deploy_python("print('begins')\nimport not_there\n"), "Runtime.ImportModuleError"
    else:
        name, error_type = functions.deploy_custom("#!/bin/sh\necho begins\nexit 4\n"), "Runtime.ExitError"
    result = functions.invoke(name, LogType="Tail")
    assert (result.status, result.function_error, result.value["errorType"]) == (200, "Unhandled", error_type)
    report = report_of(result.log)
    assert report.init is None and report.billed == math.ceil(report.duration)
    assert report.status == f"Status: error\tError Type: {error_type}"
    found = messages(server, name, 1)
    assert found.count("begins") == 2
    reports = [(place, init_report_of(line)) for place, line in enumerate(found) if line.startswith("INIT_REPORT")]
    assert [(init.phase, init.status) for _, init in reports] == [
        ("init", f"error\tError Type: {error_type}"),
        ("invoke", f"error\tError Type: {error_type}"),
    ]
    assert found[0].startswith("INIT_START") and found[reports[1][0] + 1].startswith("START ")
    assert report.duration >= reports[1][1].duration
    # The environment stays, and the next call tries once more.
    assert functions.invoke(name).value["errorType"] == error_type
    again = messages(server, name, 2)[len(found) :]
    assert [line.split()[0] for line in again if line.startswith("INIT_")] == ["INIT_REPORT"]


def test_new_code_after_a_failed_init_starts_afresh(functions: Functions) -> None:
    name = functions.deploy_python("import not_there\n")
    assert functions.invoke(name).function_error == "Unhandled"
    functions.client.update_function_code(FunctionName=name, ZipFile=zip_of({"app.py": SLOW_START.format(init=0)}))
    functions.wait_updated(name)
    fixed = functions.invoke(name, LogType="Tail")
    assert fixed.function_error is None and report_of(fixed.log).init is not None


def test_work_left_pending_stands_still_between_calls_and_goes_on_at_the_next(
    server: Server, functions: Functions
) -> None:
    """A thread and a process of its own tick all the time; the widest gap is the pause between the two calls."""
    code = """
import subprocess, sys, threading, time
TICK = "import time\\nwhile True: print(time.monotonic(), file=open('/tmp/ticks', 'a')); time.sleep(0.005)"
ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.005)
def read():
    return [float(line) for line in open('/tmp/ticks').read().splitlines()]
def both(count):
    while len(ticks) < count or len(read()) < count: time.sleep(0.01)
def handler(event, context):
    if event == 'begin':
        open('/tmp/ticks', 'w')
        threading.Thread(target=tick, daemon=True).start()
        subprocess.Popen([sys.executable, '-I', '-S', '-c', TICK])
        both(5)
        return [len(ticks), len(read())]
    both(event)
    return [max(b - a for a, b in zip(times, times[1:])) for times in (ticks, read())]
"""
    code += f"# {time.time_ns()}\n"
    name = functions.deploy_python(code, Timeout=20)
    counts = functions.call(name, "begin")
    pids = inside.processes_of(server, zip_of({"app.py": code}))
    assert len(pids) >= 2
    until(lambda: all(inside.is_frozen(pid) for pid in pids), "everything is frozen", 2)
    frozen = time.monotonic()
    until(lambda: time.monotonic() - frozen > 0.5, "half a second of pause")
    gaps = functions.call(name, max(counts) + 50)
    assert min(gaps) >= 0.5, gaps
