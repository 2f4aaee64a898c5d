"""Fixtures: one server for most tests, a fresh one for tests that stop, kill or configure it."""

import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from botocore.client import BaseClient

from harness import leftovers
from harness.functions import Functions, boto_client
from harness.server import RUNNING, Server

STDERR_SHOWN = 12_000


def make_server(config: str | None = None, arguments: tuple[str, ...] = (), prefix: tuple[str, ...] = ()) -> Server:
    """A server on a new data directory, not yet started."""
    root = Path(tempfile.mkdtemp(prefix="wuwei-tests-"))
    root.chmod(0o755)
    path = root / "wuwei.toml"
    if config is not None:
        path.write_text(config)
    return Server(root / "data", path if config is not None else None, arguments, prefix)


def finish(server: Server) -> None:
    """Stops a server that a test has left running, and removes its files."""
    try:
        if server.is_running():
            server.stop()
    finally:
        RUNNING.remove(server)
        if server.is_running() and server.process is not None:
            server.process.kill()
            server.process.wait()
        server.end_orphans()
        shutil.rmtree(server.data_dir.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server that ordinary tests share; when it stops, at the end, the host must be as it was."""
    leftovers.adopt_orphans()
    made = make_server()
    RUNNING.append(made)
    try:
        made.start()
        yield made
    finally:
        finish(made)


@pytest.fixture
def new_server() -> Iterator[Callable[..., Server]]:
    """Makes servers of a test's own: `new_server(config=TOML, arguments=(...))`, not started."""
    made: list[Server] = []

    def make(config: str | None = None, arguments: tuple[str, ...] = (), prefix: tuple[str, ...] = ()) -> Server:
        made.append(make_server(config, arguments, prefix))
        RUNNING.append(made[-1])
        return made[-1]

    yield make
    for each in reversed(made):
        finish(each)


@pytest.fixture
def fresh_server(new_server: Callable[..., Server]) -> Server:
    """A started server of a test's own, for tests that stop or kill it."""
    return new_server().start()


@pytest.fixture(scope="session")
def client(server: Server) -> BaseClient:
    """boto3's Lambda client of the shared server; every answer is checked against the service model."""
    return boto_client(server)


@pytest.fixture(scope="session")
def python_runtime(server: Server) -> str:
    """The newest Python that the server offers."""
    return newest_python(server)


@pytest.fixture(scope="session")
def functions(server: Server, client: BaseClient, python_runtime: str) -> Functions:
    """Deploys and invokes on the shared server."""
    return Functions(client, python_runtime, newest_node(server))


def offered_runtimes(server: Server) -> list[str]:
    """The identifiers that `wuwei runtimes` lists."""
    listed = server.wuwei_json("runtimes")
    assert isinstance(listed, list), listed
    return [entry["identifier"] for entry in listed]


def newest_node(server: Server) -> str | None:
    """Identifier of the newest Node.js runtime, if there is one."""
    found = [identifier for identifier in offered_runtimes(server) if identifier.startswith("nodejs")]
    return max(found, key=lambda identifier: int(identifier[len("nodejs") : -len(".x")]), default=None)


def newest_python(server: Server) -> str:
    """Identifier of the newest Python runtime in `wuwei runtimes`."""
    found = [identifier for identifier in offered_runtimes(server) if identifier.startswith("python3.")]
    assert found, "the server found no Python; install it with: apt-get install -y python3"
    return max(found, key=lambda identifier: int(identifier.split(".")[1]))


@pytest.fixture
def functions_of() -> Callable[[Server], Functions]:
    """Deploys and invokes on a server of the test's own."""
    return lambda server: Functions(boto_client(server), newest_python(server), newest_node(server))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the servers' own logs to the report of a failed test."""
    report = yield
    if report.failed:
        for server in RUNNING:
            report.sections.append((f"stderr of the server at {server.data_dir}", server.stderr[-STDERR_SHOWN:]))
    return report
