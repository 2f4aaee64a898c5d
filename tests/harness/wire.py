"""Requests at the level of the wire: signed by botocore's own signers, sent by `http.client`."""

import http.client
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import urlsplit

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness.server import REGION, Keys, Server


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value, whatever its case."""
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower())

    @property
    def error(self) -> str | None:
        """The error's name, without what AWS may append to the header."""
        kind = self.header("x-amzn-ErrorType")
        return kind.split(":")[0] if kind else None


def _sign(auth: SigV4Auth, request: AWSRequest, when: datetime | None) -> None:
    """As botocore's `add_auth`, but for a time of the test's choice."""
    request.context["timestamp"] = (when or datetime.now(timezone.utc)).strftime(SIGV4_TIMESTAMP)
    auth._modify_request_before_signing(request)
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(to_sign, request))


def _credentials(keys: Keys) -> Credentials:
    return Credentials(keys.access_key_id, keys.secret_access_key)


def signed_headers(
    server: Server,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    keys: Keys | None = None,
    service: str = "lambda",
    region: str = REGION,
    when: datetime | None = None,
) -> dict[str, str]:
    """The headers of a signed request, `Authorization` among them."""
    request = AWSRequest(method, server.endpoint + path, dict(headers or {}), body)
    _sign(SigV4Auth(_credentials(keys or server.keys), service, region), request, when)
    return dict(request.headers.items())


def presigned(
    server: Server, method: str, path: str, *, expires: int = 60, service: str = "lambda", when: datetime | None = None
) -> str:
    """Path and query of a request that is signed in its query."""
    request = AWSRequest(method, server.endpoint + path, {})
    _sign(SigV4QueryAuth(_credentials(server.keys), service, REGION, expires), request, when)
    parts = urlsplit(request.url)
    return f"{parts.path}?{parts.query}"


def send(
    address: tuple[str, int], method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """Sends a request exactly as given and reads the whole answer."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    with closing(connection):
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def signed(
    server: Server,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    keys: Keys | None = None,
    service: str = "lambda",
) -> Answer:
    """Signs a request with the server's first key (or another) and sends it."""
    with_signature = signed_headers(server, method, path, body, headers, keys=keys, service=service)
    return send(server.address, method, path, body, with_signature)


def get(url: str) -> Answer:
    """A plain GET, as a browser or curl does it."""
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None, url
    return send((parts.hostname, parts.port), "GET", f"{parts.path}?{parts.query}")
