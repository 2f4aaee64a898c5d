"""What attempts find on the host: files, processes, sockets and segments that no function may reach."""

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from attack.attempt import Attempt, Outcome
from attack.runner import Runner, Sandbox
from harness.native import compiled
from harness.tools import run, tool
from harness.waiting import until

CODE = "/mnt"
SEGMENT_KEY = 0x77757765
SECRET = "a secret of the host"
# struct vfs_cap_data, revision 2: CAP_SYS_ADMIN in the permitted set, effective at once.
FILE_CAPABILITY = bytes.fromhex("0100000200002000" + "00000000" * 3)
PRELUDE = """
import ctypes, errno, os, socket, sys
def succeeded(how=''): print('SUCCEEDED', how); sys.exit(0)
def refused(how=''): print('REFUSED', how); sys.exit(0)
libc = ctypes.CDLL(None, use_errno=True)
def attempt(action):
    try: succeeded(str(action())[:200])
    except OSError as error: refused(errno.errorcode.get(error.errno, str(error)))
    except MemoryError: refused('ENOMEM')
def call(number, *words):
    page = ctypes.create_string_buffer(8192)
    kept, arguments = [], []
    for word in words:
        if word == 'buf': arguments.append(ctypes.c_void_p((ctypes.addressof(page) + 4095) & -4096))
        elif word.startswith('str:'): arguments.append(ctypes.c_char_p(word[4:].encode()))
        elif word.startswith('u64:'):
            numbers = [int(each, 0) for each in word[4:].split(',')]
            kept.append((ctypes.c_uint64 * 32)(*numbers)); arguments.append(kept[-1])
        else: arguments.append(ctypes.c_long(int(word, 0)))
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result == 0 and number in (56, 220, 435): os._exit(0)
    if result >= 0: succeeded('the call worked')
    error = ctypes.get_errno()
    if error in (errno.EPERM, errno.ENOSYS): refused(errno.errorcode[error])
    succeeded('the kernel looked at it: ' + errno.errorcode[error])
"""
NODE_PRELUDE = """
const fs = require('fs'), net = require('net'), os = require('os'), child_process = require('child_process');
const say = (text) => fs.writeSync(1, text + '\\n');
const succeeded = (how = '') => { say('SUCCEEDED ' + String(how).slice(0, 200)); process.exit(0); };
const refused = (how = '') => { say('REFUSED ' + how); process.exit(0); };
const attempt = (action) => {
  let how;
  try { how = action(); } catch (error) { refused(error.code || error); }
  succeeded(how);
};
"""
FRAMES = """
import os, struct, time
def frame(document, identifier=b'other', kind=18):
    payload = bytes([len(identifier)]) + identifier + struct.pack('<I', 0) + document
    return struct.pack('<IB', len(payload), kind) + payload
def send(data):
    while data: data = data[os.write(3, data):]
"""
NODE_FRAMES = """
const fs = require('fs');
const frame = (document, identifier = 'other', kind = 18) => {
  const [id, text] = [Buffer.from(identifier), Buffer.from(document)];
  const head = Buffer.alloc(10 + id.length);
  head.writeUInt32LE(5 + id.length + text.length, 0);
  head[4] = kind;
  head[5] = id.length;
  id.copy(head, 6);
  return Buffer.concat([head, text]);
};
const send = (data) => {
  while (data.length) {
    try { data = data.subarray(fs.writeSync(3, data)); } catch (error) { if (error.code !== 'EAGAIN') throw error; }
  }
};
"""
RUNTIME_CLIENT = """#!/usr/bin/python3 -IS
import http.client, os
api = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
def ask(method, path, body=None, **headers):
    named = {name.replace('_', '-'): value for name, value in headers.items()}
    api.request(method, '/2018-06-01/runtime/invocation/' + path, body, named)
    answer = api.getresponse()
    answer.read()
    return answer
"""


class Ground:
    """The host, prepared."""

    def __init__(self, runner: Runner | None = None) -> None:
        if os.geteuid() != 0:
            raise RuntimeError("the attempts make device nodes and files with capabilities; run the tests as root")
        self._runner = runner
        self.directory = Path(tempfile.mkdtemp(prefix="wuwei-ground-", dir="/var/tmp"))
        self.directory.chmod(0o755)
        self.code = self.directory / "code"
        self.code.mkdir()
        self._write_files()
        self._start_services()
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.segment = self._make_segment()
        # Found by its command line, never by its parent.
        self.marker = f"marker-{self.directory.name}"
        waiting = [sys.executable, "-c", "import sys; sys.stdin.read()", self.marker]
        self.process = subprocess.Popen(waiting, stdin=subprocess.PIPE)

    @property
    def runner(self) -> Runner:
        """Who builds the sandboxes, where attempts are not tried as functions."""
        assert self._runner is not None, "there is no runner of attempts"
        return self._runner

    def _write_files(self) -> None:
        secret = self.directory / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o644)
        program = self.code / "attempt"
        program.write_bytes(compiled("attempt.c"))
        program.chmod(0o755)
        powerful = self.code / "powerful"
        powerful.write_bytes(program.read_bytes())
        powerful.chmod(0o755)
        os.setxattr(powerful, "security.capability", FILE_CAPABILITY)
        for name, mode in [("writable", 0o666), ("closed", 0o600)]:
            (self.code / name).write_text(SECRET)
            (self.code / name).chmod(mode)
        (self.code / "open").mkdir()
        (self.code / "open").chmod(0o777)
        os.mknod(self.code / "device", 0o20666, os.makedev(1, 5))
        (self.code / "device").chmod(0o666)
        listed = run([str(program), "numbers"]).ok().output.split()
        self.numbers = dict(zip(listed[::2], map(int, listed[1::2]), strict=True))

    def _start_services(self) -> None:
        self.service = socket.create_server(("127.0.0.1", 0))
        self.port = self.service.getsockname()[1]
        self.abstract = f"wuwei-ground-{os.getpid()}"
        self.services = [self.service]
        for address in (b"\0" + self.abstract.encode(), str(self.directory / "socket")):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(address)
            listener.listen(64)
            self.services.append(listener)
        (self.directory / "socket").chmod(0o777)
        for listener in self.services:
            threading.Thread(target=self._serve, args=[listener], daemon=True).start()

    @staticmethod
    def _serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.close()

    def _make_segment(self) -> int:
        create = 0o1000
        segment = self.libc.shmget(SEGMENT_KEY, 4096, create | 0o666)
        assert segment >= 0, os.strerror(ctypes.get_errno())
        self.libc.shmat.restype = ctypes.c_void_p
        address = self.libc.shmat(segment, None, 0)
        ctypes.memmove(address, SECRET.encode() + b"\0", len(SECRET) + 1)
        self.libc.shmdt(ctypes.c_void_p(address))
        return segment

    def facts(self) -> dict[str, str]:
        """What programs know of the host, as variables of their environment."""
        facts = {
            "GROUND": self.directory,
            "MARKER": self.marker,
            "MARKER_PID": self.process.pid,
            "PORT": self.port,
            "ABSTRACT": self.abstract,
            "HOST_NAME": socket.gethostname(),
            "SEGMENT_KEY": SEGMENT_KEY,
        }
        return {key: str(value) for key, value in facts.items()}

    def launch(
        self, attempt: Attempt, language: str, left_out: Sequence[str], switchable: bool, **ways: bool
    ) -> Sandbox:
        """Starts the program of an attempt, in a sandbox that is built for it or (ahead) in one that stands; there
        from a runtime that was forked (forked), or from none."""
        environment = self.facts() | dict(attempt.environment)
        program, arguments = self.program_of(attempt, language, environment)
        return self.runner.launch(
            program,
            arguments,
            left_out,
            switchable,
            [(str(self.code), CODE)],
            environment=environment,
            memory_mb=attempt.memory_mb if language != "Node.js" else max(attempt.memory_mb, 256),
            ephemeral_mb=attempt.ephemeral_mb,
            **ways,
        )

    def wait_for_forks(self) -> None:
        """Waits until the zygote has booted that runtimes are forked from."""

        def is_forked() -> bool:
            command = ["/bin/echo", ["forked"], [], False, [(str(self.code), CODE)]]
            sandbox = self.runner.launch(*command, ahead=True, forked=True)
            sandbox.wait_for_end()
            return "not forked" not in sandbox.output

        until(is_forked, "runtimes are forked", 60)

    def program_of(self, attempt: Attempt, language: str, facts: dict[str, str]) -> tuple[str, list[str]]:
        """Program and arguments; `{NAME}` in native words is a fact about the host."""
        if language == "native":
            first, *rest = [word.format(**facts) if "{" in word else word for word in attempt.native]
            program, words = (first, rest) if first.startswith("/") else (f"{CODE}/attempt", [first, *rest])
            return program, words
        if language == "Python":
            statements = attempt.python
            if statements.startswith("call:"):
                name, *words = statements.removeprefix("call:").split()
                statements = f"call({self.numbers.get(name, -1)}, {', '.join(map(repr, words))})"
            return "/usr/bin/python3", ["-I", "-S", "-c", PRELUDE + statements]
        return tool("node"), ["-e", NODE_PRELUDE + attempt.node]

    def run(
        self,
        attempt: Attempt,
        language: str,
        left_out: Sequence[str] = (),
        switchable: bool | None = None,
        **ways: bool,
    ) -> Outcome:
        """One run of an attempt: in a sandbox of the product, or (with something left out) in one with switches."""
        if attempt.calls:
            return self._converse(attempt, language, left_out)
        switched = bool(left_out) if switchable is None else switchable
        sandbox = self.launch(attempt, language, left_out, switched, **ways)
        try:
            if attempt.observe is not None:
                return attempt.observe(self, sandbox)
            sandbox.wait_for_end()
        finally:
            sandbox.tell("kill")
        assert not sandbox.reason, f"{attempt.name}: the sandbox was not built: {sandbox.reason}"
        said = [line for line in sandbox.output.splitlines() if line.startswith(("SUCCEEDED", "REFUSED"))]
        if said:
            return Outcome.of_words(said[0])
        if sandbox.exit.startswith("NotExecuted"):
            return Outcome(False, "it does not start")
        assert sandbox.exit != "Code(0)", f"{attempt.name} in {language} said only {sandbox.output[-2000:]!r}"
        assert sandbox.exit.startswith(("Signal", "OutOfMemory")), f"{sandbox.exit}: {sandbox.output[-2000:]}"
        return Outcome(False, sandbox.exit)

    def _converse(self, attempt: Attempt, language: str, left_out: Sequence[str]) -> Outcome:
        name, program = {
            "Python": ("app.py", FRAMES + attempt.python),
            "Node.js": ("app.js", NODE_FRAMES + attempt.node),
        }[language]
        family = {"Python": "python", "Node.js": "nodejs"}[language]
        if attempt.through:
            name, program, family = "bootstrap", RUNTIME_CLIENT + attempt.python, attempt.through
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            code = Path(directory)
            code.chmod(0o755)
            (code / name).write_text(program)
            (code / name).chmod(0o755)
            replies = self.runner.converse(family, code, attempt.calls, left_out)
        assert replies and not replies[0].startswith("no instance"), replies
        forged = [reply for reply in replies if reply.startswith("answer:") and "forged" in reply]
        return Outcome(bool(forged), "; ".join(replies))

    def close(self) -> None:
        """Takes it all away."""
        self.libc.shmctl(self.segment, 0, None)
        for service in self.services:
            service.close()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)
        shutil.rmtree(self.directory)
