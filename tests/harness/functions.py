"""Functions of the tests: unique names, deployment through boto3, invocation."""

import itertools
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config

import responses
from harness.packages import zip_of
from harness.server import REGION, ROLE, Keys, Server
from harness.waiting import POLL_SECONDS

_numbers = itertools.count(1)
ECHO = "def handler(event, context):\n    return event\n"


def unique_name(stem: str) -> str:
    """A function name that no other test uses."""
    return f"{re.sub('[^a-zA-Z0-9-]', '-', stem)[:40]}-{next(_numbers)}"


def boto_client(
    server: Server,
    service: str = "lambda",
    keys: Keys | None = None,
    *,
    token: str | None = None,
    region: str = REGION,
    read_timeout: int = 120,
) -> BaseClient:
    """A boto3 client that tries once, sends what it is told, and whose every answer is checked against the model."""
    keys = keys or server.keys
    client = boto3.client(
        service,
        endpoint_url=server.endpoint,
        region_name=region,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=token,
        config=Config(
            retries={"total_max_attempts": 1},
            parameter_validation=False,
            read_timeout=read_timeout,
            max_pool_connections=50,
        ),
    )
    if service in responses.SERVICES:
        responses.attach(client)
    return client


def create_key(server: Server, *arguments: str) -> Keys:
    """A new access key, as `wuwei key create` makes it."""
    made: Any = server.wuwei_json("key", "create", *arguments)
    return Keys(made["access_key_id"], made["secret_access_key"])


PATIENCE_SECONDS = 20
"""Timeout of a function whose test is not about time: the 3 s of the API are little on a busy machine."""


@dataclass(frozen=True)
class Result:
    """The answer of an invocation."""

    status: int
    payload: bytes
    function_error: str | None
    executed_version: str | None
    request_id: str
    log: str

    @property
    def value(self) -> Any:
        """The payload as JSON."""
        return json.loads(self.payload)


@dataclass(frozen=True)
class Functions:
    """Deploys and invokes through one client."""

    client: BaseClient
    python: str
    offered_node: str | None = None

    @property
    def node(self) -> str:
        """The newest Node.js that the server offers."""
        install = "the server found no Node.js; install it with: scripts/install-prerequisites.sh test"
        assert self.offered_node is not None, install
        return self.offered_node

    def deploy_python(self, code: str, **settings: Any) -> str:
        """Creates a function of one file `app.py` with `handler` and waits until it is active; returns its name."""
        return self.deploy({"app.py": code}, **({"Runtime": self.python, "Handler": "app.handler"} | settings))

    def deploy_custom(self, bootstrap: str | bytes, **settings: Any) -> str:
        """Creates a function whose `bootstrap` is this file and waits until it is active; returns its name."""
        defaults = {"Runtime": "provided.al2023", "Handler": "unused"}
        return self.deploy({"bootstrap": bootstrap}, **(defaults | settings))

    def deploy_node(self, code: str | Mapping[str, str], **settings: Any) -> str:
        """Creates a function of the ES module `index.mjs`, or of several files, and waits; returns its name."""
        files = {"index.mjs": code} if isinstance(code, str) else code
        return self.deploy(files, **({"Runtime": self.node, "Handler": "index.handler"} | settings))

    def deploy(
        self, files: Mapping[str, str | bytes], executables: tuple[str, ...] = ("bootstrap",), **settings: Any
    ) -> str:
        """Creates a function of these files and waits until it is active; returns its name."""
        name = settings.pop("FunctionName", None) or unique_name("function")
        code = {"ZipFile": zip_of(files, executables)}
        defaults = {"FunctionName": name, "Role": ROLE, "Code": code, "Timeout": PATIENCE_SECONDS}
        self.client.create_function(**(defaults | settings))
        self.wait_active(name)
        return name

    def wait_active(self, name: str) -> None:
        """Waits with botocore's own waiter."""
        self._wait("function_active_v2", name)

    def wait_updated(self, name: str) -> None:
        """Waits with botocore's own waiter."""
        self._wait("function_updated_v2", name)

    def invoke(self, name: str, event: Any = None, **parameters: Any) -> Result:
        """Invokes with a JSON event."""
        payload = parameters.pop("Payload", json.dumps(event).encode())
        answer = self.client.invoke(FunctionName=name, Payload=payload, **parameters)
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return Result(
            answer["StatusCode"],
            answer["Payload"].read(),
            answer.get("FunctionError"),
            answer.get("ExecutedVersion"),
            headers["x-amzn-requestid"],
            b64decode(answer.get("LogResult", "")).decode(),
        )

    def call(self, name: str, event: Any = None) -> Any:
        """Invokes, demands success, and returns the handler's result."""
        result = self.invoke(name, event, LogType="Tail")
        assert result.function_error is None, f"{result.value}\n{result.log}"
        return result.value

    def run_python(self, code: str, event: Any = None, **settings: Any) -> Any:
        """Deploys a function, calls it once, and returns the handler's result."""
        return self.call(self.deploy_python(code, **settings), event)

    def _wait(self, waiter: str, name: str) -> None:
        pace = {"Delay": POLL_SECONDS, "MaxAttempts": 1000}
        self.client.get_waiter(waiter).wait(FunctionName=name, WaiterConfig=pace)
