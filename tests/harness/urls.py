"""Function URLs: made through the API, called as a browser or a signing client calls them."""

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.credentials import Credentials

from harness.server import REGION, Keys, Server

UNSIGNED_TEXT = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


@dataclass(frozen=True)
class UrlAnswer:
    """What a URL answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for known, value in self.headers if known.lower() == name]

    def header(self, name: str) -> str | None:
        """The one value of a header."""
        values = self.all(name)
        assert len(values) <= 1, self.headers
        return values[0] if values else None

    @property
    def value(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Url:
    """A function URL and the server behind it, whose address is used without asking any name server."""

    server: Server
    address: str

    @property
    def host(self) -> str:
        """Host name and port."""
        return urlsplit(self.address).netloc

    @property
    def id(self) -> str:
        """The first label of the host name."""
        return self.host.split(".")[0]

    def call(
        self,
        method: str = "GET",
        target: str = "/",
        body: bytes | None = None,
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    ) -> UrlAnswer:
        """Sends a request exactly as given and reads the whole answer."""
        connection = self.open(method, target, body, headers)
        with closing(connection):
            answer = connection.getresponse()
            return UrlAnswer(answer.status, answer.getheaders(), answer.read())

    def open(
        self,
        method: str = "GET",
        target: str = "/",
        body: bytes | None = None,
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    ) -> http.client.HTTPConnection:
        """Sends a request exactly as given; the answer is the caller's to read."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=60)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers or [])
        names = {name.lower() for name, _ in pairs}
        if "host" not in names:
            connection.putheader("Host", self.host)
        if body is not None and "content-length" not in names:
            connection.putheader("Content-Length", str(len(body)))
        for name, value in pairs:
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection

    def signed(
        self,
        method: str = "GET",
        target: str = "/",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        keys: Keys | None = None,
        token: str | None = None,
        service: str = "lambda",
    ) -> UrlAnswer:
        """Signs a request with the server's first key (or another) and sends it."""
        keys = keys or self.server.keys
        request = AWSRequest(method, f"http://{self.host}{target}", dict(headers or {}), body)
        SigV4Auth(Credentials(keys.access_key_id, keys.secret_access_key, token), service, REGION).add_auth(request)
        return self.call(method, target, body, dict(request.headers.items()))


def give_url(server: Server, client: BaseClient, name: str, **settings: Any) -> Url:
    """Gives a function a URL that nobody may call yet."""
    answer = client.create_function_url_config(**({"FunctionName": name, "AuthType": "NONE"} | settings))
    return Url(server, answer["FunctionUrl"])


def open_url(client: BaseClient, name: str) -> None:
    """Lets everybody call a function through its URL: the two permissions that it takes."""
    client.add_permission(
        FunctionName=name,
        StatementId="FunctionURLAllowPublicAccess",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    client.add_permission(
        FunctionName=name,
        StatementId="FunctionURLAllowInvokeAction",
        Action="lambda:InvokeFunction",
        Principal="*",
        InvokedViaFunctionUrl=True,
    )


def public_url(server: Server, client: BaseClient, name: str, **settings: Any) -> Url:
    """Gives a function a URL that everybody may call."""
    url = give_url(server, client, name, **settings)
    open_url(client, name)
    return url
