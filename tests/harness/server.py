"""The real server: started on a free port, found through its own files, stopped and searched for left-overs."""

import hashlib
import http.client
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from harness import leftovers
from harness.tools import Finished, plain_environment, run, wuwei_binary
from harness.waiting import until

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/anything"


@dataclass(frozen=True)
class Keys:
    """An access key."""

    access_key_id: str
    secret_access_key: str


@dataclass
class Server:
    """One data directory and, while started, the server process on it."""

    data_dir: Path
    config: Path | None = None
    arguments: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None
    _before: "Host | None" = None
    _children_before: set[int] = field(default_factory=set)
    _cgroups: set[Path] = field(default_factory=set)

    @property
    def stderr_path(self) -> Path:
        """Where the server's own log goes: beside the data directory, not in it."""
        return self.data_dir.with_name(self.data_dir.name + ".stderr")

    @property
    def mark(self) -> str:
        """The end of the data directory's path, as mount tables show it whatever file system it is on."""
        return f"/{self.data_dir.parent.name}/{self.data_dir.name}/"

    @property
    def name(self) -> str:
        """What the server calls itself on its host: the beginning of its data directory's digest."""
        return hashlib.sha256(os.fsencode(self.data_dir.resolve())).hexdigest()[:12]

    @property
    def stderr(self) -> str:
        """All that the server has logged."""
        return self.stderr_path.read_text(errors="replace") if self.stderr_path.exists() else ""

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self.process is not None, "the server is not started"
        return self.process.pid

    @property
    def endpoint(self) -> str:
        """For example `http://127.0.0.1:40123`."""
        return str(self._server_file()["endpoint"])

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the listener."""
        parts = urlsplit(self.endpoint)
        assert parts.hostname is not None and parts.port is not None, self.endpoint
        return parts.hostname, parts.port

    @cached_property
    def keys(self) -> Keys:
        """The key that the first start made, as `wuwei env` prints it."""
        values = self.environment()
        return Keys(values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"])

    @property
    def network_interface(self) -> str:
        """Name of the host's interface to the router of the server's functions."""
        return f"wuwei-{self.name[:8]}"

    def environment(self) -> dict[str, str]:
        """The variables of `wuwei env`."""
        return exports_of(self.wuwei("env").ok().output)

    def wuwei(
        self, *arguments: str, text: str | None = None, within: float = 60.0, cwd: Path | None = None
    ) -> Finished:
        """Runs a command of the binary against this data directory."""
        command = [str(wuwei_binary()), *arguments, "--data-dir", str(self.data_dir)]
        if cwd is not None:
            command = ["env", "-C", str(cwd), *command]
        return run(command, plain_environment(), text, within)

    def wuwei_json(self, *arguments: str) -> object:
        """Runs a command with `--json` and reads its output."""
        return json.loads(self.wuwei(*arguments, "--json").ok().output)

    def command(self) -> list[str]:
        """How the server is started."""
        config = ["--config", str(self.config)] if self.config else []
        where = ["--listen", "127.0.0.1:0", "--data-dir", str(self.data_dir)]
        return [*self.wrapper, str(wuwei_binary()), "up", *where, *config, *self.arguments]

    def start(self, **environment: str) -> "Server":
        """Starts it, with these variables besides the usual ones, and waits until it serves."""
        leftovers.adopt_orphans()
        self._before = Host.now()
        self._children_before = leftovers.children_of_tests()
        with self.stderr_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=plain_environment(**environment),
            )
        until(self._serves_or_fails, "the server serves", within=30)
        return self

    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def healthz(self) -> tuple[int, bytes]:
        """Status and body of `GET /healthz`."""
        connection = http.client.HTTPConnection(*self.address, timeout=5)
        with closing(connection):
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            return answer.status, answer.read()

    def terminate(self) -> None:
        """Sends SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)

    def wait_exit(self, within: float = 30.0) -> int:
        """Exit status, when the process has ended."""
        assert self.process is not None, "the server is not started"
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the server still runs {within:g} s after it was told to stop\n{self.stderr}"
            ) from None

    def stop(self) -> None:
        """Stops it gracefully; it must exit with 0 and leave nothing on the host."""
        tree = self.tree()
        self.terminate()
        status = self.wait_exit()
        assert status == 0, f"the server exited with {status} on SIGTERM\n{self.stderr}"
        assert not (self.data_dir / "server.json").exists(), "server.json outlived its server"
        self.check_nothing_left(tree)

    def kill(self) -> None:
        """SIGKILL; the launcher and all instances must go too, without help."""
        tree = self.tree()
        os.kill(self.pid, signal.SIGKILL)
        self.wait_exit()
        self.check_nothing_left(tree, cgroups=False)

    def tree(self) -> "Tree":
        """The processes of the server now, and their cgroups."""
        pids = {self.pid} | leftovers.descendants(self.pid)
        self._cgroups |= {root for pid in pids for root in leftovers.cgroup_roots_of(pid)}
        return Tree(frozenset(pids), frozenset(self._cgroups))

    def check_nothing_left(self, tree: "Tree", *, cgroups: bool = True) -> None:
        """Waits, bounded, until the host is as it was before the server started."""
        try:
            until(lambda: not self._left(tree, cgroups=cgroups), "nothing is left of the server", 10)
        except AssertionError:
            left = "\n".join(self._left(tree, cgroups=cgroups))
            raise AssertionError(f"the server left this behind:\n{left}\n{self.stderr}") from None

    def end_orphans(self) -> None:
        """Kills what a server has left behind and a test has reported, so that later tests start clean."""
        for pid in self._orphans() if self._before else set():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _left(self, tree: "Tree", *, cgroups: bool = True) -> list[str]:
        assert self._before is not None, "the server was never started"
        alive = (set(tree.pids) & leftovers.parents().keys()) | self._orphans()
        alive |= set(leftovers.processes_that_see(self.mark))
        found = [f"process {pid}: {leftovers.command_line(pid)}" for pid in sorted(alive)]
        found += [f"mount: {line}" for line in leftovers.mounts_of(self.mark)]
        now = Host.now()
        found += [f"network namespace: {name}" for name in now.networks - self._before.networks]
        found += [f"network interface: {name}" for name in now.interfaces & {self.network_interface}]
        found += [f"packet filter: {name}" for name in now.tables & {f"wuwei-{self.name}"}]
        if cgroups:
            found += [f"directory: {path}" for path in [Path("/run/wuwei") / self.name] if path.exists()]
            found += [f"cgroup: {path}" for path in sorted(tree.cgroups) if path.exists()]
        return found

    def _orphans(self) -> set[int]:
        running = {server.pid for server in RUNNING if server.is_running()}
        return leftovers.children_of_tests() - self._children_before - running

    def _server_file(self) -> dict[str, object]:
        return json.loads((self.data_dir / "server.json").read_text())

    def _serves_or_fails(self) -> bool:
        if not self.is_running():
            raise AssertionError(f"the server exited with {self.process and self.process.returncode}\n{self.stderr}")
        with suppress(OSError, json.JSONDecodeError, http.client.HTTPException):
            return self._server_file()["pid"] == self.pid and self.healthz()[0] == 200
        return False


RUNNING: list[Server] = []
"""Every server that a fixture has made and not yet stopped."""


@dataclass(frozen=True)
class Tree:
    """Processes of one server at one time, and the cgroup directories that the server has made so far."""

    pids: frozenset[int]
    cgroups: frozenset[Path]


@dataclass(frozen=True)
class Host:
    """What the product may change on a host."""

    networks: frozenset[str]
    interfaces: frozenset[str]
    tables: frozenset[str]

    @classmethod
    def now(cls) -> "Host":
        """The host as it is."""
        return cls(
            frozenset(leftovers.named_networks()),
            frozenset(leftovers.network_interfaces()),
            frozenset(leftovers.packet_filter_tables()),
        )


def exports_of(text: str) -> dict[str, str]:
    """Variables of `export NAME=value` lines, read as a shell reads them."""
    words: Iterable[list[str]] = (shlex.split(line) for line in text.splitlines() if line.strip())
    pairs = []
    for line in words:
        assert line[0] == "export" and len(line) == 2, f"not an export line: {line}"
        pairs.append(line[1].split("=", 1))
    return dict(pairs)
