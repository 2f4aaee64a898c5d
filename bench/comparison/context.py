"""All that runs during a measurement: the server with its functions, the peers, the bare programs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from comparison import machine, peers
from comparison.accounting import Group as Accounting
from comparison.accounting import memory_bytes
from comparison.arms import Arm
from comparison.load import Load, program
from comparison.runner import say
from comparison.tools import BENCH, TOOLS, RunError, binary, run
from comparison.wuwei import Function, Server

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
    bursts: int
    smaller: int
    """Bursts are so many times smaller than they are meant to be."""
    warm: Load
    victim: Load
    """A p99 needs many samples."""
    rate_ms: int
    churn: int
    """Functions that take turns where there is no room for all of them."""
    crowd: int
    """Functions that each have an idle instance."""
    registered: int
    """Functions that a server has and nobody calls."""
    ahead_ms: int
    """Load before a warm arm's first block, in which all its instances start."""
    refill_ms: int
    """Silence in which a stock of ready sandboxes becomes full again."""
    settle_ms: int
    """Before memory is read."""
    patience_s: float
    """How long the blocks of a group may wait for a quiet machine, together."""


FULL = Effort(
    9, 30, 10, 90, 4, 1, Load(20, 350, 30), Load(20, 1500, 300), 1500, 480, 200, 1000, 1000, 2000, 300, 60
)  # fmt: skip
QUICK = Effort(3, 6, 3, 10, 2, 1, Load(20, 100, 30), Load(20, 400, 100), 500, 240, 50, 1000, 1000, 2000, 200, 4)
TINY = Effort(1, 1, 1, 2, 1, 8, Load(1, 20, 5), Load(1, 50, 5), 50, 30, 48, 20, 20, 20, 20, 0)
"""Shows that everything works; its figures mean nothing."""


@dataclass
class Context:
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

    def start(self, *, with_peers: bool = True) -> None:
        """Starts servers, deploys functions, and probes their sandboxes."""
        self.starter = Accounting("starter")
        self.echo = peers.start_echo()
        self.server = Server()
        for peer in peers.PEER_LIST if with_peers else []:
            reason = peer.missing()
            if reason is None:
                self._without_failing(peer.title, partial(self._start_peer, peer))
            else:
                self.absent[peer.title] = reason
        for key, title, path, runtime, handler in self._functions(with_peers):
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

    # --- bare programs ---

    def bare_static(self, pause_ms: int = 0) -> Arm:
        """The native function's own program, which ends at once."""
        return self._spawn("static", "static C program, ends at once", [str(self.native()), "exit"], pause_ms)

    def bare_python(self, pause_ms: int = 0) -> Arm:
        """The interpreter itself, with as little as it can start with."""
        return self._spawn("python", f"`{' '.join(python_command())}`", python_command(), pause_ms)

    def bare_node(self, pause_ms: int = 0) -> Arm | None:
        """Node with nothing to do; `None` where there is no Node."""
        path = machine.node()
        return self._spawn("node", f"`{path} -e 0`", [str(path), "-e", "0"], pause_ms) if path else None

    def _spawn(self, key: str, title: str, command: list[str], pause_ms: int) -> Arm:
        samples = self.effort.cold_samples // 3 + 1 if pause_ms else self.effort.start_samples
        document = {"command": command, "samples": samples, "pause_ms": pause_ms}
        suffix, after = ("-after-pause", f", after {pause_ms} ms") if pause_ms else ("", "")
        return Arm(key + suffix, title + after, program("spawn", document, self.starter))

    def native(self) -> Path:
        """The measured function as a static program."""
        path = self.server.directory / "packages/native/bootstrap"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            run(["cc", "-O2", "-static", "-o", str(path), str(BENCH / "functions/native/bootstrap.c")])
        return path

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

    def _functions(self, with_peers: bool) -> list[tuple[str, str, Path | str, str | None, str]]:
        """Key, title, package (or why there is none), runtime, handler."""
        provided, source = "provided.al2023", BENCH / "functions"
        packages = self.server.directory / "packages"
        native = self.native().parent
        rust = packages / "rust"
        rust.mkdir()
        shutil.copy2(binary(BENCH, "bootstrap"), rust / "bootstrap")
        found: list[tuple[str, str, Path | str, str | None, str]] = [
            ("wuwei-python", "wuwei, Python", source / "python", self.server.newest("python3."), "app.handler"),
            ("wuwei-node", "wuwei, Node", source / "node", self.server.newest("nodejs"), "index.handler"),
            ("wuwei-native", "wuwei, static C", native, provided, "unused"),
            ("lambda-runtime", CLIENT_RUST, rust, provided, "unused"),
        ]
        if with_peers:
            found.append(("awslambdaric", CLIENT_PYTHON, _python_client(packages / "awslambdaric"), provided, "unused"))
        return found

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
            say(f"    {title}: {error}")


def python_command() -> list[str]:
    """The bare interpreter."""
    return [str(machine.python()), "-I", "-S", "-c", "pass"]


def _python_client(directory: Path) -> Path | str:
    """A package with the official client for Python; or why there is none."""
    installed = TOOLS / "awslambdaric"
    if not (installed / "awslambdaric").is_dir():
        complaint = installed / "failed"
        return f"not installed: {complaint.read_text().strip()[-300:] if complaint.exists() else 'no package'}"
    shutil.copytree(installed, directory, ignore=shutil.ignore_patterns("__pycache__", ".installed"))
    shutil.copy2(BENCH / "functions/awslambdaric/bootstrap", directory / "bootstrap")
    shutil.copy2(BENCH / "functions/python/app.py", directory / "app.py")
    return directory
