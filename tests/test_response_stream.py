"""InvokeWithResponseStream: event streams with boto3, chunk by chunk, and how they end."""

import json
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.arns import arn_of
from harness.functions import ECHO, Functions, boto_client, create_key, unique_name
from harness.refusals import Refusal, not_found, refusal
from harness.server import Server
from harness.waiting import until

LIMIT = 200 * 1024 * 1024
# Writes what the event asks for.
WRITER = """
import { setTimeout as pause } from 'node:timers/promises';

export const handler = awslambda.streamifyResponse(async (event, stream) => {
  if (event.fail === 'before') throw new TypeError('on purpose');
  for (const chunk of event.chunks ?? []) stream.write(chunk);
  if (event.pause) await pause(event.pause);
  console.log('mark', event.mark);
  if (event.exit) process.exit(3);
  if (event.fail === 'after') throw new TypeError('on purpose');
  const piece = Buffer.alloc(1 << 20, 120);
  for (let left = event.large ?? 0; left > 0; left -= piece.length) {
    if (!stream.write(left < piece.length ? piece.subarray(0, left) : piece)) {
      await new Promise((resolve) => stream.once('drain', resolve));
    }
  }
  stream.end();
});
"""


@pytest.fixture(scope="module")
def writer(functions: Functions) -> str:
    """A function that writes what it is asked for."""
    return functions.deploy_node(WRITER, Timeout=60, MemorySize=512)


def stream(functions: Functions, name: str, event: Any = None, **parameters: Any) -> dict[str, Any]:
    payload = parameters.pop("Payload", json.dumps(event).encode())
    return functions.client.invoke_with_response_stream(FunctionName=name, Payload=payload, **parameters)


def events_of(answer: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """All that was written, and how it ended: one `InvokeComplete`, which is the last event."""
    events: Iterator[dict[str, Any]] = iter(answer["EventStream"])
    written, complete = [], None
    for event in events:
        assert complete is None, "something came after InvokeComplete"
        if "PayloadChunk" in event:
            written.append(event["PayloadChunk"]["Payload"])
        else:
            complete = event["InvokeComplete"]
    assert complete is not None, "no InvokeComplete"
    return b"".join(written), complete


def test_chunks_come_as_events_and_the_end_is_one_too(functions: Functions, writer: str) -> None:
    answer = stream(functions, writer, {"chunks": ["a", "b", "c"]})
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert events_of(answer) == (b"abc", {})


def test_a_chunk_arrives_while_the_function_still_runs(functions: Functions, writer: str, server: Server) -> None:
    mark = unique_name("mark")
    answer = stream(functions, writer, {"chunks": ["first"], "pause": 3000, "mark": mark})
    events = iter(answer["EventStream"])
    assert next(events)["PayloadChunk"]["Payload"] == b"first"
    assert f"mark {mark}\n" not in server.wuwei("logs", writer).ok().output
    assert [list(event) for event in events] == [["InvokeComplete"]]
    until(lambda: f"mark {mark}\n" in server.wuwei("logs", writer).ok().output, "the mark is in the log")


def test_a_function_that_does_not_stream_answers_in_one_piece(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    assert events_of(stream(functions, name, {"a": [1]})) == (b'{"a": [1]}', {})
    assert events_of(stream(functions, name, Payload=b"")) == (b"{}", {})


def test_an_error_before_and_after_the_first_chunk_ends_the_stream_with_its_document(
    functions: Functions, writer: str
) -> None:
    for when, chunks, expected in (("before", [], b""), ("after", ["half"], b"half")):
        written, complete = events_of(stream(functions, writer, {"chunks": chunks, "fail": when}))
        assert (written, complete["ErrorCode"]) == (expected, "TypeError")
        assert json.loads(complete["ErrorDetails"])["errorMessage"] == "on purpose"
        assert "LogResult" not in complete


def test_a_crash_and_a_timeout_in_the_middle_are_told(functions: Functions, writer: str) -> None:
    written, complete = events_of(stream(functions, writer, {"chunks": ["half"], "pause": 50, "exit": True}))
    assert (written, complete["ErrorCode"]) == (b"half", "Runtime.ExitError")
    slow = functions.deploy_node(WRITER, Timeout=1)
    written, complete = events_of(stream(functions, slow, {"chunks": ["half"], "pause": 30_000}))
    assert (written, complete["ErrorCode"]) == (b"half", "Sandbox.Timedout")
    assert "Task timed out after 1.00 seconds" in json.loads(complete["ErrorDetails"])["errorMessage"]


def test_the_end_of_the_log_comes_with_the_end_of_the_stream(functions: Functions, writer: str) -> None:
    for fail in (None, "after"):
        event = {"chunks": ["x"], "mark": "here", "fail": fail}
        _, complete = events_of(stream(functions, writer, event, LogType="Tail"))
        log = b64decode(complete["LogResult"]).decode()
        assert "mark here\n" in log and "REPORT RequestId: " in log


def test_two_hundred_megabytes_pass_and_one_byte_more_does_not(functions: Functions, writer: str) -> None:
    for large, expected in ((LIMIT, None), (LIMIT + 1, "Function.ResponseSizeTooLarge")):
        size, complete = 0, None
        for event in stream(functions, writer, {"large": large})["EventStream"]:
            size += len(event.get("PayloadChunk", {}).get("Payload", b""))
            complete = event.get("InvokeComplete", complete)
        assert complete is not None
        assert (size, complete.get("ErrorCode")) == (LIMIT, expected)


def test_versions_and_dry_runs(functions: Functions, writer: str) -> None:
    functions.client.publish_version(FunctionName=writer)
    answer = stream(functions, writer, {"chunks": ["x"]}, Qualifier="1")
    assert answer["ExecutedVersion"] == "1"
    assert events_of(answer) == (b"x", {})
    dry = functions.client.invoke_with_response_stream(FunctionName=writer, InvocationType="DryRun")
    assert dry["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_what_cannot_run_is_an_error_and_no_stream(functions: Functions, writer: str) -> None:
    assert refusal(lambda: stream(functions, "nobody")) == not_found(arn_of("nobody"))
    assert refusal(lambda: stream(functions, writer, InvocationType="Event")).error == "ValidationException"
    unreadable = refusal(lambda: stream(functions, writer, Payload=b"{"))
    assert (unreadable.status, unreadable.error) == (400, "InvalidRequestContentException")
    large = refusal(lambda: stream(functions, writer, Payload=json.dumps("x" * 6_291_456).encode()))
    text = "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    assert large == Refusal(413, "RequestTooLargeException", text)
    functions.client.put_function_concurrency(FunctionName=writer, ReservedConcurrentExecutions=0)
    try:
        throttled = refusal(lambda: stream(functions, writer, {}))
    finally:
        functions.client.delete_function_concurrency(FunctionName=writer)
    assert (throttled.status, throttled.error) == (429, "TooManyRequestsException")


def test_streams_side_by_side_do_not_mix(functions: Functions, writer: str) -> None:
    def own(number: int) -> tuple[bytes, dict[str, Any]]:
        return events_of(stream(functions, writer, {"chunks": [f"{number};"] * 50}))

    with ThreadPoolExecutor(8) as pool:
        for number, (written, complete) in enumerate(pool.map(own, range(8))):
            assert (written, complete) == (f"{number};".encode() * 50, {})


def test_an_invoker_may_stream_and_a_viewer_may_not(functions: Functions, writer: str, server: Server) -> None:
    invoker = Functions(boto_client(server, keys=create_key(server, "--role", "invoker")), functions.python)
    assert events_of(stream(invoker, writer, {"chunks": ["x"]})) == (b"x", {})
    viewer = Functions(boto_client(server, keys=create_key(server, "--role", "viewer")), functions.python)
    denied = refusal(lambda: stream(viewer, writer, {}))
    assert (denied.status, denied.error) == (403, "AccessDeniedException")
    assert "lambda:InvokeFunction" in denied.message
