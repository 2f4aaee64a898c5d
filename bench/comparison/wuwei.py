"""wuwei itself: a server on a data directory of its own, functions on it, and the proof that they are confined."""

from __future__ import annotations

import base64
import io
import json
import shlex
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparison.accounting import Group, memory_bytes
from comparison.load import AGAIN, EVENTS, FIRST, event
from comparison.signing import Signer
from comparison.tools import ENVIRONMENT, ROOT, RunError, binary, end, measure, run

MEMORY_MB = 128
# All warm instances of all functions stay: what is idle here is measured a moment later.
CONFIGURATION = "memory_mb = 65536\nkeep_alive_s = 3600\n"
CONFINED = {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0000000000000000"}
NAMESPACES = ("pid", "mnt", "ipc", "uts", "net", "user")


class NotConfinedError(Exception):
    """A function runs without the sandbox that the figures are about."""


@dataclass(frozen=True)
class Function:
    """A deployed function."""

    server: Server
    name: str

    @property
    def _path(self) -> str:
        return f"/2015-03-31/functions/{self.name}"

    def invocations(self) -> list[str]:
        """Signed requests with different events; a signature is believed for five minutes."""
        return [self.invocation(event(number)) for number in range(EVENTS)]

    def cold_rounds(self, samples: int, pause_ms: int) -> list[list[dict[str, Any]]]:
        """Each round changes the function's configuration, so that no instance fits any more, then calls it."""
        base = time.time_ns()
        return [self._cold_round(base + number, pause_ms) for number in range(samples)]

    def retiring(self, number: int) -> list[dict[str, Any]]:
        """A change of the function's configuration, so that no instance fits any more, and the wait for its end."""
        change = json.dumps({"Environment": {"Variables": {"ROUND": str(number)}}})
        configuration = f"{self._path}/configuration"
        signed = self.server.signer.request
        return [
            step(signed("PUT", configuration, change), must_contain=self.name),
            step(signed("GET", configuration), must_contain='"Successful"', repeat=True),
        ]

    def invoke(self, document: dict[str, Any]) -> Any:
        """One call, outside of any measurement."""
        return self.server.call(self.invocation(json.dumps(document)))

    def probe(self) -> dict[str, Any]:
        """What the function sees of its own confinement, checked."""
        seen = self.invoke({"probe": True})
        check_confinement(self.name, seen)
        return seen

    def instance_memory(self) -> int:
        """Memory of the processes of one warm instance."""
        return memory_bytes(self.instance_pids())

    def instance_pids(self) -> list[int]:
        """Processes of the instance that answers now."""
        link = self.probe()["namespaces"]["pid"]
        return [pid for pid in self.server.group.pids() if namespace_of(pid, "pid") == link]

    def invocation(self, body: str) -> str:
        """One signed request."""
        return self.server.signer.request("POST", f"{self._path}/invocations", body)

    def _cold_round(self, number: int, pause_ms: int) -> list[dict[str, Any]]:
        call = self.invocation(event(number % EVENTS))
        return [*self.retiring(number), step(call, pause_ms=pause_ms, timed=True, must_contain=FIRST)]


def step(
    request: str, *, must_contain: str, pause_ms: int = 0, timed: bool = False, repeat: bool = False
) -> dict[str, Any]:
    """A step of `bench-tools sequence`."""
    return {
        "request": request, "pause_ms": pause_ms, "timed": timed, "must_contain": must_contain, "repeat": repeat,
    }  # fmt: skip


def namespace_of(pid: int | str, kind: str) -> str:
    """For example `net:[4026531840]`; empty when the process is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""


def check_confinement(name: str, seen: dict[str, Any]) -> None:
    """The sandbox probe: a filter of system calls, no new privileges, no capabilities, namespaces of its own."""
    lines = (line.split(":", 1) for line in seen["status"].splitlines() if ":" in line)
    status = {key: value.strip() for key, value in lines}
    wrong = [f"{key} is {status.get(key)}, not {value}" for key, value in CONFINED.items() if status.get(key) != value]
    for kind in NAMESPACES:
        if seen["namespaces"][kind] in ("", namespace_of("self", kind)):
            wrong.append(f"its {kind} namespace is the host's")
    if wrong:
        raise NotConfinedError(f"function `{name}` is not confined: {'; '.join(wrong)}")


class Server:
    """`wuwei up`, in a control group of its own, and with it all instances."""

    def __init__(self, name: str = "wuwei", configuration: str = CONFIGURATION) -> None:
        """Starts it and waits until it serves."""
        self.directory = Path(tempfile.mkdtemp(prefix="wuwei-bench-"))
        self.directory.chmod(0o755)
        self.data = self.directory / "data"
        self.group = Group(name)
        self.log = self.directory / "log"
        (self.directory / "wuwei.toml").write_text(configuration)
        try:
            self.process = self._started()
        except RunError:
            self.stop()
            raise

    def restart(self) -> None:
        """Ends it and starts it again on the same data."""
        end(self.process)
        self.group.end_all()
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        options = ["--listen", "127.0.0.1:0", "--data-dir", str(self.data)]
        command = [str(binary(ROOT, "wuwei")), "up", *options, "--config", str(self.directory / "wuwei.toml")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.group.entering(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        self._wait()
        lines = (shlex.split(line)[1] for line in self.command("env").splitlines() if line.strip())
        values = dict(line.split("=", 1) for line in lines)
        self.endpoint = values["AWS_ENDPOINT_URL"]
        self.address = self.endpoint.removeprefix("http://")
        self.signer = Signer(values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"], self.address)
        return self.process

    def command(self, *arguments: str) -> str:
        """Runs the command line against this server."""
        return run([str(binary(ROOT, "wuwei")), *arguments, "--data-dir", str(self.data)])

    def runtimes(self) -> list[str]:
        """Identifiers of what the server can run."""
        return [entry["identifier"] for entry in json.loads(self.command("runtimes", "--json"))]

    def newest(self, language: str) -> str | None:
        """The newest runtime of a language, for example `python3.11`."""

        def number(identifier: str) -> tuple[int, ...]:
            digits = identifier.removeprefix(language).rstrip("x").strip(".")
            return tuple(int(part) for part in digits.split(".") if part.isdigit())

        return max((name for name in self.runtimes() if name.startswith(language)), key=number, default=None)

    def deploy(self, name: str, path: Path, runtime: str, handler: str) -> Function:
        """Deploys, calls twice, and demands that the sandbox is the full one."""
        options = ["--runtime", runtime, "--handler", handler, "--memory", str(MEMORY_MB), "--timeout", "30"]
        self.command("deploy", str(path), "--name", name, *options)
        function = Function(self, name)
        answers = [json.dumps(function.invoke({"mark": "deployed"})) for _ in range(2)]
        if FIRST not in answers[0] or AGAIN not in answers[1]:
            raise RunError(f"function `{name}` answers {answers}")
        function.probe()
        return function

    def create(self, prefix: str, count: int, source: Path, settings: dict[str, Any]) -> list[Function]:
        """Many functions of one file of source, by the API; the sandboxes of the first and the last are probed."""
        package = base64.b64encode(_zip(source)).decode()
        role = "arn:aws:iam::000000000000:role/bench"
        document = {"Role": role, "Code": {"ZipFile": package}, "MemorySize": MEMORY_MB, "Timeout": 30} | settings
        functions = [Function(self, f"{prefix}-{number:04d}") for number in range(count)]
        signed = self.signer.request
        creations = [
            step(
                signed("POST", "/2015-03-31/functions", json.dumps(document | {"FunctionName": function.name})),
                must_contain=function.name,
            )
            for function in functions
        ]
        waits = [
            step(
                signed("GET", f"/2015-03-31/functions/{function.name}/configuration"),
                must_contain='"Active"',
                repeat=True,
            )
            for function in functions
        ]
        measure("sequence", {"address": self.address, "rounds": [creations, waits]})
        for function in (functions[0], functions[-1]):
            function.probe()
        return functions

    def call(self, request: str) -> Any:
        """Sends a request that was made ahead."""
        head, _, body = request.partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        asked = urllib.request.Request(f"{self.endpoint}{path}", body.encode(), headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                document, error = json.load(answer), answer.headers.get("X-Amz-Function-Error")
        except urllib.error.HTTPError as refused:
            raise RunError(f"{method} {path}: {refused.code} {refused.read().decode(errors='replace')}") from refused
        if error:
            raise RunError(f"{method} {path}: {error} {document}")
        return document

    def metrics(self) -> dict[str, float]:
        """The server's figures of itself: each line's name with its labels, and its value."""
        with urllib.request.urlopen(f"{self.endpoint}/metrics", timeout=10) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def server_pid(self) -> int:
        """Of the server itself; the launcher is another process."""
        return int(json.loads((self.data / "server.json").read_text())["pid"])

    def own_pids(self) -> list[int]:
        """Server and launcher, without the instances."""
        own = namespace_of("self", "pid")
        return [pid for pid in self.group.pids() if namespace_of(pid, "pid") == own]

    def stop(self) -> None:
        """Ends it and removes its files."""
        end(self.process)
        self.group.end_all()
        self.group.remove()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RunError(f"the server ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")
            try:
                found = json.loads((self.data / "server.json").read_text())
                with urllib.request.urlopen(f"{found['endpoint']}/healthz", timeout=5):
                    return
            except (OSError, ValueError):
                time.sleep(0.02)
        raise RunError("the server does not serve within 30 s")


def _zip(source: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(source.name)
        entry.create_system, entry.external_attr = 3, 0o100644 << 16
        archive.writestr(entry, source.read_bytes())
    return buffer.getvalue()
