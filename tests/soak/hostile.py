"""The hostile mix: every attempt of the suite as a real function tries it, and the brutes."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from attack.attempt import Attempt
from attack.attempts import GROUPS
from attack.ground import CODE, FRAMES, NODE_FRAMES, RUNTIME_CLIENT, SECRET, Ground
from harness.functions import Functions
from harness.native import compiled
from harness.network import HOST, HOST_PRIVATE, NEVER, PORT, PRIVATE
from soak.brutes import BRUTES

TRIER = """
import os, subprocess
def handler(event, context):
    try:
        done = subprocess.run(event['command'], stdin=subprocess.DEVNULL, capture_output=True, errors='replace',
                              env={**os.environ, **event['environment']}, timeout=4)
    except subprocess.TimeoutExpired:
        return 'went on'
    except OSError as error:
        return 'not started: %s' % error
    said = [line for line in done.stdout.splitlines() if line.startswith(('SUCCEEDED', 'REFUSED'))]
    return said[0] if said else 'ended with %d' % done.returncode
"""
MEMORY_OF_TRIERS = (128, 256, 1024)
EPHEMERAL_MB = 512
ALLOWED = {"take more memory as files in `/tmp`"}
"""Refused where `/tmp` is in memory only: on the disk it is the function's to fill."""
WORD_OF_VICTORY = (b"SUCCEEDED", b"forged")


@dataclass(frozen=True)
class Hostile:
    """One thing to call, and what it must not answer."""

    kind: str
    function: str
    event: Any = field(hash=False)

    def call(self, functions: Functions) -> tuple[str, str]:
        """Calls it once: how it went, and what was wrong, or nothing."""
        result = functions.invoke(self.function, self.event)
        went = result.value.get("errorType", "error") if result.function_error else "answered"
        victory = any(word in result.payload for word in WORD_OF_VICTORY)
        return went, f"{self.kind} succeeded: {result.payload[:300]!r}" if victory else ""


@contextmanager
def mix(functions: Functions) -> Iterator[list[Hostile]]:
    """Everything hostile, deployed, with all that it is after on this host."""
    ground = Ground()
    try:
        yield [*_attempts(functions, ground), *_conversations(functions), *_brutes(functions)]
    finally:
        ground.close()


def choose(hostile: list[Hostile], chance: random.Random) -> Hostile:
    """Any of them; brutes are fewer and so chosen more often than an attempt."""
    brutes = [each for each in hostile if each.kind in BRUTES]
    return chance.choice(brutes if chance.random() < 1 / 3 else hostile)


def _attempts(functions: Functions, ground: Ground) -> Iterator[Hostile]:
    files = {
        "app.py": TRIER,
        "attempt": compiled("attempt.c"),
        "powerful": compiled("attempt.c"),
        "writable": SECRET,
    }
    for memory in MEMORY_OF_TRIERS:
        settings = {"Runtime": functions.python, "Handler": "app.handler", "MemorySize": memory, "Timeout": 8}
        functions.deploy(files, executables=("attempt", "powerful"), FunctionName=f"trier-{memory}", **settings)
    for attempt in _attempts_alone():
        for language in attempt.languages:
            environment = ground.facts() | dict(attempt.environment)
            program, arguments = ground.program_of(attempt, language, environment)
            command = [word.replace(CODE, "/var/task") for word in (program, *arguments)]
            least = max(attempt.memory_mb, 256) if language == "Node.js" else attempt.memory_mb
            memory = min(each for each in MEMORY_OF_TRIERS if each >= least)
            yield Hostile(attempt.name, f"trier-{memory}", {"command": command, "environment": environment})


def _attempts_alone() -> Iterator[Attempt]:
    """Those that are one program, and are refused with the settings that functions have."""
    for group in GROUPS.values():
        for attempt in group:
            if not attempt.calls and attempt.ephemeral_mb == EPHEMERAL_MB and attempt.name not in ALLOWED:
                yield attempt


def _conversations(functions: Functions) -> Iterator[Hostile]:
    attempts = [attempt for group in GROUPS.values() for attempt in group if attempt.calls]
    for number, attempt in enumerate(attempts):
        for language in attempt.languages:
            name = f"forger-{number}-{language.split('.')[0].lower()}"
            settings = {"FunctionName": name, "Timeout": 3}
            if attempt.through:
                functions.deploy_custom(RUNTIME_CLIENT + attempt.python, **settings)
            elif language == "Python":
                functions.deploy_python(FRAMES + attempt.python, **settings)
            else:
                code = {"app.js": NODE_FRAMES + attempt.node}
                functions.deploy_node(code, Handler="app.handler", MemorySize=256, **settings)
            yield Hostile(attempt.name, name, {})


def _brutes(functions: Functions) -> Iterator[Hostile]:
    forbidden = [*PRIVATE, *NEVER, *HOST.values(), HOST_PRIVATE, "127.0.0.2", "::1"]
    event = json.loads(json.dumps({"n": 7, "targets": [(address, PORT) for address in forbidden]}))
    for kind, code in BRUTES.items():
        settings = {"FunctionName": kind, "Timeout": 3, "MemorySize": 256, "EphemeralStorage": {"Size": EPHEMERAL_MB}}
        yield Hostile(kind, functions.deploy_python(code, **settings), event)
