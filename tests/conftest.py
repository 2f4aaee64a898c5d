"""Fixtures: one server for most tests, a fresh one for tests that stop, kill or configure it."""

from collections.abc import Callable, Generator, Iterator

import pytest
from botocore.client import BaseClient

from harness import leftovers
from harness.functions import Functions, boto_client
from harness.server import RUNNING, Server
from harness.servers import finish, make_server, newest_node, newest_python

STDERR_SHOWN = 12_000


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
