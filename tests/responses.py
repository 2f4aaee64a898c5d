"""Check responses of the Lambda API against the table that the server is built from, and the overlay beside it.

Black-box tests call `attach(client)` once for each boto3 client; every response is then checked as it arrives, also
those that boto3 retries. Tests that speak HTTP themselves call `check_response`.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.response import StreamingBody

_DATA = Path(__file__).resolve().parent.parent / "crates" / "wuwei-model" / "data"
_TABLE: dict[str, Any] = json.loads((_DATA / "lambda.json").read_text(encoding="utf-8"))
_OVERLAY: dict[str, Any] = json.loads((_DATA / "lambda-overlay.json").read_text(encoding="utf-8"))

OPERATIONS: dict[str, dict[str, Any]] = _TABLE["operations"]
SHAPES: dict[str, dict[str, Any]] = {
    name: shape | {fact: value for fact, value in _OVERLAY["shapes"].get(name, {}).items() if fact != "source"}
    for name, shape in _TABLE["shapes"].items()
}
# Errors that stand in no model: any operation may answer them.
PROTOCOL_ERRORS: dict[str, int] = {name: error["status"] for name, error in _OVERLAY["protocol_errors"].items()}

_INTEGER_BITS = {"integer": 32, "long": 64}
_MESSAGE_MEMBERS = {"message", "Message"}


def check_response(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise AssertionError with all faults of a response, if it has any."""
    if operation not in OPERATIONS:
        raise AssertionError(f"`{operation}` is no operation of Lambda")
    check = _Check(operation, status, {name.lower(): value for name, value in headers.items()}, body)
    check.run()
    if check.faults:
        shown = body[:500].decode(errors="replace")
        lines = "\n".join(f"  - {fault}" for fault in check.faults)
        raise AssertionError(f"{operation} answered {status} with faults:\n{lines}\n  body: {shown}")


def attach(client: Any) -> None:
    """Have every response to a boto3 client of Lambda checked from now on."""
    service = client.meta.service_model.service_name
    if service != "lambda":
        raise ValueError(f"responses of `{service}` are not in the table: only those of `lambda` are")
    client.meta.events.register("response-received.lambda", _on_response)
    client.meta.events.register("after-call.lambda", _on_streamed)


def _on_response(event_name: str, response_dict: dict[str, Any] | None = None, **_kwargs: Any) -> None:
    """Check each response, also one that will be retried; a streamed body is left to `_on_streamed`."""
    if response_dict is not None and isinstance(response_dict["body"], bytes):
        operation = event_name.rsplit(".", 1)[-1]
        check_response(operation, response_dict["status_code"], response_dict["headers"], response_dict["body"])


def _on_streamed(http_response: Any, parsed: dict[str, Any], model: Any, **_kwargs: Any) -> None:
    """Check a response with a streamed payload; the caller gets a fresh stream over the same bytes."""
    if http_response.status_code >= 300:
        return
    if model.has_event_stream_output:
        check_response(model.name, http_response.status_code, http_response.headers, b"")
    elif model.has_streaming_output:
        payload = model.output_shape.serialization["payload"]
        body = parsed[payload].read()
        parsed[payload] = StreamingBody(io.BytesIO(body), len(body))
        check_response(model.name, http_response.status_code, http_response.headers, body)


class _Check:
    """One response under check; `faults` fills up."""

    def __init__(self, operation: str, status: int, headers: dict[str, str], body: bytes) -> None:
        self.operation = operation
        self.status = status
        self.headers = headers
        self.body = body
        self.faults: list[str] = []

    def run(self) -> None:
        if not self.headers.get("x-amzn-requestid"):
            self.fault("headers", "no x-amzn-RequestId")
        if self.status < 300:
            self.success()
        else:
            self.error()

    def fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}")

    def success(self) -> None:
        overlay = _OVERLAY["statuses"].get(self.operation, {})
        expected = [overlay.get("default", OPERATIONS[self.operation]["status"]), *overlay.get("also", [])]
        if self.status not in expected:
            self.fault("status", f"{self.status} is not among {expected}")
        if "x-amzn-errortype" in self.headers:
            self.fault("headers", "x-amzn-ErrorType on a success")
        output = OPERATIONS[self.operation].get("output")
        if output is None or self.status == 204:
            if self.body:
                self.fault("body", "not empty, though the operation answers without content")
            if output is None:
                return
        shape = SHAPES[output]
        self.header_members(output, shape)
        payload = shape.get("payload")
        if payload is not None:
            member = next(member for member in shape["members"] if member["name"] == payload)
            target = SHAPES[member["shape"]]
            if target["type"] != "blob" and not target.get("eventstream"):
                self.value(member["shape"], self.json_body(), payload)
        elif any("in" not in member for member in shape["members"]) and self.status != 204:
            self.structure(output, self.json_body(), "body")

    def error(self) -> None:
        code = re.split(r"[:#]", self.headers.get("x-amzn-errortype", ""))[0]
        if not code:
            self.fault("headers", "no x-amzn-ErrorType on an error")
            return
        shape = SHAPES.get(code, {})
        if "error" in shape:
            if code not in OPERATIONS[self.operation]["errors"]:
                self.fault("headers", f"`{code}` is not an error of {self.operation}")
            expected_status = shape["error"]
            members = {member["name"] for member in shape["members"] if "in" not in member}
            self.header_members(code, shape)
        elif code in PROTOCOL_ERRORS:
            expected_status = PROTOCOL_ERRORS[code]
            members = {"Type"} | _MESSAGE_MEMBERS
        else:
            self.fault("headers", f"`{code}` is no error of Lambda nor of its protocol")
            return
        if self.status != expected_status:
            self.fault("status", f"`{code}` goes with {expected_status}, not with {self.status}")
        content = self.json_body()
        if not isinstance(content, dict):
            self.fault("body", "an error is a JSON object")
            return
        if "error" in shape:
            self.structure(code, content, "body")
        else:
            for name in content.keys() - members:
                self.fault(f"body.{name}", f"`{code}` has no such member")
        messages = [content.get(name) for name in _MESSAGE_MEMBERS & members if name in content]
        if len(messages) != 1 or not isinstance(messages[0], str) or not messages[0]:
            wanted = " or ".join(sorted(_MESSAGE_MEMBERS & members))
            self.fault("body", f"`{code}` has exactly one text as its {wanted}")

    def json_body(self) -> Any:
        """The body as JSON; a fault and an empty object when it is none."""
        media_type = self.headers.get("content-type", "").split(";")[0].strip()
        if media_type != "application/json":
            self.fault("headers", f"Content-Type of a JSON body is `{media_type}`")
        try:
            return json.loads(self.body)
        except ValueError as error:
            self.fault("body", f"not JSON: {error}")
            return {}

    def header_members(self, name: str, shape: dict[str, Any]) -> None:
        for member in shape["members"]:
            if member.get("in") != "header":
                continue
            text = self.headers.get(member["as"].lower())
            if text is not None:
                self.value(member["shape"], text, f"header {member['as']}")
            elif member["name"] in shape.get("required", []):
                self.fault("headers", f"`{name}` lacks {member['as']}")

    def structure(self, name: str, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            self.fault(where, f"{type(value).__name__} instead of an object")
            return
        shape = SHAPES[name]
        members = {member["name"]: member for member in shape["members"] if "in" not in member}
        for unknown in value.keys() - members.keys():
            self.fault(f"{where}.{unknown}", f"`{name}` has no such member")
        for required in shape.get("required", []):
            if required in members and required not in value:
                self.fault(f"{where}.{required}", "missing")
        for member_name, member in members.items():
            if member_name in value:
                path = f"{where}.{member_name}"
                self.value(member["shape"], value[member_name], path)
                self.format(f"{name}.{member_name}", value[member_name], path)

    def format(self, member: str, value: Any, where: str) -> None:
        """Formats that the model does not say (overlay)."""
        pattern = _OVERLAY["formats"].get(member, {}).get("pattern")
        if pattern and isinstance(value, str) and not re.fullmatch(pattern, value, re.ASCII):
            self.fault(where, f"`{value}` does not have the form {pattern}")

    def value(self, name: str, value: Any, where: str) -> None:
        kind = SHAPES[name]["type"]
        if kind == "structure":
            self.structure(name, value, where)
        elif kind == "list":
            self.list(name, value, where)
        elif kind == "map":
            self.map(name, value, where)
        elif not _has_type(kind, value):
            self.fault(where, f"{type(value).__name__} {value!r} instead of {kind}")
        elif kind == "string":
            self.string(SHAPES[name], value, where)
        elif kind in ("integer", "long", "double"):
            self.bounds(SHAPES[name], value, "value", where)

    def list(self, name: str, value: Any, where: str) -> None:
        if not isinstance(value, list):
            self.fault(where, f"{type(value).__name__} instead of a list")
            return
        self.bounds(SHAPES[name], len(value), "length", where)
        for index, item in enumerate(value):
            self.value(SHAPES[name]["member"], item, f"{where}[{index}]")

    def map(self, name: str, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            self.fault(where, f"{type(value).__name__} instead of an object")
            return
        self.bounds(SHAPES[name], len(value), "length", where)
        for key, item in value.items():
            self.value(SHAPES[name]["key"], key, f"{where} key `{key}`")
            self.value(SHAPES[name]["value"], item, f"{where}.{key}")

    def string(self, shape: dict[str, Any], value: str, where: str) -> None:
        # Java counts UTF-16 units.
        self.bounds(shape, len(value.encode("utf-16-le", "surrogatepass")) // 2, "length", where)
        if "enum" in shape and value not in shape["enum"]:
            self.fault(where, f"`{value}` is not among {shape['enum']}")
        if "pattern" in shape and not re.fullmatch(shape["pattern"], value, re.ASCII):
            self.fault(where, f"`{value}` does not match {shape['pattern']}")

    def bounds(self, shape: dict[str, Any], size: float, what: str, where: str) -> None:
        if size < shape.get("min", size):
            self.fault(where, f"{what} {size} is less than {shape['min']}")
        if size > shape.get("max", size):
            self.fault(where, f"{what} {size} is more than {shape['max']}")


def _has_type(kind: str, value: Any) -> bool:
    """Whether a JSON value has the type of a scalar shape; timestamps are seconds since the Unix epoch."""
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "string":
        return isinstance(value, str)
    if kind == "blob":
        return isinstance(value, str) and _is_base64(value)
    if isinstance(value, bool):
        return False
    if kind in _INTEGER_BITS:
        limit = 1 << (_INTEGER_BITS[kind] - 1)
        return isinstance(value, int) and -limit <= value < limit
    if kind in ("double", "timestamp"):
        return isinstance(value, int | float)
    raise ValueError(f"`{kind}` is no scalar type of the table")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return True
