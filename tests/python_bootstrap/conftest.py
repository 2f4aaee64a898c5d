"""Starts the Python bootstrap as the sandbox does, and speaks its frames."""

import json
import pathlib
import socket
import subprocess
import sys
import time

import pytest

BOOTSTRAP = pathlib.Path(__file__).resolve().parents[2] / "runtimes" / "python" / "bootstrap.py"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
KINDS = {16: "ready", 17: "init_error", 18: "success", 19: "error"}


def pytest_addoption(parser):
    parser.addoption(
        "--interpreter", action="append", default=[], metavar="PATH",
        help="run all tests with this interpreter (may be given several times; default: the one that runs pytest)",
    )


def pytest_generate_tests(metafunc):
    if "interpreter" in metafunc.fixturenames:
        metafunc.parametrize("interpreter", metafunc.config.getoption("interpreter") or [sys.executable])


class Answer:
    def __init__(self, kind, request_id, log, document):
        self.kind, self.request_id, self.log, self.document = kind, request_id, log, document

    @property
    def json(self):
        return json.loads(self.document)


class Function:
    """A bootstrap with one module `app`, started in a directory of its own."""

    def __init__(self, interpreter, directory, code, handler="app.handler", environment=None, files=None):
        (directory / "app.py").write_text(code)
        for name, text in (files or {}).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(20)
        self.log_path = directory / "log"
        variables = {
            "PATH": "/usr/bin:/bin", "_HANDLER": handler, "LAMBDA_TASK_ROOT": str(directory),
            "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/20/[$LATEST]0", **(environment or {}),
        }
        with theirs, open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                # The shell moves the socket to descriptor 3.
                ["/bin/sh", "-c", 'exec "$0" "$@" 3<&0 </dev/null', interpreter, "-s", "-S", str(BOOTSTRAP)],
                stdin=theirs, stdout=log, stderr=log, env=variables, cwd=str(directory),
            )

    def receive(self):
        """The next answer, or None at the end of the stream."""
        header = self._read(5)
        if header is None:
            return None
        payload = self._read(int.from_bytes(header[:4], "little"))
        id_end = 1 + payload[0]
        log_end = id_end + 4 + int.from_bytes(payload[id_end:id_end + 4], "little")
        return Answer(
            KINDS[header[4]], payload[1:id_end].decode(), payload[id_end + 4:log_end].decode(), payload[log_end:]
        )

    def _read(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(min(count - len(data), 1 << 20))
            if not piece:
                assert not data, "the stream ends inside a frame"
                return None
            data += piece
        return data

    def send(self, event, request_id="id-1", **meta):
        """Sends an event, as JSON text or as bytes."""
        event = event if isinstance(event, bytes) else json.dumps(event).encode()
        values = {"id": request_id, "deadline_ms": int(time.time() * 1000) + 3000, "arn": ARN,
                  "trace_id": "Root=1-a-b", "client_context": None, **meta}
        document = json.dumps(values).encode()
        payload = len(document).to_bytes(4, "little") + document + event
        self.socket.sendall(len(payload).to_bytes(4, "little") + b"\x01" + payload)

    def invoke(self, event=None, **meta):
        self.send(event, **meta)
        return self.receive()

    @property
    def log(self):
        return self.log_path.read_text()

    def end(self):
        """Closes the socket and waits for the end of the process; gives its exit code."""
        self.socket.close()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()


@pytest.fixture
def start(interpreter, tmp_path):
    """Starts functions, and stops them after the test."""
    started = []

    def start(code, **options):
        directory = tmp_path / str(len(started))
        directory.mkdir()
        started.append(Function(interpreter, directory, code, **options))
        return started[-1]

    yield start
    for function in started:
        function.socket.close()
        function.process.kill()
        function.process.wait()


@pytest.fixture
def ready(start):
    """Starts functions and waits until they are initialised."""

    def ready(code, **options):
        function = start(code, **options)
        answer = function.receive()
        assert answer is not None and answer.kind == "ready", (answer and answer.log, function.log)
        return function

    return ready


@pytest.fixture
def version(interpreter):
    text = subprocess.check_output([interpreter, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"])
    return tuple(int(number) for number in text.split())
