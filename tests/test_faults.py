"""Each step of a change is made to fail in turn: what was asked for is done, or nothing is, and nothing is left behind.

Steps are the system calls by which the server writes: the disk refuses one of them, or the server is killed at it. The
suite has a full disk for every operation, and the other faults for three of them; `make test-faults` has all.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError

from harness.catalog import Catalog
from harness.faults import Fault, failing
from harness.functions import ECHO, boto_client, unique_name
from harness.layers import unique_layer
from harness.packages import zip_of
from harness.server import ROLE, Server
from harness.tools import run, tool
from harness.waiting import until

FIRST, SECOND = zip_of({"app.py": ECHO}), zip_of({"app.py": ECHO + "# second\n"})
Act = Callable[[BaseClient, str], object]
EFFECTS = {
    "the disk is full": [("mkdir", "error=ENOSPC"), ("rename", "error=ENOSPC"), ("pwrite64", "error=ENOSPC")],
    "the disk loses what was written": [("fsync", "error=EIO")],
    "the server is killed": [("mkdir", "signal=KILL"), ("rename", "signal=KILL"), ("fsync", "signal=KILL")],
}
STEPS_MAX = 60
WITHIN = 120.0


def create(client: BaseClient, name: str, package: bytes = FIRST, **settings: Any) -> None:
    client.create_function(
        FunctionName=name, Runtime="provided.al2023", Handler="unused", Role=ROLE, Code={"ZipFile": package}, **settings
    )


def nothing(_client: BaseClient, _name: str) -> None:
    """There is nothing before."""


def plain(client: BaseClient, name: str) -> None:
    create(client, name)


def published(client: BaseClient, name: str) -> None:
    create(client, name, Publish=True)


def equipped(client: BaseClient, name: str) -> None:
    """With versions, an alias, and URLs."""
    create(client, name, Publish=True)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.02, "MaxAttempts": 1000})
    client.update_function_code(FunctionName=name, ZipFile=SECOND, Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    client.create_function_url_config(FunctionName=name, AuthType="NONE")
    client.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE")


def layered(client: BaseClient, name: str) -> None:
    client.publish_layer_version(LayerName=name, Content={"ZipFile": FIRST})


OPERATIONS: dict[str, tuple[Act, Act]] = {
    "create": (nothing, lambda client, name: create(client, name)),
    "create and publish": (nothing, lambda client, name: create(client, name, Publish=True)),
    "change the code": (plain, lambda client, name: client.update_function_code(FunctionName=name, ZipFile=SECOND)),
    "change the code and publish": (
        published,
        lambda client, name: client.update_function_code(FunctionName=name, ZipFile=SECOND, Publish=True),
    ),
    "change settings": (
        plain,
        lambda client, name: client.update_function_configuration(FunctionName=name, MemorySize=256),
    ),
    "publish": (plain, lambda client, name: client.publish_version(FunctionName=name)),
    "make an alias": (
        published,
        lambda client, name: client.create_alias(FunctionName=name, Name="live", FunctionVersion="1"),
    ),
    "make a URL": (plain, lambda client, name: client.create_function_url_config(FunctionName=name, AuthType="NONE")),
    "delete an alias": (equipped, lambda client, name: client.delete_alias(FunctionName=name, Name="live")),
    "delete a version": (equipped, lambda client, name: client.delete_function(FunctionName=name, Qualifier="2")),
    "delete": (equipped, lambda client, name: client.delete_function(FunctionName=name)),
    "publish a layer": (nothing, layered),
    "delete a layer": (
        layered,
        lambda client, name: client.delete_layer_version(LayerName=name, VersionNumber=1),
    ),
}


LONGEST = ("create and publish", "change the code and publish", "delete")
"""Operations that have every kind of step."""
ALL = os.environ.get("WUWEI_FAULTS") == "all"
CASES = [
    (operation, effect)
    for operation in OPERATIONS
    for effect in EFFECTS
    if ALL or operation in LONGEST or effect == "the disk is full"
]


def seen(client: BaseClient, name: str) -> dict[str, Any]:
    """All that a client can see of a function or a layer, but for times and revisions."""
    found: dict[str, Any] = {}
    layers = client.list_layer_versions(LayerName=name)["LayerVersions"]
    found["layers"] = [
        client.get_layer_version(LayerName=name, VersionNumber=layer["Version"])["Content"]["CodeSha256"]
        for layer in layers
    ]
    try:
        function = client.get_function(FunctionName=name)["Configuration"]
    except client.exceptions.ResourceNotFoundException:
        return found
    found["function"] = {key: function[key] for key in ("CodeSha256", "MemorySize", "State", "LastUpdateStatus")}
    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    found["versions"] = [(version["Version"], version["CodeSha256"]) for version in versions]
    aliases = client.list_aliases(FunctionName=name)["Aliases"]
    found["aliases"] = {alias["Name"]: alias["FunctionVersion"] for alias in aliases}
    urls = client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    found["urls"] = sorted(url["FunctionArn"].rpartition(name)[2] for url in urls)
    return found


class Ground:
    """One server, and what is done to it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.catalog = Catalog(server.data_dir)

    @property
    def client(self) -> BaseClient:
        """A client of the server as it runs now."""
        return boto_client(self.server)

    def prepared(self, before: Act) -> str:
        """The name of a new function or layer, with what is to be there before."""
        name = unique_name("fault") if before is not layered else unique_layer()
        before(self.client, name)
        self.catalog.at_rest(WITHIN)
        return name

    def attempt(self, fault: Fault, act: Act, name: str) -> tuple[bool, bool]:
        """Whether the fault happened, and whether the operation was answered with success."""
        # A server that is dead and held does not answer: a fresh client, which waits for less than the others.
        client = boto_client(self.server, read_timeout=5 if fault.kills else 300)
        with failing(self.server, fault) as outcome:
            try:
                act(client, name)
                is_done = True
            except client.exceptions.ServiceException:
                is_done = False
            except BotoCoreError:
                if not fault.kills:
                    raise
                is_done = False
            if is_done:
                # What is done after the answer may meet the fault, too.
                with suppress(AssertionError):
                    self.catalog.at_rest(1.0)
        return outcome.happened, is_done

    def recover(self, fault: Fault) -> None:
        """The server as its operator would have it again."""
        if fault.kills:
            self.server.wait_exit()
            self.server.start()
        elif fault.effect == "error=EIO":
            # A store that has lost a write writes no more.
            self.server.kill()
            self.server.start()

    def clean(self, name: str) -> None:
        """Removes what the attempt has left; that must be possible."""
        client = self.client
        for layer in client.list_layer_versions(LayerName=name)["LayerVersions"]:
            client.delete_layer_version(LayerName=name, VersionNumber=layer["Version"])
        with suppress(client.exceptions.ResourceNotFoundException):
            client.delete_function(FunctionName=name)


@pytest.mark.parametrize(("operation", "effect"), CASES)
def test_a_change_whose_step_fails_is_done_or_not_and_leaves_nothing(
    operation: str, effect: str, new_server: Callable[..., Server]
) -> None:
    before, act = OPERATIONS[operation]
    ground = Ground(new_server(config="stock = 0\n").start())
    twin = ground.prepared(before)
    without = seen(ground.client, twin)
    act(ground.client, twin)
    ground.catalog.at_rest(WITHIN)
    with_it = seen(ground.client, twin)
    assert without != with_it
    ground.clean(twin)
    happened = 0
    for call, what in EFFECTS[effect]:
        for number in range(1, STEPS_MAX):
            fault = Fault(call, what, number)
            name = ground.prepared(before)
            was_met, is_done = ground.attempt(fault, act, name)
            if was_met:
                ground.recover(fault)
            happened += was_met
            ground.catalog.at_rest(WITHIN)
            found = seen(ground.client, name)
            expected = [with_it] if is_done else [without] if "ENOSPC" in what else [without, with_it]
            assert found in expected, f"{fault}: answered {is_done}"
            if fault.kills or what == "error=EIO":
                until(lambda: not ground.catalog.orphans(), f"{fault}: nothing is left behind", WITHIN)
            ground.clean(name)
            if not was_met:
                break
        else:
            raise AssertionError(f"{call} is called without end")
    assert happened > 0, "no step was met"
    # What could not be cleaned up on a disk that was full goes with the next start at the latest.
    until(lambda: not ground.catalog.packages(), "packages that nobody refers to are gone", WITHIN)
    ground.server.stop()
    ground.server.start()
    assert ground.catalog.orphans() == []
    assert ground.catalog.left() == []
    ground.server.stop()


@pytest.fixture
def small_disk(new_server: Callable[..., Server]) -> Iterator[Server]:
    """A server, not started, whose data directory is a file system of its own."""
    server = new_server(config="stock = 0\n")
    server.data_dir.mkdir(mode=0o700)
    run([tool("mount"), "-t", "tmpfs", "-o", "size=32m,mode=700", "none", str(server.data_dir)]).ok()
    try:
        yield server
    finally:
        if server.is_running():
            server.stop()
        run([tool("umount"), "--lazy", str(server.data_dir)]).ok()


def test_on_a_disk_that_is_full_nothing_changes_and_afterwards_everything_works(
    small_disk: Server,
) -> None:
    server = small_disk.start()
    ground = Ground(server)
    names = {operation: ground.prepared(before) for operation, (before, _) in OPERATIONS.items()}
    before = {operation: seen(ground.client, name) for operation, name in names.items()}
    filler = server.data_dir / "filler"
    fill(filler)
    for operation, (_, act) in OPERATIONS.items():
        with pytest.raises(ground.client.exceptions.ServiceException):
            act(ground.client, names[operation])
    assert {operation: seen(ground.client, name) for operation, name in names.items()} == before
    filler.unlink()
    for operation, (_, act) in OPERATIONS.items():
        act(ground.client, names[operation])
    ground.catalog.at_rest(WITHIN)
    after = {operation: seen(ground.client, name) for operation, name in names.items()}
    assert all(after[operation] != before[operation] for operation in OPERATIONS)
    until(lambda: not ground.catalog.orphans(), "nothing is left behind", WITHIN)
    server.stop()


def fill(path: Path) -> None:
    """Writes until the file system has no room for one more byte."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
