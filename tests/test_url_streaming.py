"""Function URLs in RESPONSE_STREAM mode: chunks on their way while the function still runs."""

import http.client
import json
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from botocore.client import BaseClient

from harness.functions import Functions
from harness.server import Server
from harness.urls import Url, public_url
from harness.waiting import until

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# Writes what the query asks for: a prelude, chunks, a pause with a mark in the log behind it, an error.
WRITER = """
import { setTimeout as pause } from 'node:timers/promises';

export const handler = awslambda.streamifyResponse(async (event, stream) => {
  const query = event.queryStringParameters ?? {};
  if (query.fail === 'before') throw new Error('on purpose');
  if (query.type) stream.setContentType(query.type);
  if (query.prelude) stream = awslambda.HttpResponseStream.from(stream, JSON.parse(query.prelude));
  for (const chunk of (query.chunks ?? '').split('|')) if (chunk) stream.write(chunk);
  if (query.large) for (let index = 0; index < 512; index++) stream.write(Buffer.alloc(65536, index));
  if (query.pause) await pause(Number(query.pause));
  console.log('mark', event.rawPath);
  if (query.fail === 'after') throw new Error('on purpose');
  if (query.pause) stream.write('last');
  stream.end();
});
"""


@pytest.fixture(scope="module")
def name(functions: Functions) -> str:
    """The function that writes what it is asked for."""
    return functions.deploy_node(WRITER, Timeout=60, MemorySize=512)


@pytest.fixture(scope="module")
def writer(server: Server, client: BaseClient, name: str) -> Url:
    """Its URL."""
    return public_url(server, client, name, InvokeMode="RESPONSE_STREAM")


def marked(server: Server, name: str, path: str) -> bool:
    """Whether the function has come past its pause, in the call of this path."""
    return f"mark {path}\n" in server.wuwei("logs", name).ok().output


def test_chunks_without_a_type_are_an_octet_stream(writer: Url) -> None:
    answer = writer.call("GET", "/?chunks=a|b|c")
    assert (answer.status, answer.body) == (200, b"abc")
    assert answer.header("content-type") == "application/octet-stream"
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.header("x-amzn-requestid") and answer.header("x-amzn-trace-id")


def test_the_content_type_is_the_functions(writer: Url) -> None:
    answer = writer.call("GET", "/?chunks=a&type=text/csv")
    assert (answer.header("content-type"), answer.body) == ("text/csv", b"a")


def test_a_prelude_gives_status_headers_and_cookies(writer: Url) -> None:
    prelude = {
        "statusCode": 418,
        "headers": {"Content-Type": "text/html", "X-Custom": "yes"},
        "cookies": ["a=1; HttpOnly", "b=2"],
    }
    answer = writer.call("GET", f"/?chunks=tea|pot&prelude={http_quoted(json.dumps(prelude))}")
    assert (answer.status, answer.body) == (418, b"teapot")
    assert (answer.header("content-type"), answer.header("x-custom")) == ("text/html", "yes")
    assert answer.all("set-cookie") == ["a=1; HttpOnly", "b=2"]


def http_quoted(text: str) -> str:
    """Every byte percent-encoded."""
    return "".join(f"%{byte:02x}" for byte in text.encode())


def test_a_chunk_reaches_the_caller_while_the_function_still_runs(server: Server, name: str, writer: Url) -> None:
    with closing(writer.open("GET", "/live?chunks=first&pause=4000")) as connection:
        answer = connection.getresponse()
        assert answer.read1(100) == b"first"
        assert not marked(server, name, "/live")
        assert answer.read() == b"last"
    until(lambda: marked(server, name, "/live"), "the function came past its pause")


def test_a_large_answer_comes_whole_and_in_order(writer: Url) -> None:
    body = writer.call("GET", "/?large=yes").body
    assert len(body) == 512 * 65536
    assert all(body[index * 65536] == index % 256 for index in range(512))


def test_an_error_before_the_first_chunk_is_a_bad_gateway(writer: Url) -> None:
    answer = writer.call("GET", "/?fail=before")
    assert (answer.status, answer.body) == (502, b"Internal Server Error")


def test_an_error_after_the_first_chunk_breaks_the_answer(writer: Url) -> None:
    with closing(writer.open("GET", "/?chunks=half&fail=after&pause=200")) as connection:
        answer = connection.getresponse()
        assert answer.status == 200
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
        assert broken.value.partial == b"half"


def test_a_caller_who_leaves_in_the_middle_does_not_stop_the_function(server: Server, name: str, writer: Url) -> None:
    connection = writer.open("GET", "/left?chunks=first&pause=1000&large=yes")
    assert connection.getresponse().read1(5) == b"first"
    connection.close()
    until(lambda: marked(server, name, "/left"), "the function ran to its end")
    assert writer.call("GET", "/?chunks=next").body == b"next"


def test_a_streaming_function_behind_a_buffered_url_answers_when_it_has_ended(
    server: Server, client: BaseClient, functions: Functions
) -> None:
    url = public_url(server, client, functions.deploy_node(WRITER))
    answer = url.call("GET", "/?chunks={|%22a%22|:1}")
    assert (answer.status, answer.value) == (200, {"a": 1})


def test_the_chat_example_streams_words(server: Server) -> None:
    deployed = server.wuwei_json(
        "deploy", str(EXAMPLES / "streaming-chat-node"), "--url", "--url-mode", "RESPONSE_STREAM"
    )
    assert isinstance(deployed, dict)
    url = Url(server, deployed["url"])
    host, port = server.address
    curl = ["curl", "-sSN", "--resolve", f"{url.host}:{host}", f"{url.address}?q=a%20journey"]
    shown = subprocess.run(curl, capture_output=True, text=True, timeout=60, check=True).stdout
    words = [line.removeprefix("data: ") for line in shown.splitlines() if line.startswith("data: ")]
    assert " ".join(words) == "A journey of a thousand miles begins under your feet."
    assert url.call("GET", "/?q=water").header("content-type") == "text/event-stream"
    assert str(port) in url.host
