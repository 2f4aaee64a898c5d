"""One client under test: its functions, made when first needed, and what comes of calling them."""

import json
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from conformance.clients import Client
from harness.functions import Functions, Result
from harness.server import Server

MEMORY_MB = 512
TIMEOUT_S = 20


@dataclass
class Subject:
    """A client, deployed."""

    client: Client
    runtime: str
    server: Server
    functions: Functions
    _names: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def package(self) -> Any:
        """The files of the function."""
        return self.client.package()

    def name(self, variant: str = "main", **settings: Any) -> str:
        """The function of a variant; `settings` are CreateFunction's and belong to the variant."""
        with self._lock:
            if variant not in self._names:
                runtime = {"Runtime": self.runtime, "Handler": self.client.handler}
                sizes = {"MemorySize": MEMORY_MB, "Timeout": TIMEOUT_S}
                self._names[variant] = self.functions.deploy(self.package, **(runtime | sizes | settings))
            return self._names[variant]

    def invoke(self, operation: str, value: Any = None, variant: str = "main", **parameters: Any) -> Result:
        """Calls an operation of the handler."""
        event = {"op": operation, "value": value}
        return self.functions.invoke(self.name(variant), event, LogType="Tail", **parameters)

    def call(self, operation: str, value: Any = None, variant: str = "main", **parameters: Any) -> Any:
        """What an operation gives: its result, or its error as `outcome` has it."""
        return outcome(self.invoke(operation, value, variant, **parameters))

    def echo(self, text: str | bytes) -> Any:
        """What the handler makes of an event that it gives back, from JSON text."""
        return outcome(self.functions.invoke(self.name(), Payload=text))


def outcome(result: Result) -> Any:
    """The result of a call, or its error: type and message, without the request id."""
    if result.function_error is None:
        return json.loads(result.payload)
    document = json.loads(result.payload)
    message = str(document.get("errorMessage")).replace(result.request_id, "<id>")
    return {"failed": document.get("errorType"), "message": message}


def failed(kind: str, message: str) -> dict[str, str]:
    """An error as `outcome` has it."""
    return {"failed": kind, "message": message}
