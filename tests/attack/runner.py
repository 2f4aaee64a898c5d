"""Speaks to the runner of attempts (the example `attempts` of wuwei-sandbox), which builds the sandboxes."""

import itertools
import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.tools import REPOSITORY, run, tool, wuwei_binary

WITHIN = 30.0
LAUNCHER = "__launcher"
CALL_MS = 3000


def build() -> Path:
    """Builds the runner, whose launcher can leave out defences."""
    features = ["--package", "wuwei-sandbox", "--example", "attempts", "--features", "defence-switches"]
    run([tool("cargo"), "build", "--locked", "--quiet", *features], within=900).ok()
    return REPOSITORY / "target" / "debug" / "examples" / "attempts"


class Sandbox:
    """One running or ended sandbox."""

    def __init__(self, runner: "Runner", identifier: int, name: str) -> None:
        self.runner, self.identifier, self.name = runner, identifier, name
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.output, self.exit, self.reason, self.started = "", "", "", False
        self.usages: list[dict[str, int]] = []
        self.replies: list[str] = []

    def step(self) -> None:
        """Takes one event."""
        try:
            event = self.events.get(timeout=WITHIN)
        except queue.Empty:
            raise AssertionError(f"`{self.name}` said nothing for {WITHIN:g} s after {self.output[-500:]!r}") from None
        match event["event"]:
            case "started":
                self.started = True
            case "output":
                self.output += event["text"]
            case "usage":
                self.usages.append(event)
            case "replied":
                self.replies, self.exit = event["replies"], "replied"
            case "failed":
                self.exit, self.reason = "not built", event["reason"]
            case "ended":
                self.exit = event["exit"]

    def wait_for_output(self, text: str) -> bool:
        """Whether it printed `text` before it ended."""
        while text not in self.output and not self.exit:
            self.step()
        return text in self.output

    def wait_for_start(self) -> None:
        """Until it stands."""
        while not self.started and not self.exit:
            self.step()

    def wait_for_end(self) -> None:
        """Until all its processes are gone."""
        while not self.exit:
            self.step()

    def tell(self, command: str) -> None:
        """Freezes, thaws or kills it."""
        self.runner.send({"command": command, "id": self.identifier})

    def cpu_us(self) -> int:
        """CPU time used so far."""
        known = len(self.usages)
        self.tell("usage")
        while len(self.usages) == known:
            self.step()
        return self.usages[-1]["cpu_us"]


class Runner:
    """The runner's process."""

    def __init__(self, program: Path) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="wuwei-attempts-")
        command = [str(program), self.directory.name, str(wuwei_binary()), LAUNCHER]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.numbers = itertools.count(1)
        self.sandboxes: dict[int, Sandbox] = {}
        self.lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            with self.lock:
                sandbox = self.sandboxes[event["id"]]
            sandbox.events.put(event)

    def send(self, command: dict[str, Any]) -> None:
        """Sends one command."""
        assert self.process.stdin is not None
        with self.lock:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()

    def converse(self, runtime: str, code: Path, calls: int, left_out: Sequence[str]) -> list[str]:
        """Calls a function as the engine does, until a call fails; what came of each."""
        sandbox = self._sandbox()
        self.send(
            {
                "command": "converse",
                "id": sandbox.identifier,
                "left_out": list(left_out),
                "runtime": runtime,
                "code": str(code),
                "calls": calls,
                "timeout_ms": CALL_MS,
            }
        )
        sandbox.wait_for_end()
        return sandbox.replies

    def _sandbox(self) -> Sandbox:
        identifier = next(self.numbers)
        sandbox = Sandbox(self, identifier, f"attempt{identifier}")
        with self.lock:
            self.sandboxes[identifier] = sandbox
        return sandbox

    def launch(
        self,
        program: str,
        arguments: Sequence[str],
        left_out: Sequence[str],
        switchable: bool,
        binds: Sequence[tuple[str, str]],
        **settings: Any,
    ) -> Sandbox:
        """Starts a sandbox: by the product's own launcher, or by the one with switches."""
        sandbox = self._sandbox()
        environment = {"PATH": "/usr/bin:/bin", "WUWEI_ATTEMPT": sandbox.name, **settings.get("environment", {})}
        self.send(
            {
                "command": "launch",
                "id": sandbox.identifier,
                "name": sandbox.name,
                "switchable": switchable,
                "left_out": list(left_out),
                "program": program,
                "arguments": list(arguments),
                "environment": list(environment.items()),
                "binds": list(binds),
                "memory_mb": settings.get("memory_mb", 128),
                "ephemeral_mb": settings.get("ephemeral_mb", 512),
                "control": False,
                "ahead": settings.get("ahead", False),
                "forked": settings.get("forked", False),
            }
        )
        return sandbox

    def close(self) -> None:
        """Ends every sandbox and the runner."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=WITHIN)
        self.directory.cleanup()
