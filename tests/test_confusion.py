"""Functions that confuse the platform: every caller gets its own answer or an error, and the next call is right."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.functions import ECHO, Functions

FRAMES = """
import json, os, socket, struct, time
def body(document, identifier, log=b''):
    return bytes([len(identifier)]) + identifier + struct.pack('<I', len(log)) + log + document
def frame(document, identifier, kind=18, log=b''):
    payload = body(document, identifier, log)
    return struct.pack('<IB', len(payload), kind) + payload
def send(data):
    while data: data = data[os.write(3, data):]
earlier = b'00000000-0000-4000-8000-000000000000'
"""
HANDLER = (
    FRAMES
    + """
def handler(event, context):
    global earlier
    own = context.aws_request_id.encode()
    if event['do']:
        exec(event['do'], dict(globals(), own=own, context=context))
        time.sleep(60)
    earlier = own
    return event['value']
"""
)
RUNTIME_FAULTS = ["Runtime.ExitError", "Runtime.Unknown", "Sandbox.Timedout", "Function.ResponseSizeTooLarge"]
MANAGED = {
    "a header that never ends": "send(b'\\x10\\x00')",
    "a frame that never ends": "send(frame(b'\"' + b'x' * 100, own)[:50])",
    "a large frame that never ends": "send(struct.pack('<IB', 6_000_000, 18) + body(b'\"' + b'x' * 100, own))",
    "a frame that says it has four gigabytes": "send(struct.pack('<IB', 0xFFFFFFFF, 18))",
    "a frame without payload": "send(struct.pack('<IB', 0, 18))",
    "a frame of an unknown kind": "send(frame(b'1', own, kind=99))",
    "the platform's own kind of frame": "send(frame(b'1', own, kind=1))",
    "ready in place of an answer": "send(frame(b'', own, kind=16))",
    "an error of the start in place of an answer": "send(frame(b'{}', own, kind=17))",
    "a chunk that nobody announced, and no end": "send(frame(b'x', own, kind=21))",
    "two content types": "send(frame(b'a/b', own, kind=20) * 2)",
    "the name of another call": "send(frame(b'\"forged\"', b'00000000-0000-4000-8000-000000000000'))",
    "the name of the call before": "send(frame(b'\"forged\"', earlier))",
    "no name": "send(frame(b'\"forged\"', b''))",
    "a name of 255 bytes": "send(frame(b'\"forged\"', b'x' * 255))",
    "a name that is longer than the frame": "send(struct.pack('<IB', 3, 18) + b'\\xff12')",
    "a log that is longer than the frame": (
        "data = body(b'1', own); send(struct.pack('<IB', len(data), 18) + bytes([len(own)]) + own"
        " + struct.pack('<I', 0xFFFFFFFF) + b'1')"
    ),
    "a log of a megabyte": "send(frame(b'1', own, log=b'x' * (1 << 20)))",
    "an answer of seven megabytes": "send(frame(b'\"' + b'x' * (7 << 20) + b'\"', own))",
    "two answers at once": "send(frame(b'\"one\"', own) + frame(b'\"two\"', own))",
    "an answer and half a second one": "send(frame(b'\"one\"', own) + frame(b'\"two\"', own)[:9])",
    "noise": "send(os.urandom(100_000))",
    "HTTP": "send(b'POST / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')",
    "a closed socket": "os.close(3)",
    "a socket that is shut down": "socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RDWR)",
    "the last words of one who stays": "send(frame(b'{}', own, kind=22))",
    "nothing at all": "pass",
}
WHOLE = {
    "two answers at once": ["one"],
    "an answer and half a second one": ["one"],
    "a log of a megabyte": [1],
    "the last words of one who stays": [{}],
}
CALLS_OF_TWO = 12


def outcome(functions: Functions, name: str, event: Any) -> Any:
    """The answer, or the type of the error."""
    result = functions.invoke(name, event)
    assert result.status == 200
    if result.function_error is None:
        return result.value
    assert result.function_error == "Unhandled", result
    document = json.loads(result.payload)
    return document["errorType"] if isinstance(document, dict) and "errorType" in document else document


@pytest.fixture(scope="module")
def confuser(functions: Functions) -> str:
    """Writes to its control socket what the event says."""
    return functions.deploy_python(HANDLER, Timeout=2)


@pytest.fixture(scope="module")
def neighbour(functions: Functions) -> str:
    """A function that answers its event."""
    return functions.deploy_python(ECHO)


@pytest.mark.parametrize("case", MANAGED)
def test_frames_that_confuse_cost_their_own_call_only(
    functions: Functions, confuser: str, neighbour: str, case: str
) -> None:
    assert functions.call(confuser, {"do": "", "value": "before"}) == "before"
    found = outcome(functions, confuser, {"do": MANAGED[case], "value": "never"})
    # A first answer that is whole and names its call is the answer, whatever comes behind it.
    assert found in WHOLE.get(case, []) or found in RUNTIME_FAULTS, found
    assert functions.call(confuser, {"do": "", "value": "after"}) == "after"
    assert functions.call(neighbour, case) == case


@pytest.mark.parametrize(
    ("case", "statements"),
    [
        ("an answer before it is ready", "send(frame(b'\"forged\"', b''))"),
        ("an answer to a call that it guesses", "send(frame(b'\"forged\"', earlier))"),
        ("ready twice", "send(frame(b'', b'', kind=16) * 2)"),
        ("ready, and an answer", "send(frame(b'', b'', kind=16) + frame(b'\"forged\"', earlier))"),
        ("a frame that never ends", "send(b'\\x10\\x00\\x00\\x00\\x12')"),
    ],
)
def test_frames_out_of_order_at_the_start_forge_no_answer(
    functions: Functions, neighbour: str, case: str, statements: str
) -> None:
    name = functions.deploy_python(f"{FRAMES}\n{statements}\ndef handler(event, context): return event", Timeout=3)
    for number in range(2):
        found = outcome(functions, name, number)
        assert found == number or found in RUNTIME_FAULTS or str(found).startswith("Runtime."), (case, found)
    assert functions.call(neighbour, 1) == 1


def test_a_result_that_arrives_after_the_time_limit_answers_nobody(functions: Functions) -> None:
    """A daemon of the first call answers in its name, again and again, while later calls are under way."""
    code = f"""{FRAMES}
def handler(event, context):
    if event == 'late':
        own = context.aws_request_id.encode()
        if os.fork() == 0:
            os.setsid()
            time.sleep(context.get_remaining_time_in_millis() / 1000 + 0.1)
            for _ in range(400):
                send(frame(b'"late"', own))
                time.sleep(0.01)
            os._exit(0)
        time.sleep(60)
    return event
"""
    name = functions.deploy_python(code, Timeout=1)
    assert outcome(functions, name, "late") == "Sandbox.Timedout"
    assert [outcome(functions, name, number) for number in range(50)] == list(range(50))


@pytest.mark.parametrize("when", ["at the start", "in a call"])
def test_of_two_runtimes_on_one_socket_each_call_has_one_answer(
    functions: Functions, neighbour: str, when: str
) -> None:
    """The bootstrap itself forks: both read events, and both answer."""
    fork = "os.fork()"
    code = f"""
import os
{fork if when == "at the start" else ""}
def handler(event, context):
    {fork if when == "in a call" else "pass"}
    return [context.aws_request_id, event]
"""
    name = functions.deploy_python(code, Timeout=2)
    rights = 0
    for number in range(CALLS_OF_TWO):
        result = functions.invoke(name, number)
        if result.function_error is None:
            assert result.value == [result.request_id, number]
            rights += 1
        else:
            assert result.value["errorType"] in RUNTIME_FAULTS, result.value
    assert rights > 0 or when == "at the start", "two that say that they are ready are none"
    assert functions.call(neighbour, 1) == 1


BOOTSTRAP = """#!/usr/bin/python3 -IS
import http.client, json, os, socket, threading, time
WHERE = os.environ['AWS_LAMBDA_RUNTIME_API']
def ask(method, path, body=None, headers={}):
    api = http.client.HTTPConnection(WHERE, timeout=30)
    api.request(method, '/2018-06-01/runtime/' + path, body, headers)
    answer = api.getresponse()
    return answer, answer.read()
def raw(data, wait=0.2):
    stream = socket.create_connection(WHERE.split(':'), 5)
    stream.settimeout(wait)
    try:
        stream.sendall(data)
        return stream, stream.recv(65536)
    except OSError:
        return stream, b''
def head(call, length, more=b''):
    path = b'/2018-06-01/runtime/invocation/' + call.encode() + b'/response'
    return b'POST ' + path + b' HTTP/1.1\\r\\nHost: h\\r\\n' + more + b'Content-Length: %d\\r\\n\\r\\n' % length
def next_call():
    answer, body = ask('GET', 'invocation/next')
    return answer.headers['Lambda-Runtime-Aws-Request-Id'], json.loads(body)
def answer(call, value):
    return ask('POST', 'invocation/%s/response' % call, json.dumps(value))[0].status
earlier = '00000000-0000-4000-8000-000000000000'
kept = []
"""
SERVE = (
    BOOTSTRAP
    + """
while True:
    call, event = next_call()
    if event['do']: exec(event['do'])
    answer(call, event['value'])
    earlier = call
"""
)
# What each does before the honest answer, which is the caller's.
HARMLESS = {
    "answers to another call": "answer('11111111-1111-4111-8111-111111111111', 'forged')",
    "answers to the call before": "answer(earlier, 'forged')",
    "answers by several processes to the call before": """
for _ in range(4):
    if os.fork() == 0:
        for _ in range(20): answer(earlier, 'forged')
        os._exit(0)
""",
    "a body that never ends": "kept.append(raw(head(call, 1000) + b'\"forged'))",
    "a head that never ends": "kept.append(raw(head(call, 1000)[:60]))",
    "a body by chunks that never ends": """
path = b'/2018-06-01/runtime/invocation/' + call.encode() + b'/response'
start = b'POST ' + path + b' HTTP/1.1\\r\\nHost: h\\r\\n'
kept.append(raw(start + b'Transfer-Encoding: chunked\\r\\n\\r\\nfffff\\r\\n"forged'))
""",
    "two lengths": "raw(head(call, 8, b'Content-Length: 3\\r\\n') + b'\"forged\"')",
    "a negative length": "raw(head(call, 8).replace(b'Length: 8', b'Length: -8') + b'\"forged\"')",
    "a length and a coding that is none": "raw(head(call, 8, b'Transfer-Encoding: x\\r\\n') + b'\"forged\"')",
    "noise": "raw(os.urandom(10000))",
    "a path with dots": "raw(head(call, 8).replace(b'/runtime/', b'/runtime/../runtime/') + b'\"forged\"')",
    "a path with two slashes": "raw(head(call, 8).replace(b'/invocation', b'//invocation') + b'\"forged\"')",
    "another version of the API": "raw(head(call, 8).replace(b'2018-06-01', b'2099-01-01') + b'\"forged\"')",
    "another method": "ask('PUT', 'invocation/%s/response' % call, '\"forged\"')",
    "an error of the start in the middle": "ask('POST', 'init/error', '{\"errorType\": \"forged\"}')",
    "the name of another attempt": (
        "ask('POST', 'invocation/%s/response' % call, '\"forged\"', {'Lambda-Runtime-Invocation-Id': earlier})"
    ),
    "five hundred connections": "kept += [raw(b'', 0.001) for _ in range(60)]",
    "a name of a megabyte": "raw(head('x' * (1 << 20), 8) + b'\"forged\"')",
}
# What each does in place of the honest answer: the call has it, or an error.
HARMFUL = {
    "two answers": ("answer(call, 'one'); answer(call, 'two')", {"one"}),
    "an answer and an error": (
        "answer(call, 'one'); ask('POST', 'invocation/%s/error' % call, '{\"errorType\": \"two\"}')",
        {"one"},
    ),
    "an answer by each of eight processes at once": (
        """
children = []
for number in range(8):
    child = os.fork()
    if child == 0:
        answer(call, 'by one')
        os._exit(0)
    children.append(child)
for child in children: os.waitpid(child, 0)
""",
        {"by one"},
    ),
    "seven megabytes": ("answer(call, 'x' * (7 << 20))", {"Function.ResponseSizeTooLarge"}),
    "an end without an answer": ("os._exit(0)", {"Runtime.ExitError"}),
    "half an answer, and an end": (
        "raw(head(call, 1000) + b'\"forged'); os._exit(1)",
        {"Runtime.ExitError", "Runtime.TruncatedResponse"},
    ),
    "no answer": ("time.sleep(60)", {"Sandbox.Timedout"}),
}


@pytest.fixture(scope="module")
def runtime(functions: Functions) -> str:
    """A custom runtime that does what the event says, and then answers."""
    return functions.deploy_custom(SERVE, Timeout=5)


@pytest.mark.parametrize("case", HARMLESS)
def test_requests_that_confuse_the_runtime_api_change_no_answer(
    functions: Functions, neighbour: str, case: str
) -> None:
    runtime = functions.deploy_custom(SERVE, Timeout=5)
    assert functions.call(runtime, {"do": "", "value": "before"}) == "before"
    assert functions.call(runtime, {"do": HARMLESS[case], "value": case}) == case
    for number in range(3):
        assert functions.call(runtime, {"do": "", "value": number}) == number
    assert functions.call(neighbour, case) == case


@pytest.mark.parametrize("case", HARMFUL)
def test_each_call_over_the_runtime_api_has_one_answer(functions: Functions, runtime: str, case: str) -> None:
    statements, expected = HARMFUL[case]
    assert outcome(functions, runtime, {"do": statements, "value": "surplus"}) in expected
    for number in range(3):
        assert functions.call(runtime, {"do": "", "value": number}) == number


def test_events_go_to_one_of_many_processes_each(functions: Functions) -> None:
    """Eight processes wait for events on connections of their own, and each answers twice what it gets."""
    code = f"""{BOOTSTRAP}
for _ in range(7):
    if os.fork() == 0: break
while True:
    try:
        call, event = next_call()
        answer(call, event)
        answer(call, 'twice')
    except (OSError, TypeError, http.client.HTTPException): pass
"""
    name = functions.deploy_custom(code, Timeout=10)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: functions.call(name, number), range(100))) == list(range(100))


def test_a_late_result_over_the_runtime_api_answers_nobody(functions: Functions) -> None:
    code = f"""{BOOTSTRAP}
while True:
    call, event = next_call()
    if event == 'late':
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                time.sleep(1)
                while True:
                    try: answer(call, 'late')
                    except OSError: pass
                    time.sleep(0.01)
        time.sleep(60)
    answer(call, event)
"""
    name = functions.deploy_custom(code, Timeout=1)
    for _ in range(2):
        assert outcome(functions, name, "late") == "Sandbox.Timedout"
        assert [outcome(functions, name, number) for number in range(30)] == list(range(30))
