"""What strangers, and keys that may do little, can take from others: neither connections nor memory."""

import resource
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import pytest

from harness.functions import Functions, create_key
from harness.server import Keys, Server
from harness.waiting import seconds_of, until
from harness.wire import signed_headers

CREATE = "/2015-03-31/functions"
PACKAGE_REQUEST = 70_167_211
"""Bytes of the largest request; seven of them fit into a budget of 512 MiB, with 43 MiB left."""
PAYLOAD = 6 * 1024 * 1024
NO_HASH = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
"""Makes a signature one that can be checked before the body is there."""


@contextmanager
def announced(
    server: Server, path: str, length: int, headers: dict[str, str], keys: Keys | None = None
) -> Iterator[socket.socket]:
    """A connection on which a body has been announced and not sent."""
    host, port = server.address
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {length}", "Expect: 100-continue"]
    signed = signed_headers(server, "POST", path, headers=headers, keys=keys)
    lines += [f"{name}: {value}" for name, value in signed.items()]
    with closing(socket.create_connection(server.address, timeout=25)) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        yield connection


def first_line(connection: socket.socket) -> str:
    return connection.recv(4096).split(b"\r\n")[0].decode()


def is_kept_waiting(connection: socket.socket) -> bool:
    """Whether nothing comes for a while."""
    connection.settimeout(0.5)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(25)


@pytest.mark.parametrize("headers", [{}, NO_HASH], ids=["not yet verified", "verified"])
def test_large_bodies_are_read_only_as_far_as_there_is_memory_for_them(
    fresh_server: Server, headers: dict[str, str]
) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(announced(fresh_server, CREATE, PACKAGE_REQUEST, headers)) for _ in range(7)]
        assert {first_line(connection) for connection in held} == {"HTTP/1.1 100 Continue"}
        late = stack.enter_context(announced(fresh_server, CREATE, PACKAGE_REQUEST, headers))
        assert is_kept_waiting(late)
        small = stack.enter_context(announced(fresh_server, CREATE, 1000, headers))
        assert first_line(small) == "HTTP/1.1 100 Continue", "small bodies need no share"
        held[0].close()
        assert first_line(late) == "HTTP/1.1 100 Continue"


def test_who_finds_no_memory_for_a_body_is_told_to_try_again(fresh_server: Server) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(announced(fresh_server, CREATE, PACKAGE_REQUEST, NO_HASH)) for _ in range(7)]
        assert {first_line(connection) for connection in held} == {"HTTP/1.1 100 Continue"}
        late = stack.enter_context(announced(fresh_server, CREATE, PACKAGE_REQUEST, NO_HASH))
        # Sooner than the others are given up for their silence.
        assert first_line(late) == "HTTP/1.1 429 Too Many Requests"


def test_a_body_counts_until_its_call_is_answered(
    fresh_server: Server, functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(fresh_server)
    code = "import time\ndef handler(event, context):\n    print('began')\n    time.sleep(4)\n"
    name = functions.deploy_python(code, Timeout=20)
    path = f"/2015-03-31/functions/{name}/invocations"
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        sizes = [PACKAGE_REQUEST] * 7
        held = [stack.enter_context(announced(fresh_server, CREATE, size, NO_HASH)) for size in sizes]
        held += [stack.enter_context(announced(fresh_server, path, PAYLOAD, NO_HASH)) for _ in range(6)]
        assert {first_line(connection) for connection in held} == {"HTTP/1.1 100 Continue"}
        call = pool.submit(functions.invoke, name, "x" * (PAYLOAD - 2))
        until(lambda: "began" in fresh_server.wuwei("logs", name).output, "the call is running")
        late = stack.enter_context(announced(fresh_server, path, PAYLOAD, NO_HASH))
        assert is_kept_waiting(late) and not call.done()
        assert call.result(20).status == 200
        assert first_line(late) == "HTTP/1.1 100 Continue"


def test_a_large_body_is_not_read_for_a_key_that_may_not_do_what_it_asks_for(server: Server) -> None:
    invoker = create_key(server, "--role", "invoker")
    team = create_key(server, "--role", "deployer", "--functions", "team-x-*")
    for keys, path in [
        (invoker, CREATE),
        (team, "/2015-03-31/functions/other/invocations"),
        (team, "/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:other/invocations"),
    ]:
        with announced(server, path, PAYLOAD, NO_HASH, keys) as connection:
            assert first_line(connection).startswith("HTTP/1.1 403 "), path
    with announced(server, "/2015-03-31/functions/team-x-1/invocations", PAYLOAD, NO_HASH, team) as connection:
        assert first_line(connection) == "HTTP/1.1 100 Continue"


def test_connections_that_never_ask_do_not_shut_others_out(fresh_server: Server) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], min(limit[1], 10_000)), limit[1]))
    try:
        with ExitStack() as stack:
            for number in range(4_200):
                connection = stack.enter_context(closing(socket.create_connection(fresh_server.address, timeout=10)))
                # One in three has asked once, and is idle then.
                whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" if number % 3 == 0 else b""
                connection.sendall(whole + b"GET /healt")
            for _ in range(3):
                assert seconds_of(fresh_server.healthz) < 5
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_a_connection_has_ten_seconds_for_its_first_head(server: Server) -> None:
    with closing(socket.create_connection(server.address, timeout=40)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        assert 8 < seconds_of(lambda: connection.recv(1)) < 20


def status_of(server: Server, head: str) -> int:
    with closing(socket.create_connection(server.address, timeout=10)) as connection:
        connection.sendall(head.encode())
        return int(first_line(connection).split()[1])


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (f"GET /healthz HTTP/1.1\r\nHost: a\r\nX: {'x' * 60_000}\r\n\r\n", 200),
        (f"GET /healthz HTTP/1.1\r\nHost: a\r\nX: {'x' * 70_000}\r\n\r\n", 431),
        (f"GET /healthz?{'x' * 70_000} HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ],
    ids=["plain", "HTTP 1.0", "no host", "two hosts", "60 KB", "70 KB of header", "70 KB of query"],
)
def test_a_head_is_at_most_64_kilobytes_and_names_one_host(server: Server, head: str, status: int) -> None:
    assert status_of(server, head) == status
