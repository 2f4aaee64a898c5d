"""What the handler is told about its invocation."""

import base64
import json
import re
from typing import Any

from conformance.behaviour import Behaviour
from conformance.subject import TIMEOUT_S, Subject
from harness.server import ACCOUNT, REGION
from harness.wire import signed

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def member(name: str) -> Any:
    """Observes one member of the context."""
    return lambda subject: subject.call("context")[name]


def arn_of(subject: Subject) -> str:
    """The function's unqualified ARN."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{subject.name()}"


def request_id(subject: Subject) -> Any:
    """Whether the handler's request id is the caller's."""
    result = subject.invoke("context")
    return result.value["requestId"] == result.request_id


def two_request_ids(subject: Subject) -> Any:
    """Whether two calls have two ids."""
    return subject.call("context")["requestId"] != subject.call("context")["requestId"]


def of_version(name: str) -> Any:
    """Observes one member of the context of a published version, with the unqualified ARN cut off."""

    def observe(subject: Subject) -> Any:
        subject.name("published", Publish=True)
        found = subject.call("context", variant="published", Qualifier="1")[name]
        return str(found).removeprefix(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{subject.name('published')}")

    return observe


def log_stream(subject: Subject) -> Any:
    """Whether the log stream's name has AWS's form."""
    pattern = r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}"
    return re.fullmatch(pattern, subject.call("context")["logStream"]) is not None


def remaining_time(subject: Subject) -> Any:
    """Whether the time that is left is the function's limit, less a little."""
    remaining = subject.call("context")["remainingMs"]
    return (TIMEOUT_S - 5) * 1000 < remaining <= TIMEOUT_S * 1000


def short_remaining_time(subject: Subject) -> Any:
    """The same for a function of another limit."""
    subject.name("brief", Timeout=1)
    return 0 < subject.call("context", variant="brief")["remainingMs"] <= 1000


def given_trace(subject: Subject) -> Any:
    """The root of the trace that the handler sees when the caller sends one."""
    path = f"/2015-03-31/functions/{subject.name()}/invocations"
    answer = signed(subject.server, "POST", path, b'{"op": "context", "value": null}', {"X-Amzn-Trace-Id": TRACE})
    return str(json.loads(answer.body)["trace"]).split(";")[0]


def made_trace(subject: Subject) -> Any:
    """Whether the handler sees a trace when the caller sends none."""
    return re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};", str(subject.call("context")["trace"])) is not None


def client_context(subject: Subject) -> Any:
    """The custom part of the client context."""
    document = {"custom": {"k": "v"}, "env": {"locale": "zh"}}
    encoded = base64.b64encode(json.dumps(document).encode()).decode()
    found = subject.call("context", ClientContext=encoded)
    # The native handler hands the whole document back, for it reads no JSON.
    return found["client"]["custom"] if "client" in found else found["custom"]


def no_client_context(subject: Subject) -> Any:
    """The same when the caller sends none."""
    found = subject.call("context")
    return found.get("client") or found.get("custom")


BEHAVIOURS = [
    Behaviour("the request id is the one that the caller gets", request_id, True),
    Behaviour("every call has a request id of its own", two_request_ids, True),
    Behaviour("function name", lambda subject: member("functionName")(subject) == subject.name(), True),
    Behaviour("version `$LATEST`", member("functionVersion"), "$LATEST"),
    Behaviour("number of a published version", of_version("functionVersion"), "1"),
    Behaviour("memory size", member("memoryMb"), 512),
    Behaviour(
        "ARN, unqualified as the caller left it", lambda subject: member("arn")(subject) == arn_of(subject), True
    ),
    Behaviour("ARN, qualified as the caller wrote it", of_version("arn"), ":1"),
    Behaviour("log group", lambda subject: member("logGroup")(subject) == f"/aws/lambda/{subject.name()}", True),
    Behaviour("log stream", log_stream, True),
    Behaviour("remaining time is the limit, less a little", remaining_time, True),
    Behaviour("remaining time of a function with another limit", short_remaining_time, True),
    Behaviour("the caller's trace is passed on", given_trace, TRACE.split(";")[0]),
    Behaviour("a call without a trace gets one", made_trace, True),
    Behaviour("client context", client_context, {"k": "v"}),
    Behaviour("no client context", no_client_context, None),
]
