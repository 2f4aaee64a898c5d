"""Starts the Node.js bootstrap as the sandbox does, and speaks its frames."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOOTSTRAP = Path(__file__).resolve().parents[2] / "runtimes" / "node" / "bootstrap.cjs"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
# How a bootstrap comes to its function: started for it, or started before and assigned to it.
WAYS = ("exec", "blank")
# What the platform starts every blank with.
BOOT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
# Node.js reads these when it starts only: functions that set them are not assigned to blanks.
NOT_FOR_BLANKS = ("NODE_OPTIONS", "NODE_EXTRA_CA_CERTS")
KINDS = {16: "ready", 17: "init_error", 18: "success", 19: "error", 20: "content_type", 21: "chunk", 22: "last_words"}
LIMIT_SECONDS = 20
INNER_BREAK = b"\xf8\xff"


def node() -> str:
    """Path of the Node.js that the tests run with."""
    found = shutil.which("node") or shutil.which("nodejs")
    assert found, "these tests need Node.js 20 or newer: scripts/install-prerequisites.sh test"
    return found


@dataclass(frozen=True)
class Answer:
    """One frame from the bootstrap."""

    kind: str
    request_id: str
    document: bytes

    @property
    def json(self) -> Any:
        """The document as JSON."""
        return json.loads(self.document)


class Function:
    """A bootstrap with some files, started in a directory of its own."""

    def __init__(
        self,
        directory: Path,
        files: Mapping[str, str],
        handler: str = "app.handler",
        environment: Mapping[str, str] | None = None,
        way: str = "exec",
    ) -> None:
        for name, text in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.directory = directory
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(LIMIT_SECONDS)
        variables = {
            **BOOT,
            "_HANDLER": handler,
            "LAMBDA_TASK_ROOT": str(directory),
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x",
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/20/[$LATEST]0",
        } | dict(environment or {})
        is_blank = way == "blank" and not any(name in variables for name in NOT_FOR_BLANKS)
        with theirs, (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                # The shell moves the socket to descriptor 3.
                ["/bin/sh", "-c", 'exec "$0" "$@" 3<&0 </dev/null', node(), str(BOOTSTRAP)] + ["--blank"] * is_blank,
                stdin=theirs,
                stdout=log,
                stderr=log,
                env=BOOT if is_blank else variables,
                cwd="/" if is_blank else directory,
            )
        if is_blank:
            answer = self.receive()
            assert answer is not None and (answer.kind, answer.request_id) == ("ready", ""), (answer, self.log)
            document = {"environment": variables, "handler": handler, "working_directory": str(directory)}
            payload = json.dumps(document).encode()
            self.socket.sendall(len(payload).to_bytes(4, "little") + b"\x02" + payload)

    def receive(self) -> Answer | None:
        """The next frame, or None at the end of the stream."""
        header = self._read(5)
        if header is None:
            return None
        payload = self._read(int.from_bytes(header[:4], "little"))
        assert payload is not None
        id_end = 1 + payload[0]
        assert payload[id_end : id_end + 4] == bytes(4), "this bootstrap prints its log entries"
        return Answer(KINDS[header[4]], payload[1:id_end].decode(), payload[id_end + 4 :])

    def _read(self, count: int) -> bytes | None:
        data = bytearray()
        while len(data) < count:
            piece = self.socket.recv(min(count - len(data), 1 << 20))
            if not piece:
                assert not data, "the stream ends inside a frame"
                return None
            data += piece
        return bytes(data)

    def send(self, event: Any, request_id: str = "id-1", **meta: Any) -> None:
        """Sends an event, as JSON or as bytes."""
        text = event if isinstance(event, bytes) else json.dumps(event).encode()
        deadline = int(time.time() * 1000) + 3000
        values = {"id": request_id, "deadline_ms": deadline, "arn": ARN, "trace_id": "Root=1-a-b"}
        document = json.dumps(values | {"client_context": None} | meta).encode()
        payload = len(document).to_bytes(4, "little") + document + text
        self.socket.sendall(len(payload).to_bytes(4, "little") + b"\x01" + payload)

    def invoke(self, event: Any = None, **meta: Any) -> Answer | None:
        """Sends an event and waits for the first frame of its answer."""
        self.send(event, **meta)
        return self.receive()

    def call(self, event: Any = None, **meta: Any) -> Any:
        """Invokes, demands success, and gives the result."""
        answer = self.invoke(event, **meta)
        assert answer is not None and answer.kind == "success", (answer, self.log)
        return answer.json

    def error(self, event: Any = None, **meta: Any) -> dict[str, Any]:
        """Invokes, demands an error, and gives its document."""
        answer = self.invoke(event, **meta)
        assert answer is not None and answer.kind in {"error", "last_words"}, (answer, self.log)
        return answer.json

    @property
    def log(self) -> list[str]:
        """The log entries so far."""
        entries = (self.directory / "log").read_bytes().removesuffix(b"\n").split(b"\n")
        return [entry.replace(INNER_BREAK, b"\n").decode() for entry in entries]

    def exit_status(self) -> int:
        """Waits for the end of the process."""
        return self.process.wait(LIMIT_SECONDS)

    def end(self) -> None:
        """Kills the process."""
        self.socket.close()
        self.process.kill()
        self.process.wait()
