"""The variables that AWS defines, as the handler finds them."""

from collections.abc import Callable
from typing import Any

from conformance.behaviour import Behaviour
from conformance.subject import Subject
from harness.server import REGION

OWN = {"OWN": "無為 = 1", "EMPTY": ""}


def found_in(subject: Subject) -> dict[str, str]:
    """The environment of a function that sets variables of its own."""
    subject.name("own", Environment={"Variables": OWN})
    environment: dict[str, str] = subject.call("environment", variant="own")
    return environment


def variable(name: str, expected: str) -> Behaviour:
    """A variable with the same value for every function."""
    return Behaviour(f"`{name}` is `{expected}`", lambda subject: found_in(subject).get(name), expected)


def depends(name: str, expected: Callable[[Subject], str | None]) -> Behaviour:
    """A variable whose value is that of the function."""
    return Behaviour(f"`{name}`", lambda subject: found_in(subject).get(name) == expected(subject), True)


def execution_environment(subject: Subject) -> str | None:
    """AWS sets it for managed runtimes only."""
    return f"AWS_Lambda_{subject.runtime}" if subject.client.is_managed else None


def strays(subject: Subject) -> Any:
    """Variables of the server."""
    return [name for name in found_in(subject) if name.startswith(("WUWEI", "CARGO", "RUST_", "SUDO", "SSH"))]


BEHAVIOURS = [
    depends("_HANDLER", lambda subject: subject.client.handler),
    variable("AWS_REGION", REGION),
    variable("AWS_DEFAULT_REGION", REGION),
    depends("AWS_LAMBDA_FUNCTION_NAME", lambda subject: subject.name("own")),
    variable("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
    depends("AWS_LAMBDA_LOG_GROUP_NAME", lambda subject: f"/aws/lambda/{subject.name('own')}"),
    Behaviour(
        "`AWS_LAMBDA_LOG_STREAM_NAME` is the context's",
        lambda subject: (
            found_in(subject)["AWS_LAMBDA_LOG_STREAM_NAME"] == subject.call("context", variant="own")["logStream"]
        ),
        True,
    ),
    variable("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    depends("AWS_EXECUTION_ENV", execution_environment),
    variable("LAMBDA_TASK_ROOT", "/var/task"),
    variable("LAMBDA_RUNTIME_DIR", "/var/runtime"),
    variable("TZ", ":UTC"),
    Behaviour("`LANG` means UTF-8", lambda subject: "UTF-8" in found_in(subject)["LANG"], True),
    Behaviour("`PATH` has `/usr/bin`", lambda subject: "/usr/bin" in found_in(subject)["PATH"].split(":"), True),
    variable("OWN", OWN["OWN"]),
    Behaviour("a variable of the function may be empty", lambda subject: found_in(subject).get("EMPTY"), ""),
    Behaviour("nothing of the server's environment is there", strays, []),
]
