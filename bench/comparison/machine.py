"""What a figure is worth nothing without: the machine, the versions, the moment."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from comparison.tools import ROOT


def _first(path: str, prefix: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(prefix):
            return line.split(":", 1)[1].strip()
    return "unknown"


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def load_average() -> str:
    """One, five and fifteen minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def commit() -> str:
    """Of what was measured."""
    product = ("--", "crates", "runtimes", "Cargo.lock")
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", *product)
    return _output("git", "log", "-1", "--format=%h", *product) + (", changed" if changed else "")


def description() -> dict[str, str]:
    """Name and value of each fact."""
    memory = int(_first("/proc/meminfo", "MemTotal").split()[0]) / 1024 / 1024
    mounts = Path("/proc/self/mounts").read_text()
    version_1 = any(line.split()[2] == "cgroup" for line in mounts.splitlines())
    version_2 = " cgroup2 " in mounts
    return {
        "Date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "wuwei": f"commit {commit()}, release build",
        "Processor": f"{_first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores seen",
        "Memory": f"{memory:.1f} GiB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Control groups": {(True, True): "hybrid", (True, False): "v1"}.get((version_1, version_2), "v2"),
        "Node": _output("node", "--version"),
        "Rust": _output("rustc", "--version"),
        "Python": _output(str(python()), "--version"),
    }


def python() -> Path:
    """The interpreter itself: a version manager's shim or a link would flatter whoever is compared with it."""
    system = Path("/usr/bin/python3")
    return system.resolve() if system.exists() else Path(sys.executable).resolve()


def node() -> Path | None:
    """The `node` program itself."""
    found = _output("node", "-p", "process.execPath")
    return None if found == "unknown" else Path(found).resolve()
