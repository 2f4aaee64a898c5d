"""Requests of every operation, made from the service model by chance: valid ones, and such with something wrong."""

import base64
import copy
import json
import random
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from harness.matching import text_matching
from responses import OPERATIONS, SHAPES

Json = Any
TEXTS = [
    "", " ", "x", "null", "0", "-1", "1e3", "..", "../../etc/passwd", "%", "%00", "a/b", "a:b", "$LATEST", "*", "'\"\\",
    "\x00", "\n", "\u202e", "ß無為🦀", "\ud800", "é" * 300, "a" * 5_000, "[" * 300, "arn:aws:lambda:", "${jndi:x}",
    "18446744073709551616", "9223372036854775808", "-9223372036854775809", "true", "{}",
]  # fmt: skip
NUMBERS = [
    0, -1, 1, 1.5, -0.0, 1e308, 5e-324, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    -(2**63) - 1, 10**40,
]  # fmt: skip
RAW = ["1e999", "-1e999", "NaN", "-", "01", "1.", "tru", "0x10", '"\\ud800"', '"\\u0000"', "9" * 500]
"""Texts that stand for a value as they are: some are not JSON."""
DEPTHS = (60, 127, 128, 129, 3_000)
LEARNT = {
    "CodeSigningConfigArn": "CodeSigningConfigArn",
    "UUID": "UUID",
    "RevisionId": "RevisionId",
    "NextMarker": "Marker",
}
"""What the server makes up, and the member of requests that takes it."""
LEARNT_MAX = 12
OPTIONAL_SHARES = (0.0, 0.0, 0.2, 0.5)
"""Of the members that need not be there, those that are."""
USUAL = {
    "CreateFunction": {"Runtime", "Handler"},
    "CreateEventSourceMapping": {"EventSourceArn", "Enabled"},
    "UpdateFunctionCode": {"ZipFile"},
    "PutRuntimeManagementConfig": {"UpdateRuntimeOn"},
}
"""What the model does not require, and the server does."""
SOUND_SHARE = 0.5
"""Of the requests, those that are left as the model wants them."""


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent."""

    operation: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    reaches_operation: bool
    """Whether method and path still are the operation's, so that its errors are what is answered."""

    def __str__(self) -> str:
        shown = self.body[:2_000].decode(errors="backslashreplace")
        return f"{self.operation}: {self.method} {self.target[:500]} {self.headers}\n{shown}"


@dataclass
class Documents:
    """Makes requests. `known` are values that mean something to the server, by the name of the member."""

    chance: random.Random
    known: dict[str, list[Json]] = field(default_factory=dict)
    _raw: list[str] = field(default_factory=list)

    def learn(self, document: Json) -> None:
        """Takes over names that the server has given out."""
        if isinstance(document, dict):
            for name, value in document.items():
                if name in LEARNT and isinstance(value, str):
                    values = self.known.setdefault(LEARNT[name], [])
                    values.append(value)
                    del values[:-LEARNT_MAX]
                self.learn(value)
        elif isinstance(document, list):
            for item in document:
                self.learn(item)

    def request(self, operation: str) -> Request:
        """A request of an operation, with nothing, something or much wrong."""
        faults = 0 if self.chance.random() < SOUND_SHARE else self.chance.choice((1, 1, 1, 2, 4))
        facts = OPERATIONS[operation]
        shape = SHAPES[facts["input"]]
        places: dict[str, dict[str, Json]] = {"uri": {}, "querystring": {}, "header": {}, "body": {}}
        needed = {*shape.get("required", []), *USUAL.get(operation, ())}
        share = self.chance.choice(OPTIONAL_SHARES)
        for member in shape["members"]:
            if member["name"] in needed or member.get("in") == "uri" or self.chance.random() < share:
                place = places[member.get("in", "body")]
                place[member.get("as", member["name"])] = self.value(member["name"], member["shape"])
        payload = shape.get("payload")
        document: Json = places["body"].get(payload, {}) if payload else places["body"]
        body = b""
        for _ in range(faults):
            fault = self.chance.random()
            if fault < 0.65 and facts["method"] != "GET":
                document = self.spoilt(document)
            elif fault < 0.85 and (used := [name for name in ("uri", "querystring", "header") if places[name]]):
                place = places[self.chance.choice(used)]
                place[self.chance.choice(sorted(place))] = self.chance.choice(TEXTS)
            elif fault < 0.95:
                place = places[self.chance.choice(("querystring", "header"))]
                place[self.chance.choice(("Marker", "MaxItems", "Qualifier", "X-Amz-Log-Type"))] = self.any_text()
        if facts["method"] != "GET":
            body = self.body(document, spoil=faults > 1 and self.chance.random() < 0.2)
        method, reaches = facts["method"], True
        if faults > 2 and self.chance.random() < 0.1:
            method, reaches = self.chance.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")), False
        path, has_empty = self.path(facts["uri"], places["uri"])
        target = self.target(path, places["querystring"])
        headers = {name: _header(value) for name, value in places["header"].items()}
        return Request(operation, method, target, headers, body, reaches and not has_empty)

    def value(self, name: str, shape_name: str) -> Json:
        """A value that the model takes, most often; one that is known to the server, if there is."""
        known = self.known.get(name) or self.known.get(shape_name)
        shape, chance = SHAPES[shape_name], self.chance
        kind = shape["type"]
        if known and chance.random() < 0.9:
            return copy.deepcopy(chance.choice(known))
        if kind == "string":
            return self.string(shape)
        if kind in ("integer", "long"):
            least, most = shape.get("min", 0), shape.get("max", 1_000)
            return chance.choice((least, most, chance.randint(least, most)))
        if kind == "double":
            return chance.choice((0, 0.5, 1, chance.random()))
        if kind == "boolean":
            return chance.random() < 0.5
        if kind == "timestamp":
            return chance.choice((0, 1_790_000_000, 1_790_000_000.5))
        if kind == "blob":
            return base64.b64encode(chance.randbytes(chance.randint(0, 40))).decode()
        if kind == "list":
            count = chance.randint(shape.get("min", 0), min(shape.get("max", 3), shape.get("min", 0) + 3))
            return [self.value(name, shape["member"]) for _ in range(count)]
        if kind == "map":
            count = chance.randint(shape.get("min", 0), 3)
            return {str(self.value("", shape["key"])): self.value("", shape["value"]) for _ in range(count)}
        required = shape.get("required", [])
        members = [each for each in shape["members"] if each["name"] in required or chance.random() < 0.4]
        return {each.get("as", each["name"]): self.value(each["name"], each["shape"]) for each in members}

    def string(self, shape: dict[str, Any]) -> str:
        """A text of a shape."""
        if "enum" in shape:
            return str(self.chance.choice(shape["enum"]))
        if "pattern" in shape:
            return text_matching(shape["pattern"], self.chance)[: shape.get("max", 300)]
        return self.chance.choice(("text", "a b", "ü", "x" * shape.get("min", 1)))

    def any_text(self) -> str:
        """A text from nowhere."""
        return self.chance.choice(TEXTS)

    def spoilt(self, document: Json) -> Json:
        """The document with one thing wrong somewhere in it."""
        places = list(_places(document))
        if not places or self.chance.random() < 0.05:
            return self.strange()
        holder, key = self.chance.choice(places)
        what = self.chance.random()
        if what < 0.15:
            del holder[key]
        elif what < 0.25 and isinstance(holder, dict):
            holder[self.chance.choice(("Unknown", "", "__proto__", "FunctionName", "é" * 200))] = self.strange()
        elif what < 0.35 and isinstance(holder[key], list):
            holder[key] = holder[key] * 40
        elif what < 0.45 and isinstance(holder[key], str):
            holder[key] = holder[key] + self.any_text()
        else:
            holder[key] = self.strange()
        return document

    def strange(self) -> Json:
        """Any JSON, or a text that is none."""
        what = self.chance.randrange(8)
        depth = self.chance.choice(DEPTHS)
        if what == 0:
            return self.raw("[" * depth + "]" * depth)
        if what == 1:
            return self.raw('{"a":' * depth + "1" + "}" * depth)
        if what == 2:
            return self.raw(self.chance.choice(RAW))
        if what == 3:
            return self.chance.choice((None, True, False, [], {}, [None], {"": None}, [[]], [{}]))
        if what == 4:
            return self.chance.choice(("a" * 70_000, "\u0000" * 100, "🦀" * 10_000))
        return self.chance.choice(NUMBERS) if what == 5 else self.any_text()

    def raw(self, text: str) -> str:
        """What stands in a document for a text that is to be sent as it is."""
        self._raw.append(text)
        return f"raw-{len(self._raw) - 1}"

    def body(self, document: Json, *, spoil: bool) -> bytes:
        """The document as it is sent; spoilt, bytes of it are wrong."""
        text = document if isinstance(document, str) else json.dumps(document)
        for number, raw in enumerate(self._raw):
            text = raw if text == f"raw-{number}" else text.replace(f'"raw-{number}"', raw)
        self._raw.clear()
        body = text.encode("utf-8", "surrogatepass")
        if not spoil:
            return body
        cut = self.chance.randrange(len(body) + 1)
        return self.chance.choice(
            (body[:cut], body[:cut] + b"\xff" + body[cut:], b"\xef\xbb\xbf" + body, body + body, b"[" + body, b"\x00")
        )

    def path(self, template: str, labels: dict[str, Json]) -> tuple[str, bool]:
        """The path with its labels in it, and whether one of them is empty."""
        path = template.split("?")[0]
        for name, value in labels.items():
            path = path.replace("{" + name + "}", quote(str(value).encode("utf-8", "surrogatepass"), safe=""))
        fixed = template.partition("?")[2]
        return (f"{path}?{fixed}" if fixed else path), any(str(value) == "" for value in labels.values())

    def target(self, path: str, query: dict[str, Json]) -> str:
        """Path and query."""
        pairs = []
        for name, value in query.items():
            for item in value if isinstance(value, list) else [value]:
                text = str(item).lower() if isinstance(item, bool) else str(item)
                pairs.append(f"{quote(name, safe='')}={quote(text.encode('utf-8', 'surrogatepass'), safe='')}")
        separator = "&" if "?" in path else "?"
        return path + (separator + "&".join(pairs) if pairs else "")


def _places(document: Json) -> list[tuple[Any, Any]]:
    """Every place of a value in a document: what holds it, and its key or index there."""
    found: list[tuple[Any, Any]] = []
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in list(keys):
        found += [(document, key), *_places(document[key])]
    return found


def _header(value: Json) -> str:
    """A value as a header can have it."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "".join(character for character in text if " " <= character <= "~")[:4_000]
