"""Which arms there are, in which groups: everything that a run starts, and stops again."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from comparison import machine, peers
from comparison.accounting import Group as Accounting
from comparison.accounting import memory_bytes
from comparison.arms import Arm, Block, Group
from comparison.load import Load, closed, program, sequence
from comparison.tools import BENCH, TOOLS, RunError, run
from comparison.wuwei import Function, Server

PAUSE_MS = 200
CONNECTIONS = (8, 32)
CLOSED = (
    "Closed load: each connection sends its next request when it has its answer. wuwei checks the signature of each "
    "request; the client signs 64 different ones ahead of each block."
)
COLD = (
    "From the signed request to its answer; the configuration was changed before, so that no instance fits. CPU time "
    "includes that change and the end of the instance before."
)
PAUSED = "Nothing is asked of the server between the change and the call: calls on each other's heels find warm caches."
BOOT = (
    "Peers have no cold start of their own: from starting the server's process to its first answer. Beside it a cold "
    "start of an instance of wuwei, whose server runs already."
)
CLIENT_PYTHON, CLIENT_RUST = "awslambdaric on wuwei", "lambda_runtime on wuwei"
FUNCTIONS = (
    ("wuwei-python", "wuwei, Python", None),
    ("wuwei-node", "wuwei, Node", None),
    ("wuwei-native", "wuwei, static C", None),
    ("awslambdaric", CLIENT_PYTHON, "wuwei-python"),
    ("lambda-runtime", CLIENT_RUST, "wuwei-native"),
)
"""Key, title, and key of wuwei's own arm that does the same work."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    blocks: int
    cold_samples: int
    boot_samples: int
    """Of peers that start in up to a second: fewer, so that a block stays short."""
    start_samples: int
    """Of bare programs: many, because a floor must not hang on one moment."""
    warm: Load
    patience_s: float
    """How long the blocks of a group may wait for a quiet machine, together."""


FULL = Effort(9, 30, 10, 90, Load(20, 350, 30), 30)
QUICK = Effort(3, 6, 3, 10, Load(20, 100, 30), 4)


@dataclass
class Plan:
    """All that runs during the measurement."""

    effort: Effort
    server: Server = field(init=False)
    echo: peers.Running = field(init=False)
    running: dict[str, peers.Running] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Title of what is not measured, and why."""
    starter: Accounting = field(init=False)
    """Group of what the measuring programs start."""

    def start(self) -> None:
        """Starts servers, deploys functions, and probes their sandboxes."""
        self.starter = Accounting("starter")
        self.echo = peers.start_echo()
        self.server = Server()
        for peer in peers.PEER_LIST:
            reason = peer.missing()
            if reason is None:
                self._without_failing(peer.title, partial(self._start_peer, peer))
            else:
                self.absent[peer.title] = reason
        for key, title, path, runtime, handler in self._functions():
            if isinstance(path, str):
                self.absent[title] = path
            elif runtime is None:
                self.absent[title] = "this server offers no such runtime"
            else:
                # One for warm calls and one whose instances are thrown away: neither disturbs the other.
                for name in (key, f"{key}-cold"):
                    self._without_failing(title, partial(self._deploy, name, path, runtime, handler))

    def stop(self) -> None:
        """Ends everything that this has started."""
        for name in ("server", "echo"):
            if hasattr(self, name):
                getattr(self, name).stop()
        for running in self.running.values():
            running.stop()
        if hasattr(self, "starter"):
            self.starter.end_all()
            self.starter.remove()

    def probe_all(self) -> int:
        """Asks every function whether it is confined; how many were asked."""
        return len([function.probe() for function in self.functions.values()])

    # --- groups ---

    def groups(self) -> list[Group]:
        """In the order in which they are measured: few instances first."""
        alone = [self._warm_alone("together"), self._warm_alone("apart")]
        return [self._floors(), self._sockets(), *alone, *self._cold(), *map(self._warm, CONNECTIONS)]

    def _floors(self) -> Group:
        arms = [self._bare_static(), self._bare_python()]
        bare_node = self._bare_node()
        note = "Started by fork and exec from a small program, until its end. Environment empty."
        return Group("processes", "Starting a process", note, "static", arms + ([bare_node] if bare_node else []))

    def _sockets(self) -> Group:
        def arm(key: str, title: str, same_core: bool) -> Arm:
            document = {"same_core": same_core, "warm_up": 100, "samples": 2000}
            return Arm(key, title, program("ping-pong", document, self.starter))

        arms = [arm("same-core", "both on one core", True), arm("free", "where the scheduler puts them", False)]
        note = "200 bytes to another process and back over a Unix socket: what handing over an event costs at least."
        return Group("sockets", "Unix-socket ping-pong", note, "same-core", arms)

    def _cold(self) -> list[Group]:
        """Short blocks, so that a floor and what is compared with it are seconds apart."""
        python, node, static = self._bare_python(), self._bare_node(), self._bare_static()
        node_floor = [node] if node else []
        cold = {key: self._cold_arm(key, title, rival, 0) for key, title, rival in FUNCTIONS}
        paused = [self._cold_arm(key, title, None, PAUSE_MS) for key, title, rival in FUNCTIONS if rival is None]
        boots = [self._boot(peer) for peer in peers.PEER_LIST]

        def group(key: str, title: str, note: str, arms: list[Arm | None]) -> Group | None:
            present = [arm for arm in arms if arm is not None]
            has_more = any(arm.ours for arm in present)
            return Group(key, f"Cold start: {title}", note, present[0].key, present) if has_more else None

        groups = [
            group("cold-python", "Python", COLD, [python, cold["wuwei-python"], cold["awslambdaric"]]),
            group("cold-node", "Node", COLD, [*node_floor, cold["wuwei-node"]]) if node else None,
            group("cold-native", "native code", COLD, [static, cold["wuwei-native"], cold["lambda-runtime"]]),
            group("cold-paused", f"after {PAUSE_MS} ms of silence", f"{COLD} {PAUSED}", [static, *paused]),
            group("cold-boot", "peers", BOOT, [python, *node_floor, cold["wuwei-python"], cold["wuwei-node"], *boots]),
        ]
        return [each for each in groups if each is not None]

    def _warm_alone(self, placement: str) -> Group:
        """One connection: where the scheduler would put both sides decides a factor of two, so they are pinned."""
        first, *others = sorted(os.sched_getaffinity(0))
        server = first if placement == "together" or not others else others[0]
        where = "client and server on one core" if server == first else "the client on one core, the server on another"
        group = self._warm(1)
        return replace(
            group,
            key=f"warm-1-{placement}",
            title=f"Warm calls: 1 connection, {where}",
            note=f"{CLOSED} Everything that belongs to the server, instances too, has one core.",
            place=lambda: self._pinned({first}, {server}),
        )

    @contextmanager
    def _pinned(self, client: set[int], server: set[int]) -> Iterator[None]:
        """Keeps this process, which starts the client, and all servers on cores; later threads inherit it."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, client)
        self._pin_servers(server)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)
            self._pin_servers(before)

    def _pin_servers(self, cores: set[int]) -> None:
        for group in (self.server.group, self.echo.group, *(running.group for running in self.running.values())):
            for pid in group.pids():
                for task in Path(f"/proc/{pid}/task").iterdir():
                    with suppress(OSError):
                        os.sched_setaffinity(int(task.name), cores)

    def _warm(self, connections: int) -> Group:
        arms = [self._closed("hyper", "bare hyper echo", self.echo, connections, None)]
        for key, title, rival in FUNCTIONS:
            if key in self.functions:
                arms.append(self._invocations(key, title, connections, rival))
        for peer in peers.PEER_LIST:
            if peer.key in self.running:
                arms.append(self._closed(peer.key, peer.title, self.running[peer.key], connections, peer.rival))
        number = f"{connections} connection{'s' if connections > 1 else ''}"
        note = f"{CLOSED} Client and server share all cores."
        return Group(f"warm-{connections}", f"Warm calls: {number}", note, "hyper", arms)

    # --- arms ---

    def _spawn(self, key: str, title: str, command: list[str]) -> Arm:
        document = {"command": command, "samples": self.effort.start_samples}
        return Arm(key, title, program("spawn", document, self.starter))

    def _bare_static(self) -> Arm:
        return self._spawn("static", "static C program", [str(self._nothing())])

    def _bare_python(self) -> Arm:
        path = str(machine.python())
        return self._spawn("python", f"`{path} -I -S -c pass`", [path, "-I", "-S", "-c", "pass"])

    def _bare_node(self) -> Arm | None:
        path = machine.node()
        return self._spawn("node", f"`{path} -e 0`", [str(path), "-e", "0"]) if path else None

    def _boot(self, peer: peers.Peer) -> Arm | None:
        if peer.key not in self.running:
            return None
        samples = self.effort.boot_samples

        def block() -> Block:
            return program("boot", peer.boot(samples), self.starter)()

        return Arm(peer.key, peer.title, block, rival=peer.rival)

    def _cold_arm(self, key: str, title: str, rival: str | None, pause_ms: int) -> Arm | None:
        function = self.functions.get(f"{key}-cold")
        if function is None:
            return None
        samples = self.effort.cold_samples
        rounds = partial(function.cold_rounds, samples, pause_ms)
        block = sequence(self.server.address, rounds, self.server.group)
        name = f"{key}-after-pause" if pause_ms else key
        return Arm(name, title, block, ours=True, rival=rival)

    def _invocations(self, key: str, title: str, connections: int, rival: str | None) -> Arm:
        function = self.functions[key]
        address, group = self.server.address, self.server.group
        block = closed(address, function.invocations, connections, self.effort.warm, group)
        # Instances for all connections are started before anything counts.
        ahead = closed(address, function.invocations, connections, Load(50, 1000, 30), group)
        return Arm(key, title, block, ours=True, rival=rival, warm_up=ahead)

    def _closed(self, key: str, title: str, running: peers.Running, connections: int, rival: str | None) -> Arm:
        block = closed(running.address, running.requests, connections, self.effort.warm, running.group)
        ahead = closed(running.address, running.requests, connections, Load(50, 300, 30), running.group)
        return Arm(key, title, block, rival=rival, warm_up=ahead)

    # --- memory ---

    def memory(self) -> list[tuple[str, int]]:
        """Proportional set sizes; each function has one warm instance then."""
        rows = [("wuwei: server and launcher", memory_bytes(self.server.own_pids()))]
        for key, _, _ in FUNCTIONS:
            if key in self.functions:
                rows.append((f"one warm instance: {key}", self.functions[key].instance_memory()))
        rows += [(peer.title, self.running[peer.key].memory()) for peer in peers.PEER_LIST if peer.key in self.running]
        return [*rows, ("bare hyper echo", self.echo.memory())]

    # --- set-up ---

    def _functions(self) -> list[tuple[str, str, Path | str, str | None, str]]:
        """Key, title, package (or why there is none), runtime, handler."""
        provided, source = "provided.al2023", BENCH / "functions"
        packages = self.server.directory / "packages"
        native = packages / "native"
        native.mkdir(parents=True)
        run(["cc", "-O2", "-static", "-o", str(native / "bootstrap"), str(source / "native/bootstrap.c")])
        rust = packages / "rust"
        rust.mkdir()
        shutil.copy2(BENCH / "target/release/bootstrap", rust / "bootstrap")
        client: Path | str = packages / "awslambdaric"
        if (TOOLS / "awslambdaric/awslambdaric").is_dir() and isinstance(client, Path):
            shutil.copytree(TOOLS / "awslambdaric", client, ignore=shutil.ignore_patterns("__pycache__", ".installed"))
            shutil.copy2(source / "awslambdaric/bootstrap", client / "bootstrap")
            shutil.copy2(source / "python/app.py", client / "app.py")
        else:
            complaint = TOOLS / "awslambdaric/failed"
            client = f"not installed: {complaint.read_text().strip()[-300:] if complaint.exists() else 'no package'}"
        return [
            ("wuwei-python", "wuwei, Python", source / "python", self.server.newest("python3."), "app.handler"),
            ("wuwei-node", "wuwei, Node", source / "node", self.server.newest("nodejs"), "index.handler"),
            ("wuwei-native", "wuwei, static C", native, provided, "unused"),
            ("awslambdaric", CLIENT_PYTHON, client, provided, "unused"),
            ("lambda-runtime", CLIENT_RUST, rust, provided, "unused"),
        ]

    def _deploy(self, name: str, path: Path, runtime: str, handler: str) -> None:
        self.functions[name] = self.server.deploy(name, path, runtime, handler)

    def _start_peer(self, peer: peers.Peer) -> None:
        self.running[peer.key] = peers.start(peer)

    def _without_failing(self, title: str, step: Callable[[], None]) -> None:
        """A peer or a client that does not work is reported in its row; a broken sandbox ends the run."""
        try:
            step()
        except (RunError, OSError) as error:
            self.absent[title] = f"does not start: {str(error).strip().splitlines()[-1][:300]}"
            print(f"    {title}: {error}", file=sys.stderr, flush=True)

    def _nothing(self) -> Path:
        path = self.server.directory / "nothing"
        with suppress(FileNotFoundError):
            if path.stat().st_size:
                return path
        run(["cc", "-O2", "-static", "-o", str(path), str(BENCH / "functions/native/nothing.c")])
        return path
