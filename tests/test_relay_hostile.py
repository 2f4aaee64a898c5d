"""Hostile clients of the way back, under each egress policy: nothing but the function's own API comes through it."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness import leftovers
from harness.boto_package import boto_package
from harness.egress import POLICIES, set_egress
from harness.functions import ECHO, Functions, boto_client
from harness.native import compiled
from harness.network import World, test_host
from harness.processes import sandboxes
from harness.server import ROLE, RUNNING, Server
from harness.servers import finish, make_server, newest_python
from harness.tally import own_processes
from harness.waiting import until

CONNECTIONS = 10_000
CONNECTIONS_OF_AN_INSTANCE = 64
TALK = """
import re, time
where = urllib.parse.urlsplit(ENDPOINT)
def talk(data, limit=2.0):
    # Sends bytes as they are: the status of each answer, and the bytes of all of them.
    answers = b''
    with socket.create_connection((where.hostname, where.port), timeout=10) as stream:
        stream.settimeout(limit)
        try:
            stream.sendall(data)
            while chunk := stream.recv(65536):
                answers += chunk
        except OSError:
            pass
    return [int(each) for each in re.findall(rb'HTTP/1\\.1 (\\d\\d\\d)', answers)], answers
def own(path, body):
    request = AWSRequest('POST', ENDPOINT + path, data=body)
    SigV4Auth(Credentials(*OWN), 'lambda', os.environ['AWS_REGION']).add_auth(request)
    return dict(request.prepare().headers)
"""
KEPT = 16
"""An instance that is frozen, before or after, may not have closed its last ones."""
STATE, INODE = 3, 9
"""Columns of /proc/net/tcp."""
LISTENING = "0A"
SECRETS = (b"wuwei_uptime", b"AccessKey", b'"endpoint"', b'"status":"ok"')


@pytest.fixture(scope="module", autouse=True)
def world() -> Iterator[World]:
    """The tests of this file run on their own host, which has no package index."""
    boto_package()
    with test_host() as made:
        yield made


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    """A server on that host."""
    leftovers.adopt_orphans()
    made = make_server(prefix=world.prefix)
    RUNNING.append(made)
    try:
        yield made.start()
    finally:
        finish(made)


@pytest.fixture(scope="module")
def functions(server: Server) -> Functions:
    """Deploys and invokes on this file's server."""
    return Functions(boto_client(server), newest_python(server))


@pytest.fixture(scope="module")
def echo(functions: Functions) -> str:
    """A neighbour, which the drivers may call."""
    return functions.deploy_python(ECHO)


@pytest.fixture(scope="module", params=POLICIES)
def driver(request: pytest.FixtureRequest, server: Server, functions: Functions) -> str:
    """A function with each policy that runs statements, with botocore at hand."""
    name = f"driver-{request.param}"
    settings = {"Runtime": functions.python, "Handler": "app.handler", "MemorySize": 1024, "Timeout": 90}
    functions.client.create_function(FunctionName=name, Role=ROLE, Code={"ZipFile": boto_package()}, **settings)
    functions.wait_active(name)
    if POLICIES[request.param] is not None:
        set_egress(server, name, POLICIES[request.param])
    return name


def talk(functions: Functions, driver: str, conversations: list[str]) -> list[list[Any]]:
    """What each sequence of bytes was answered with: the statuses, and whether any secret was in it."""
    statements = f"""{TALK}
found = [talk(each.encode('latin1')) for each in {conversations!r}]
result = [[statuses, [text.decode() for text in {SECRETS!r} if text in answers]] for statuses, answers in found]
"""
    return functions.call(driver, "import urllib.parse\n" + statements)


TARGETS = [
    "//metrics",
    "/./metrics",
    "/2015-03-31/../metrics",
    "/2015-03-31/functions/../../metrics",
    "/2015-03-31/functions/..%2f..%2fmetrics",
    "/..%c0%afmetrics",
    "/%2e%2e/metrics",
    "/%6detrics",
    "/metrics/",
    "/metrics%00",
    "/metrics;x",
    "/\\metrics",
    "/METRICS",
    "/healthz",
    "//healthz",
    "/_wuwei/v1/keys",
    "//_wuwei/v1/keys",
    "/_wuwei//v1/keys",
    "/_wuwei/v1/../v1/keys",
    "/%5Fwuwei/v1/keys",
    "/_wuwei/v1/egress/other",
    "http://127.0.0.1/metrics",
    "http://127.0.0.1:9000/_wuwei/v1/keys",
    "https://user@localhost/metrics",
    "//127.0.0.1:9000/metrics",
    "*",
    "metrics",
    "127.0.0.1:9000",
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_no_spelling_of_a_path_leads_off_the_api(functions: Functions, driver: str, method: str) -> None:
    head = "Host: 127.0.0.1:9000\r\nConnection: close\r\n\r\n"
    found = talk(functions, driver, [f"{method} {target} HTTP/1.1\r\n{head}" for target in TARGETS])
    for target, (statuses, secrets) in zip(TARGETS, found, strict=True):
        assert secrets == [], target
        assert len(statuses) == 1 and 400 <= statuses[0] < 500, (target, statuses)


HIDDEN = "GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
POST = "POST /2015-03-31/functions/x/invocations HTTP/1.1\r\nHost: h\r\n"
SMUGGLED = {
    "a length and chunks": f"{POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "chunks and a length": f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n{HIDDEN}",
    "two lengths": f"{POST}Content-Length: 0\r\nContent-Length: 55\r\n\r\n{HIDDEN}",
    "two lengths in one": f"{POST}Content-Length: 0, 55\r\n\r\n{HIDDEN}",
    "a length with a sign": f"{POST}Content-Length: +0\r\n\r\n{HIDDEN}",
    "a negative length": f"{POST}Content-Length: -1\r\n\r\n{HIDDEN}",
    "a length in hexadecimal": f"{POST}Content-Length: 0x0\r\n\r\n{HIDDEN}",
    "a length beyond all bounds": f"{POST}Content-Length: 99999999999999999999999999\r\n\r\n{HIDDEN}",
    "unknown coding": f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "coding that does not end with chunks": f"{POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}",
    "two codings": f"{POST}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "a space before the colon": f"{POST}Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n{HIDDEN}",
    "a folded header": f"{POST}X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n{HIDDEN}",
    "a tab in a coding": f"{POST}Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n{HIDDEN}",
    "a size of chunks that wraps": f"{POST}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n{HIDDEN}",
    "a size of chunks with noise": f"{POST}Transfer-Encoding: chunked\r\n\r\n0_\r\n\r\n{HIDDEN}",
    "a chunk extension with a line": f"{POST}Transfer-Encoding: chunked\r\n\r\n0;x\n\r\n{HIDDEN}",
    "a lone line feed": f"POST / HTTP/1.1\nHost: h\nContent-Length: 0\n\n{HIDDEN}",
    "a lone carriage return": f"POST / HTTP/1.1\r\nHost: h\rX: y\r\nContent-Length: 0\r\n\r\n{HIDDEN}",
    "a null in a header": f"{POST}X: \0\r\nContent-Length: 0\r\n\r\n{HIDDEN}",
    "two hosts": f"{POST}Host: 127.0.0.1:9000\r\nContent-Length: 0\r\n\r\n{HIDDEN}",
    "no host": f"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n{HIDDEN}",
    "a request line of HTTP/0.9": f"GET /metrics\r\n\r\n{HIDDEN}",
    "HTTP/1.0": f"GET /metrics HTTP/1.0\r\n\r\n{HIDDEN}",
    "the preface of HTTP/2": f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{HIDDEN}",
    "an upgrade to HTTP/2": f"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n{HIDDEN}",
    "a record of TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 600,
    "noise": "".join(chr(number * 7 % 256) for number in range(5000)) + "\r\n\r\n",
    "a line without end": "GET /" + "a" * 100_000,
    "headers without end": "GET / HTTP/1.1\r\n" + "X: y\r\n" * 20_000 + "\r\n",
}


def test_no_ambiguous_request_is_answered_with_anything_but_refusals(functions: Functions, driver: str) -> None:
    found = talk(functions, driver, list(SMUGGLED.values()))
    for name, (statuses, secrets) in zip(SMUGGLED, found, strict=True):
        assert secrets == [], name
        # The second answer, where there is one, is that to the request behind, which is nobody's but the function's.
        assert len(statuses) <= 2 and all(400 <= status < 500 for status in statuses), (name, statuses)
    assert functions.call(driver, "result = 'well'") == "well"


def test_what_hides_behind_a_signed_request_is_a_request_of_its_own(
    functions: Functions, driver: str, echo: str
) -> None:
    """Bodies end where the signed length says; what is behind has no signature, and what is changed a wrong one."""
    statements = f"""
import urllib.parse
{TALK}
path, body = '/2015-03-31/functions/{echo}/invocations', b'{{"n": 1}}'
def head(**more):
    lines = own(path, body) | {{'Host': where.netloc}}
    lines |= {{name.replace('_', '-'): value for name, value in more.items()}}
    text = ''.join('%s: %s\\r\\n' % each for each in lines.items())
    return ('POST %s HTTP/1.1\\r\\n%s\\r\\n' % (path, text)).encode()
hidden = {HIDDEN!r}.encode()
behind = talk(head() + body + hidden, 10)
shorter = talk(head(Content_Length='3') + body + hidden, 10)
longer = talk(head(Content_Length=str(len(body + hidden))) + body + hidden, 10)
chunks = b'%x\\r\\n%s\\r\\n0\\r\\n\\r\\n' % (len(body) + 1, body + b' ')
lines = head().replace(b'Content-Length', b'X-Length') if b'Content-Length' in head() else head()
chunked = talk(lines[:-2] + b'Transfer-Encoding: chunked\\r\\n\\r\\n' + chunks + hidden, 10)
result = [each[0] for each in (behind, shorter, longer, chunked)] + [b'{{"n": 1}}' in behind[1]]
"""
    behind, shorter, longer, chunked, answered = functions.call(driver, statements)
    assert behind == [200, 404] and answered
    assert shorter[0] == 403 and all(400 <= status < 500 for status in shorter)
    assert longer == [403]
    assert chunked[0] == 403 and all(400 <= status < 500 for status in chunked)


def test_many_requests_on_one_connection_are_answered_each_in_its_place(functions: Functions, driver: str) -> None:
    requests = "".join(f"GET /{'metrics' if number % 2 else ''} HTTP/1.1\r\nHost: h\r\n\r\n" for number in range(99))
    ((statuses, secrets),) = talk(functions, driver, [requests + HIDDEN])
    assert (statuses, secrets) == ([403, 404] * 49 + [403, 404], [])


def test_slow_clients_take_the_places_of_their_own_function_only(functions: Functions, driver: str, echo: str) -> None:
    """All places of the instance go to clients that send a byte now and then; an instance may be frozen in the middle
    of a request, so that there is no time limit. Its next client waits, and nobody else notices."""
    statements = f"""
import threading, time, urllib.parse
where = urllib.parse.urlsplit(ENDPOINT)
slow = [socket.create_connection((where.hostname, where.port), 20) for _ in range({CONNECTIONS_OF_AN_INSTANCE})]
end = time.monotonic() + 4
for byte in b'GET /' + b'a' * 10000:
    for each in slow: each.sendall(bytes([byte]))
    time.sleep(0.2)
    if time.monotonic() > end: break
late = socket.create_connection((where.hostname, where.port), 60)
late.sendall({HIDDEN!r}.encode())
for each in slow: each.close()
result = [late.recv(12).decode(), invoke({echo!r}, 'still')]
"""
    with ThreadPoolExecutor(1) as pool:
        hostile = pool.submit(functions.call, driver, statements)
        calls = 0
        while not hostile.done():
            assert functions.call(echo, calls) == calls, "a neighbour is served meanwhile"
            calls += 1
        assert hostile.result() == ["HTTP/1.1 404", "still"]
    assert calls > 3


def accepted(server: Server) -> int:
    """The most connections of one function's network that the server has open."""
    # Not counted at one moment: connections that end meanwhile and those that take their places are counted both.
    for _ in range(2):
        if (found := _accepted(server)) <= CONNECTIONS_OF_AN_INSTANCE:
            return found
    return _accepted(server)


def _accepted(server: Server) -> int:
    own = open_files(server.pid)
    most = 0
    for _first, runtime in sandboxes(server.pid):
        with suppress(OSError):
            rows = [line.split() for line in Path(f"/proc/{runtime}/net/tcp").read_text().splitlines()[1:]]
            sockets = [f"socket:[{row[INODE]}]" for row in rows if row[STATE] != LISTENING]
            most = max(most, sum(socket in own for socket in sockets))
    return most


def open_files(pid: int) -> set[str]:
    """What the descriptors of a process stand for."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(os.readlink(link))
    return found


FLOOD = """
import errno, select
def flood(address, count):
    held = 0
    sockets = []
    for _ in range(count):
        each = socket.socket()
        each.setblocking(False)
        if each.connect_ex(address) in (0, errno.EINPROGRESS):
            each_ready = True
        try: each.send(b'G')
        except OSError: pass
        sockets.append(each)
    return sockets
children = []
for _ in range(PROCESSES):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            sockets = flood(ADDRESS, EACH)
            os.write(writer, b'%08d' % len(sockets))
            while True: select.select(sockets[:8], [], [], 60)
        except BaseException as error:
            os.write(writer, repr(error).encode())
        os._exit(0)
    os.close(writer)
    children.append((child, reader))
made = sum(int(os.read(reader, 200)) for _, reader in children)
"""


def test_ten_thousand_connections_of_a_function_are_its_own_trouble(
    server: Server, functions: Functions, driver: str, echo: str
) -> None:
    """The server holds no more of them than an instance may have; a neighbour's calls and the server's API go on."""
    functions.call(driver, "result = 1")
    each = 800
    processes = -(-CONNECTIONS // each)
    statements = f"""
import signal, time, urllib.parse
where = urllib.parse.urlsplit(ENDPOINT)
PROCESSES, EACH, ADDRESS = {processes}, {each}, (where.hostname, where.port)
{FLOOD}
open('/tmp/made', 'w').write(str(made))
time.sleep(2)
for child, _ in children: os.kill(child, signal.SIGKILL)
for child, _ in children: os.waitpid(child, 0)
result = [made, invoke({echo!r}, 'still')]
"""
    most = calls = 0
    with ThreadPoolExecutor(1) as pool:
        hostile = pool.submit(functions.call, driver, statements)
        while not hostile.done():
            assert functions.call(echo, calls) == calls
            assert server.healthz()[0] == 200
            calls += 1
            most = max(most, accepted(server))
        made, still = hostile.result()
    assert made >= CONNECTIONS and still == "still"
    assert calls > 1
    # Those that end are still being closed while others take their places.
    assert 0 < most <= CONNECTIONS // 10, "the rest wait in the function's own network"
    until(lambda: accepted(server) <= KEPT, "the connections are gone")
    assert set(own_processes(server)) >= {"__launcher", "__filler"}


def test_ten_thousand_connections_to_the_runtime_api_are_too(functions: Functions, echo: str) -> None:
    code = f"""#!/usr/bin/python3 -IS
import http.client, os, signal, socket, time
host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
def ask(method, path, body=None):
    api = http.client.HTTPConnection(host, int(port), timeout=60)
    api.request(method, '/2018-06-01/runtime/invocation/' + path, body)
    answer = api.getresponse()
    return answer.headers['Lambda-Runtime-Aws-Request-Id'], answer.read()
PROCESSES, EACH, ADDRESS = {-(-CONNECTIONS // 800)}, 800, (host, int(port))
while True:
    call, _ = ask('GET', 'next')
    {FLOOD.strip().replace(chr(10), chr(10) + "    ")}
    time.sleep(2)
    for child, _ in children: os.kill(child, signal.SIGKILL)
    for child, _ in children: os.waitpid(child, 0)
    for _, reader in children: os.close(reader)
    ask('POST', call + '/response', str(made))
"""
    name = functions.deploy_custom(code, Timeout=90, MemorySize=1024)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            hostile = pool.submit(functions.call, name)
            calls = 0
            while not hostile.done():
                assert functions.call(echo, calls) == calls
                calls += 1
            assert hostile.result() >= CONNECTIONS
    assert functions.call(functions.deploy_custom(compiled("echo.c")), "unharmed") == "unharmed"
