"""AWS Signature Version 4 for requests that are made ahead: signing must cost nothing while times are taken."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timezone

REGION = "us-east-1"
SERVICE = "lambda"


@dataclass(frozen=True)
class Signer:
    """An access key, and the server that its requests are for."""

    access_key_id: str
    secret_access_key: str
    authority: str

    def request(self, method: str, path: str, body: str = "", now: datetime | None = None) -> str:
        """A whole HTTP/1.1 request with its signature; the path has no query and needs no escapes."""
        time = (now or datetime.now(timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{time[:8]}/{REGION}/{SERVICE}/aws4_request"
        digest = hashlib.sha256(body.encode()).hexdigest()
        headers = f"host:{self.authority}\nx-amz-date:{time}\n"
        canonical = f"{method}\n{path}\n\n{headers}\nhost;x-amz-date\n{digest}"
        to_sign = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{self.secret_access_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key_id}/{scope}, SignedHeaders=host;x-amz-date, "
            f"Signature={signature}"
        )
        return plain_request(method, path, self.authority, body, {"X-Amz-Date": time, "Authorization": authorization})


def plain_request(method: str, path: str, authority: str, body: str, headers: dict[str, str] | None = None) -> str:
    """A whole HTTP/1.1 request."""
    fields = {"Host": authority, "Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in (fields | (headers or {})).items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n{body}"
