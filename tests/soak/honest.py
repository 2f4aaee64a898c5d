"""Functions whose every answer is checked, in Python, Node.js and a native runtime, and code that changes."""

import hashlib
import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.functions import Functions
from harness.native import compiled
from harness.packages import zip_of

PYTHON = """
import hashlib
def handler(event, context):
    print(event["n"])
    return {"n": event["n"], "digest": hashlib.sha256(event["text"].encode()).hexdigest()}
"""
NODE = """
import { createHash } from 'node:crypto';
export const handler = async (event) => {
  console.log(event.n);
  return { n: event.n, digest: createHash('sha256').update(event.text).digest('hex') };
};
"""
VERSIONED = "def handler(event, context):\n    return [{number}, event]\n"
TEXT_MAX = 64 * 1024
FLEETING = 8
"""Names of functions that come and go."""
SMALL_OF = 10
"""One event of so many is large."""


@dataclass(frozen=True)
class Honest:
    """A function and what it must answer."""

    name: str
    expected: Callable[[dict[str, Any]], Any]

    def call(self, functions: Functions, number: int, chance: random.Random) -> str:
        """Calls it once; what was wrong, or nothing."""
        length = chance.randrange(TEXT_MAX) if chance.randrange(SMALL_OF) == 0 else chance.randrange(100)
        event = {"n": number, "text": "".join(chance.choices(string.ascii_letters + '無為 "\\', k=length))}
        result = functions.invoke(self.name, event)
        if result.function_error is None and result.value == self.expected(event):
            return ""
        return f"{self.name} answered call {number} with {result.function_error} {result.payload[:200]!r}"


def digested(event: dict[str, Any]) -> dict[str, Any]:
    """What the Python and Node.js functions answer."""
    return {"n": event["n"], "digest": hashlib.sha256(event["text"].encode()).hexdigest()}


def unchanged(event: dict[str, Any]) -> dict[str, Any]:
    """What the native function answers."""
    return event


def deploy(functions: Functions) -> list[Honest]:
    """One function of each language."""
    return [
        Honest(functions.deploy_python(PYTHON, FunctionName="honest-python", Timeout=60), digested),
        Honest(functions.deploy_node(NODE, FunctionName="honest-node", Timeout=60, MemorySize=256), digested),
        Honest(
            functions.deploy_custom(compiled("echo.c"), FunctionName="honest-native", Timeout=60), lambda event: event
        ),
    ]


def change(functions: Functions, number: int) -> str:
    """A function is made, called, given other code, called again, and deleted; what was wrong, or nothing."""
    name = f"fleeting-{number % FLEETING}"
    functions.deploy_python(VERSIONED.format(number=number), FunctionName=name, Timeout=60)
    try:
        before = functions.invoke(name, number)
        code = zip_of({"app.py": VERSIONED.format(number=-number)})
        functions.client.update_function_code(FunctionName=name, ZipFile=code)
        functions.wait_updated(name)
        after = functions.invoke(name, number)
    finally:
        functions.client.delete_function(FunctionName=name)
    found = [result.value for result in (before, after)]
    return "" if found == [[number, number], [-number, number]] else f"{name} answered {found} for {number}"
