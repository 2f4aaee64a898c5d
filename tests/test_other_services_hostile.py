"""Forms and documents as nobody means them, for every operation of IAM, STS and the Logs API."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import botocore.loaders
import pytest

from harness.functions import ECHO, Functions
from harness.metrics import metrics_of
from harness.roles import LAMBDA, SERVER_ADMIN, document
from harness.server import ACCOUNT, REGION, Server
from harness.wire import Answer, signed

ROOT = Path(__file__).resolve().parent.parent
SERVED = {"iam": "2010-05-08", "sts": "2011-06-15", "logs": "2014-03-28"}
ROUNDS = 120
TEXTS = [
    "", "x", "*", "/", "a" * 70, "é\u200b\U0001f980", "\x00\x1b]\r\n", "<a>&amp;]]>", "true", "-1",
    "9" * 21, "null", "v1", "v0", "%41%zz", "${aws:username", "../..", "hostile",
    f"arn:aws:iam::{ACCOUNT}:role/hostile", f"arn:aws:iam::{ACCOUNT}:policy/hostile",
    "arn:aws:iam::aws:policy/AdministratorAccess",
    f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/hostile", "/hostile", "/aws/lambda/hostile-logs", LAMBDA,
    document(SERVER_ADMIN), document(), "[" * 5000, '{"Statement":[{}]}', "f/" + "9" * 56 + "/s", "{ $.a = ((((1 }",
    "[a, ..., b = %(%]", "%a{999}%", "e30",
]  # fmt: skip
# Behind the names of members: the parts of lists and structures.
TAILS = ["", "", "", ".member.1", ".member.1.Key", ".member.1.Value", ".member.2.Key", ".member.x", "." * 20, ".entry"]
# What makes sense, so that operations get further than their validation.
SENSE = {
    "RoleName": "hostile", "PolicyName": "hostile", "RoleSessionName": "hostile", "AssumeRolePolicyDocument": LAMBDA,
    "PolicyDocument": document(SERVER_ADMIN), "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/hostile",
    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/hostile", "VersionId": "v2", "MaxItems": "1", "Path": "/",
    "MaxSessionDuration": "3600", "Description": "hostile", "logGroupName": "/aws/lambda/hostile-logs",
    "logStreamName": "none", "limit": 3, "startTime": 0, "retentionInDays": 1, "tags": {"a": "b"}, "tagKeys": ["a"],
    "resourceArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/hostile-logs", "filterPattern": "-x",
}  # fmt: skip
# What is no form and no document of any operation.
BODIES = [b"", b"\xff\xfe", b"&&==&", b"Action", b"[1,", b"[" * 50_000, b'"x"', b"Action=GetRole&Action=ListRoles"]
VALUES: list[Any] = [*TEXTS, None, True, 0, -1, 1.5, 2**63, [], {}, [[]], {"a": {"b": []}}, ["/hostile"], [None]]


def operations(service: str) -> Iterator[tuple[str, list[str]]]:
    """Operations of the model with the names of their members, those that are there often and the others once."""
    table = json.loads((ROOT / "crates/wuwei-model/data" / f"{service}.json").read_text())
    model = botocore.loaders.Loader().load_service_model(service, "service-2")
    for name, operation in model["operations"].items():
        shape = operation.get("input", {}).get("shape")
        members = list(model["shapes"][shape].get("members", {})) if shape else []
        yield from [(name, members)] * (ROUNDS if name in table["operations"] else 1)


def chosen(random: Random, members: list[str]) -> list[str]:
    """Some members; those that make sense most of the time."""
    return [member for member in members if random.random() < (0.8 if member in SENSE else 0.2)]


def fields(random: Random, members: list[str]) -> Iterator[tuple[str, Any]]:
    for member in chosen(random, members):
        if member in SENSE and random.random() < 0.7:
            yield member, SENSE[member]
        else:
            yield member + random.choice(TAILS), random.choice(TEXTS)


def values(random: Random, members: list[str]) -> dict[str, Any]:
    def value(member: str) -> Any:
        return SENSE[member] if member in SENSE and random.random() < 0.7 else random.choice(VALUES)

    return {member: value(member) for member in chosen(random, members)}


def check(answer: Answer, service: str, question: object) -> None:
    """An answer that clients can read, and no fault of the server's."""
    assert answer.status < 500 or answer.status == 501, (question, answer)
    text = answer.body.decode()
    if service == "logs":
        if text:
            json.loads(text)
    else:
        ElementTree.fromstring(text)


@pytest.mark.parametrize("service", SERVED)
def test_nothing_that_is_sent_is_the_servers_fault(server: Server, functions: Functions, service: str) -> None:
    random = Random(service)
    functions.deploy_python(ECHO, FunctionName=f"hostile-{service}")
    functions.call(f"hostile-{service}", 1)
    questions: list[tuple[str, dict[str, str], bytes]] = []
    for name, members in operations(service):
        if service == "logs":
            body = json.dumps(values(random, members)).encode()
            headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Logs_20140328.{name}"}
        else:
            form = [("Action", name), ("Version", SERVED[service]), *fields(random, members)]
            body = urlencode(form).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
        questions.append((name, headers, body))
    random.shuffle(questions)
    done = set()
    for name, headers, body in questions:
        answer = signed(server, "POST", "/", body, headers, service=service)
        check(answer, service, (name, body))
        if answer.status == 200:
            done.add(name)
    assert len(done) >= {"iam": 20, "sts": 1, "logs": 8}[service], "most operations get to their end at times"
    for body in (
        b"",
        b"\xff\xfe",
        b"&&==&",
        b"Action",
        b"[1,",
        b"[" * 50_000,
        b'"x"',
        b"Action=GetRole&Action=ListRoles",
    ):
        headers = {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"} if service == "logs" else {}
        check(signed(server, "POST", "/", body, headers, service=service), service, body)
    assert metrics_of(server)["wuwei_gateway_panics_total"] == 0
