"""The conformance suite as tests: each behaviour with each client, and the table in docs/runtimes.md."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from botocore.client import BaseClient

from conformance import table
from conformance.behaviour import Verdict, judge
from conformance.behaviours import GROUPS
from conformance.clients import CLIENTS, Client, newest
from conformance.subject import Subject
from harness.functions import Functions
from harness.server import Server
from harness.tools import REPOSITORY

CLIENTS_AT_ONCE = 3
BEHAVIOURS = {behaviour.name: behaviour for group in GROUPS.values() for behaviour in group}
Verdicts = dict[str, Verdict]


def run(client: Client, runtime: str, server: Server, functions: Functions) -> Verdicts:
    """All behaviours with one client, in their order."""
    subject = Subject(client, runtime, server, functions)
    return {name: judge(behaviour, subject) for name, behaviour in BEHAVIOURS.items()}


@pytest.fixture(scope="session")
def runtimes(server: Server) -> dict[str, str]:
    """The runtime of each client that this build and host offer."""
    listed = server.wuwei_json("runtimes")
    assert isinstance(listed, list), listed
    identifiers = [entry["identifier"] for entry in listed]
    found = {client.key: newest(identifiers, client.family) for client in CLIENTS}
    return {key: runtime for key, runtime in found.items() if runtime is not None}


@pytest.fixture(scope="session")
def runs(server: Server, client: BaseClient, runtimes: dict[str, str]) -> Iterator[dict[str, "Future[Verdicts]"]]:
    """Every client's run, started together so that their waits overlap."""
    functions = Functions(client, runtimes["python"])
    with ThreadPoolExecutor(CLIENTS_AT_ONCE) as pool:
        yield {
            each.key: pool.submit(run, each, runtimes[each.key], server, functions)
            for each in CLIENTS
            if each.key in runtimes
        }


@pytest.mark.parametrize("client_key", [each.key for each in CLIENTS])
@pytest.mark.parametrize("name", list(BEHAVIOURS))
def test_the_behaviour_is_what_the_table_says(runs: dict[str, "Future[Verdicts]"], name: str, client_key: str) -> None:
    if client_key in runs:
        verdict = runs[client_key].result()[name]
        assert verdict.fault is None, f"{name}, {client_key}:\n{verdict.fault}"


def test_every_client_of_the_table_is_offered(runtimes: dict[str, str]) -> None:
    """Node.js may be missing only as long as the product has no bootstrap for it."""
    not_yet = set() if (REPOSITORY / "runtimes" / "node").is_dir() else {"node"}
    assert {each.key for each in CLIENTS} - runtimes.keys() == not_yet


def test_the_suite_has_at_least_eighty_behaviours() -> None:
    assert len(BEHAVIOURS) >= 80
    assert len(BEHAVIOURS) == sum(map(len, GROUPS.values())), "two behaviours of one name"


def test_the_table_in_the_documentation_is_that_of_this_run(runs: dict[str, "Future[Verdicts]"]) -> None:
    verdicts = {key: future.result() for key, future in runs.items()}
    table.check(REPOSITORY / "docs" / "runtimes.md", verdicts)
