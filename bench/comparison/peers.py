"""What wuwei is measured beside: each peer behind one adapter, installed from its registry at a pinned version."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from comparison.accounting import Group, memory_bytes
from comparison.load import EVENTS, FIRST, event
from comparison.signing import plain_request
from comparison.tools import BENCH, ENVIRONMENT, TOOLS, RunError, bench_tools, binary, end, free_port

PEERS = BENCH / "peers"
FUNCTIONS_PATH = "/2015-03-31/functions"
WORKERD = TOOLS / f"node/node_modules/@cloudflare/workerd-linux-{'64' if os.uname().machine == 'x86_64' else 'arm64'}"


@dataclass(frozen=True)
class Peer:
    """A server that runs a function of its own kind."""

    key: str
    title: str
    language: str
    program: Path
    arguments: Callable[[int], list[str]]
    """For a port."""
    version_file: Path
    tool: str
    """Directory that the installer made."""
    environment: dict[str, str] = field(default_factory=dict)
    path: str = "/"
    """Of its function."""
    slowness: int = 1
    """So much fewer starts are measured."""
    script: Path | None = None
    """Starts it, when it is more than one program."""
    directory: Path = PEERS
    """In which it starts."""

    @property
    def rival(self) -> str:
        """Key of wuwei's arm that does the same work."""
        return {"Python": "wuwei-python", "Rust": "lambda-runtime"}.get(self.language, "wuwei-node")

    def missing(self) -> str | None:
        """Why it cannot be measured; the installer leaves its complaint in a file."""
        if self.program.exists():
            return None
        complaint = TOOLS / self.tool / "failed"
        return f"not installed: {complaint.read_text().strip()[-300:] if complaint.exists() else self.program}"

    def version(self) -> str:
        """Of the installed package."""
        text = self.version_file.read_text()
        found = re.search(r'^[\w-]+==(.+)$|"version": "(.+)"', text, re.MULTILINE)
        return next((part for part in found.groups() if part), "?") if found else "?"

    def command(self, port: int) -> list[str]:
        """Starts it on a port of the loopback."""
        return [*([str(self.script)] if self.script else []), str(self.program), *self.arguments(port)]

    def boot(self, samples: int) -> dict[str, object]:
        """The document of `bench-tools boot`: from starting the process to its first answer."""
        port = free_port()
        address = f"127.0.0.1:{port}"
        return {
            "command": self.command(port),
            "environment": ENVIRONMENT | self.environment,
            "directory": str(self.directory),
            "address": address,
            "request": plain_request("POST", self.path, address, event(0)),
            "must_contain": FIRST,
            "samples": samples,
        }


PEER_LIST = [
    Peer(
        "functions-framework-python",
        "functions-framework (Python)",
        "Python",
        TOOLS / "python/bin/functions-framework",
        lambda port: ["--source", "main.py", "--target", "handler", "--host", "127.0.0.1", "--port", str(port)],
        PEERS / "requirements.txt",
        "python",
    ),
    Peer(
        "functions-framework-node",
        "functions-framework (Node)",
        "Node",
        TOOLS / "node/node_modules/.bin/functions-framework",
        lambda port: [f"--source={PEERS}", "--target=handler", f"--port={port}"],
        TOOLS / "node/node_modules/@google-cloud/functions-framework/package.json",
        "node",
        {"NODE_ENV": "production"},
    ),
    Peer(
        "workerd",
        "workerd",
        "JavaScript",
        WORKERD / "bin/workerd",
        lambda port: ["serve", "worker.capnp", f"--socket-addr=http=127.0.0.1:{port}"],
        WORKERD / "package.json",
        "node",
    ),
    Peer(
        "cargo-lambda",
        "cargo-lambda's emulator",
        "Rust",
        TOOLS / "cargo-lambda/bin/cargo-lambda",
        lambda port: [str(binary(BENCH, "bootstrap")), str(port)],
        PEERS / "cargo-lambda/requirements.txt",
        "cargo-lambda",
        # It asks cargo which functions the project has.
        {name: os.environ[name] for name in ("PATH", "HOME", "RUSTUP_TOOLCHAIN") if name in os.environ},
        path=f"{FUNCTIONS_PATH}/bootstrap/invocations",
        script=PEERS / "cargo-lambda/start.sh",
        directory=BENCH / "functions/lambda-runtime",
    ),
    Peer(
        "serverless-offline",
        "serverless-offline",
        "Node",
        TOOLS / "serverless/node_modules/.bin/serverless",
        lambda port: ["offline", "start", f"--lambdaPort={port}", f"--httpPort={free_port()}", "--host=127.0.0.1"],
        TOOLS / "serverless/node_modules/serverless-offline/package.json",
        "serverless",
        {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "CI": "1"},
        path=f"{FUNCTIONS_PATH}/bench-dev-bench/invocations",
        slowness=5,
        directory=TOOLS / "serverless",
    ),
]


_NUMBERS = itertools.count()


class Running:
    """A server that stays for the whole run: a peer, or the bare echo."""

    def __init__(
        self,
        key: str,
        command: Callable[[int], list[str]],
        environment: dict[str, str],
        path: str = "/",
        directory: Path = PEERS,
    ) -> None:
        """Starts it in a control group of its own and waits for its first answer."""
        self.path = path
        self.group = Group(f"{key}-{next(_NUMBERS)}")
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.process = subprocess.Popen(
            self.group.entering(command(port)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if key == "echo" else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )
        if key == "echo" and self.process.stdout:
            self.address = self.process.stdout.readline().decode().strip()
        try:
            self._wait()
        except RunError:
            self.stop()
            raise

    def requests(self) -> list[str]:
        """The same events as wuwei's functions get."""
        return [plain_request("POST", self.path, self.address, event(number)) for number in range(EVENTS)]

    def memory(self) -> int:
        """Of all its processes."""
        return memory_bytes(self.group.pids())

    def stop(self) -> None:
        """Ends it."""
        end(self.process)
        self.group.end_all()
        self.group.remove()

    def _wait(self) -> None:
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(
            f"http://{self.address}{self.path}", json.dumps({"mark": "wait"}).encode(), headers
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RunError(f"it ended with {self.process.returncode} before it served")
            try:
                with urllib.request.urlopen(asked, timeout=5):
                    return
            except OSError:
                time.sleep(0.02)
        raise RunError("it does not serve within 30 s")


def start_echo() -> Running:
    """The bare hyper server."""
    return Running("echo", lambda _port: [bench_tools(), "echo"], ENVIRONMENT)


def start(peer: Peer) -> Running:
    """A peer."""
    return Running(peer.key, peer.command, ENVIRONMENT | peer.environment, peer.path, peer.directory)
