"""The measuring programs, and how everything here starts processes."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from comparison.accounting import Group

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
TOOLS = BENCH / ".tools"
_profile = "release"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}


def use_profile(name: str) -> None:
    """Which builds are run: `release`, or `debug` where it is tested that all of this works."""
    global _profile
    _profile = name


def binary(workspace: Path, name: str) -> Path:
    """A program that a workspace of ours builds."""
    return workspace / "target" / _profile / name


def bench_tools() -> str:
    """The measuring programs."""
    return str(binary(BENCH, "bench-tools"))


class RunError(Exception):
    """A program did not do what the run needs."""


def run(command: Sequence[str], text: str = "", within: float = 300, environment: dict[str, str] | None = None) -> str:
    """Runs a program to its end and gives its output."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=within, env=environment or ENVIRONMENT, check=False
    )
    if done.returncode != 0:
        raise RunError(f"`{' '.join(command[:6])}` ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def measure(subcommand: str, document: dict[str, Any], group: Group | None = None) -> dict[str, Any]:
    """Runs one of the measuring programs, within a group when its own children are what is measured."""
    command = [bench_tools(), subcommand]
    return json.loads(run(group.entering(command) if group else command, json.dumps(document)))


def free_port() -> int:
    """A TCP port of the loopback that nothing listens on now."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Asks a process that we started to end, and makes it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
