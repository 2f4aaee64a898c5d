"""Programs of this machine that tests need; a missing one is an error that says how to install it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
REPOSITORY = TESTS.parent
INSTALL = {
    "cargo": "scripts/install-prerequisites.sh test",
    "cc": "apt-get install -y build-essential",
    "mount": "apt-get install -y mount",
    "umount": "apt-get install -y mount",
    "nft": "apt-get install -y nftables",
    "ip": "apt-get install -y iproute2",
    "curl": "apt-get install -y curl",
    "go": "apt-get install -y golang-go",
    "javac": "apt-get install -y default-jdk-headless",
    "mvn": "apt-get install -y maven",
    "node": "apt-get install -y nodejs",
    "npm": "apt-get install -y npm",
    "systemd-analyze": "apt-get install -y systemd",
    "setpriv": "apt-get install -y util-linux",
    "strace": "apt-get install -y strace",
}


@dataclass(frozen=True)
class Finished:
    """A program that ran to its end."""

    command: list[str]
    status: int
    output: str
    errors: str

    def ok(self) -> "Finished":
        """Itself, when it succeeded; else an error with all that it printed."""
        if self.status != 0:
            raise AssertionError(f"{self}")
        return self

    def __str__(self) -> str:
        shown = " ".join(self.command)
        return f"`{shown}` exited with {self.status}\n--- stdout\n{self.output}\n--- stderr\n{self.errors}"


def run(
    command: list[str], environment: dict[str, str] | None = None, text: str | None = None, within: float = 120.0
) -> Finished:
    """Runs a program to its end and keeps what it printed."""
    done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True, timeout=within)
    return Finished(command, done.returncode, done.stdout, done.stderr)


def tool(name: str) -> str:
    """Path of a program, or an error with the command that installs it."""
    path = shutil.which(name)
    if path is None:
        raise RuntimeError(f"`{name}` is not on this machine; install it with: {INSTALL[name]}")
    return path


def wuwei_binary() -> Path:
    """The binary under test: `WUWEI_BINARY`, or the development build."""
    binary = Path(os.environ.get("WUWEI_BINARY", REPOSITORY / "target" / "debug" / "wuwei"))
    if not binary.is_file():
        raise RuntimeError(f"`{binary}` is not there; build it with: cargo build --package wuwei")
    return binary.resolve()


def aws_program() -> str:
    """The `aws` program of the interpreter that runs the tests (its virtual environment)."""
    program = Path(sys.executable).with_name("aws")
    if not program.is_file():
        requirements = TESTS / "requirements.txt"
        raise RuntimeError(
            f"`{program}` is not there; install it with: {sys.executable} -m pip install -r {requirements}"
        )
    return str(program)


def debian_aws_program() -> str:
    """The `aws` program of the system, version 2: it has commands that the one of PyPI has not."""
    program = Path("/usr/bin/aws")
    if not program.is_file():
        raise RuntimeError(f"`{program}` is not there; install it with: apt-get install -y awscli")
    return str(program)


def plain_environment(**extra: str) -> dict[str, str]:
    """An environment without anything of AWS's, wuwei's or Python's that the machine may have set."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "RUST_BACKTRACE")
    return {name: os.environ[name] for name in kept if name in os.environ} | extra
