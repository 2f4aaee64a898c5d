"""What functions may reach: asks the server, and sets it, as `wuwei deploy --egress` does."""

import json
from typing import Any

from harness import wire
from harness.server import Keys, Server


def ask_egress(
    server: Server, method: str, name: str, body: object = None, keys: Keys | None = None
) -> tuple[int, Any]:
    """Status and document of the endpoint of policies."""
    data = json.dumps(body).encode() if body is not None else b""
    answer = wire.signed(server, method, f"/_wuwei/v1/egress/{name}", data, keys=keys, service="wuwei")
    return answer.status, json.loads(answer.body) if answer.body else None


def set_egress(server: Server, name: str, policy: str) -> None:
    """Gives a function a policy."""
    status, document = ask_egress(server, "PUT", name, {"egress": policy})
    assert status == 200, document
