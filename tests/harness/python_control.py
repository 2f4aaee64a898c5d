"""Starts the Python bootstrap as the sandbox does, and speaks its frames."""

import ctypes
import functools
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

BOOTSTRAP = Path(__file__).resolve().parents[2] / "runtimes" / "python" / "bootstrap.py"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
# How a bootstrap comes to its function: started for it; started before and assigned to it; forked from one that was
# started before, and assigned. All tests run in every way.
WAYS = ("exec", "blank", "zygote")
# What the platform starts every interpreter with.
BOOT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
# Moves the socket to descriptor 3.
SHELL = 'exec "$0" "$@" 3<&0 </dev/null'
PR_SET_CHILD_SUBREAPER = 36
KINDS = {16: "ready", 17: "init_error", 18: "success", 19: "error"}


class Answer:
    """One frame from the bootstrap."""

    def __init__(self, kind: str, request_id: str, log: str, document: bytes) -> None:
        self.kind, self.request_id, self.log, self.document = kind, request_id, log, document

    @property
    def json(self) -> Any:
        """The document as JSON."""
        return json.loads(self.document)


class Zygote:
    """A process that forks blanks of one interpreter: here, without any sandbox to enter."""

    def __init__(self, interpreter: str) -> None:
        # What is forked twice becomes a child of ours.
        assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        with theirs, tempfile.TemporaryFile() as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", SHELL, interpreter, "-s", "-S", str(BOOTSTRAP), "--zygote"],
                stdin=theirs,
                stdout=log,
                stderr=log,
                env=BOOT,
                cwd="/",
            )
        assert json.loads(self.socket.recv(4096)) == {"ready": True}

    def fork(self, control: socket.socket, log: IO[bytes]) -> "Forked":
        """A blank with this socket and this log."""
        request = {"id": 1, "namespaces": [], "tasks": 0, "identity": None, "working_directory": "/"}
        socket.send_fds(self.socket, [json.dumps(request).encode()], [control.fileno(), log.fileno()])
        answer = json.loads(self.socket.recv(4096))
        assert set(answer) == {"id", "pid"}, answer
        return Forked(answer["pid"])

    def end(self) -> None:
        """Ends it; blanks that it forked are none of its own."""
        self.socket.close()
        assert self.process.wait(20) == 0


class Forked:
    """A process that was forked for us."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.descriptor = os.pidfd_open(pid)
        self.returncode: int | None = None

    def wait(self, timeout: float = 20) -> int:
        """Its exit status, as `subprocess` has it."""
        if self.returncode is None:
            assert select.select([self.descriptor], [], [], timeout)[0], "it has not ended in time"
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.descriptor)
        return self.returncode

    def kill(self) -> None:
        """Kills it, if it has not ended."""
        if self.returncode is None:
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)


@functools.cache
def zygote_of(interpreter: str) -> Zygote:
    """The zygote of an interpreter, for all tests."""
    zygotes.append(Zygote(interpreter))
    return zygotes[-1]


zygotes: list[Zygote] = []


class Function:
    """A bootstrap with one module `app`, started in a directory of its own."""

    def __init__(
        self,
        interpreter: str,
        way: str,
        directory: Path,
        code: str,
        handler: str = "app.handler",
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        (directory / "app.py").write_text(code)
        for name, text in (files or {}).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(20)
        self.log_path = directory / "log"
        variables = {
            **BOOT,
            "_HANDLER": handler,
            "LAMBDA_TASK_ROOT": str(directory),
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/20/[$LATEST]0",
            **(environment or {}),
        }
        is_blank = way != "exec"
        with theirs, open(self.log_path, "wb") as log:
            self.process = (
                zygote_of(interpreter).fork(theirs, log)
                if way == "zygote"
                else subprocess.Popen(
                    ["/bin/sh", "-c", SHELL, interpreter, "-s", "-S", str(BOOTSTRAP)] + ["--blank"] * is_blank,
                    stdin=theirs,
                    stdout=log,
                    stderr=log,
                    env=BOOT if is_blank else variables,
                    cwd="/" if is_blank else str(directory),
                )
            )
        if is_blank:
            answer = self.receive()
            assert answer is not None and (answer.kind, answer.request_id, answer.log) == ("ready", "", ""), self.log
            self.assign(variables, handler, directory)

    def assign(self, environment: Mapping[str, str], handler: str, directory: Path) -> None:
        """Makes a blank a function."""
        document = {"environment": environment, "handler": handler, "working_directory": str(directory)}
        payload = json.dumps(document).encode()
        self.socket.sendall(len(payload).to_bytes(4, "little") + b"\x02" + payload)

    def receive(self) -> Answer | None:
        """The next answer, or None at the end of the stream."""
        header = self._read(5)
        if header is None:
            return None
        payload = self._read(int.from_bytes(header[:4], "little"))
        id_end = 1 + payload[0]
        log_end = id_end + 4 + int.from_bytes(payload[id_end : id_end + 4], "little")
        return Answer(
            KINDS[header[4]], payload[1:id_end].decode(), payload[id_end + 4 : log_end].decode(), payload[log_end:]
        )

    def _read(self, count: int) -> bytes | None:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(min(count - len(data), 1 << 20))
            if not piece:
                assert not data, "the stream ends inside a frame"
                return None
            data += piece
        return data

    def send(self, event: Any, request_id: str = "id-1", **meta: Any) -> None:
        """Sends an event, as JSON text or as bytes."""
        event = event if isinstance(event, bytes) else json.dumps(event).encode()
        values = {
            "id": request_id,
            "deadline_ms": int(time.time() * 1000) + 3000,
            "arn": ARN,
            "trace_id": "Root=1-a-b",
            "client_context": None,
            **meta,
        }
        document = json.dumps(values).encode()
        payload = len(document).to_bytes(4, "little") + document + event
        self.socket.sendall(len(payload).to_bytes(4, "little") + b"\x01" + payload)

    def invoke(self, event: Any = None, **meta: Any) -> Answer | None:
        """Sends an event and waits for the answer."""
        self.send(event, **meta)
        return self.receive()

    @property
    def log(self) -> str:
        """What it printed so far."""
        return self.log_path.read_text()

    def end(self) -> int:
        """Closes the socket and waits for the end of the process; gives its exit code."""
        self.socket.close()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
