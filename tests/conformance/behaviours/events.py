"""Events and results: what goes in and what comes out."""

import json
from typing import Any

from conformance.behaviour import Behaviour, Difference
from conformance.subject import Subject, failed
from harness.refusals import refusal

PAYLOAD_LIMIT = 6_291_456
RESPONSE_LIMIT = 6_291_556
FRAME = len('{"op": "length", "value": ""}')
TOO_LARGE = failed(
    "Function.ResponseSizeTooLarge",
    f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes).",
)
NODE_NUMBERS = "numbers are 64-bit floating-point numbers"
PRELUDE = '{"statusCode":200,"headers":{"content-type":"application/octet-stream"},"cookies":[]}' + "\0" * 8
DEEP: Any = 0
for _ in range(60):
    DEEP = {"in": [DEEP]}


def echoed(name: str, event: Any, **differences: Difference) -> Behaviour:
    """An event that comes back as it went."""
    return Behaviour(f"{name} comes back", lambda subject: subject.echo(json.dumps(event)), event, differences)


def raw(name: str, text: str, expected: Any, **differences: Difference) -> Behaviour:
    """An event of this very text."""
    return Behaviour(name, lambda subject: subject.echo(text), expected, differences)


def order_of_keys(subject: Subject) -> Any:
    """The keys of an object as the answer's text has them."""
    answer = subject.functions.invoke(subject.name(), Payload=b'{"z": 1, "a": 2, "m": 3}')
    return [key for key, _ in json.loads(answer.payload, object_pairs_hook=list)]


def one_byte_too_many(subject: Subject) -> Any:
    """The refusal of an event that is a byte too long."""
    event = b'"' + b"x" * (PAYLOAD_LIMIT - 1) + b'"'
    found = refusal(subject.functions.client.invoke, FunctionName=subject.name(), Payload=event)
    return [found.status, found.message]


def without_payload(subject: Subject) -> Any:
    """The handler's event when the caller sends none."""
    answer = subject.functions.client.invoke(FunctionName=subject.name())
    return json.loads(answer["Payload"].read())


def after_a_result_too_large(subject: Subject) -> Any:
    """Whether the function still answers after one that was refused."""
    subject.call("letters", RESPONSE_LIMIT)
    return subject.call("letters", 3)


BEHAVIOURS = [
    echoed("null", None),
    echoed("true", True),
    echoed("false", False),
    echoed("zero", 0),
    echoed("a negative fraction", -1.5),
    echoed("2⁵³", 2**53),
    echoed("2⁶³ - 1", 2**63 - 1, node=Difference(9223372036854776000, NODE_NUMBERS)),
    echoed(
        "a number of 31 digits",
        10**30,
        rust=Difference(1e30, "`serde_json` reads integers beyond 64 bits as floating-point numbers"),
        node=Difference(1e30, NODE_NUMBERS),
    ),
    echoed("a tiny number (1e-300)", 1e-300),
    echoed("an empty string", ""),
    echoed("a string", "text"),
    raw("a string in UTF-8 comes back", json.dumps("無為 é \U0001f680", ensure_ascii=False), "無為 é \U0001f680"),
    echoed("a string in \\u escapes", "無為 é \U0001f680"),
    echoed("quotes, backslashes and control characters", 'a"b\\c\nd\te\0f\u2028g'),
    echoed("an empty list", []),
    echoed("an empty object", {}),
    echoed("a null in an object", {"a": None}, java=Difference({}, "its serialiser leaves out members that are null")),
    echoed("a list of all types", [None, True, 1, 2.5, "x", [], {}]),
    echoed("an object of objects", {"a": {"b": {"c": [1, {"d": 2}]}}}),
    echoed("120 levels of nesting", DEEP),
    echoed("an object of 1,000 keys", {f"key{number}": number for number in range(1000)}),
    echoed("a list of 10,000 numbers", list(range(10_000))),
    Behaviour(
        "keys keep their order",
        order_of_keys,
        ["z", "a", "m"],
        {"rust": Difference(["a", "m", "z"], "`serde_json` sorts keys, unless it is built to keep their order")},
    ),
    raw("white space around the event does no harm", ' \n\t{"a" : 1}\n ', {"a": 1}),
    Behaviour("an event that the caller leaves out is `{}`", without_payload, {}),
    Behaviour(
        "an event of 6 MB arrives whole",
        lambda subject: subject.call("length", "x" * (PAYLOAD_LIMIT - FRAME)),
        PAYLOAD_LIMIT - FRAME,
    ),
    Behaviour(
        "an event of 6 MB and a byte is refused with 413",
        one_byte_too_many,
        [413, f"Request must be smaller than {PAYLOAD_LIMIT} bytes for the InvokeFunction operation"],
    ),
    Behaviour(
        "a result of 6 MB and 100 bytes comes whole",
        lambda subject: len(subject.call("letters", RESPONSE_LIMIT - 2)),
        RESPONSE_LIMIT - 2,
    ),
    Behaviour(
        "one byte more is `Function.ResponseSizeTooLarge`",
        lambda subject: subject.call("letters", RESPONSE_LIMIT - 1),
        TOO_LARGE,
    ),
    Behaviour("after that the function answers on", after_a_result_too_large, "xxx"),
    Behaviour(
        "a streamed answer is whole for a caller who does not stream",
        lambda subject: subject.invoke("stream", ["one ", "two ", "three"]).payload.decode(),
        "one two three",
        {"rust": Difference(PRELUDE + "one two three", "it puts a prelude for HTTP before every streamed answer")},
        dict.fromkeys(("python", "awslambdaric", "java"), "the client does not stream")
        | {"node": "a streaming handler is another kind of handler"},
    ),
]
