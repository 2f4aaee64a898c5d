"""The columns of the table: who speaks to the platform for the handler."""

from collections.abc import Callable
from dataclasses import dataclass

from conformance import builds
from conformance.builds import Files

CUSTOM = "provided.al2023"


@dataclass(frozen=True)
class Client:
    """A managed runtime, or a client as a custom one."""

    key: str
    title: str
    family: str
    """Start of the identifier of the runtime; the newest that the server offers is taken."""
    handler: str
    package: Callable[[], Files]
    main_file: str
    """A file of the package that is there whatever the client's version."""

    @property
    def is_managed(self) -> bool:
        """Whether the platform brings the runtime."""
        return self.family != CUSTOM


CLIENTS = (
    Client("python", "managed Python", "python3.", "app.handler", builds.python, "app.py"),
    Client("node", "managed Node.js", "nodejs", "app.handler", builds.node, "app.mjs"),
    Client("native", "native (C)", CUSTOM, "any", builds.native, "bootstrap"),
    Client("awslambdaric", "`awslambdaric`", CUSTOM, "app.handler", builds.awslambdaric, "app.py"),
    Client("rust", "`lambda_runtime`", CUSTOM, "any", builds.lambda_runtime, "bootstrap"),
    Client("go", "`aws-lambda-go`", CUSTOM, "any", builds.aws_lambda_go, "bootstrap"),
    Client("java", "Java client", CUSTOM, "Handler::handleRequest", builds.java_client, "Handler.class"),
)


def newest(identifiers: list[str], family: str) -> str | None:
    """The newest of these runtimes that belongs to a family."""
    members = [identifier for identifier in identifiers if identifier.startswith(family)]
    digits = lambda identifier: [int(part) for part in "".join(c if c.isdigit() else " " for c in identifier).split()]  # noqa: E731
    return max(members, key=digits, default=None)
