"""Check responses of the APIs against the tables that the server is built from, and the overlays beside them.

Black-box tests call `attach(client)` once for each boto3 client; every response is then checked as it arrives, also
those that boto3 retries. Tests that speak HTTP themselves call `check_response`.
"""

from __future__ import annotations

import base64
import binascii
import functools
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.response import StreamingBody

_DATA = Path(__file__).resolve().parent.parent / "crates" / "wuwei-model" / "data"


class Service:
    """What the tables say of one service."""

    def __init__(self, table: str, overlay: str) -> None:
        facts: dict[str, Any] = json.loads((_DATA / f"{table}.json").read_text(encoding="utf-8"))
        self.overlay: dict[str, Any] = json.loads((_DATA / f"{overlay}.json").read_text(encoding="utf-8"))
        self.operations: dict[str, dict[str, Any]] = facts["operations"]
        self.others: list[str] = facts.get("others", [])
        changes = self.overlay.get("shapes", {})
        self.shapes: dict[str, dict[str, Any]] = {
            name: shape | {fact: value for fact, value in changes.get(name, {}).items() if fact != "source"}
            for name, shape in facts["shapes"].items()
        }
        # Errors that stand in no model: any operation may answer them.
        self.protocol_errors: dict[str, int] = {
            name: error["status"] for name, error in self.overlay["protocol_errors"].items()
        }

    def shape_of_error(self, code: str) -> str | None:
        """Name of the shape of an error, by the name that messages give it."""
        for name, shape in self.shapes.items():
            if "error" in shape and shape.get("code", name) == code:
                return name
        return None


SERVICES = {
    "lambda": Service("lambda", "lambda-overlay"),
    "logs": Service("logs", "logs-overlay"),
    "iam": Service("iam", "query-overlay"),
    "sts": Service("sts", "query-overlay"),
}
OPERATIONS = SERVICES["lambda"].operations
SHAPES = SERVICES["lambda"].shapes
PROTOCOL_ERRORS = SERVICES["lambda"].protocol_errors
_OVERLAY = SERVICES["lambda"].overlay

_INTEGER_BITS = {"integer": 32, "long": 64}
_MESSAGE_MEMBERS = {"message", "Message"}


def check_response(
    operation: str, status: int, headers: Mapping[str, str], body: bytes, service: str = "lambda"
) -> None:
    """Raise AssertionError with all faults of a response, if it has any."""
    if operation not in SERVICES[service].operations:
        if operation in SERVICES[service].others and status == 501:
            return
        raise AssertionError(f"`{operation}` is no operation of {service.title()}")
    check = _CHECKS[service](service, operation, status, {name.lower(): text for name, text in headers.items()}, body)
    check.run()
    if check.faults:
        shown = body[:500].decode(errors="replace")
        lines = "\n".join(f"  - {fault}" for fault in check.faults)
        raise AssertionError(f"{operation} answered {status} with faults:\n{lines}\n  body: {shown}")


def attach(client: Any) -> None:
    """Have every response to a boto3 client checked from now on."""
    service = client.meta.service_model.service_name
    if service not in SERVICES:
        raise ValueError(f"responses of `{service}` are not in the tables: only those of {list(SERVICES)} are")
    events = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"response-received.{events}", functools.partial(_on_response, service=service))
    if service == "lambda":
        client.meta.events.register("after-call.lambda", _on_streamed)


def _on_response(event_name: str, service: str, response_dict: dict[str, Any] | None = None, **_kwargs: Any) -> None:
    """Check each response, also one that will be retried; a streamed body is left to `_on_streamed`."""
    if response_dict is not None and isinstance(response_dict["body"], bytes):
        operation = event_name.rsplit(".", 1)[-1]
        status, headers = response_dict["status_code"], response_dict["headers"]
        check_response(operation, status, headers, response_dict["body"], service)


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

    media_type = "application/json"

    def __init__(self, service: str, operation: str, status: int, headers: dict[str, str], body: bytes) -> None:
        self.service = SERVICES[service]
        self.shapes = self.service.shapes
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
        overlay = self.service.overlay.get("statuses", {}).get(self.operation, {})
        expected = [overlay.get("default", self.service.operations[self.operation]["status"]), *overlay.get("also", [])]
        if self.status not in expected:
            self.fault("status", f"{self.status} is not among {expected}")
        if "x-amzn-errortype" in self.headers:
            self.fault("headers", "x-amzn-ErrorType on a success")
        output = self.service.operations[self.operation].get("output")
        if output is None or self.status == 204:
            if self.body:
                self.fault("body", "not empty, though the operation answers without content")
            if output is None:
                return
        shape = self.shapes[output]
        self.header_members(output, shape)
        payload = shape.get("payload")
        if payload is not None:
            member = next(member for member in shape["members"] if member["name"] == payload)
            target = self.shapes[member["shape"]]
            if target["type"] != "blob" and not target.get("eventstream"):
                self.value(member["shape"], self.json_body(), payload)
        elif any("in" not in member for member in shape["members"]) and self.status != 204:
            self.structure(output, self.json_body(), "body")

    def error(self) -> None:
        code = re.split(r"[:#]", self.headers.get("x-amzn-errortype", ""))[0]
        if not code:
            self.fault("headers", "no x-amzn-ErrorType on an error")
            return
        shape = self.shapes.get(code, {})
        if "error" in shape:
            if code not in self.service.operations[self.operation]["errors"]:
                self.fault("headers", f"`{code}` is not an error of {self.operation}")
            expected_status = shape["error"]
            members = {member["name"] for member in shape["members"] if "in" not in member}
            self.header_members(code, shape)
        elif code in self.service.protocol_errors:
            expected_status = self.service.protocol_errors[code]
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
        if media_type != self.media_type:
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
        shape = self.shapes[name]
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
        pattern = self.service.overlay.get("formats", {}).get(member, {}).get("pattern")
        if pattern and isinstance(value, str) and not re.fullmatch(pattern, value, re.ASCII):
            self.fault(where, f"`{value}` does not have the form {pattern}")

    def value(self, name: str, value: Any, where: str) -> None:
        kind = self.shapes[name]["type"]
        if kind == "structure":
            self.structure(name, value, where)
        elif kind == "list":
            self.list(name, value, where)
        elif kind == "map":
            self.map(name, value, where)
        elif not _has_type(kind, value):
            self.fault(where, f"{type(value).__name__} {value!r} instead of {kind}")
        elif kind == "string":
            self.string(self.shapes[name], value, where)
        elif kind in ("integer", "long", "double"):
            self.bounds(self.shapes[name], value, "value", where)

    def list(self, name: str, value: Any, where: str) -> None:
        if not isinstance(value, list):
            self.fault(where, f"{type(value).__name__} instead of a list")
            return
        self.bounds(self.shapes[name], len(value), "length", where)
        for index, item in enumerate(value):
            self.value(self.shapes[name]["member"], item, f"{where}[{index}]")

    def map(self, name: str, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            self.fault(where, f"{type(value).__name__} instead of an object")
            return
        self.bounds(self.shapes[name], len(value), "length", where)
        for key, item in value.items():
            self.value(self.shapes[name]["key"], key, f"{where} key `{key}`")
            self.value(self.shapes[name]["value"], item, f"{where}.{key}")

    def string(self, shape: dict[str, Any], value: str, where: str) -> None:
        # Java counts UTF-16 units.
        self.bounds(shape, len(value.encode("utf-16-le", "surrogatepass")) // 2, "length", where)
        if "enum" in shape and value not in shape["enum"]:
            self.fault(where, f"`{value}` is not among {shape['enum']}")
        # Python has no classes of Unicode characters in its expressions.
        pattern = shape.get("pattern", "")
        if pattern and r"\p{" not in pattern and not re.fullmatch(pattern, value, re.ASCII):
            self.fault(where, f"`{value}` does not match {pattern}")

    def bounds(self, shape: dict[str, Any], size: float, what: str, where: str) -> None:
        if size < shape.get("min", size):
            self.fault(where, f"{what} {size} is less than {shape['min']}")
        if size > shape.get("max", size):
            self.fault(where, f"{what} {size} is more than {shape['max']}")


class _JsonCheck(_Check):
    """A response in the JSON 1.1 protocol."""

    media_type = "application/x-amz-json-1.1"

    def error(self) -> None:
        content = self.json_body()
        code = content.get("__type") if isinstance(content, dict) else None
        if not isinstance(code, str):
            self.fault("body", "an error names its __type")
            return
        self.error_of(code, content.get("message"))
        for name in content.keys() - {"__type", "message"}:
            self.fault(f"body.{name}", "an error has no such member")

    def error_of(self, code: str, message: object) -> None:
        """Name, status and message of an error."""
        if self.headers.get("x-amzn-errortype") != code:
            self.fault("headers", f"x-amzn-ErrorType is not `{code}`")
        if not isinstance(message, str) or not message:
            self.fault("body", "an error has a message")
        name = self.service.shape_of_error(code)
        if name is not None:
            if name not in self.service.operations[self.operation]["errors"]:
                self.fault("body", f"`{name}` is not an error of {self.operation}")
            expected = self.shapes[name]["error"]
        elif code in self.service.protocol_errors:
            expected = self.service.protocol_errors[code]
        else:
            self.fault("body", f"`{code}` is no error of the service nor of its protocol")
            return
        if self.status != expected:
            self.fault("status", f"`{code}` goes with {expected}, not with {self.status}")


class _QueryCheck(_JsonCheck):
    """A response in the Query protocol: XML."""

    def success(self) -> None:
        root = self.xml_body()
        if root is None:
            return
        if self.status != 200:
            self.fault("status", f"{self.status} is not 200")
        if root.tag != f"{self.operation}Response":
            self.fault("body", f"the root is <{root.tag}>")
        if not root.findtext("ResponseMetadata/RequestId"):
            self.fault("body", "no ResponseMetadata with a RequestId")
        output = self.service.operations[self.operation].get("output")
        result = root.find(f"{self.operation}Result")
        if output is None:
            if result is not None:
                self.fault("body", "a result, though the operation has none")
        elif result is None:
            self.fault("body", "no result")
        else:
            self.structure(output, self.from_xml(output, result, "result"), "result")

    def error(self) -> None:
        root = self.xml_body()
        if root is None:
            return
        if root.tag != "ErrorResponse" or root.findtext("Error/Type") not in ("Sender", "Receiver"):
            self.fault("body", f"<{root.tag}> is no error")
        self.error_of(root.findtext("Error/Code") or "", root.findtext("Error/Message"))

    def xml_body(self) -> ElementTree.Element | None:
        """The body without its namespace."""
        media_type = self.headers.get("content-type", "").split(";")[0].strip()
        if media_type != "text/xml":
            self.fault("headers", f"Content-Type of an XML body is `{media_type}`")
        try:
            root = ElementTree.fromstring(self.body)
        except ElementTree.ParseError as error:
            self.fault("body", f"not XML: {error}")
            return None
        for element in root.iter():
            element.tag = element.tag.rsplit("}", 1)[-1]
        return root

    def from_xml(self, name: str, element: ElementTree.Element, where: str) -> Any:
        """An element as the value of a shape."""
        shape = self.shapes[name]
        if shape["type"] == "structure":
            members = {member.get("as", member["name"]): member for member in shape["members"]}
            found: dict[str, Any] = {}
            for child in element:
                if child.tag in members and members[child.tag]["name"] not in found:
                    member = members[child.tag]
                    found[member["name"]] = self.from_xml(member["shape"], child, f"{where}.{child.tag}")
                else:
                    self.fault(f"{where}.{child.tag}", f"`{name}` has no such member, or only one")
            return found
        if shape["type"] == "list":
            for child in element:
                if child.tag != "member":
                    self.fault(f"{where}.{child.tag}", "a list has `member` only")
            return [self.from_xml(shape["member"], child, f"{where}.member") for child in element]
        return self.scalar(shape["type"], element.text or "", where)

    def scalar(self, kind: str, text: str, where: str) -> Any:
        """The value that a text stands for."""
        if kind == "boolean" and text in ("true", "false"):
            return text == "true"
        if kind in ("integer", "long") and re.fullmatch(r"-?\d+", text):
            return int(text)
        if kind == "timestamp":
            if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
                self.fault(where, f"`{text}` is no time of ISO 8601 in whole seconds")
            return 0
        return text


_CHECKS = {"lambda": _Check, "logs": _JsonCheck, "iam": _QueryCheck, "sts": _QueryCheck}


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
